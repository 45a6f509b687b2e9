package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
)

// target is where calls of an API go. It finds the endpoint by its path and
// leaves everything else to the handler.
type target interface {
	// serve forwards a call. It answers with a problem when it cannot.
	serve(w http.ResponseWriter, r *http.Request, path string)
}

// serviceTarget is a service on the bus. Calls reach it as POST with JSON.
type serviceTarget struct {
	bus  bus.Bus
	host string
}

func (t serviceTarget) serve(w http.ResponseWriter, r *http.Request, path string) {
	r.URL = &url.URL{Scheme: "https", Host: t.host, Path: path}
	r.Host, r.RequestURI, r.Method = t.host, "", http.MethodPost
	t.bus.Handler(t.host).ServeHTTP(w, r)
}

// upstreamTarget is an HTTP server. Calls reach it with their own method and query.
type upstreamTarget struct {
	base  *url.URL
	proxy *httputil.ReverseProxy
}

func newUpstreamTarget(base *url.URL, transport http.RoundTripper) *upstreamTarget {
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite:       identify, // serve has addressed the request already
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			problem.Write(w, r, upstreamFault(r.Context(), err))
		},
	}
	return &upstreamTarget{base: base, proxy: proxy}
}

// identify says who calls, after the proxy has removed what the caller's own
// Connection header names.
func identify(r *httputil.ProxyRequest) {
	for _, name := range identity() {
		r.Out.Header[name] = r.In.Header[name]
	}
}

func (t *upstreamTarget) serve(w http.ResponseWriter, r *http.Request, path string) {
	address := *t.base
	address.Path = strings.TrimSuffix(address.Path, "/") + "/" + strings.TrimPrefix(path, "/")
	address.RawQuery = r.URL.RawQuery
	r.URL, r.Host, r.RequestURI = &address, address.Host, ""
	t.proxy.ServeHTTP(w, r)
}

// upstreamFault says what became of a call that got no answer.
func upstreamFault(ctx context.Context, err error) error {
	switch {
	case fault.Is(err, fault.TooLarge):
		return err
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "The API did not answer in time").WithID("v1")
	}
	return fault.Wrap(fault.BadGateway, err, "The API could not be reached").WithID("v1")
}

// missingTarget is an address that this gateway cannot serve.
type missingTarget struct{}

func (missingTarget) serve(w http.ResponseWriter, r *http.Request, _ string) {
	problem.Write(w, r, fault.New(fault.BadGateway, "The API could not be reached").WithID("v1"))
}

// targetOf is the target of an address of the catalogue: service:<host>, or an
// http(s):// base URL.
func (s *Service) targetOf(address string) target {
	if host, ok := strings.CutPrefix(address, "service:"); ok {
		return serviceTarget{bus: s.bus, host: host}
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" {
		return missingTarget{}
	}
	return newUpstreamTarget(base, s.transport)
}

// newTransport is the pool of connections to upstream servers.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 256
	t.MaxIdleConns = 1024
	t.IdleConnTimeout = 90 * time.Second
	t.DisableCompression = true // bodies pass through as they are
	t.Proxy = nil
	return t
}
