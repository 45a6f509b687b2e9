package model

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"m3o/internal/fault"
	"m3o/test/model/thing/thingapi"
)

// streams shows what a function that answers with a stream does; it is ours beyond the
// numbered checks.
func (s suite) streams(t *testing.T) {
	s.check(t, "Stream/MessagesComeInOrder", func(t *testing.T, p *plane) {
		if got, err := count(t.Context(), p.client(), 1000, 0, 0); got != 1000 || err != nil {
			t.Error(got, err)
		}
	})
	s.check(t, "Stream/NoMessageIsNoError", func(t *testing.T, p *plane) {
		if got, err := count(t.Context(), p.client(), 0, 0, 0); got != 0 || err != nil {
			t.Error(got, err)
		}
	})
	s.check(t, "Stream/EachMessageComesWhenItIsSent", func(t *testing.T, p *plane) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := p.client().Count(ctx, 2, 0, time.Hour, func(thingapi.CountOut) error { cancel(); return nil })
		if err == nil {
			t.Error("the first message came with the last")
		}
	})
	for name, failAt := range map[string]int{"Before": 1, "Between": 3} {
		s.check(t, "Stream/AnErrorComesAfterTheMessages/"+name, func(t *testing.T, p *plane) {
			got, err := count(t.Context(), p.client(), 5, failAt, 0)
			if got != failAt-1 || !fault.Is(err, fault.Conflict) || !strings.HasPrefix(places(err), "thing/thing.go:") {
				t.Errorf("%d messages, %v from %s", got, err, places(err))
			}
		})
	}
	s.check(t, "Stream/AReceiversErrorEndsTheHandler", func(t *testing.T, p *plane) {
		service := p.thing()
		stop := errors.New("enough")
		err := thingapi.NewClient(p.caller).Count(t.Context(), 2, 0, time.Hour, func(thingapi.CountOut) error { return stop })
		if !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
		p.eventually("the handler ends", func() bool { _, ended, _, _ := service.Ended(t.Context()); return ended == 1 })
	})
	s.check(t, "Stream/TheDeadlineEndsIt", func(t *testing.T, p *plane) {
		service := p.thing()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		got, err := count(ctx, thingapi.NewClient(p.caller), 2, 0, time.Hour)
		if got != 1 || !fault.Is(err, fault.Expired) {
			t.Errorf("%d messages, %v", got, err)
		}
		p.eventually("the handler ends", func() bool { _, ended, _, _ := service.Ended(t.Context()); return ended == 1 })
	})
	s.check(t, "Stream/ARequestFromOutsideGetsLines", func(t *testing.T, p *plane) {
		p.thing()
		w := p.send(request{"GET", "https://thing.test/count?n=3&failAt=3", "", ""})
		lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" || len(lines) != 3 || lines[1] != `{"i":2}` || !strings.Contains(lines[2], "enough at 3") {
			t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
		}
		contains(t, p.send(request{"GET", "https://thing.test/count?n=many", "", ""}), 400, "n is not")
	})
}

// count checks the order of a stream's messages and says how many there were.
func count(ctx context.Context, client thingapi.Client, n, failAt int, gap time.Duration) (got int, err error) {
	err = client.Count(ctx, n, failAt, gap, func(message thingapi.CountOut) error {
		if got++; message.I != got {
			return errors.New("out of order")
		}
		return nil
	})
	return got, err
}
