// Package problem writes faults as HTTP answers and reads them back.
//
// The body is application/problem+json (RFC 9457) and M3O's error body at once:
// type, title, status, detail and instance are the RFC's; id, code and detail
// are what M3O's clients know. Handlers, the edge and clients import it; it
// imports fault, frame and id.
package problem

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/id"
)

// ContentType is the media type of a problem document (RFC 9457 section 3).
const ContentType = "application/problem+json"

// maxBody bounds how much of a foreign error body is read.
const maxBody = 64 << 10

// Page is where the codes are explained; the type of every problem points there.
const Page = "/problems"

// Write answers with err. Somebody outside sees what is not a fault as "internal
// error", or that something is away, and Observe tells the edge's log about it. Another service of the house
// sees its text, and where the error has been, so that the log of the edge does.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
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
	body := Line(r, err)
	w.WriteHeader(f.Status())
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// Line is the document that Write answers with, for a stream that has begun.
func Line(r *http.Request, err error) []byte {
	f := fault.From(err)
	requestID := id.Request(r.Context())
	if frame.Internal(r.Header) {
		return Within(err, requestID)
	}
	if f.Code == fault.Internal || fault.IsAway(err) {
		Observe(r.Context(), err)
	}
	return Body(f, requestID)
}

// Within is the document of any error for another service of the house; instance is the
// request id. Parse reads it.
func Within(err error, instance string) []byte {
	f := fault.From(err)
	doc := documentOf(f, instance)
	doc[memberTrace] = fault.Stack(err)
	if f.Err != nil {
		doc[memberCause] = f.Err.Error()
	}
	return encode(doc, f)
}

// Parse is the fault that Within was given; its cause is a text then.
func Parse(document []byte) *fault.Error {
	var about struct {
		Status int `json:"status"`
	}
	_ = json.Unmarshal(document, &about) // what cannot be read is internal
	return Read(cmp.Or(about.Status, http.StatusInternalServerError), http.Header{"Content-Type": {ContentType}}, bytes.NewReader(document))
}

// The members that a problem has between services of the house only.
const (
	memberTrace = "trace"
	memberCause = "cause"
)

// Seconds is d in whole seconds, rounded up, as Retry-After wants it.
func Seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// Body is the document of a fault; instance is the request id.
func Body(f *fault.Error, instance string) []byte { return encode(documentOf(f, instance), f) }

func documentOf(f *fault.Error, instance string) map[string]any {
	status := f.Status()
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
	return doc
}

func encode(doc map[string]any, f *fault.Error) []byte {
	body, err := json.Marshal(doc)
	if err != nil { // an Extra that JSON cannot say: the fault matters more
		return Body(&fault.Error{Code: f.Code, ID: f.ID, Detail: f.Detail, Fields: f.Fields, HTTP: f.HTTP}, "")
	}
	return body
}

// document is what Read understands of a problem.
type document struct {
	Type   string        `json:"type"`
	ID     string        `json:"id"`
	Detail string        `json:"detail"`
	Errors []fault.Field `json:"errors"`
	Trace  []fault.Frame `json:"trace"`
	Cause  string        `json:"cause"`
}

// Read turns an error answer (a status of 400 or more) into the fault that Write
// was given; its cause is a text then. A body that is not a problem document says
// nothing but its status.
func Read(status int, header http.Header, body io.Reader) *fault.Error {
	f := &fault.Error{Code: fault.FromStatus(status), Detail: http.StatusText(status)}
	if s, err := strconv.Atoi(header.Get("Retry-After")); err == nil && s > 0 {
		f.RetryAfter = time.Duration(s) * time.Second
	}
	if kind, _, err := mime.ParseMediaType(header.Get("Content-Type")); err == nil && kind == ContentType {
		if text, err := io.ReadAll(io.LimitReader(body, maxBody)); err == nil {
			fill(f, text)
		}
	}
	if f.Code.Status() != status {
		f.HTTP = status
	}
	return f
}

// fill takes what a problem document says.
func fill(f *fault.Error, text []byte) {
	var doc document
	if json.Unmarshal(text, &doc) != nil {
		return
	}
	if _, code, ok := strings.Cut(doc.Type, Page+"#"); ok {
		f.Code = fault.Code(code)
	}
	f.ID, f.Detail, f.Fields, f.Trace = doc.ID, doc.Detail, doc.Errors, doc.Trace
	if doc.Cause != "" {
		f.Err = errors.New(doc.Cause)
	}
	var members map[string]any
	numbers := json.NewDecoder(bytes.NewReader(text))
	numbers.UseNumber()
	if numbers.Decode(&members) != nil {
		return
	}
	for _, ours := range []string{"type", "title", "status", "detail", "id", "code", "instance", "errors", memberTrace, memberCause} {
		delete(members, ours)
	}
	if len(members) > 0 {
		f.Extra = members
	}
}
