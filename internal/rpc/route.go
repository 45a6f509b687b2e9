package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
)

// Route is a function with the handler that serves it.
type Route struct {
	Function
	Handler http.Handler
}

// Unary makes the route of a function that answers once. In and Out are the
// generated argument structs.
func Unary[In, Out any](f Function, call func(context.Context, *In) (Out, error)) Route {
	in, out := planOf(reflect.TypeFor[In]()), planOf(reflect.TypeFor[Out]())
	running := &sync.Map{}
	return Route{f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var args In
		body, err := in.decode(r, f.Path, reflect.ValueOf(&args).Elem())
		if err != nil {
			problem.Write(w, r, named(err, f))
			return
		}
		ctx, cancel := budget(r.Context(), f.Timeout)
		defer cancel()
		ctx, done, err := withIdempotency(ctx, w, r, f, body, reflect.TypeFor[Out](), running)
		if err != nil {
			problem.Write(w, r, named(err, f))
			return
		}
		defer done()
		answer, err := call(ctx, &args)
		if err != nil {
			problem.Write(w, r, named(err, f))
			return
		}
		out.write(w, reflect.ValueOf(&answer).Elem())
	})}
}

// Stream makes the route of a function that answers with a stream: one JSON
// object a line. An error before the first message is an ordinary problem; after
// it, the stream ends with a line that is the problem document.
func Stream[In, Out any](f Function, call func(context.Context, *In, func(Out) error) error) Route {
	in := planOf(reflect.TypeFor[In]())
	return Route{f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var args In
		if _, err := in.decode(r, f.Path, reflect.ValueOf(&args).Elem()); err != nil {
			problem.Write(w, r, named(err, f))
			return
		}
		lines := &lineWriter{w: w, flush: http.NewResponseController(w).Flush}
		err := call(r.Context(), &args, func(message Out) error { return lines.send(message) })
		switch {
		case err != nil && !lines.begun:
			problem.Write(w, r, named(err, f))
		case err != nil:
			lines.fail(r, named(err, f))
		case !lines.begun: // no message at all is an empty stream
			lines.begin()
		}
	})}
}

// budget bounds a call by the function's time, unless its caller allows less.
func budget(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if until, ok := ctx.Deadline(); ok && time.Until(until) <= limit {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// named gives a fault that has no id of its own the function's: "customers.Login".
func named(err error, f Function) error {
	found := fault.From(err)
	if found.Code == fault.Internal || found.ID != "" {
		return err
	}
	copied := *found
	copied.ID = f.Host + "." + f.Name
	return &copied
}

// Register serves the routes on the bus, each under its host. What it returns
// stops serving them.
func Register(b bus.Bus, routes []Route) (stop func()) {
	hosts := map[string]*mux{}
	for _, route := range routes {
		if hosts[route.Host] == nil {
			hosts[route.Host] = &mux{exact: map[string][]Route{}}
		}
		hosts[route.Host].add(route)
	}
	stops := make([]func(), 0, len(hosts))
	for host, m := range hosts {
		stops = append(stops, b.Handle(host, m))
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// mux finds the route of a path within one host.
type mux struct {
	exact    map[string][]Route
	patterns []Route
}

func (m *mux) add(route Route) {
	if strings.Contains(route.Path, "{") {
		m.patterns = append(m.patterns, route)
		return
	}
	m.exact[route.Path] = append(m.exact[route.Path], route)
}

func (m *mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	candidates := m.exact[r.URL.Path]
	if candidates == nil {
		for _, route := range m.patterns {
			if _, ok := MatchPath(route.Path, r.URL.EscapedPath()); ok {
				candidates = append(candidates, route)
			}
		}
	}
	for _, route := range candidates {
		if route.Accepts(r.Method) {
			route.Handler.ServeHTTP(w, r)
			return
		}
	}
	if len(candidates) == 0 {
		problem.Write(w, r, fault.New(fault.NotFound, "%s has no endpoint %s", r.URL.Host, r.URL.Path).WithID(r.URL.Host))
		return
	}
	w.Header().Set("Allow", candidates[0].Method)
	problem.Write(w, r, named(fault.New(fault.BadMethod, "use %s", candidates[0].Method), candidates[0].Function))
}

// lineWriter writes a stream of messages, one JSON document a line.
type lineWriter struct {
	w     http.ResponseWriter
	flush func() error
	begun bool
}

func (l *lineWriter) begin() {
	l.begun = true
	l.w.Header().Set("Content-Type", "application/x-ndjson")
	l.w.Header().Set("Cache-Control", "no-store")
	l.w.WriteHeader(http.StatusOK)
}

func (l *lineWriter) send(message any) error {
	line, err := encode(message)
	if err != nil {
		return err
	}
	if !l.begun {
		l.begin()
	}
	if _, err := l.w.Write(append(line, '\n')); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the caller has gone")
	}
	_ = l.flush() // a writer that cannot flush still delivers at the end
	return nil
}

func (l *lineWriter) fail(r *http.Request, err error) {
	f := fault.From(err)
	if f.Code == fault.Internal {
		problem.Observe(r.Context(), err)
	}
	_, _ = l.w.Write(append(problem.Body(f, ""), '\n'))
}

// encode is JSON without escaping of <, > and &, and without a newline.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// drain reads a whole body; a body over the edge's limit is fault.TooLarge.
func drain(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		if fault.Is(err, fault.TooLarge) {
			return nil, err
		}
		return nil, fault.Wrap(fault.Invalid, err, "the body could not be read to its end")
	}
	return body, nil
}
