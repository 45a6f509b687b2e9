package model

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/auth"
	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/id"
	"m3o/test/model/first/firstapi"
	"m3o/test/model/second/secondapi"
	"m3o/test/model/thing/thingapi"
	"m3o/test/model/third/thirdapi"
)

// surroundings shows what of the caller's context and headers is seen down a chain of calls.
func (s suite) surroundings(t *testing.T) {
	s.check(t, "R51/TheDeadlineShrinksOnTheWay", func(t *testing.T, p *plane) {
		client := p.chain()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		left := 5 * time.Second
		for _, sight := range look(ctx, t, client) {
			if !sight.Bounded || sight.Left > left || sight.Left < 2*time.Second {
				t.Errorf("%s has %s left, its caller had %s", sight.Service, sight.Left, left)
			}
			left = sight.Left + 10*time.Millisecond // clocks of two processes
		}
	})
	s.check(t, "R51/WithoutADeadlineThereIsTheBudget", func(t *testing.T, p *plane) {
		for _, sight := range look(context.WithoutCancel(t.Context()), t, p.chain()) {
			if !sight.Bounded || sight.Left > defaultLimit || sight.Left < defaultLimit-5*time.Second {
				t.Errorf("%s has %s left", sight.Service, sight.Left)
			}
		}
	})
	s.check(t, "R52/ValuesOfTheGoContextStayWithTheCaller", func(t *testing.T, p *plane) {
		client := p.chain()
		ctx := context.WithValue(t.Context(), thirdapi.Leak{}, true)
		for _, sight := range look(ctx, t, client) {
			if sight.Leaked {
				t.Errorf("%s sees them", sight.Service)
			}
		}
	})
	s.check(t, "R53/BaggageLanguagesAndForwardedHeadersReachEveryService", func(t *testing.T, p *plane) {
		client := p.chain()
		f := frame.Frame{Forwarded: map[string]string{"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "example.com", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/api"}}
		ctx := frame.WithBaggage(frame.WithLanguages(frame.With(t.Context(), f), "fr, en;q=0.5"), "X", "1; a=b, ü")
		for i, sight := range look(frame.WithBaggage(ctx, "Y", "2"), t, client) {
			want := thirdapi.Sight{Depth: i + 1, Languages: "fr, en;q=0.5", Forwarded: f.Forwarded, Baggage: map[string]string{"X": "1; a=b, ü", "Y": "2"}}
			got := thirdapi.Sight{Depth: sight.Depth, Languages: sight.Languages, Forwarded: sight.Forwarded, Baggage: sight.Baggage}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", sight.Service, diff)
			}
		}
	})
	s.check(t, "R53/HeadersOfARequestFromOutsideReachEveryServiceIfTheyMay", func(t *testing.T, p *plane) {
		p.chain()
		header := http.Header{
			"Authorization": {"Bearer secret"}, "Cookie": {"a=b"}, "X-Own": {"mine"}, "Idempotency-Key": {"k"},
			"Accept-Language": {"fr"}, "X-Forwarded-For": {"192.0.2.1"}, "Baggage": {"X=1"}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		}
		w := p.do(t.Context(), request{"GET", "https://second.test/relay", "", ""}, header)
		contains(t, w, 200, `"X-Forwarded-For":"192.0.2.1"`)
		contains(t, w, 200, `"Accept-Language":"fr"`)
		contains(t, w, 200, `"Baggage":"X=1"`)
		contains(t, w, 200, `"Traceparent":"00-0af7651916cd43dd8448eb211c80319c-`)
		for _, kept := range []string{"Authorization", "secret", "Cookie", "X-Own", "Idempotency-Key"} {
			if strings.Contains(w.Body.String(), kept) {
				t.Errorf("%s is passed on: %s", kept, w.Body)
			}
		}
	})
	s.check(t, "R53/AMulticastCarriesThemToo", func(t *testing.T, p *plane) {
		p.chain()
		answers, err := secondapi.NewMulticastClient(p.caller).Look(frame.WithBaggage(t.Context(), "X", "1")).Wait()
		if err != nil || len(answers) != 1 || len(answers[0].Sights) != 2 || answers[0].Sights[0].Baggage["X"] != "1" || answers[0].Sights[1].Baggage["X"] != "1" {
			t.Errorf("%+v %v", answers, err)
		}
	})
	s.check(t, "R54/TheRequestsIDReachesEveryService", func(t *testing.T, p *plane) {
		for _, sight := range look(id.WithRequest(t.Context(), "req_1"), t, p.chain()) {
			if sight.Request != "req_1" {
				t.Errorf("%s sees %q", sight.Service, sight.Request)
			}
		}
	})
	s.check(t, "R54/WhoIsCallingReachesEveryService", func(t *testing.T, p *plane) {
		client := p.chain()
		for _, sight := range look(auth.With(t.Context(), auth.Account{ID: "cus_1", Type: auth.TypeCustomer}), t, client) {
			if sight.Account != "cus_1" {
				t.Errorf("%s sees %q", sight.Service, sight.Account)
			}
		}
		for _, sight := range look(t.Context(), t, client) {
			if sight.Account != "" {
				t.Errorf("%s still sees %q", sight.Service, sight.Account)
			}
		}
	})
	s.check(t, "R54/TheTraceGoesOnInEveryService", func(t *testing.T, p *plane) {
		parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		for _, sight := range look(frame.With(t.Context(), frame.Frame{Traceparent: parent, Tracestate: "a=b"}), t, p.chain()) {
			if trace := strings.Split(sight.Trace, "-"); len(trace) != 4 || trace[1] != "0af7651916cd43dd8448eb211c80319c" {
				t.Errorf("%s sees %q", sight.Service, sight.Trace)
			}
		}
	})
	s.check(t, "R97/TheClockIsShiftedForOneContextOnly", func(t *testing.T, p *plane) {
		client := p.chain()
		for _, sight := range look(frame.WithShift(t.Context(), time.Hour), t, client) {
			if ahead := time.Until(sight.Now); ahead < 59*time.Minute || ahead > time.Hour {
				t.Errorf("the clock of %s is ahead by %s", sight.Service, ahead)
			}
		}
		for _, sight := range look(t.Context(), t, client) {
			if ahead := time.Until(sight.Now); ahead > 0 || ahead < -time.Minute {
				t.Errorf("the clock of %s is still ahead by %s", sight.Service, ahead)
			}
		}
	})
	s.check(t, "R98/TextsAreInTheCallersLanguage", func(t *testing.T, p *plane) {
		client := p.client()
		for languages, want := range map[string]string{"de, fr;q=0.8": "Bonjour", "de": "Hi", "": "Hi", "en-GB": "Hello", "fr;q=0.1, en": "Hello"} {
			if got, err := client.Greeting(frame.WithLanguages(t.Context(), languages)); got != want || err != nil {
				t.Errorf("%q is greeted by %q, %v", languages, got, err)
			}
		}
		w := p.do(t.Context(), request{"GET", "https://thing.test/greeting", "", ""}, http.Header{"Accept-Language": {"fr"}})
		contains(t, w, 200, "Bonjour")
	})
}

