package model

import (
	"encoding/json"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"m3o/internal/fault"
	"m3o/test/model/thing/thingapi"
)

// contains checks an answer's status and that its body has a text in it.
func contains(t *testing.T, w *httptest.ResponseRecorder, status int, want string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %d %s, want %d %s", w.Code, w.Body, status, want)
	}
}

// results shows how results become an answer, and how a function sets its status.
func (s suite) results(t *testing.T) {
	s.check(t, "R23/TheWholeAnswerIsTheResult", func(t *testing.T, p *plane) {
		p.thing()
		contains(t, p.send(request{"GET", "https://thing.test/document?name=n", "", ""}), 200, `{"<&>":[1,2],"name":"n"}`)
	})
	for _, code := range []int{201, 202, 299, 400, 404, 418, 499, 500, 503, 599} {
		s.check(t, "R24/AFunctionSetsItsStatus/"+strconv.Itoa(code), func(t *testing.T, p *plane) {
			client := p.client()
			note, status, err := client.Status(t.Context(), code)
			if status != code || note != "as you wish: "+strconv.Itoa(code) || err != nil {
				t.Errorf("typed: %q %d %v", note, status, err)
			}
			person, status, err := client.Made(t.Context(), thingapi.Person{Name: "me"}, code)
			if status != code || err != nil || person == nil || person.Name != "me" {
				t.Errorf("typed, whole body: %v %d %v", person, status, err)
			}
			contains(t, p.send(request{"GET", "https://thing.test/status?code=" + strconv.Itoa(code), "", ""}), code, `{"note":"as you wish: `)
		})
	}
	for _, code := range []int{0, -1, 99, 1000} {
		s.check(t, "R25/AStatusThatIsNoneIs200/"+strconv.Itoa(code), func(t *testing.T, p *plane) {
			note, status, err := p.client().Status(t.Context(), code)
			if status != 200 || note == "" || err != nil {
				t.Errorf("typed: %q %d %v", note, status, err)
			}
			contains(t, p.send(request{"GET", "https://thing.test/status?code=" + strconv.Itoa(code), "", ""}), 200, `"note"`)
		})
	}
	for _, code := range []int{204, 304} {
		s.check(t, "R26/AStatusWithoutBody/"+strconv.Itoa(code), func(t *testing.T, p *plane) {
			client := p.client()
			if note, status, err := client.Status(t.Context(), code); status != code || note != "" || err != nil {
				t.Errorf("typed: %q %d %v", note, status, err)
			}
			if person, status, err := client.Made(t.Context(), thingapi.Person{}, code); status != code || person != nil || err != nil {
				t.Errorf("typed, whole body: %v %d %v", person, status, err)
			}
			if w := p.send(request{"GET", "https://thing.test/status?code=" + strconv.Itoa(code), "", ""}); w.Code != code || w.Body.Len() > 0 {
				t.Errorf("raw: %d %s", w.Code, w.Body)
			}
		})
	}
	s.check(t, "R27/AStatusReachesTheMulticastClient", func(t *testing.T, p *plane) {
		p.thing()
		answers, err := thingapi.NewMulticastClient(p.caller).Status(t.Context(), 404).Wait()
		if err != nil || len(answers) != 1 || answers[0].HTTPStatusCode != 404 || answers[0].Note == "" {
			t.Errorf("%+v %v", answers, err)
		}
	})
	s.check(t, "R28/NoResultsAreNoError", func(t *testing.T, p *plane) {
		if err := p.client().Nothing(t.Context()); err != nil {
			t.Error(err)
		}
		if w := p.send(request{"POST", "https://thing.test/nothing", "", ""}); w.Code != 200 || w.Body.String() != "{}" {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

// errors shows what of an error reaches the caller.
func (s suite) errors(t *testing.T) {
	s.check(t, "R29/TheCallerGetsTheErrorAndWhereItWasMade", func(t *testing.T, p *plane) {
		_, err := p.client().Fail(t.Context(), "teapot")
		f := fault.From(err)
		if f.Status() != 418 || f.Code != fault.Invalid || f.Detail != "short and stout" || f.ID != "thing.test.Fail" {
			t.Errorf("got %#v", f)
		}
		if lines := places(err); !strings.HasPrefix(lines, "thing/thing.go:") || !strings.Contains(lines, "thing.failure") || !strings.Contains(lines, "model/results.go:") {
			t.Errorf("the stack is %s", lines)
		}
	})
	s.check(t, "R29/TheWebsCallerToo", func(t *testing.T, p *plane) {
		answer, err := p.client().Refuse_Get(t.Context(), "?how=teapot")
		if f := fault.From(err); answer != nil || f.Status() != 418 || f.Detail != "short and stout" || !strings.HasPrefix(places(err), "thing/thing.go:") {
			t.Errorf("got %v, from %s", err, places(err))
		}
	})
	s.check(t, "R30/FieldsAndMembersTravel", func(t *testing.T, p *plane) {
		_, err := p.client().Fail(t.Context(), "fields")
		f := fault.From(err)
		if f.Code != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Name != "how" || f.Extra["price"] != json.Number("5") || f.RetryAfter.Seconds() != 3 {
			t.Errorf("got %#v", f)
		}
	})
	for _, how := range []string{"plain", "panic"} {
		s.check(t, "R30/WhatIsNoFaultIs500AndHiddenFromOutside/"+how, func(t *testing.T, p *plane) {
			_, err := p.client().Fail(t.Context(), how)
			secret := map[string]string{"plain": "disk on fire", "panic": "at the disco"}[how]
			if f := fault.From(err); f.Status() != 500 || f.Detail != "internal error" || !strings.Contains(err.Error(), secret) {
				t.Errorf("a service of the house sees %v", err)
			}
			for _, path := range []string{"/fail", "/fail-quietly", "/refuse"} {
				w := p.send(request{"GET", "https://thing.test" + path + "?how=" + how, "", ""})
				if w.Code != 500 || strings.Contains(w.Body.String(), secret) || strings.Contains(w.Body.String(), ".go") {
					t.Errorf("%s: somebody outside sees %d %s", path, w.Code, w.Body)
				}
			}
			if sum, err := thingapi.NewClient(p.caller).Add(t.Context(), 1, 2); sum != 3 || err != nil {
				t.Errorf("the service is broken: %v", err)
			}
		})
	}
	for _, how := range []string{
		"invalid", "unauthenticated", "payment_required", "forbidden", "not_found", "bad_method", "expired", "conflict", "gone", "too_large",
		"unprocessable", "limited", "unimplemented", "bad_gateway", "unavailable", "timeout", "loop", "wrapped",
	} {
		s.check(t, "R30/EveryCodeTravels/"+how, func(t *testing.T, p *plane) {
			want := fault.Code(strings.ReplaceAll(how, "wrapped", "gone"))
			_, err := p.client().Fail(t.Context(), how)
			if f := fault.From(err); f.Code != want || f.Status() != want.Status() {
				t.Errorf("got %v", err)
			}
			if err := thingapi.NewClient(p.caller).FailQuietly(t.Context(), how); !fault.Is(err, want) {
				t.Errorf("got %v", err)
			}
		})
	}
	s.check(t, "R31/AChainTellsWhereTheErrorHasBeen", func(t *testing.T, p *plane) {
		client := p.chain()
		for _, how := range []string{"conflict", "plain"} {
			err := client.Fail(t.Context(), how)
			lines := places(err)
			last := -1
			for _, place := range []string{"third/third.go:", "second/second.go:", "first/first.go:", "model/results.go:"} {
				at := strings.Index(lines, place)
				if at <= last {
					t.Errorf("%s is not where it should be in %s", place, lines)
				}
				last = at
			}
			if want := map[string]fault.Code{"conflict": fault.Conflict, "plain": fault.Internal}[how]; !fault.Is(err, want) {
				t.Errorf("got %v", err)
			}
		}
	})
	s.check(t, "R32/ASentinelIsKnownByItsCodeAndID", func(t *testing.T, p *plane) {
		_, err := p.client().Fail(t.Context(), "sentinel")
		if f := fault.From(err); f.Code != fault.Conflict || f.ID != "thing.sentinel" {
			t.Errorf("got %#v", f)
		}
	})
}

// places is where an error has been, the deepest first, in one text.
func places(err error) string {
	var lines []string
	for _, f := range fault.Stack(err) {
		lines = append(lines, f.String())
	}
	return strings.Join(lines, " | ")
}
