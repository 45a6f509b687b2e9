package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/id"
	"m3o/internal/problem"
)

// Caller is what the generated clients of a contract call through.
type Caller struct {
	bus   bus.Bus
	host  string    // in place of the contract's; empty: the contract's
	plans *sync.Map // reflect.Type → *plan
}

// NewCaller makes a caller over a bus.
func NewCaller(b bus.Bus) Caller { return Caller{bus: b, plans: &sync.Map{}} }

// ForHost is a caller of the same contract at another host: a service that runs under
// another name, or one replica of it ("<replica>.<host>").
func (c Caller) ForHost(host string) Caller {
	c.host = host
	return c
}

func (c Caller) at(f Function) string {
	if c.host != "" {
		return c.host
	}
	return f.Host
}

func (c Caller) planOf(t reflect.Type) *plan {
	if p, ok := c.plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := c.plans.LoadOrStore(t, planOf(t))
	return p.(*plan)
}

// Call calls a unary function over the bus and returns its results, or the fault
// it answered with. A mutating call carries an idempotency key of its own, so
// that a transport may deliver it twice. It returns when the context ends, and
// after the function's time budget at the latest. fault.Unavailable, fault.Timeout
// and fault.Expired mean that it may have been executed.
func Call[In, Out any](ctx context.Context, c Caller, f Function, in *In) (out Out, err error) {
	err = c.call(ctx, f, reflect.ValueOf(in).Elem(), reflect.ValueOf(&out).Elem())
	return out, fault.TraceCall(err, generated)
}

// generated says whether a function only calls for somebody else.
func generated(function string) bool {
	return strings.HasPrefix(function, "m3o/internal/rpc.") || strings.Contains(function, "api.Client.") || strings.Contains(function, "api.(*Client).")
}

func (c Caller) call(ctx context.Context, f Function, in, out reflect.Value) error {
	ctx, cancel := detach(ctx, f.Timeout)
	defer cancel()
	r, err := c.request(ctx, f, in)
	if err != nil {
		return err
	}
	w, err := c.send(r, f)
	if err != nil {
		return err
	}
	if err := c.planOf(out.Type()).read(w.status, w.header, w.body.Bytes(), out); err != nil {
		return fmt.Errorf("read the answer of %s.%s: %w", f.Host, f.Name, err)
	}
	return nil
}

// send waits for the answer as long as the request's context lasts; a handler that
// does not heed it goes on unheard.
func (c Caller) send(r *http.Request, f Function) (*recorder, error) {
	if err := r.Context().Err(); err != nil { // nobody waits for it any more
		return nil, expired(f, err)
	}
	w, h := &recorder{header: http.Header{}}, c.bus.Handler(c.at(f))
	if other, ok := h.(interface{ Heeds() bool }); ok && other.Heeds() {
		answer(h, w, r, f)
		if err := r.Context().Err(); err != nil && w.status == fault.Expired.Status() {
			return nil, expired(f, err)
		}
		return w, nil
	}
	return await(h, w, r, f)
}

// await is answer that returns when the request's context ends.
func await(h http.Handler, w *recorder, r *http.Request, f Function) (*recorder, error) {
	done := make(chan struct{})
	go func() {
		defer close(done) // even if the handler ends its goroutine
		bus.MakeRoom(0)
		answer(h, w, r, f)
	}()
	select {
	case <-done:
		return w, nil
	case <-r.Context().Done():
		return nil, expired(f, r.Context().Err())
	}
}

// answer lets a handler answer.
func answer(h http.Handler, w *recorder, r *http.Request, f Function) {
	defer w.WriteHeader(http.StatusOK)
	defer caught(w, r, f)
	h.ServeHTTP(w, r)
}

// answering is an answer in the making that the caller can take back.
type answering interface {
	http.ResponseWriter
	bus.Aborter
}

