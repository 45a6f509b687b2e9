package model

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/fault"
	"m3o/internal/hosting"
	"m3o/test/model/knobs"
	"m3o/test/model/knobs/knobsapi"
	"m3o/test/model/knobs/knobsapi/knobsmock"
	"m3o/test/model/thing"
	"m3o/test/model/thing/thingapi"
	"m3o/test/model/thing/thingapi/thingmock"
)

// mocks shows what stands in for a service.
func (s suite) mocks(t *testing.T) {
	for _, deployment := range []hosting.Deployment{hosting.PROD, hosting.LAB} {
		s.check(t, "R88/AMockDoesNotStartIn"+string(deployment), func(t *testing.T, p *plane) {
			app, _ := p.app(p.process(), hosting.Config{Deployment: deployment})
			err := app.Start(t.Context(), []hosting.Service{must(knobs.New(knobs.Deps{}))(t)}, []hosting.Service{thingmock.New()})
			if err == nil || !strings.Contains(err.Error(), "thing.test") {
				t.Errorf("got %v", err)
			}
			if w := p.send(request{"GET", "https://knobs.a.test/read", "", ""}); w.Code != 503 {
				t.Errorf("something has started: %d", w.Code)
			}
		})
	}
	for _, deployment := range []hosting.Deployment{hosting.LOCAL, hosting.TESTING} {
		s.check(t, "R88/AMockAnswersAsItIsToldIn"+string(deployment), func(t *testing.T, p *plane) {
			mock := thingmock.New().MockAdd(func(_ context.Context, x, y int) (int, error) { return x * y, nil })
			mock.MockPage(func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusTeapot); return nil })
			app, _ := p.app(p.process(), hosting.Config{Deployment: deployment})
			fine(t, app.Start(t.Context(), []hosting.Service{mock}, []hosting.Service{knobsmock.New()}))
			client := thingapi.NewClient(p.caller)
			if product, err := client.Add(t.Context(), 3, 4); product != 12 || err != nil {
				t.Error(product, err)
			}
			if answer, err := client.Page_Get(t.Context(), ""); err != nil || answer.StatusCode != 418 {
				t.Error(answer, err)
			}
			unmocked(t, "Who", func() error { _, err := client.Who(t.Context()); return err })
			unmocked(t, "OnlyGet", func() error { _, err := client.OnlyGet(t.Context(), ""); return err })
			unmocked(t, "Count", func() error { return client.Count(t.Context(), 1, 0, 0, func(thingapi.CountOut) error { return nil }) })
			unmocked(t, "Read", func() error { _, err := knobsapi.NewClient(p.caller).Read(t.Context()); return err })
			if answers, err := thingapi.NewMulticastClient(p.caller).Add(t.Context(), 3, 4).Wait(); err != nil || len(answers) != 1 || answers[0].Sum != 12 {
				t.Errorf("multicast: %v %v", answers, err)
			}
		})
	}
}

// unmocked checks that a call fails and says what it was that nobody mocked.
func unmocked(t *testing.T, name string, call func() error) {
	t.Helper()
	if err := call(); !fault.Is(err, fault.Unimplemented) || !strings.Contains(err.Error(), name) {
		t.Errorf("%s: %v", name, err)
	}
}

