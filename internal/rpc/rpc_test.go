package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/money"
	"m3o/internal/rpc"
	"m3o/internal/rpc/rpctest"
)

// sample is the Service behind the tests; fail is what its methods end with.
type sample struct{ fail error }

func (s *sample) Add(_ context.Context, customerID string, x int64, tags []string) (money.Micros, string, error) {
	return money.Micros(x + int64(len(tags))), customerID + " " + strings.Join(tags, ","), s.fail
}

func (s *sample) Put(context.Context, string, Value, time.Time) error {
	return s.fail
}

func (s *sample) Document(_ context.Context, name string) (any, error) {
	return map[string]any{"name": name}, s.fail
}

func (s *sample) Count(_ context.Context, n int, send func(CountOut) error) error {
	for i := range n {
		if err := send(CountOut{I: i}); err != nil {
			return err
		}
	}
	return s.fail
}

// serve registers a service on a bus of its own.
func serve(t *testing.T, s Service) bus.Bus {
	t.Helper()
	b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(rpc.Register(b, rpc.Replica{Host: Host, ID: "rep_1"}, Routes(s)))
	return b
}

func send(t *testing.T, b bus.Bus, method, target, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "https://sample"+target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	b.Handler("sample").ServeHTTP(w, r)
	return w
}

func TestAFunctionThatDoesNotHeedItsTimeIsAnsweredFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := rpc.Function{Service: "slow", Name: "Sleep", Host: "slow", Port: 443, Path: "/sleep", Method: rpc.Any, Queue: "slow", Timeout: time.Second}
		route := rpc.Unary(f, func(context.Context, *struct{}) (out struct{}, err error) {
			time.Sleep(time.Minute)
			return out, nil
		})
		began, w := time.Now(), httptest.NewRecorder()
		route.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "https://slow/sleep", nil))
		if took := time.Since(began); took != time.Second || w.Code != 408 || !strings.Contains(w.Body.String(), "slow.Sleep has not answered in time") {
			t.Errorf("%d after %v: %s", w.Code, took, w.Body)
		}
		time.Sleep(time.Hour) // and it comes to its end
	})
}

