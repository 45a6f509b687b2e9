package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/examples/pages/resources"
	"m3o/internal/config"
	"m3o/internal/fault"
)

// Deps is what the service needs.
type Deps struct {
	Config  config.Source
	Metrics prometheus.Registerer
	Links   []string // what Home leads to
}

// Service shows pages.
type Service struct {
	settings
	links     []string
	templates *template.Template
}

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	templates, err := template.ParseFS(resources.FS, "pages.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return &Service{settings: s, links: d.Links, templates: templates}, nil
}

// Home leads to all examples.
func (s *Service) Home(w http.ResponseWriter, r *http.Request) (err error) {
	return s.show(w, r, "home", map[string]any{"Links": s.links})
}

// File shows a file of a drawer. There are two drawers, a and b; whatever else is asked
// for is a fault, and the answer is the page of that error.
func (s *Service) File(w http.ResponseWriter, r *http.Request) (err error) {
	drawer, name := r.PathValue("drawer"), r.PathValue("name")
	if drawer != "a" && drawer != "b" {
		return fault.New(fault.NotFound, "there is no drawer %s", drawer)
	}
	return s.show(w, r, "file", map[string]any{"Drawer": drawer, "Name": name})
}

// Form asks for a name, and greets.
func (s *Service) Form(w http.ResponseWriter, r *http.Request) (err error) {
	return s.show(w, r, "form", map[string]any{"Name": r.PostFormValue("name")})
}

// show writes a page of resources/pages.html in the visitor's language. It is complete
// before the first byte is sent, so that an error is an answer of its own.
func (s *Service) show(w http.ResponseWriter, r *http.Request, name string, data map[string]any) error {
	data["Text"] = func(key string) string { return s.Text(r.Context(), key) }
	var page bytes.Buffer
	if err := s.templates.ExecuteTemplate(&page, name, data); err != nil {
		return fmt.Errorf("show the page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := w.Write(page.Bytes())
	return err
}
