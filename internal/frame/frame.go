// Package frame is what a request takes along from service to service, whatever
// carries it: how deep the calls are nested, the caller's languages, where the
// request came from, W3C trace context and baggage, and in tests the shift of the
// clock. Values of a Go context stay where they are; a frame travels.
//
// The run time of contracts (rpc) and services use it; it imports only carry of ours.
package frame

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"m3o/internal/carry"
)

// The headers of the bus that are the house's own. The edge takes everything that
// begins with Prefix from requests that come from outside.
const (
	Prefix      = "M3o-" // as net/http writes it
	HeaderDepth = "M3o-Call-Depth"
	HeaderShift = "M3o-Clock-Shift"
)

// The headers of the W3C (Trace Context, Baggage).
const (
	headerParent  = "Traceparent"
	headerState   = "Tracestate"
	headerBaggage = "Baggage"
)

// MaxDepth is how many calls may be nested. The next one is refused: services call
// each other in a circle.
const MaxDepth = 64

// Frame is what travels. Its maps are not to be changed.
type Frame struct {
	Depth       int               // how many calls of services this one is nested in
	Shift       time.Duration     // added to the clock by Now; for tests
	Languages   string            // Accept-Language as it came (RFC 9110 section 12.5.4)
	Forwarded   map[string]string // X-Forwarded-… by header name
	Baggage     map[string]string // W3C baggage
	Traceparent string            // W3C trace context
	Tracestate  string
}

// Of is the frame of the context; the zero Frame when it has none.
func Of(ctx context.Context) Frame {
	f, _ := From(ctx)
	return f
}

// From is the frame of the context, false when it has none.
func From(ctx context.Context) (Frame, bool) { return carry.From[Frame](ctx) }

// With returns a context with the frame f in place of its own.
func With(ctx context.Context, f Frame) context.Context { return carry.With(ctx, f) }

// WithBaggage returns a context whose calls, and theirs, carry name=value along.
// Baggage goes to every service on the way: no secrets.
func WithBaggage(ctx context.Context, name, value string) context.Context {
	f := Of(ctx)
	all := make(map[string]string, len(f.Baggage)+1)
	for n, v := range f.Baggage {
		all[n] = v
	}
	all[name] = value
	f.Baggage = all
	return With(ctx, f)
}

// Baggage is what the context carries under that name, empty when nothing.
func Baggage(ctx context.Context, name string) string { return Of(ctx).Baggage[name] }

// WithLanguages returns a context whose caller prefers these languages, given as an
// Accept-Language header is.
func WithLanguages(ctx context.Context, languages string) context.Context {
	f := Of(ctx)
	f.Languages = languages
	return With(ctx, f)
}

// WithShift returns a context for which the clock is moved by d, in this service and
// in all that are called with it. For tests.
func WithShift(ctx context.Context, d time.Duration) context.Context {
	f := Of(ctx)
	f.Shift += d
	return With(ctx, f)
}

// Now is the time that clock tells, moved by the context's shift.
func Now(ctx context.Context, clock func() time.Time) time.Time { return clock().Add(Of(ctx).Shift) }

// Inject writes the context's frame into the headers of a request to the next service.
func Inject(ctx context.Context, h http.Header) {
	f := Of(ctx)
	h[HeaderDepth] = []string{strconv.Itoa(f.Depth + 1)}
	if f.Shift != 0 {
		h[HeaderShift] = []string{f.Shift.String()}
	}
	put(h, "Accept-Language", f.Languages)
	put(h, headerParent, f.Traceparent)
	put(h, headerState, f.Tracestate)
	for name, value := range f.Forwarded {
		put(h, name, value)
	}
	if len(f.Baggage) > 0 {
		h[headerBaggage] = []string{encodeBaggage(f.Baggage)}
	}
}

func put(h http.Header, name, value string) {
	if value != "" {
		h[name] = []string{value}
	}
}

// Extract returns a context with the frame that a request's headers say; the context
// itself when they say nothing. What is not well formed is left out.
func Extract(ctx context.Context, h http.Header) context.Context {
	f, found := Frame{}, false
	text := func(name string, to *string) {
		if v := h[name]; len(v) > 0 && v[0] != "" {
			*to, found = v[0], true
		}
	}
	var depth, shift, baggage string
	text(HeaderDepth, &depth)
	text(HeaderShift, &shift)
	text("Accept-Language", &f.Languages)
	text(headerParent, &f.Traceparent)
	text(headerState, &f.Tracestate)
	if text(headerBaggage, &baggage); baggage != "" {
		f.Baggage = decodeBaggage(strings.Join(h[headerBaggage], ","))
	}
	for _, name := range forwarded() {
		var value string
		if text(name, &value); value != "" {
			if f.Forwarded == nil {
				f.Forwarded = map[string]string{}
			}
			f.Forwarded[name] = value
		}
	}
	if !found {
		return ctx
	}
	if depth != "" {
		f.Depth, _ = strconv.Atoi(depth)
	}
	if shift != "" {
		f.Shift, _ = time.ParseDuration(shift)
	}
	return With(ctx, f)
}

// forwarded are the headers in which proxies say where a request came from.
func forwarded() [4]string {
	return [4]string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix"}
}

// Internal says whether a request comes from another service of the house rather
// than from outside.
func Internal(h http.Header) bool { return len(h[HeaderDepth]) > 0 }
