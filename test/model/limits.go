package model

import (
	"context"
	"strconv"
	"testing"
	"time"

	"m3o/internal/fault"
	"m3o/test/model/thing"
	"m3o/test/model/thing/thingapi"
)

// defaultLimit is the time budget of a function that service.yaml gives none.
const defaultLimit = 20 * time.Second

// limits shows how long things take that must not take long.
func (s suite) limits(t *testing.T) {
	s.nobody(t)
	s.deadlines(t)
	s.budgets(t)
	s.killed(t)
}

// nobody shows that it takes no timer to find out that there is nobody.
func (s suite) nobody(t *testing.T) {
	s.alone(t, "R33/AnUnknownHostIsUnavailableAtOnce", func(t *testing.T, p *plane) {
		within(t, 0, swift, func() {
			if _, err := thingapi.NewClient(p.caller).Add(t.Context(), 1, 2); !fault.Is(err, fault.Unavailable) {
				t.Errorf("got %v", err)
			}
		})
	})
	for name, r := range map[string]request{
		"Path": {"GET", "https://thing.test/nope", "", ""}, "Method": {"POST", "https://thing.test/only-get", "", ""}, "Port": {"GET", "https://thing.test:1/add", "", ""},
	} {
		s.alone(t, "R33/WhatAHostDoesNotHaveIsNotFoundAtOnce/"+name, func(t *testing.T, p *plane) {
			p.thing()
			within(t, 0, swift, func() { contains(t, p.send(r), 404, "thing.test") })
		})
	}
	s.alone(t, "R42/AMulticastToNobodyIsOverAtOnce", func(t *testing.T, p *plane) {
		within(t, 0, swift, func() {
			if answers, err := thingapi.NewMulticastClient(p.caller).WhoAll(t.Context()).Wait(); len(answers) != 0 || err != nil {
				t.Errorf("%v %v", answers, err)
			}
		})
	})
	s.alone(t, "R42/AMulticastToANewPathIsAsQuickAsTheNext", func(t *testing.T, p *plane) {
		p.thing()
		p.thing()
		path := 0
		within(t, 0, 50*time.Millisecond, func() {
			path++
			if answers, err := thingapi.NewMulticastClient(p.caller).WhoAt(t.Context(), strconv.Itoa(path)).Wait(); len(answers) != 2 || err != nil {
				t.Errorf("%v %v", answers, err)
			}
		})
	})
	s.alone(t, "R60/AnEventWithoutSinksIsOverAtOnce", func(t *testing.T, p *plane) {
		within(t, 0, swift, func() {
			if answers, err := p.trigger().OnDone(t.Context(), "x", 1).Wait(); len(answers) != 0 || err != nil {
				t.Errorf("%v %v", answers, err)
			}
		})
	})
}

// deadlines shows what a caller's deadline does.
func (s suite) deadlines(t *testing.T) {
	s.alone(t, "R44/TheFastAnswerAndTheSlowAreAnsweredForAtTheDeadline", func(t *testing.T, p *plane) {
		slow, fast := p.thing().Replica().ID, p.thing().Replica().ID
		within(t, 290*time.Millisecond, 450*time.Millisecond, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			began, seen := time.Now(), 0
			for answer := range thingapi.NewMulticastClient(p.caller).WaitHere(ctx, slow, time.Minute).All() {
				seen++
				switch early := time.Since(began) < 200*time.Millisecond; {
				case seen == 1 && (answer.Err != nil || answer.Out.Who != fast || !early):
					t.Errorf("first came %+v after %s", answer, time.Since(began))
				case seen == 2 && (!fault.Is(answer.Err, fault.Expired) || answer.Replica != slow || fault.From(answer.Err).Status() != 408):
					t.Errorf("then came %+v", answer)
				}
			}
			if seen != 2 {
				t.Errorf("%d answers", seen)
			}
		})
	})
	s.alone(t, "R46/AShortDeadlineIsEnoughForAShortCall", func(t *testing.T, p *plane) {
		client := p.client()
		for _, deadline := range []time.Duration{200 * time.Millisecond, 50 * time.Millisecond} {
			within(t, time.Millisecond, deadline, func() {
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				if waited, err := client.Wait(ctx, time.Millisecond); waited < time.Millisecond || err != nil {
					t.Errorf("%s: %s %v", deadline, waited, err)
				}
			})
		}
	})
	s.alone(t, "R47/TheCallerIsAnsweredAtItsDeadlineAndTheHandlerEnds", func(t *testing.T, p *plane) {
		service := p.thing()
		tries := 0
		within(t, 450*time.Millisecond, 600*time.Millisecond, func() {
			tries++
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := thingapi.NewClient(p.caller).Wait(ctx, 2*time.Second)
			if f := fault.From(err); f.Code != fault.Expired || f.Status() != 408 {
				t.Errorf("got %v", err)
			}
			p.eventually("the handler ends", func() bool { _, ended, _, _ := service.Ended(t.Context()); return ended == tries })
		})
		if _, _, ranFor, _ := service.Ended(t.Context()); ranFor > 600*time.Millisecond {
			t.Errorf("the handler ran for %s", ranFor)
		}
	})
	s.alone(t, "R47/AHandlerThatDoesNotHeedItDoesNotHoldTheCaller", func(t *testing.T, p *plane) {
		client := p.client()
		within(t, 90*time.Millisecond, 200*time.Millisecond, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := client.Hang(ctx); !fault.Is(err, fault.Expired) {
				t.Errorf("got %v", err)
			}
		})
	})
	s.alone(t, "R48/ADeadlineThatIsOverExecutesNothing", func(t *testing.T, p *plane) {
		service := p.thing()
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		client, everybody := thingapi.NewClient(p.caller), thingapi.NewMulticastClient(p.caller)
		within(t, 0, swift, func() {
			if _, err := client.Wait(ctx, 0); !fault.Is(err, fault.Expired) {
				t.Errorf("got %v", err)
			}
		})
		for range 20 { // whoever does not look first is found out now and then
			_, called := client.Wait(ctx, 0)
			_, asked := everybody.Wait(ctx, 0).Wait()
			streamed := client.Count(ctx, 1, 0, 0, func(thingapi.CountOut) error { return nil })
			_, got := client.Page_Get(ctx, "")
			for kind, err := range map[string]error{"call": called, "multicast": asked, "stream": streamed, "web": got} {
				if !fault.Is(err, fault.Expired) {
					t.Errorf("%s: %v", kind, err)
				}
			}
		}
		if began, _, _, _ := service.Ended(t.Context()); began != 0 {
			t.Errorf("%d calls were executed", began)
		}
	})
}

