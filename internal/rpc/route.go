package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"m3o/internal/bus"
	"m3o/internal/expiry"
	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/problem"
)

// Route is a function with the handler that serves it.
type Route struct {
	Function
	Handler http.Handler
}

// Unary makes the route of a function that answers once. In and Out are the
// generated argument structs. Whoever asks has an answer when the function's time is
// over, also of a function that does not heed its context.
func Unary[In, Out any](f Function, call func(context.Context, *In) (Out, error)) Route {
	in, out := planOf(reflect.TypeFor[In]()), planOf(reflect.TypeFor[Out]())
	running := &sync.Map{}
	return Route{f, inTime(f, func(w http.ResponseWriter, r *http.Request) {
		defer recovered(w, r, f)
		var args In
		body, err := in.decode(r, f.Path, reflect.ValueOf(&args).Elem())
		if err != nil {
			problem.Write(w, r, named(err, f))
			return
		}
		ctx, cancel := budget(frame.Extract(r.Context(), r.Header), f.Timeout)
		defer cancel()
		ctx, done, err := withIdempotency(ctx, w, r, f, body, reflect.TypeFor[Out](), running)
		if err != nil {
			problem.Write(w, r, named(err, f))
			return
		}
		defer done()
		answer, err := call(ctx, &args)
		if err != nil {
			problem.Write(w, r, named(late(ctx, err, f), f))
			return
		}
		out.write(w, reflect.ValueOf(&answer).Elem())
	})}
}

// Stream makes the route of a function that answers with a stream: one JSON
// object a line. An error before the first message is an ordinary problem; after
// it, the stream ends with a line that is the problem document. A stream has no
// time budget but its caller's.
func Stream[In, Out any](f Function, call func(context.Context, *In, func(Out) error) error) Route {
	in := planOf(reflect.TypeFor[In]())
	return Route{f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer recovered(w, r, f)
		var args In
		if _, err := in.decode(r, f.Path, reflect.ValueOf(&args).Elem()); err != nil {
			problem.Write(w, r, named(err, f))
			return
		}
		ctx := frame.Extract(r.Context(), r.Header)
		lines := &lineWriter{w: w, flush: http.NewResponseController(w).Flush}
		err := call(ctx, &args, func(message Out) error { return lines.send(message) })
		switch {
		case err != nil && !lines.begun:
			problem.Write(w, r, named(late(ctx, err, f), f))
		case err != nil:
			lines.fail(r, named(late(ctx, err, f), f))
		case !lines.begun: // no message at all is an empty stream
			lines.begin()
		}
	})}
}

// Web makes the route of a raw web handler. The arguments of its path are the
// request's PathValues. An error that it returns before it has written anything is
// written as a problem.
func Web(f Function, handle func(http.ResponseWriter, *http.Request) error) Route {
	return Route{f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer recovered(w, r, f)
		r = r.WithContext(frame.Extract(r.Context(), r.Header))
		if r.Body == nil { // a client may leave it out, and a handler may rely on it
			r.Body = http.NoBody
		}
		if strings.Contains(f.Path, "{") {
			args, _ := bus.MatchPath(f.Path, r.URL.EscapedPath())
			for name, value := range args {
				r.SetPathValue(name, value)
			}
		}
		if err := handle(w, r); err != nil {
			problem.Write(w, r, named(late(r.Context(), err, f), f))
		}
	})}
}

// awaited is a writer behind which somebody waits no longer than the time of the
// request, whatever the handler does.
type awaited interface{ Awaited() }

// inTime lets a handler answer in its function's time. It may go on after that, unheard.
func inTime(f Function, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(awaited); ok || f.Timeout <= 0 {
			h(w, r)
			return
		}
		ctx, cancel := budget(r.Context(), f.Timeout)
		defer cancel()
		answer, err := await(h, &recorder{header: w.Header().Clone()}, r.WithContext(ctx), f)
		if err != nil {
			problem.Write(w, r, named(err, f))
			return
		}
		answer.copyTo(w)
	})
}

