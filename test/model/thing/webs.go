package thing

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"m3o/internal/fault"
	"m3o/test/model/thing/thingapi"
)

// Page says what has arrived.
func (s *Service) Page(w http.ResponseWriter, r *http.Request) (err error) {
	return s.arrived(w, r)
}

// PageAll says who answers, and in its body what has arrived.
func (s *Service) PageAll(w http.ResponseWriter, r *http.Request) (err error) {
	return s.arrived(w, r)
}

// OnlyGet is a web handler.
func (s *Service) OnlyGet(w http.ResponseWriter, r *http.Request) (err error) {
	return s.arrived(w, r)
}

// OnlyPut is a web handler.
func (s *Service) OnlyPut(w http.ResponseWriter, r *http.Request) (err error) {
	return s.arrived(w, r)
}

// Tree is a web handler.
func (s *Service) Tree(w http.ResponseWriter, r *http.Request) (err error) {
	_, err = fmt.Fprintf(w, "%s|%s", r.PathValue("path1"), r.PathValue("rest"))
	return err
}

// EveryPort is a web handler.
func (s *Service) EveryPort(w http.ResponseWriter, r *http.Request) (err error) {
	return s.arrived(w, r)
}

// OtherPort is a web handler.
func (s *Service) OtherPort(w http.ResponseWriter, r *http.Request) (err error) {
	return s.arrived(w, r)
}

// Elsewhere is a web handler.
func (s *Service) Elsewhere(w http.ResponseWriter, r *http.Request) (err error) {
	return s.arrived(w, r)
}

// arrived answers with a description of the request.
func (s *Service) arrived(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the body broke")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Replica", s.Replica().ID)
	w.WriteHeader(http.StatusAccepted)
	return json.NewEncoder(w).Encode(thingapi.Arrived{
		Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.RawQuery, Type: r.Header.Get("Content-Type"), Own: r.Header.Get("X-Own"), Body: string(body),
	})
}

// Mirror answers with the body that has arrived.
func (s *Service) Mirror(w http.ResponseWriter, r *http.Request) (err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the body broke")
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	_, err = w.Write(body)
	return err
}

// Refuse fails before or after it has written something.
func (s *Service) Refuse(w http.ResponseWriter, r *http.Request) (err error) {
	if how := r.URL.Query().Get("how"); how != "written" {
		return failure(how)
	}
	w.WriteHeader(http.StatusTeapot)
	_, err = io.WriteString(w, "no problem document")
	return err
}
