package frame_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"m3o/internal/frame"
)

func TestAFrameTravelsInHeaders(t *testing.T) {
	t.Parallel()
	sent := frame.Frame{
		Depth: 2, Shift: time.Hour, Languages: "fr, de;q=0.8",
		Forwarded:   map[string]string{"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "example.com"},
		Baggage:     map[string]string{"X": "1", "a b": "c,d;e=f%"},
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "a=b",
	}
	h := http.Header{"Authorization": {"Bearer secret"}}
	frame.Inject(frame.With(t.Context(), sent), h)
	got := frame.Of(frame.Extract(t.Context(), h))
	sent.Depth++
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Error(diff)
	}
}

func TestBaggageSurvivesAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name, value := rapid.StringN(1, 10, -1).Draw(t, "name"), rapid.String().Draw(t, "value")
		h := http.Header{}
		frame.Inject(frame.WithBaggage(frame.WithBaggage(t.Context(), "other", "x"), name, value), h)
		if got := frame.Baggage(frame.Extract(t.Context(), h), name); got != value {
			t.Fatalf("%q arrived as %q", value, got)
		}
	})
}

func TestAContextWithoutHeadersStaysItself(t *testing.T) {
	t.Parallel()
	if ctx := frame.Extract(t.Context(), http.Header{"X": {"y"}}); ctx != t.Context() {
		t.Error("a context was made for nothing")
	}
	if ctx := frame.Extract(t.Context(), http.Header{"M3o-Call-Depth": {"many"}, "Baggage": {" , =x, y"}}); frame.Of(ctx).Depth != 0 || len(frame.Of(ctx).Baggage) != 0 {
		t.Errorf("%+v", frame.Of(ctx))
	}
}

func TestTheClockIsShiftedForOneContext(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	clock := func() time.Time { return at }
	ctx := frame.WithShift(frame.WithShift(t.Context(), time.Hour), time.Hour)
	if got := frame.Now(ctx, clock); !got.Equal(at.Add(2 * time.Hour)) {
		t.Error(got)
	}
	if got := frame.Now(t.Context(), clock); !got.Equal(at) {
		t.Error(got)
	}
}