// caught makes an answer of a panic on the caller's side, also of the one by which a
// handler breaks off an answer that has begun.
func caught(w answering, r *http.Request, f Function) {
	p := recover()
	err, _ := p.(error)
	switch {
	case p == nil:
	case errors.Is(err, http.ErrAbortHandler):
		w.Abort(r, fault.New(fault.Unavailable, "%s.%s broke off its answer", f.Host, f.Name))
	default:
		w.Abort(r, fmt.Errorf("%s.%s panicked: %v\n%s", f.Host, f.Name, p, debug.Stack()))
	}
}

// CallStream calls a streaming function and gives each message to receive, whose
// error ends the stream. It has no time budget but the context's.
func CallStream[In, Out any](ctx context.Context, c Caller, f Function, in *In, receive func(Out) error) error {
	ctx, cancel := detach(ctx, 0)
	defer cancel()
	r, err := c.request(ctx, f, reflect.ValueOf(in).Elem())
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return expired(f, err)
	}
	reader, writer := io.Pipe()
	w := &streamRecorder{header: http.Header{}, pipe: writer, begun: make(chan struct{})}
	go func() {
		defer func() { _ = writer.Close() }()
		defer w.WriteHeader(http.StatusOK)
		defer caught(w, r, f)
		c.bus.Handler(r.URL.Hostname()).ServeHTTP(w, r)
	}()
	defer context.AfterFunc(ctx, func() { _ = reader.CloseWithError(expired(f, ctx.Err())) })()
	defer func() { _ = reader.Close() }()
	select {
	case <-w.begun:
	case <-ctx.Done():
		return expired(f, ctx.Err())
	}
	if w.status >= 400 {
		return fault.TraceCall(problem.Read(w.status, w.header, reader), generated)
	}
	lines := json.NewDecoder(reader)
	for {
		var raw json.RawMessage
		switch err := lines.Decode(&raw); {
		case err == io.EOF:
			return nil
		case err != nil && ctx.Err() != nil:
			return expired(f, ctx.Err())
		case err != nil:
			return fault.Wrap(fault.Unavailable, err, "the stream of %s.%s broke", f.Host, f.Name)
		}
		message, err := decodeLine[Out](raw)
		if err != nil {
			return fault.TraceCall(err, generated)
		}
		if err := receive(message); err != nil {
			return err
		}
	}
}

// decodeLine reads a message of a stream, or the fault that ended it.
func decodeLine[Out any](raw json.RawMessage) (Out, error) {
	var message Out
	var end struct {
		Type   string `json:"type"`
		Status int    `json:"status"`
	}
	if json.Unmarshal(raw, &end) == nil && end.Status >= 400 && strings.HasPrefix(end.Type, problem.Page+"#") {
		return message, problem.Read(end.Status, http.Header{"Content-Type": {problem.ContentType}}, bytes.NewReader(raw))
	}
	return message, json.Unmarshal(raw, &message)
}

// request puts the arguments where the function wants them: into the path what the
// path names, the others into the body, or into the query when the method has no
// body or one argument is the whole of it.
func (c Caller) request(ctx context.Context, f Function, in reflect.Value) (*http.Request, error) {
	if err := tooDeep(ctx, f.Host); err != nil {
		return nil, err
	}
	p := c.planOf(in.Type())
	r := &http.Request{
		Method: f.Method, URL: &url.URL{Scheme: "https", Host: c.at(f), Path: f.Path}, Header: make(http.Header, 4),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	if f.Method == Any {
		r.Method = http.MethodPost
	}
	if f.Port != 443 && f.Port != 0 {
		r.URL.Host += ":" + strconv.Itoa(f.Port)
	}
	r.Host = r.URL.Host
	if err := p.address(r.URL, f, in, p.body >= 0 || bodiless(r.Method)); err != nil {
		return nil, fmt.Errorf("address %s.%s: %w", f.Host, f.Name, err)
	}
	if !bodiless(r.Method) {
		payload := in.Addr().Interface()
		if p.body >= 0 {
			payload = in.Field(p.body).Interface()
		}
		body, err := json.Marshal(payload)
		if err != nil {
			return nil, fmt.Errorf("encode the arguments of %s.%s: %w", f.Host, f.Name, err)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header["Content-Type"] = contentType
	}
	if f.Mutates() {
		r.Header[keyHeader] = []string{id.New("call")}
	}
	frame.Inject(ctx, r.Header)
	return r.WithContext(ctx), nil
}

// tooDeep is fault.Loop when no further call may be nested in those of the context.
func tooDeep(ctx context.Context, host string) error {
	depth := frame.Of(ctx).Depth
	if depth < frame.MaxDepth {
		return nil
	}
	return fault.New(fault.Loop, "%d calls are nested: services call each other in a circle, the last of them %s", depth, host)
}

// bodiless says whether requests of a method have no body.
func bodiless(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace}, method)
}