// recovered makes an answer of a panic.
func recovered(w http.ResponseWriter, r *http.Request, f Function) {
	p := recover()
	err, _ := p.(error)
	switch {
	case p == nil:
	case errors.Is(err, http.ErrAbortHandler):
		panic(p)
	default:
		problem.Write(w, r, fmt.Errorf("%s.%s panicked: %v\n%s", f.Host, f.Name, p, debug.Stack()))
	}
}

// budget bounds a call by the function's time, unless its caller allows less.
func budget(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if until, ok := ctx.Deadline(); ok && time.Until(until) <= limit {
		return ctx, func() {}
	}
	c := expiry.With(ctx, limit)
	return c, c.End
}

// late makes fault.Expired of an error that only says that the context has ended.
func late(ctx context.Context, err error, f Function) error {
	end := ctx.Err()
	if end == nil || !errors.Is(err, end) || fault.CodeOf(err) != fault.Internal {
		return err
	}
	return expired(f, err)
}

func expired(f Function, err error) error {
	return fault.Wrap(fault.Expired, err, "%s.%s has not answered in time", f.Host, f.Name)
}

// named gives a fault that has no id of its own the function's: "customers.Login".
func named(err error, f Function) error {
	found := fault.From(err)
	if found.Code == fault.Internal || found.ID != "" || fault.IsAway(err) {
		return err
	}
	return fault.Restate(err, f.Host+"."+f.Name)
}

// controlPort is where the bus's own endpoints are. The edge never reaches it.
const controlPort = 888

// Register makes a replica serve the routes on the bus, together with GET :888/ping,
// which answers with the Replica, at its host and at the host "all". What it returns
// stops serving.
func Register(b bus.Bus, replica Replica, routes []Route) (stop func()) {
	endpoints := make([]bus.Endpoint, 0, len(routes)+2)
	for _, r := range routes {
		endpoints = append(endpoints, bus.Endpoint{Host: r.Host, Port: r.Port, Method: r.Method, Path: r.Path, Queue: r.Queue, Handler: r.Handler})
	}
	for _, host := range []string{replica.Host, "all"} {
		endpoints = append(endpoints, bus.Endpoint{Host: host, Port: controlPort, Method: http.MethodGet, Path: "/ping", Handler: ping(replica)})
	}
	return b.Serve(replica.ID, endpoints...)
}

func ping(replica Replica) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(replica)
	})
}

// Documented is the function behind Documents.
func Documented(host string) Function {
	return Function{Service: host, Name: "openapi.json", Host: host, Port: 0, Path: "/openapi.json", Method: http.MethodGet, Queue: host, Access: Internal}
}

// Documents makes the route of a service's OpenAPI documents: GET openapi.json at
// each port. all is the documents by port; that of port 0 is for the ports that
// have none of their own.
func Documents(host, all string) Route {
	return Route{Documented(host), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var documents map[string]json.RawMessage
		if err := json.Unmarshal([]byte(all), &documents); err != nil {
			problem.Write(w, r, fmt.Errorf("read the OpenAPI documents of %s: %w", host, err))
			return
		}
		port := r.URL.Port()
		if port == "" {
			port = "443"
		}
		document, ok := documents[port]
		if !ok {
			document, ok = documents["0"]
		}
		if !ok {
			problem.Write(w, r, fault.New(fault.NotFound, "%s has no endpoint at port %s", host, port).WithID(host))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(document)
	})}
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
	_, _ = l.w.Write(append(problem.Line(r, err), '\n'))
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
	var body []byte
	var err error
	if r.ContentLength > 0 && r.ContentLength < bytes.MinRead<<10 { // one allocation of the right size
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(r.Body)
	}
	if err != nil {
		if fault.Is(err, fault.TooLarge) {
			return nil, err
		}
		return nil, fault.Wrap(fault.Invalid, err, "the body could not be read to its end")
	}
	return body, nil
}
