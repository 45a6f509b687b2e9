// Package problem writes faults as HTTP answers and reads them back.
//
// The body is application/problem+json (RFC 9457) and M3O's error body at once:
// type, title, status, detail and instance are the RFC's; id, code and detail
// are what M3O's clients know. Handlers, the edge and clients import it; it
// imports fault and id.
package problem

import (
	"encoding/json"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"

	"m3o/internal/fault"
	"m3o/internal/id"
)

// ContentType is the media type of a problem document (RFC 9457 section 3).
const ContentType = "application/problem+json"

// maxBody bounds how much of a foreign error body is read.
const maxBody = 64 << 10

// Page is where the codes are explained; the type of every problem points there.
const Page = "/problems"

// Write answers with err. What is not a fault is shown as "internal error";
// Observe tells the edge's log about it.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	if f.Code == fault.Internal {
		Observe(r.Context(), err)
	}
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Length")
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(Seconds(f.RetryAfter)))
	}
	if f.Code == fault.Unauthenticated && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Bearer realm="m3o"`)
	}
	w.WriteHeader(f.Code.Status())
	if r.Method != http.MethodHead {
		_, _ = w.Write(Body(f, id.Request(r.Context())))
	}
}

// Seconds is d in whole seconds, rounded up, as Retry-After wants it.
func Seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// Body is the document of a fault; instance is the request id.
func Body(f *fault.Error, instance string) []byte {
	status := f.Code.Status()
	doc := maps.Clone(f.Extra)
	if doc == nil {
		doc = map[string]any{}
	}
	doc["type"] = Page + "#" + string(f.Code)
	doc["title"] = http.StatusText(status)
	doc["status"] = status
	doc["detail"] = f.Detail
	doc["id"] = f.ID
	doc["code"] = status
	if instance != "" {
		doc["instance"] = instance
	}
	if len(f.Fields) > 0 {
		doc["errors"] = f.Fields
	}
	body, err := json.Marshal(doc)
	if err != nil { // an Extra that JSON cannot say: the fault matters more
		return Body(&fault.Error{Code: f.Code, ID: f.ID, Detail: f.Detail, Fields: f.Fields}, instance)
	}
	return body
}

// document is what Read understands of a problem.
type document struct {
	ID     string        `json:"id"`
	Detail string        `json:"detail"`
	Errors []fault.Field `json:"errors"`
}

// Read turns an error answer (a status of 400 or more) into the fault that Write
// was given. A body that is not a problem document says nothing but its status.
func Read(status int, header http.Header, body io.Reader) *fault.Error {
	f := &fault.Error{Code: fault.FromStatus(status), Detail: http.StatusText(status)}
	if s, err := strconv.Atoi(header.Get("Retry-After")); err == nil && s > 0 {
		f.RetryAfter = time.Duration(s) * time.Second
	}
	if kind, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || kind != ContentType {
		return f
	}
	var doc document
	if json.NewDecoder(io.LimitReader(body, maxBody)).Decode(&doc) == nil {
		f.ID, f.Detail, f.Fields = doc.ID, doc.Detail, doc.Errors
	}
	return f
}
