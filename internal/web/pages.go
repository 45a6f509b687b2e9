package web

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"m3o/internal/fault"
	"m3o/internal/problem"
	"m3o/internal/rpc"
)

//go:embed templates/*.html
var templateFiles embed.FS

// What a page may load: from us, and nothing inline.
const (
	pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// The reference page brings its styles and fonts inside its script and calls our API.
	docsPolicy = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// pages are the HTML pages.
type pages struct {
	templates *template.Template
	catalogue func(context.Context) (Catalogue, error)
	proxies   []netip.Prefix
	version   string
	shop      bool // it has a playground
	log       *slog.Logger
}

func newPages(c Config) (*pages, error) {
	templates, err := template.ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the pages: %w", err)
	}
	shop := slices.ContainsFunc(c.Functions, func(f rpc.Function) bool { return f.Host == "playground" })
	return &pages{templates: templates, catalogue: c.Catalogue, proxies: c.Proxies, version: c.Version, shop: shop, log: c.Log}, nil
}

// view is what every page knows.
type view struct {
	Title   string
	Address string // of this server, as the visitor reached it
	Version string
	Data    any
}

func (p *pages) landing(w http.ResponseWriter, r *http.Request) {
	c, err := p.catalogue(r.Context())
	if err != nil {
		p.log.LogAttrs(r.Context(), slog.LevelError, "landing page without catalogue", slog.Any("error", err))
	}
	p.render(w, r, http.StatusOK, "landing.html", "m3o", map[string]any{"APIs": c.APIs, "Down": err != nil, "First": firstEndpoint(c.APIs), "Shop": p.shop})
}

// firstEndpoint is what the quick start calls: the greeting when it is on sale.
func firstEndpoint(apis []API) *Endpoint {
	var first *Endpoint
	for _, api := range apis {
		for i, e := range api.Endpoints {
			if e.Name == "Helloworld.Call" || first == nil && (e.Method == "" || e.Method == http.MethodPost) {
				first = &api.Endpoints[i]
			}
		}
	}
	return first
}

func (p *pages) docs(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", docsPolicy)
	p.render(w, r, http.StatusOK, "docs.html", "m3o reference", nil)
}

// billing says how a balance is filled where the operator has no page of its own.
func (p *pages) billing(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, http.StatusOK, "billing.html", "m3o billing", nil)
}

func (p *pages) problems(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, http.StatusOK, "problems.html", "m3o problems", explanations())
}

// notFound answers a path that nothing serves: a page for a browser, else a problem.
func (p *pages) notFound(w http.ResponseWriter, r *http.Request) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if reads && strings.Contains(r.Header.Get("Accept"), "text/html") {
		secure(w.Header())
		p.render(w, r, http.StatusNotFound, "notfound.html", "m3o: no such page", r.URL.Path)
		return
	}
	problem.Write(w, r, fault.New(fault.NotFound, "there is nothing at %s: /openapi.json lists what there is", r.URL.Path).WithID("edge"))
}

// render writes a page at once or, when it cannot be made, a problem.
func (p *pages) render(w http.ResponseWriter, r *http.Request, status int, name, title string, data any) {
	var page bytes.Buffer
	err := p.templates.ExecuteTemplate(&page, name, view{Title: title, Address: p.address(r), Version: p.version, Data: data})
	if err != nil {
		problem.Write(w, r, fmt.Errorf("render %s: %w", name, err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes())
}

// handler puts the security headers before a page.
func (p *pages) handler(page http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		page(w, r)
	})
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// pasteable says whether a Host header may stand in a command for a shell.
func pasteable(host string) bool {
	return host != "" && strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-:[]") == ""
}

// address is this server's as the visitor reached it, so that the commands of a
// page work behind port mappings and proxies too.
func (p *pages) address(r *http.Request) string {
	host := r.Host
	if !pasteable(host) {
		host = "localhost:8080"
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(fmt.Stringer); ok {
			host = local.String()
		}
	}
	return scheme(r, p.proxies) + "://" + host
}