// address fills the path's arguments and, when inQuery, puts the others into the query.
func (p *plan) address(u *url.URL, f Function, in reflect.Value, inQuery bool) error {
	hasArgs := strings.Contains(f.Path, "{")
	if !hasArgs && !inQuery {
		return nil
	}
	texts, query := map[string]string{}, url.Values{}
	for name, field := range p.fields {
		text, ok, err := encodeText(in.Field(field.index))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		texts[name] = text
		if ok && inQuery && (!inPath(f.Path, name) || isOpen(name, text)) {
			query.Set(name, text)
		}
	}
	u.RawQuery = query.Encode()
	if !hasArgs {
		return nil
	}
	escaped := bus.FillPath(f.Path, texts)
	path, err := url.PathUnescape(escaped)
	u.Path, u.RawPath = path, escaped
	return err
}

// isOpen says whether a path that has that text for an argument looks as if the
// argument had not been filled in: it is taken from elsewhere then (see decode).
func isOpen(name, text string) bool { return text == "{"+name+"}" || text == "{"+name+"+}" }

func inPath(pattern, name string) bool {
	return strings.Contains(pattern, "{"+name+"}") || strings.Contains(pattern, "{"+name+"+}")
}

// read fills the results from an answer. An error answer is the fault in it, unless
// the function itself has set its status as a result.
func (p *plan) read(status int, header http.Header, body []byte, into reflect.Value) error {
	if status >= 400 && (p.status < 0 || header.Get("Content-Type") == problem.ContentType) {
		return problem.Read(status, header, bytes.NewReader(body))
	}
	if p.status >= 0 {
		into.Field(p.status).SetInt(int64(status))
	}
	if p.body >= 0 {
		into = into.Field(p.body)
	}
	if len(body) == 0 || p.empty() {
		return nil
	}
	return json.Unmarshal(body, into.Addr().Interface())
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	body   bytes.Buffer
	status int
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // 1xx is no answer yet
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Awaited says that send waits.
func (w *recorder) Awaited() {}

// copyTo gives the answer to another writer.
func (w *recorder) copyTo(other http.ResponseWriter) {
	header := other.Header()
	clear(header)
	maps.Copy(header, w.header)
	other.WriteHeader(w.status)
	_, _ = w.body.WriteTo(other) // whoever is gone needs no answer
}

// Abort implements bus.Aborter.
func (w *recorder) Abort(r *http.Request, err error) {
	*w = recorder{header: http.Header{}}
	problem.Write(w, r, err)
}

// streamRecorder hands an answer on while it is written.
type streamRecorder struct {
	header http.Header
	pipe   *io.PipeWriter
	begun  chan struct{}
	status int
}

func (w *streamRecorder) Header() http.Header { return w.header }

func (w *streamRecorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		close(w.begun)
	}
}

func (w *streamRecorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(b)
}

// Abort implements bus.Aborter: what has been read cannot be taken back, and the rest is err.
func (w *streamRecorder) Abort(r *http.Request, err error) {
	if w.status == 0 {
		problem.Write(w, r, err)
		return
	}
	_ = w.pipe.CloseWithError(err)
}

// FlushError makes the recorder an http.Flusher; a pipe holds nothing back.
func (w *streamRecorder) FlushError() error { return nil }

// NotAssigned is what every method of a service that this process was given no
// way to reach answers.
func NotAssigned(host string) error {
	return fault.New(fault.Unavailable, "the service %s is not available here", host)
}