// budgets shows what a function's time budget does where the caller has no deadline.
func (s suite) budgets(t *testing.T) {
	s.alone(t, "R49/WithoutADeadlineTheFunctionsBudgetEndsTheCall", func(t *testing.T, p *plane) {
		client := p.client()
		within(t, 290*time.Millisecond, 450*time.Millisecond, func() {
			if _, err := client.Hang(context.WithoutCancel(t.Context())); !fault.Is(err, fault.Expired) {
				t.Errorf("got %v", err)
			}
		})
		within(t, 290*time.Millisecond, 450*time.Millisecond, func() {
			answers, err := thingapi.NewMulticastClient(p.caller).Hang(t.Context()).Wait()
			if len(answers) != 0 || !fault.Is(err, fault.Expired) {
				t.Errorf("multicast: %v %v", answers, err)
			}
		})
	})
	s.alone(t, "R49/ALaterDeadlineDoesNotProlongTheBudget", func(t *testing.T, p *plane) {
		client := p.client()
		within(t, 290*time.Millisecond, 450*time.Millisecond, func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if _, err := client.Hang(ctx); !fault.Is(err, fault.Expired) {
				t.Errorf("got %v", err)
			}
		})
	})
	s.alone(t, "R49/TheBudgetIsTwentySecondsUnlessItIsSaid", func(t *testing.T, _ *plane) {
		for _, f := range thingapi.Functions() {
			want := defaultLimit
			if f.Name == "Hang" {
				want = 300 * time.Millisecond
			}
			if f.Timeout != want {
				t.Errorf("%s has %s", f.Name, f.Timeout)
			}
		}
	})
}

// killed shows that a replica which dies does not hold those who wait for it.
func (s suite) killed(t *testing.T) {
	if s.transport.Kill == nil {
		return
	}
	s.alone(t, "R50/AReplicaThatIsKilledDoesNotHoldItsCallers", func(t *testing.T, p *plane) {
		home, service := p.process(), must(thing.New())(t)
		t.Cleanup(service.Register(home))
		t.Cleanup(service.Release)
		failed := make(chan error, 2)
		within(t, 0, time.Second, func() {
			go func() { _, err := thingapi.NewClient(p.caller).Hang(t.Context()); failed <- err }()
			go func() {
				_, err := thingapi.NewMulticastClient(p.caller).Hang(t.Context()).Wait()
				failed <- err
			}()
			p.eventually("both hang", func() bool { began, _, _, _ := service.Ended(t.Context()); return began == 2 })
			s.transport.Kill(home)
			for range 2 {
				if err := <-failed; !fault.Is(err, fault.Expired) && !fault.Is(err, fault.Unavailable) {
					t.Errorf("got %v", err)
				}
			}
		})
		if _, err := thingapi.NewClient(p.caller).Who(t.Context()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("the next call: %v", err)
		}
	})
}

// cancellation shows that a caller who gives up is let go and that the handler hears of it.
func (s suite) cancellation(t *testing.T) {
	s.check(t, "R48/ACallerWhoGivesUpIsLetGoAndTheHandlerEnds", func(t *testing.T, p *plane) {
		service := p.thing()
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := thingapi.NewClient(p.caller).Wait(ctx, time.Minute)
			failed <- err
		}()
		p.eventually("the handler runs", func() bool { began, _, _, _ := service.Ended(t.Context()); return began == 1 })
		cancel()
		select {
		case err := <-failed:
			if err == nil {
				t.Error("it is as if nothing had happened")
			}
		case <-time.After(patience):
			t.Fatal("the caller is held")
		}
		p.eventually("the handler ends", func() bool { _, ended, _, _ := service.Ended(t.Context()); return ended == 1 })
	})
	s.check(t, "R48/GivingUpAMulticastEndsTheHandlers", func(t *testing.T, p *plane) {
		service := p.thing()
		ctx, cancel := context.WithCancel(t.Context())
		answers := thingapi.NewMulticastClient(p.caller).Wait(ctx, time.Minute)
		p.eventually("the handler runs", func() bool { began, _, _, _ := service.Ended(t.Context()); return began == 1 })
		cancel()
		if results, err := answers.Wait(); len(results) != 0 || err == nil {
			t.Errorf("%v %v", results, err)
		}
		p.eventually("the handler ends", func() bool { _, ended, _, _ := service.Ended(t.Context()); return ended == 1 })
	})
	s.check(t, "R48/ARawRequestThatIsGivenUpEndsTheHandler", func(t *testing.T, p *plane) {
		service := p.thing()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.do(ctx, request{"GET", "https://thing.test/wait?span=1m", "", ""}, nil)
		}()
		p.eventually("the handler runs", func() bool { began, _, _, _ := service.Ended(t.Context()); return began == 1 })
		cancel()
		<-done
		p.eventually("the handler ends", func() bool { _, ended, _, _ := service.Ended(t.Context()); return ended == 1 })
	})
}
