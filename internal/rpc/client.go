package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/problem"
)

// Call calls a unary function over the bus and returns its results, or the fault
// it answered with. A mutating call carries an idempotency key of its own, so
// that a transport may deliver it twice. fault.Unavailable and fault.Timeout
// mean that it may have been executed.
func Call[In, Out any](ctx context.Context, b bus.Bus, f Function, in *In) (Out, error) {
	var out Out
	r, err := newRequest(ctx, f, in)
	if err != nil {
		return out, err
	}
	w := &recorder{header: http.Header{}}
	b.Handler(f.Host).ServeHTTP(w, r)
	if w.status >= 400 {
		return out, problem.Read(w.status, w.header, &w.body)
	}
	if err := planOf(reflect.TypeFor[Out]()).read(w, reflect.ValueOf(&out).Elem()); err != nil {
		return out, fmt.Errorf("read the answer of %s.%s: %w", f.Host, f.Name, err)
	}
	return out, nil
}

// CallStream calls a streaming function and gives each message to receive, whose
// error ends the stream.
func CallStream[In, Out any](ctx context.Context, b bus.Bus, f Function, in *In, receive func(Out) error) error {
	r, err := newRequest(ctx, f, in)
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	w := &streamRecorder{header: http.Header{}, pipe: writer, begun: make(chan struct{})}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		b.Handler(f.Host).ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
		_ = writer.Close()
	}()
	defer func() {
		_ = reader.Close()
		<-finished
	}()
	<-w.begun
	if w.status >= 400 {
		return problem.Read(w.status, w.header, reader)
	}
	lines := json.NewDecoder(reader)
	for {
		var raw json.RawMessage
		if err := lines.Decode(&raw); err == io.EOF {
			return nil
		} else if err != nil {
			return fault.Wrap(fault.Unavailable, err, "the stream of %s.%s broke", f.Host, f.Name)
		}
		message, err := decodeLine[Out](raw)
		if err != nil {
			return err
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
	if json.Unmarshal(raw, &end) == nil && end.Status >= 400 && len(end.Type) > len(problem.Page) && end.Type[:len(problem.Page)] == problem.Page {
		return message, problem.Read(end.Status, http.Header{"Content-Type": {problem.ContentType}}, bytes.NewReader(raw))
	}
	return message, json.Unmarshal(raw, &message)
}

// newRequest puts the arguments into the path, where the path names them, and
// all of them into the body.
func newRequest(ctx context.Context, f Function, in any) (*http.Request, error) {
	value := reflect.ValueOf(in).Elem()
	p := planOf(value.Type())
	payload := in
	if p.body >= 0 {
		payload = value.Field(p.body).Interface()
	}
	body, err := encode(payload)
	if err != nil {
		return nil, fmt.Errorf("encode the arguments of %s.%s: %w", f.Host, f.Name, err)
	}
	method := f.Method
	if method == Any {
		method = http.MethodPost
	}
	pathArgs, query := map[string]string{}, url.Values{}
	for name, field := range p.fields {
		text := fmt.Sprint(value.Field(field.index).Interface())
		pathArgs[name] = text
		if p.body >= 0 || method == http.MethodGet {
			query.Set(name, text)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "https://"+f.Host+FillPath(f.Path, pathArgs)+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("address %s.%s: %w", f.Host, f.Name, err)
	}
	r.Header.Set("Content-Type", "application/json")
	if f.Mutates() {
		r.Header.Set(keyHeader, id.New("call"))
	}
	return r, nil
}

// read fills the results from a recorded answer.
func (p *plan) read(w *recorder, into reflect.Value) error {
	if p.status >= 0 {
		into.Field(p.status).SetInt(int64(w.status))
	}
	if p.body >= 0 {
		into = into.Field(p.body)
	}
	return json.Unmarshal(w.body.Bytes(), into.Addr().Interface())
}

// recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	body   bytes.Buffer
	status int
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
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
	if w.status == 0 {
		w.status = status
		close(w.begun)
	}
}

func (w *streamRecorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(b)
}

// FlushError makes the recorder an http.Flusher; a pipe holds nothing back.
func (w *streamRecorder) FlushError() error { return nil }

// NotAssigned is what every method of a service that this process was given no
// way to reach answers.
func NotAssigned(host string) error {
	return fault.New(fault.Unavailable, "the service %s is not available here", host)
}
