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
)

type key struct{}

func TestWorkBesideOutlivesItsCallerAndEndsWithTheApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		a, _ := in(hosting.PROD, nil)
		if err := a.Start(t.Context(), []hosting.Service{&service{host: "one", diary: &d}}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "who"))
		err := a.Go(ctx, func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			d.note("work of " + ctx.Value(key{}).(string))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		time.Sleep(time.Hour)
		d.note("stop")
		stopped(t, a)
		if got := d.String(); !strings.HasSuffix(got, "stop, work of who, leave one, shutdown one") {
			t.Error(got)
		}
		if err := a.Go(t.Context(), func(context.Context) error { t.Error("it runs"); return nil }); err == nil {
			t.Error("work began after Stop")
		}
	})
}

func TestWorkBesideThatFailsIsLogged(t *testing.T) {
	t.Parallel()
	a, log := in(hosting.PROD, nil)
	for _, f := range []func(context.Context) error{
		func(context.Context) error { return errors.New("no luck") },
		func(context.Context) error { panic("boom") },
	} {
		if err := a.Go(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	stopped(t, a)
	if text := log.String(); !strings.Contains(text, "no luck") || !strings.Contains(text, "boom") || !strings.Contains(text, "work_test.go") {
		t.Errorf("logged %s", text)
	}
}

func TestParallelRunsAllAndReturnsTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran atomic.Int64
		after := func(d time.Duration, err error) func() error {
			return func() error {
				time.Sleep(d)
				ran.Add(1)
				return err
			}
		}
		errFirst := errors.New("first")
		began := time.Now()
		err := hosting.Parallel(after(3*time.Second, errors.New("second")), after(2*time.Second, errFirst), after(time.Second, nil), after(4*time.Second, nil))
		if took := time.Since(began); !errors.Is(err, errFirst) || ran.Load() != 4 || took != 4*time.Second {
			t.Errorf("%d ran in %s, %v", ran.Load(), took, err)
		}
		if err := hosting.Parallel(func() error { panic("boom") }); err == nil || !strings.Contains(err.Error(), "boom") || !strings.Contains(err.Error(), "work_test.go") {
			t.Errorf("got %v", err)
		}
		if err := hosting.Parallel(); err != nil {
			t.Errorf("nothing failed: %v", err)
		}
	})
}
