package hosting_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/hosting"
	"m3o/internal/ticker"
)

func TestGroupsStartInOrderAndStopInReverse(t *testing.T) {
	t.Parallel()
	var d diary
	a, _ := in(hosting.PROD, nil)
	one, two := &service{host: "one", diary: &d}, &service{host: "two", diary: &d}
	nothing := &bare{}
	if err := a.Start(t.Context(), []hosting.Service{one}, nil, []hosting.Service{two}, []hosting.Service{nothing}); err != nil || !nothing.joined {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
	stopped(t, a)
	stopped(t, a)
	if got := d.String(); got != "start one, join one, start two, join two, leave two, shutdown two, leave one, shutdown one" || nothing.joined {
		t.Error(got)
	}
}

func TestServicesOfAGroupStartAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		a, _ := in(hosting.PROD, nil)
		slow := func(context.Context) error { time.Sleep(time.Second); return nil }
		began := time.Now()
		err := a.Start(t.Context(), []hosting.Service{
			&service{host: "one", diary: &d, start: slow}, &service{host: "two", diary: &d, start: slow}, &service{host: "three", diary: &d, start: slow},
		})
		if took := time.Since(began); err != nil || took != time.Second {
			t.Errorf("took %s, %v", took, err)
		}
		stopped(t, a)
	})
}

func TestAServiceThatFailsToStartFailsTheApp(t *testing.T) {
	t.Parallel()
	errBoom := errors.New("boom")
	for name, start := range map[string]func(context.Context) error{
		"Error": func(context.Context) error { return errBoom },
		"Panic": func(context.Context) error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d diary
			a, log := in(hosting.LOCAL, nil)
			err := a.Start(t.Context(),
				[]hosting.Service{&service{host: "one", diary: &d}},
				[]hosting.Service{&service{host: "two", diary: &d}, &service{host: "bad", diary: &d, start: start}},
				[]hosting.Service{&service{host: "three", diary: &d}})
			if err == nil || !strings.Contains(err.Error(), "start bad: ") || !strings.Contains(err.Error(), "boom") || strings.Contains(err.Error(), ".go:") {
				t.Errorf("got %v", err)
			}
			if name == "Error" && !errors.Is(err, errBoom) {
				t.Error("the cause is lost")
			}
			if name == "Panic" && !strings.Contains(log.String(), "hosting_test.go") {
				t.Errorf("no stack in the log: %s", log)
			}
			lines := d.String()
			for _, want := range []string{"shutdown bad", "leave two", "shutdown two", "leave one, shutdown one"} {
				if strings.Count(lines, want) != 1 {
					t.Errorf("no %q in %s", want, lines)
				}
			}
			if strings.Contains(lines, "three") || strings.Contains(lines, "join bad") || !strings.HasSuffix(lines, "leave one, shutdown one") {
				t.Error(lines)
			}
			stopped(t, a)
			if d.String() != lines {
				t.Errorf("Stop stopped again: %s", &d)
			}
		})
	}
}

func TestStartAndStopHaveALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heeds := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		heedless := func(context.Context) error { time.Sleep(time.Hour); return nil }
		for _, test := range []struct {
			deployment hosting.Deployment
			hang       func(context.Context) error
			want       time.Duration
		}{
			{hosting.PROD, heeds, 20 * time.Second}, {hosting.TESTING, heeds, 8 * time.Second}, {hosting.LAB, heedless, 21 * time.Second},
		} {
			var d diary
			a, _ := in(test.deployment, nil)
			began := time.Now()
			err := a.Start(t.Context(), []hosting.Service{&service{host: "slow", diary: &d, start: test.hang}})
			if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "start slow: it took longer than") || took != test.want {
				t.Errorf("%s: start took %s, %v", test.deployment, took, err)
			}
			a, _ = in(test.deployment, nil)
			if err := a.Start(t.Context(), []hosting.Service{&service{host: "slow", diary: &d, shutdown: test.hang}}); err != nil {
				t.Fatal(err)
			}
			began = time.Now()
			err = a.Stop(t.Context())
			if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "stop slow: it took longer than") || took != test.want {
				t.Errorf("%s: stop took %s, %v", test.deployment, took, err)
			}
		}
		time.Sleep(2 * time.Hour) // until the heedless are through
	})
}