// look is what the three services of a chain see.
func look(ctx context.Context, t *testing.T, client firstapi.Client) []firstapi.Sight {
	t.Helper()
	sights, err := client.Look(ctx)
	if err != nil || len(sights) != 3 {
		t.Fatalf("%+v %v", sights, err)
	}
	return sights
}

// nesting shows that calls which go in a circle come to an end.
func (s suite) nesting(t *testing.T) {
	for name, calls := range map[string]func(p *plane) func(ctx context.Context, more int) (int, error){
		"Calls":     func(p *plane) func(context.Context, int) (int, error) { return p.chain().Nest },
		"Multicast": func(p *plane) func(context.Context, int) (int, error) { return p.chain().NestAll },
	} {
		s.check(t, "R57/SixtyFourCallsMayBeNested/"+name, func(t *testing.T, p *plane) {
			if depth, err := calls(p)(t.Context(), frame.MaxDepth-1); depth != 64 || err != nil {
				t.Errorf("came to %d, %v", depth, err)
			}
		})
		s.check(t, "R57/TheNextOneIsALoop/"+name, func(t *testing.T, p *plane) {
			_, err := calls(p)(t.Context(), frame.MaxDepth)
			if f := fault.From(err); f.Code != fault.Loop || f.Status() != 508 {
				t.Errorf("got %v", err)
			}
		})
	}
	s.check(t, "R57/AnEventAndAWebAreCallsToo", func(t *testing.T, p *plane) {
		p.listener()
		ctx := frame.With(t.Context(), frame.Frame{Depth: frame.MaxDepth})
		if answers, err := p.trigger().OnDone(ctx, "x", 1).Wait(); len(answers) != 0 || !fault.Is(err, fault.Loop) {
			t.Errorf("event: %v %v", answers, err)
		}
		if _, err := p.client().Page_Get(ctx, ""); !fault.Is(err, fault.Loop) {
			t.Errorf("web: %v", err)
		}
		if err := thingapi.NewClient(p.caller).Count(ctx, 1, 0, 0, func(thingapi.CountOut) error { return nil }); !fault.Is(err, fault.Loop) {
			t.Errorf("stream: %v", err)
		}
	})
}
