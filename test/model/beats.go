package model

import (
	"testing"
	"time"

	"m3o/internal/hosting"
	"m3o/test/model/knobs"
	"m3o/test/model/knobs/knobsapi"
)

// beat is the interval of the ticker of knobs.
const beat = 50 * time.Millisecond

// beats shows when tickers run.
func (s suite) beats(t *testing.T) {
	s.alone(t, "R73/InTestsTickersDoNotBeatByThemselves", func(t *testing.T, p *plane) {
		quiet := p.knobs(hosting.Config{Deployment: hosting.TESTING}, knobs.Deps{})
		loud := s.plane(t).knobs(hosting.Config{}, knobs.Deps{}) // tells how the time passes
		p.eventually("three beats", func() bool { return len(loud.beats(t).Began) >= 3 })
		if got := quiet.beats(t); len(got.Began) != 0 {
			t.Errorf("%+v", got)
		}
		if err := quiet.service.Tick(t.Context()); err != nil || len(quiet.beats(t).Began) != 1 {
			t.Errorf("it cannot be called: %v", err)
		}
	})
	s.alone(t, "R74/TheFirstBeatComesAfterOneInterval", func(t *testing.T, p *plane) {
		k := p.knobs(hosting.Config{}, knobs.Deps{})
		p.eventually("a beat", func() bool { return len(k.beats(t).Began) >= 1 })
		if first := k.beats(t).Began[0]; first < beat-5*time.Millisecond || first > 4*beat {
			t.Errorf("the first beat came after %s", first)
		}
	})
	s.alone(t, "R74/AnIterationThatOverrunsDropsTheMissedBeats", func(t *testing.T, p *plane) {
		k := p.knobs(hosting.Config{}, knobs.Deps{Busy: 120 * time.Millisecond})
		p.eventually("three beats", func() bool { return len(k.beats(t).Began) >= 3 })
		got := k.beats(t)
		if got.Most != 1 {
			t.Errorf("%d iterations at the same time", got.Most)
		}
		for i, began := range got.Began[1:] {
			if gap := began - got.Began[i]; gap < 120*time.Millisecond {
				t.Errorf("an iteration began %s after the one before: %v", gap, got.Began)
			}
		}
	})
	s.alone(t, "R74/StopEndsTheIterationAndWaitsForIt", func(t *testing.T, p *plane) {
		k := p.knobs(hosting.Config{}, knobs.Deps{Busy: time.Hour})
		p.eventually("a beat", func() bool { return len(k.beats(t).Began) == 1 })
		within(t, 0, time.Second, func() {
			if err := k.app.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
		if got, err := k.service.Beats(t.Context()); err != nil || !got.Stopped || got.Ended != 1 {
			t.Errorf("%+v %v", got, err)
		}
	})
	s.alone(t, "R75/ATickerBeatsInEveryReplica", func(t *testing.T, p *plane) {
		one, two := p.knobs(hosting.Config{}, knobs.Deps{}), p.knobs(hosting.Config{}, knobs.Deps{})
		p.eventually("both beat", func() bool {
			first, _ := one.service.Beats(t.Context())
			second, _ := two.service.Beats(t.Context())
			return len(first.Began) > 1 && len(second.Began) > 1
		})
	})
}

// beats asks the service over the bus.
func (k *hosted) beats(t *testing.T) knobsapi.Beats {
	t.Helper()
	beats, err := k.client.Beats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return beats
}
