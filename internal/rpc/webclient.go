package rpc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/problem"
)

// CallWeb sends a request to a raw web handler. target is resolved against the URL of
// the endpoint: empty is the endpoint itself, ?a=b adds a query. Values of the query
// that name an argument of the path move there. An answer of 400 and more that is a
// problem is returned as the fault in it. The answer's body is in memory.
func CallWeb(ctx context.Context, c Caller, f Function, method, target, contentType string, body io.Reader) (*http.Response, error) {
	u, err := c.resolve(f, target)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s.%s: no request can be made", f.Host, f.Name)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return c.exchange(ctx, f, r)
}

// DoWeb sends a request of one's own to a raw web handler, at the URL that CallWeb
// would send it to. A method that the handler does not accept is fault.NotFound, as
// it would be on the bus.
func DoWeb(ctx context.Context, c Caller, f Function, r *http.Request) (*http.Response, error) {
	if !f.Accepts(r.Method) {
		return nil, fault.New(fault.NotFound, "%s.%s does not answer to %s", f.Host, f.Name, r.Method)
	}
	u, err := c.resolve(f, r.URL.String())
	if err != nil {
		return nil, err
	}
	sent := r.Clone(ctx)
	sent.URL, sent.Host = u, u.Host
	return c.exchange(ctx, f, sent)
}

// MulticastWeb is CallWeb for all who serve the handler. The answers may be left unread.
func MulticastWeb(ctx context.Context, c Caller, f Function, method, target, contentType string, body io.Reader) (<-chan bus.Reply, error) {
	u, err := c.resolve(f, target)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s.%s: no request can be made", f.Host, f.Name)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return c.spread(ctx, r)
}

// MulticastDoWeb is DoWeb for all who serve the handler. The answers may be left unread.
func MulticastDoWeb(ctx context.Context, c Caller, f Function, r *http.Request) (<-chan bus.Reply, error) {
	u, err := c.resolve(f, r.URL.String())
	if err != nil {
		return nil, err
	}
	sent := r.Clone(ctx)
	sent.URL, sent.Host = u, u.Host
	return c.spread(ctx, sent)
}

// spread sends a request to everybody; it ends when the context does.
func (c Caller) spread(ctx context.Context, r *http.Request) (<-chan bus.Reply, error) {
	if err := tooDeep(ctx, r.URL.Host); err != nil {
		return nil, err
	}
	frame.Inject(ctx, r.Header)
	return c.bus.Multicast(r), nil
}

// resolve is the URL of a request to a raw web handler.
func (c Caller) resolve(f Function, target string) (*url.URL, error) {
	host := c.at(f)
	if f.Port != 443 && f.Port != 0 {
		host += ":" + strconv.Itoa(f.Port)
	}
	base := &url.URL{Scheme: "https", Host: host, Path: f.Path}
	u, err := url.Parse(target)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s.%s: %q is no URL", f.Host, f.Name, target)
	}
	u = base.ResolveReference(u)
	u.Scheme, u.Host = base.Scheme, host
	if u.Path != f.Path || !strings.Contains(f.Path, "{") {
		return u, nil
	}
	query, args := u.Query(), map[string]string{}
	for name := range query {
		if inPath(f.Path, name) {
			args[name] = query.Get(name)
			query.Del(name)
		}
	}
	u.RawQuery, u.RawPath = query.Encode(), bus.FillPath(f.Path, args)
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s.%s: the path cannot be filled", f.Host, f.Name)
	}
	return u, nil
}

// exchange sends a request that is addressed and waits for the whole answer.
func (c Caller) exchange(ctx context.Context, f Function, r *http.Request) (*http.Response, error) {
	ctx, cancel := detach(ctx, f.Timeout)
	defer cancel()
	if err := tooDeep(ctx, r.URL.Host); err != nil {
		return nil, err
	}
	r = r.WithContext(ctx)
	frame.Inject(ctx, r.Header)
	w, err := c.send(r, f)
	if err != nil {
		return nil, err
	}
	if w.status >= 400 && w.header.Get("Content-Type") == problem.ContentType {
		return nil, fault.TraceCall(problem.Read(w.status, w.header, &w.body), generated)
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header,
		Body: io.NopCloser(bytes.NewReader(w.body.Bytes())), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}