func TestStopGoesOnWhateverFails(t *testing.T) {
	t.Parallel()
	var d diary
	a, _ := in(hosting.PROD, nil)
	err := a.Start(t.Context(),
		[]hosting.Service{&service{host: "one", diary: &d, shutdown: func(context.Context) error { return errors.New("one is stuck") }}},
		[]hosting.Service{&service{host: "two", diary: &d, leave: func() { panic("two is stuck") }}})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Stop(t.Context())
	if err == nil || !strings.Contains(err.Error(), "one is stuck") || !strings.Contains(err.Error(), "two is stuck") {
		t.Errorf("got %v", err)
	}
	if !strings.HasSuffix(d.String(), "leave two, shutdown two, leave one, shutdown one") {
		t.Error(&d)
	}
}

func TestStopBeforeStart(t *testing.T) {
	t.Parallel()
	a, _ := in(hosting.PROD, nil)
	stopped(t, a)
	nothing := &bare{}
	if err := a.Start(t.Context(), []hosting.Service{nothing}); err == nil || nothing.joined {
		t.Error("started after Stop")
	}
}

func TestAMockRunsOnlyLocallyAndInTests(t *testing.T) {
	t.Parallel()
	for deployment, may := range map[hosting.Deployment]bool{hosting.PROD: false, "": false, hosting.LAB: false, hosting.LOCAL: true, hosting.TESTING: true} {
		var d diary
		a, _ := in(deployment, nil)
		err := a.Start(t.Context(), []hosting.Service{&service{host: "one", diary: &d}}, []hosting.Service{mock{&service{host: "fake", diary: &d}}})
		if (err == nil) != may {
			t.Errorf("%s: %v", deployment, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "start fake: ") || d.String() != "") {
			t.Errorf("%s: %v, after %s", deployment, err, &d)
		}
		stopped(t, a)
	}
	a, _ := in("PRODUCTION", nil)
	if err := a.Start(t.Context()); err == nil {
		t.Error("runs in a deployment that there is not")
	}
}

func TestTickersBeatWhenAllIsUpUntilStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			deployment hosting.Deployment
			want       int64
		}{{hosting.PROD, 3}, {hosting.LOCAL, 3}, {hosting.TESTING, 0}} {
			var d diary
			var beats atomic.Int64
			ended := false
			a, _ := in(test.deployment, nil)
			err := a.Start(t.Context(),
				[]hosting.Service{&service{host: "one", diary: &d, tickers: []ticker.Ticker{
					{Name: "one.Tick", Interval: time.Second, Run: func(context.Context) error { beats.Add(1); return nil }},
					{Name: "one.Long", Interval: time.Second, Run: func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil }},
				}}},
				[]hosting.Service{&service{host: "two", diary: &d, start: func(context.Context) error { time.Sleep(5 * time.Second); return nil }}})
			if err != nil {
				t.Fatal(err)
			}
			if n := beats.Load(); n != 0 {
				t.Errorf("%s: %d beats before all was up", test.deployment, n)
			}
			time.Sleep(3*time.Second + time.Millisecond)
			stopped(t, a)
			time.Sleep(time.Minute)
			if n := beats.Load(); n != test.want || ended != (test.want > 0) {
				t.Errorf("%s: %d beats, the long one ended: %v", test.deployment, n, ended)
			}
		}
	})
}

// patientService takes longer to start than the others may.
type patientService struct{ *service }

func (patientService) Patience() time.Duration { return time.Minute }

func TestAServiceMayTakeTheTimeThatItAsksFor(t *testing.T) {
	t.Parallel()
	for takes, fits := range map[time.Duration]bool{59 * time.Second: true, 61 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			var d diary
			a, _ := in(hosting.PROD, nil)
			s := patientService{&service{host: "slow", diary: &d}}
			s.start = func(ctx context.Context) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(takes):
					return nil
				}
			}
			err := a.Start(t.Context(), []hosting.Service{s})
			if (err == nil) != fits {
				t.Errorf("%s: %v", takes, err)
			}
			stopped(t, a)
		})
	}
}
