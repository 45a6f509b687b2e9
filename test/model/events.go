package model

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/test/model/listener"
	"m3o/test/model/listener/listenerapi"
	"m3o/test/model/source"
	"m3o/test/model/source/sourceapi"
)

// events shows who hears an event and what the source hears of it.
func (s suite) events(t *testing.T) {
	s.check(t, "R58/OneAnswerForEachServiceAndReplicasShare", func(t *testing.T, p *plane) {
		one, two, other := p.listener().Replica().ID, p.listener().Replica().ID, p.witness().Replica().ID
		heard := map[string]int{}
		for i := range 60 {
			for _, who := range p.fire(t, i, 2) {
				heard[who]++
			}
		}
		if len(heard) != 3 || heard[one]+heard[two] != 60 || heard[one] == 0 || heard[two] == 0 || heard[other] != 60 {
			t.Errorf("%v", heard)
		}
	})
	s.check(t, "R59/EveryReplicaWithoutAQueueAnswers", func(t *testing.T, p *plane) {
		p.listener()
		p.listener()
		one, two := p.witness().Replica().ID, p.witness().Replica().ID
		for i := range 10 {
			if who := p.fire(t, i, 3); !slices.Contains(who, one) || !slices.Contains(who, two) {
				t.Errorf("%v have answered", who)
			}
		}
	})
	s.check(t, "R59/AServiceFiresItsEventFromWhereItIs", func(t *testing.T, p *plane) {
		id := p.listener().Replica().ID
		home := p.process()
		t.Cleanup(must(source.New(sourceapi.NewMulticastTrigger(home)))(t).Register(home))
		answers, err := sourceapi.NewClient(p.caller).Finish(t.Context(), "a/b", 7)
		if err != nil || len(answers) != 1 || answers[0] != id+" a/b 7" {
			t.Errorf("%v %v", answers, err)
		}
	})
	s.check(t, "R60/WithoutSinksThereIsNoAnswerAndNoError", func(t *testing.T, p *plane) {
		if err := p.trigger().OnPlain(t.Context(), "x").Err(); err != nil {
			t.Error(err)
		}
		stop := p.join(must(source.New(p.trigger()))(t))
		stop()
		if answers, err := p.trigger().OnDone(t.Context(), "x", 1).Wait(); len(answers) != 0 || err != nil {
			t.Errorf("%v %v", answers, err)
		}
	})
	s.check(t, "R60/AnEventWithoutResultsArrives", func(t *testing.T, p *plane) {
		p.listener()
		for _, text := range []string{"one", "two"} {
			if err := p.trigger().OnPlain(t.Context(), text).Err(); err != nil {
				t.Error(err)
			}
		}
		if heard, err := listenerapi.NewClient(p.caller).Heard(t.Context()); err != nil || strings.Join(heard, " ") != "one two" {
			t.Errorf("%v %v", heard, err)
		}
	})
	s.check(t, "R60/TheTriggerDoesNotWaitForItsSinks", func(t *testing.T, p *plane) {
		p.listener()
		ctx, cancel := context.WithCancel(t.Context())
		answers := p.trigger().OnAsk(ctx, "wait?", time.Time{}, nil) // returns although the sink waits for the end
		cancel()
		if _, err := answers.Wait(); err == nil {
			t.Error("nobody has waited")
		}
	})
	s.check(t, "R61/ATypedTriggerDeliversThePathsArgument", func(t *testing.T, p *plane) {
		who := p.listener().Replica().ID
		for _, id := range segments() {
			answers, err := p.trigger().OnDone(t.Context(), id, 3).Wait()
			if err != nil || len(answers) != 1 || answers[0].By != who+" "+id+" 3" {
				t.Errorf("%q: %+v %v", id, answers, err)
			}
		}
	})
	s.check(t, "R61/ARawRequestDeliversThePathsArgument", func(t *testing.T, p *plane) {
		who := p.listener().Replica().ID
		contains(t, p.send(request{"POST", "https://source.test:417/thing/7", asJSON, `{"n":1}`}), 200, `{"by":"`+who+` 7 1"}`)
		replies := p.spread(request{"POST", "https://source.test:417/thing/7?n=2", asJSON, `{"n":1}`})
		if len(replies) != 1 || string(replies[0].Body) != `{"by":"`+who+` 7 2"}` || replies[0].Queue != "listener.test" {
			t.Errorf("multicast: %+v", replies)
		}
		for _, r := range []request{{"GET", "https://source.test:417/thing/7", "", ""}, {"POST", "https://source.test/thing/7", "", ""}} {
			if w := p.send(r); w.Code != 503 {
				t.Errorf("%s %s: %d though nobody serves the source", r.method, r.url, w.Code)
			}
		}
	})
	s.check(t, "R61/ManyTypesTravelBothWays", func(t *testing.T, p *plane) {
		p.listener()
		at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		answers, err := p.trigger().OnAsk(t.Context(), "really?", at, []string{"a", "b,c"}).Wait()
		if err != nil || len(answers) != 1 || answers[0].Answer != "yes a,b,c" || !answers[0].At2.Equal(at.Add(time.Hour)) {
			t.Errorf("%+v %v", answers, err)
		}
	})
	s.check(t, "R61/AnEventOfAnotherMethodWithAWholeBody", func(t *testing.T, p *plane) {
		p.listener()
		answers, err := p.trigger().OnPut(t.Context(), map[string]int{"a": 1, "b": 2}).Wait()
		if err != nil || len(answers) != 1 || answers[0].Total != 3 {
			t.Errorf("%+v %v", answers, err)
		}
		contains(t, p.send(request{"PUT", "https://source.test:417/on-put", asJSON, `{"a":1,"b":2}`}), 200, `{"total":3}`)
	})
	s.check(t, "R62/AnotherHostIsHeardOnlyByWhoListensThere", func(t *testing.T, p *plane) {
		who := p.listener().Replica().ID
		for host, want := range map[string]string{"alt.test": "other x", "ALT.test": "other x", "source.test": who + " x 1"} {
			answers, err := p.trigger().ForHost(host).OnDone(t.Context(), "x", 1).Wait()
			if err != nil || len(answers) != 1 || answers[0].By != want {
				t.Errorf("%s: %+v %v", host, answers, err)
			}
		}
		if answers, err := p.trigger().ForHost("third.test").OnDone(t.Context(), "x", 1).Wait(); err != nil || len(answers) != 0 {
			t.Errorf("%+v %v", answers, err)
		}
	})
	s.check(t, "R62/AHookListensUntilItIsStopped", func(t *testing.T, p *plane) {
		home := p.process()
		hear := func(_ context.Context, id string, _ int) (string, error) { return "hook " + id, nil }
		stop := sourceapi.NewHook(home, "rep_1", "ears").ForHost("alt.test").OnDone(hear)
		if answers, err := p.trigger().ForHost("alt.test").OnDone(t.Context(), "x", 1).Wait(); err != nil || len(answers) != 1 || answers[0].By != "hook x" {
			t.Errorf("%+v %v", answers, err)
		}
		stop()
		stop()
		if answers, err := p.trigger().ForHost("alt.test").OnDone(t.Context(), "x", 1).Wait(); err != nil || len(answers) != 0 {
			t.Errorf("after stop: %+v %v", answers, err)
		}
	})
	s.check(t, "R63/TheSourceHearsOfASinksError", func(t *testing.T, p *plane) {
		p.listener()
		t.Cleanup(sourceapi.NewHook(p.process(), "rep_1", "kind").OnAsk(func(_ context.Context, _ string, at time.Time, _ []string) (string, time.Time, error) {
			return "fine", at, nil
		}))
		answers, err := p.trigger().OnAsk(t.Context(), "no question", time.Time{}, nil).Wait()
		f := fault.From(err)
		if len(answers) != 1 || answers[0].Answer != "fine" || f.Code != fault.Invalid || len(f.Fields) != 1 || !strings.Contains(err.Error(), "listener.test") {
			t.Errorf("%+v %v", answers, err)
		}
		if lines := places(err); !strings.Contains(lines, "listener/sinks.go:") {
			t.Errorf("the stack is %s", lines)
		}
	})
	s.check(t, "R63/ASinkThatIsTooSlowIsAnsweredFor", func(t *testing.T, p *plane) {
		p.listener()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if answers, err := p.trigger().OnAsk(ctx, "wait?", time.Time{}, nil).Wait(); len(answers) != 0 || !fault.Is(err, fault.Expired) {
			t.Errorf("%+v %v", answers, err)
		}
	})
	s.check(t, "R63/ASinkThatHasLeftHearsNothing", func(t *testing.T, p *plane) {
		stop := p.join(must(listener.New())(t))
		stop()
		if answers, err := p.trigger().OnDone(t.Context(), "x", 1).Wait(); len(answers) != 0 || err != nil {
			t.Errorf("%+v %v", answers, err)
		}
	})
}

// fire fires OnDone and returns who has answered.
func (p *plane) fire(t *testing.T, n, want int) []string {
	t.Helper()
	who := map[string]bool{}
	for answer := range p.trigger().OnDone(t.Context(), "x", n).All() {
		replica, _, _ := strings.Cut(answer.Out.By, " ")
		if who[replica] = true; answer.Err != nil || replica != answer.Replica {
			t.Errorf("%+v", answer)
		}
	}
	if len(who) != want {
		t.Errorf("%v have answered, not %d", who, want)
	}
	return slices.Collect(maps.Keys(who))
}

// spread sends a request to everybody and returns the replies.
func (p *plane) spread(r request) (replies []bus.Reply) {
	p.t.Helper()
	sent, err := http.NewRequestWithContext(p.t.Context(), r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		p.t.Fatal(err)
	}
	sent.Header.Set("Content-Type", r.kind)
	for reply := range p.caller.Multicast(sent) {
		replies = append(replies, reply)
	}
	return replies
}
