package model

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/test/model/thing/thingapi"
)

// webs shows that a web handler gets the request as it was sent, and the caller its answer.
func (s suite) webs(t *testing.T) {
	for _, c := range []struct {
		name string
		call func(t *testing.T, c thingapi.Client) (*http.Response, error)
		want thingapi.Arrived
	}{
		{"Get", func(t *testing.T, c thingapi.Client) (*http.Response, error) { return c.Page_Get(t.Context(), "") },
			thingapi.Arrived{Method: "GET", Host: "thing.test", Path: "/page"}},
		{"GetWithAQuery", func(t *testing.T, c thingapi.Client) (*http.Response, error) {
			return c.Page_Get(t.Context(), "?a=b&c=%26")
		},
			thingapi.Arrived{Method: "GET", Host: "thing.test", Path: "/page", Query: "a=b&c=%26"}},
		{"Post", func(t *testing.T, c thingapi.Client) (*http.Response, error) {
			return c.Page_Post(t.Context(), "", "text/x-own; charset=utf-8", strings.NewReader("hello"))
		}, thingapi.Arrived{Method: "POST", Host: "thing.test", Path: "/page", Type: "text/x-own; charset=utf-8", Body: "hello"}},
		{"ARequestOfOnesOwn", func(t *testing.T, c thingapi.Client) (*http.Response, error) {
			r, err := http.NewRequestWithContext(t.Context(), "REPORT", "?x=1", strings.NewReader("own"))
			if err != nil {
				return nil, err
			}
			r.Header.Set("X-Own", "mine")
			return c.Page(r)
		}, thingapi.Arrived{Method: "REPORT", Host: "thing.test", Path: "/page", Query: "x=1", Own: "mine", Body: "own"}},
		{"OfOneMethodWithABody", func(t *testing.T, c thingapi.Client) (*http.Response, error) {
			return c.OnlyPut(t.Context(), "", "text/plain", strings.NewReader("b"))
		}, thingapi.Arrived{Method: "PUT", Host: "thing.test", Path: "/only-put", Type: "text/plain", Body: "b"}},
		{"AtAnotherPort", func(t *testing.T, c thingapi.Client) (*http.Response, error) { return c.OtherPort(t.Context(), "") },
			thingapi.Arrived{Method: "GET", Host: "thing.test:8443", Path: "/other"}},
		{"AtAnotherHost", func(t *testing.T, c thingapi.Client) (*http.Response, error) { return c.Elsewhere(t.Context(), "") },
			thingapi.Arrived{Method: "GET", Host: "elsewhere.test", Path: "/here"}},
		{"ForHost", func(t *testing.T, c thingapi.Client) (*http.Response, error) {
			return c.ForHost("Thing.test").OnlyGet(t.Context(), "?z")
		},
			thingapi.Arrived{Method: "GET", Host: "Thing.test", Path: "/only-get", Query: "z"}},
	} {
		s.check(t, "R36/TheWebGetsTheRequest/"+c.name, func(t *testing.T, p *plane) {
			id := p.thing().Replica().ID
			answer, err := c.call(t, thingapi.NewClient(p.caller))
			if err != nil {
				t.Fatal(err)
			}
			var got thingapi.Arrived
			if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if answer.StatusCode != 202 || answer.Header.Get("X-Replica") != id || answer.Header.Get("Content-Type") != asJSON {
				t.Errorf("got %d %v", answer.StatusCode, answer.Header)
			}
		})
	}
	s.check(t, "R22/ArgumentsOfAWebsPathAreFilledFromTheQuery", func(t *testing.T, p *plane) {
		client := p.client()
		for target, want := range map[string]string{
			"?path1=a%2Fb&rest=c/d&other=1": "a/b|c/d", "?rest=x": "|x", "": "|", "/tree/one/two/three": "one|two/three", "/tree/%2F/": "/|", "?path1=..&rest=../.": "..|../.",
		} {
			answer, err := client.Tree(t.Context(), target)
			if err != nil {
				t.Errorf("%s: %v", target, err)
				continue
			}
			if body, err := io.ReadAll(answer.Body); string(body) != want || err != nil {
				t.Errorf("%s leads to %q, %v; want %q", target, body, err, want)
			}
		}
	})
	s.check(t, "R35/AClientDoesNotSendWhatIsNotAnswered", func(t *testing.T, p *plane) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := thingapi.NewClient(p.caller).OnlyGet_Do(r); !fault.Is(err, fault.NotFound) {
			t.Errorf("nobody was asked, but: %v", err)
		}
	})
	s.check(t, "R27/AnErrorStatusThatIsNoProblemIsAnAnswer", func(t *testing.T, p *plane) {
		answer, err := p.client().Refuse_Get(t.Context(), "?how=written")
		if err != nil || answer.StatusCode != 418 {
			t.Fatal(answer, err)
		}
		if body, err := io.ReadAll(answer.Body); string(body) != "no problem document" || err != nil {
			t.Errorf("%s %v", body, err)
		}
	})
	s.check(t, "R40/TheWebOfEveryReplicaAnswersAMulticast", func(t *testing.T, p *plane) {
		one, two := p.thing().Replica().ID, p.thing().Replica().ID
		replies, err := thingapi.NewMulticastClient(p.caller).PageAll_Post(t.Context(), "?q=1", asText, strings.NewReader("to all"))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for reply := range replies {
			got[reply.Header.Get("X-Replica")] = true
			arrived(t, reply)
		}
		if len(got) != 2 || !got[one] || !got[two] {
			t.Errorf("%v have answered", got)
		}
	})
}

// arrived checks what a web handler was sent by a multicast call.
func arrived(t *testing.T, reply bus.Reply) {
	t.Helper()
	var got thingapi.Arrived
	if err := json.Unmarshal(reply.Body, &got); err != nil || reply.Status != 202 {
		t.Errorf("%d %s %v", reply.Status, reply.Body, err)
	}
	if want := (thingapi.Arrived{Method: "POST", Host: "thing.test", Path: "/page-all", Query: "q=1", Type: asText, Body: "to all"}); got != want {
		t.Errorf("got %+v", got)
	}
}