func TestArgumentsComeFromBodyQueryAndPath(t *testing.T) {
	t.Parallel()
	b := serve(t, &sample{})
	const js, form = "application/json", "application/x-www-form-urlencoded"
	for name, test := range map[string]struct{ method, target, kind, body, want string }{
		"Body":                     {"POST", "/add", js, `{"customer_id":"c","x":2,"tags":["a","b"]}`, `{"sum":"4","note":"c a,b"}`},
		"BodyWithCharset":          {"POST", "/add", js + "; charset=utf-8", `{"x":2}`, `{"sum":"2","note":" "}`},
		"IntegerAsString":          {"POST", "/add", js, `{"x":"9007199254740993"}`, `{"sum":"9007199254740993","note":" "}`},
		"UnknownMembersAreIgnored": {"POST", "/add", js, `{"x":1,"zzz":{}}`, `{"sum":"1","note":" "}`},
		"NothingIsZero":            {"POST", "/add", js, ``, `{"sum":"0","note":" "}`},
		"Query":                    {"GET", "/add?customer_id=12&x=3&tags=a&tags=b", "", ``, `{"sum":"5","note":"12 a,b"}`},
		"QueryWinsOverBody":        {"POST", "/add?x=3", js, `{"x":1}`, `{"sum":"3","note":" "}`},
		"Form":                     {"POST", "/add", form, `x=4&customer_id=true`, `{"sum":"4","note":"true "}`},
		"JSONThatCurlCallsAForm":   {"POST", "/add", form, `{"x":5}`, `{"sum":"5","note":" "}`},
		"Path":                     {"GET", "/document/a.b", "", ``, `{"name":"a.b"}`},
		"NoResults":                {"POST", "/put", js, `{"name":"n","value":{"weight":1}}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := send(t, b, test.method, test.target, test.kind, test.body)
			if w.Code != 200 || w.Body.String() != test.want {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, test.want)
			}
		})
	}
}

func TestBadArgumentsAreNamed(t *testing.T) {
	t.Parallel()
	b := serve(t, &sample{})
	for name, test := range map[string]struct{ target, body, want string }{
		"BrokenJSON":    {"/put", `{"name":`, "the body is not valid JSON"},
		"NotAnObject":   {"/put", `[1]`, "the body must be an object, not a JSON array"},
		"WrongType":     {"/put", `{"name":5}`, "name must be a string, not a JSON number"},
		"WrongMember":   {"/put", `{"value":{"weight":"x"}}`, "value.weight must be a whole number, not a JSON string"},
		"Fraction":      {"/add", `{"x":1.5}`, "x must be a whole number"},
		"TooLarge":      {"/add", `{"x":"9223372036854775808"}`, "x must be a whole number"},
		"QueryNotInt":   {"/add?x=many", ``, `x is not a whole number: "many"`},
		"BrokenQuery":   {"/add?x=%zz", ``, "the query is not well formed"},
		"BadTime":       {"/put", `{"at":"yesterday"}`, "at must be a time such as 2006-01-02T15:04:05Z"},
		"TimeIsNumber":  {"/put", `{"at":-5}`, "at must be a time such as"},
		"ArrayOfNumber": {"/add", `{"tags":[1]}`, "tags must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := send(t, b, "POST", test.target, "application/json", test.body)
			var problem struct{ Detail string }
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			if w.Code != 400 || !strings.HasPrefix(problem.Detail, test.want) {
				t.Errorf("got %d %q, want %q", w.Code, problem.Detail, test.want)
			}
			if strings.Contains(w.Body.String(), "rpc_test") || strings.Contains(w.Body.String(), "int64") {
				t.Errorf("Go's types are shown: %s", w.Body)
			}
		})
	}
}

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	b := serve(t, &sample{})
	for _, test := range []struct {
		method, target string
		status         int
	}{{"GET", "/put", 404}, {"POST", "/document/x", 404}, {"HEAD", "/document/x", 200}, {"POST", "/nope", 404}, {"POST", "/add/", 404}, {"GET", "/document/a/b", 404}} {
		if w := send(t, b, test.method, test.target, "", ""); w.Code != test.status {
			t.Errorf("%s %s: %d, want %d", test.method, test.target, w.Code, test.status)
		}
	}
}

func TestClientGetsTheResultsAndTheFaults(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) (Service, *sample) { s := &sample{}; return s, s }
	rpctest.Each(t, rpctest.Contract[Service]{Routes: Routes, Client: func(b bus.Bus) Service { return NewClient(b) }}, setup, func(t *testing.T, s Service, behind *sample) {
		ctx := t.Context()
		if sum, note, err := s.Add(ctx, "c", 1<<60, []string{"a"}); sum != 1<<60+1 || note != "c a" || err != nil {
			t.Errorf("%d %q %v", sum, note, err)
		}
		if document, err := s.Document(ctx, "a b/c"); err != nil || !reflect.DeepEqual(document, map[string]any{"name": "a b/c"}) {
			t.Errorf("%v %v", document, err)
		}
		var got []int
		if err := s.Count(ctx, 3, func(m CountOut) error { got = append(got, m.I); return nil }); err != nil || len(got) != 3 {
			t.Errorf("%v %v", got, err)
		}
		stop := errors.New("enough")
		if err := s.Count(ctx, 1000, func(CountOut) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("a receiver that stops: %v", err)
		}
		behind.fail = fault.New(fault.NotFound, "no such thing")
		if _, _, err := s.Add(ctx, "", 0, nil); !fault.Is(err, fault.NotFound) || fault.From(err).Detail != "no such thing" {
			t.Errorf("%v", err)
		}
		if err := s.Count(ctx, 2, func(CountOut) error { return nil }); !fault.Is(err, fault.NotFound) {
			t.Errorf("a fault at the end of a stream: %v", err)
		}
		if err := s.Count(ctx, 0, func(CountOut) error { return nil }); !fault.Is(err, fault.NotFound) {
			t.Errorf("a fault before the stream: %v", err)
		}
		behind.fail = errors.New("disk on fire")
		if _, _, err := s.Add(ctx, "", 0, nil); !fault.Is(err, fault.Internal) {
			t.Errorf("%v", err)
		}
	})
}

func TestWhatIsNotAssignedIsUnavailable(t *testing.T) {
	t.Parallel()
	var s Service = Unassigned{}
	if err := s.Put(t.Context(), "", Value{}, time.Time{}); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	client := NewClient(bus.NewMemory(bus.MemoryConfig{}))
	if err := client.Put(t.Context(), "", Value{}, time.Time{}); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

func TestFaultsAreNamedAfterTheFunction(t *testing.T) {
	t.Parallel()
	b := serve(t, &sample{fail: fault.New(fault.Conflict, "taken")})
	w := send(t, b, "POST", "/put", "application/json", "{}")
	if w.Code != 409 || !strings.Contains(w.Body.String(), `"id":"sample.Put"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestEventReachesEverySinkAndBringsBackItsAnswers(t *testing.T) {
	t.Parallel()
	b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
	if answers, err := NewMulticastTrigger(b).OnChanged(t.Context(), "x").Wait(); err != nil || len(answers) != 0 {
		t.Fatalf("without sinks: %v %v", answers, err)
	}
	t.Cleanup(NewHook(b, "rep_1", "one").OnChanged(func(_ context.Context, id string) (bool, error) { return id == "x", nil }))
	t.Cleanup(NewHook(b, "rep_2", "two").OnChanged(func(context.Context, string) (bool, error) { return false, fault.New(fault.Forbidden, "veto") }))
	answers, err := NewMulticastTrigger(b).OnChanged(t.Context(), "x").Wait()
	if len(answers) != 1 || !answers[0].OK || !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "two") {
		t.Errorf("%v %v", answers, err)
	}
}
