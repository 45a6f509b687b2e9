package model

import (
	"fmt"
	"sync"
	"testing"

	"m3o/internal/fault"
	"m3o/test/model/thing"
	"m3o/test/model/thing/thingapi"
)

// replicas shows how the replicas of a service share.
func (s suite) replicas(t *testing.T) {
	s.check(t, "R39/ReplicasShareTheCalls", func(t *testing.T, p *plane) {
		one, two := p.thing().Replica().ID, p.thing().Replica().ID
		client, got := thingapi.NewClient(p.caller), map[string]int{}
		for range 200 {
			id, err := client.Who(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got[id]++
		}
		if len(got) != 2 || got[one] < 20 || got[two] < 20 {
			t.Errorf("%v", got)
		}
	})
	s.check(t, "R39/EachCallReachesOneReplica", func(t *testing.T, p *plane) {
		one, two := p.thing(), p.thing()
		client := thingapi.NewClient(p.caller)
		for range 50 {
			if _, err := client.Wait(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
		}
		first, _, _, _ := one.Ended(t.Context())
		second, _, _, _ := two.Ended(t.Context())
		if first+second != 50 {
			t.Errorf("50 calls were executed %d + %d times", first, second)
		}
	})
	s.check(t, "R39/AReplicaThatLeavesLosesNoCall", func(t *testing.T, p *plane) {
		p.thing()
		client := thingapi.NewClient(p.caller)
		var calls sync.WaitGroup
		done := make(chan struct{})
		for range 4 {
			calls.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if _, err := client.Who(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for range 10 {
			p.join(must(thing.New())(t))()
		}
		close(done)
		calls.Wait()
	})
	s.check(t, "R40/WithoutAQueueAMulticastReachesEveryReplica", func(t *testing.T, p *plane) {
		one, two := p.thing().Replica().ID, p.thing().Replica().ID
		for range 5 {
			answers, err := thingapi.NewMulticastClient(p.caller).WhoAll(t.Context()).Wait()
			if got := ids(answers); err != nil || len(answers) != 2 || !got[one] || !got[two] {
				t.Errorf("%v %v", got, err)
			}
		}
	})
	s.check(t, "R40/WithoutAQueueAUnicastGetsOneAnswer", func(t *testing.T, p *plane) {
		one, two := p.thing().Replica().ID, p.thing().Replica().ID
		for range 5 {
			if id, err := thingapi.NewClient(p.caller).WhoAll(t.Context()); err != nil || id != one && id != two {
				t.Errorf("%s %v", id, err)
			}
		}
	})
	s.check(t, "R41/AMulticastToAQueueGetsOneAnswer", func(t *testing.T, p *plane) {
		one, two := p.thing().Replica().ID, p.thing().Replica().ID
		got := map[string]bool{}
		for range 100 {
			answers, err := thingapi.NewMulticastClient(p.caller).Who(t.Context()).Wait()
			if err != nil || len(answers) != 1 {
				t.Fatalf("%+v %v", answers, err)
			}
			got[answers[0].Replica] = true
		}
		if !got[one] || !got[two] {
			t.Errorf("only %v have answered", got)
		}
	})
}

// ids are the replicas that have answered.
func ids(answers []thingapi.WhoAllOut) map[string]bool {
	got := map[string]bool{}
	for _, one := range answers {
		got[one.Replica] = true
	}
	return got
}

// multicast shows what a multicast call gathers.
func (s suite) multicast(t *testing.T) {
	s.check(t, "R42/NobodyIsNoError", func(t *testing.T, p *plane) {
		answers, err := thingapi.NewMulticastClient(p.caller).WhoAll(t.Context()).Wait()
		if len(answers) != 0 || err != nil {
			t.Errorf("%v %v", answers, err)
		}
	})
	s.check(t, "R42/ItSaysWhoHasAnswered", func(t *testing.T, p *plane) {
		one, two := p.thing().Replica().ID, p.thing().Replica().ID
		for answer := range thingapi.NewMulticastClient(p.caller).WhoAll(t.Context()).All() {
			if answer.Err != nil || answer.Out.Replica != answer.Replica || answer.Replica != one && answer.Replica != two || answer.Queue != "" {
				t.Errorf("%+v", answer)
			}
		}
		for answer := range thingapi.NewMulticastClient(p.caller).Who(t.Context()).All() {
			if answer.Err != nil || answer.Queue != "thing.test" {
				t.Errorf("%+v", answer)
			}
		}
	})
	s.check(t, "R42/AnswersMayBeLeftUnread", func(t *testing.T, p *plane) {
		one := p.thing()
		p.thing()
		client := thingapi.NewMulticastClient(p.caller)
		for range 50 {
			client.WaitHere(t.Context(), one.Replica().ID, 0)
			for range client.WhoAll(t.Context()).All() {
				break
			}
		}
		p.eventually("all calls arrive", func() bool {
			began, _, _, _ := one.Ended(t.Context())
			return began == 50
		})
	})
	s.check(t, "R43/OneValueAndOneError", func(t *testing.T, p *plane) {
		one, two := p.thing().Replica().ID, p.thing().Replica().ID
		answers, err := thingapi.NewMulticastClient(p.caller).WhoBut(t.Context(), one).Wait()
		if len(answers) != 1 || answers[0].Replica != two || !fault.Is(err, fault.Forbidden) || fault.From(err).Detail != "not me" {
			t.Errorf("%v %v", answers, err)
		}
		for answer := range thingapi.NewMulticastClient(p.caller).WhoBut(t.Context(), one).All() {
			if (answer.Err != nil) != (answer.Replica == one) {
				t.Errorf("%+v", answer)
			}
		}
	})
	s.check(t, "R43/APanicIsOneError", func(t *testing.T, p *plane) {
		p.thing()
		answers, err := thingapi.NewMulticastClient(p.caller).Fail(t.Context(), "panic").Wait()
		if len(answers) != 0 || !fault.Is(err, fault.Internal) {
			t.Errorf("%v %v", answers, err)
		}
	})
	s.check(t, "R45/PathArgumentsReachEveryReplica", func(t *testing.T, p *plane) {
		p.thing()
		p.thing()
		for i := range 20 {
			answers, err := thingapi.NewMulticastClient(p.caller).WhoAt(t.Context(), fmt.Sprint("x/", i)).Wait()
			if len(answers) != 2 || err != nil {
				t.Errorf("%v %v", answers, err)
			}
		}
	})
	s.check(t, "R45/ManyReplicasAllAnswer", func(t *testing.T, p *plane) {
		for range 20 {
			p.thing()
		}
		answers, err := thingapi.NewMulticastClient(p.caller).WhoAll(t.Context()).Wait()
		if got := ids(answers); len(got) != 20 || len(answers) != 20 || err != nil {
			t.Errorf("%v %v", got, err)
		}
	})
}