// life shows how services start and stop together.
func (s suite) life(t *testing.T) {
	s.check(t, "R89/TwoPlanesDoNotSeeEachOther", func(t *testing.T, p *plane) {
		other := s.plane(t)
		one, two := p.thing().Replica().ID, other.thing().Replica().ID
		for range 20 {
			for id, b := range map[string]*plane{one: p, two: other} {
				if got, err := thingapi.NewClient(b.caller).Who(t.Context()); got != id || err != nil {
					t.Errorf("%s answers for %s, %v", got, id, err)
				}
				if answers, err := thingapi.NewMulticastClient(b.caller).WhoAll(t.Context()).Wait(); len(answers) != 1 || answers[0].Replica != id || err != nil {
					t.Errorf("%v answer for %s, %v", answers, id, err)
				}
			}
		}
	})
	s.check(t, "R90/AServiceCannotBeCalledWhileItStartsAndAfterItHasStopped", func(t *testing.T, p *plane) {
		client := knobsapi.NewClient(p.caller)
		unreachable := func(ctx context.Context) error {
			if _, err := client.Read(ctx); !fault.Is(err, fault.Unavailable) {
				t.Errorf("got %v", err)
			}
			return nil
		}
		k := p.knobs(hosting.Config{}, knobs.Deps{Startup: unreachable, Shutdown: unreachable})
		k.reads(t, defaults())
		fine(t, k.app.Stop(t.Context()), unreachable(t.Context()))
	})
	for name, fail := range map[string]func(context.Context) error{
		"Error": func(context.Context) error { return errors.New("no fuel") },
		"Panic": func(context.Context) error { panic("no fuel") },
	} {
		s.check(t, "R91/AStartThatFailsStopsWhatHasStarted/"+name, func(t *testing.T, p *plane) {
			down := make(chan struct{}, 1)
			app, _ := p.app(p.process(), hosting.Config{})
			broken := must(knobs.New(knobs.Deps{Startup: fail, Shutdown: func(context.Context) error { down <- struct{}{}; return nil }}))(t)
			err := app.Start(t.Context(), []hosting.Service{must(thing.New())(t)}, []hosting.Service{broken})
			if err == nil || !strings.Contains(err.Error(), "no fuel") || !strings.Contains(err.Error(), "knobs") {
				t.Errorf("got %v", err)
			}
			select {
			case <-down:
			default:
				t.Error("it is not shut down")
			}
			for _, host := range []string{"thing.test", "knobs.a.test"} {
				if w := p.send(request{"GET", "https://" + host + "/openapi.json", "", ""}); w.Code != 503 {
					t.Errorf("%s still answers: %d", host, w.Code)
				}
			}
		})
	}
	s.check(t, "R92/AStartMayCallTheServicesOfEarlierGroups", func(t *testing.T, p *plane) {
		home := p.process()
		app, _ := p.app(home, hosting.Config{})
		asks := func(ctx context.Context) error {
			_, err := thingapi.NewClient(home).Who(ctx)
			return err
		}
		fine(t, app.Start(t.Context(), []hosting.Service{must(thing.New())(t)}, []hosting.Service{must(knobs.New(knobs.Deps{Startup: asks, Shutdown: asks}))(t)}))
		fine(t, app.Stop(t.Context()))
	})
	s.check(t, "R92/ServicesOfAGroupStartAtTheSameTime", func(t *testing.T, p *plane) {
		app, _ := p.app(p.process(), hosting.Config{})
		var all sync.WaitGroup
		all.Add(2)
		meets := func(ctx context.Context) error {
			all.Done()
			all.Wait() // or the start is over its limit
			return nil
		}
		one, two := must(knobs.New(knobs.Deps{Startup: meets}))(t), must(knobs.New(knobs.Deps{Startup: meets}))(t)
		fine(t, app.Start(t.Context(), []hosting.Service{one, two}))
	})
	s.check(t, "R93/StopWaitsForTheCallsThatRun", func(t *testing.T, p *plane) {
		service := must(thing.New())(t)
		stop := p.join(service)
		failed := make(chan error, 1)
		go func() {
			_, err := thingapi.NewClient(p.caller).Wait(t.Context(), 200*time.Millisecond)
			failed <- err
		}()
		p.eventually("the call runs", func() bool { began, _, _, _ := service.Ended(t.Context()); return began == 1 })
		stop()
		if _, ended, _, _ := service.Ended(t.Context()); ended != 0 {
			t.Error("the call was cancelled")
		}
		if err := <-failed; err != nil {
			t.Error(err)
		}
		stop()
	})
}
