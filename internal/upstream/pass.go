package upstream

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// pass gives an answer to the caller. It panics with http.ErrAbortHandler when the
// answer breaks off, or the caller does; what there was of it has been flushed then.
// An answer that comes before all of the caller's body was read, drained says, ends the
// caller's connection.
func (t *Target) pass(w http.ResponseWriter, r *http.Request, a *reply, b []byte, drained bool) {
	if t.answer != nil {
		t.answer(w, a.header)
	}
	h := w.Header()
	addHeader(h, a.header)
	if len(a.trailer) > 0 {
		h["Trailer"] = append(h["Trailer"], strings.Join(a.trailer, ", "))
		delete(h, "Content-Length") // in HTTP/1.1 only chunks have trailers
	}
	if !drained && r.ProtoMajor == 1 {
		h["Connection"] = []string{"close"}
	}
	w.WriteHeader(a.status)
	out := out{w: w, caller: http.NewResponseController(w), flushes: isStream(a)}
	err := out.copy(a, b)
	if err == nil {
		err = out.passTrailers(a)
	}
	if err != nil || !drained {
		_ = out.caller.Flush() // it may take a while until the caller's body ends
	}
	if err != nil {
		t.counts.broken.Add(1)
		panic(http.ErrAbortHandler)
	}
}

// passInterim gives an interim answer such as 103 to the caller, and takes its headers
// back, which are not the final answer's. HTTP/1.0 has none of them.
func passInterim(w http.ResponseWriter, r *http.Request, status int, header http.Header) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	h := w.Header()
	before := maps.Clone(h)
	addHeader(h, header)
	w.WriteHeader(status)
	clear(h)
	maps.Copy(h, before)
}

// addHeader adds what the caller may see of an answer's header.
func addHeader(to, from http.Header) {
	hops := named(from["Connection"])
	for name, values := range from {
		switch {
		case isHop(name), isOurs(name), len(hops) > 0 && slices.Contains(hops, name):
		case to[name] == nil:
			to[name] = values
		default:
			to[name] = append(to[name], values...)
		}
	}
}

// isStream says whether what there is of an answer must not wait for the rest.
func isStream(a *reply) bool {
	if a.length < 0 {
		return true
	}
	for _, kind := range a.header["Content-Type"] {
		kind, _, _ = strings.Cut(kind, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "text/event-stream", "application/x-ndjson":
			return true
		}
	}
	return false
}

// out is the caller's end of an answer.
type out struct {
	w       http.ResponseWriter
	caller  *http.ResponseController
	flushes bool
}

// copy gives the body to the caller. A stream is flushed before each read that may have
// to wait, and so not after the last one: the end of the answer follows.
func (o *out) copy(a *reply, b []byte) error {
	if a.body == nil {
		return nil
	}
	if o.flushes && !a.pending() {
		if err := o.flush(); err != nil {
			return err
		}
	}
	for {
		n, err := a.body.Read(b)
		if n > 0 {
			if _, werr := o.w.Write(b[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case o.flushes && n > 0:
			if err := o.flush(); err != nil {
				return err
			}
		}
	}
}

func (o *out) flush() error {
	if err := o.caller.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// passTrailers gives the trailers to the caller: those that were announced under their
// own names, the others as net/http's server wants them.
func (o *out) passTrailers(a *reply) error {
	body, ok := a.body.(interface{ trailers() http.Header })
	if !ok || len(body.trailers()) == 0 {
		return nil
	}
	if err := o.flush(); err != nil { // a short answer gets a length else, and no trailers
		return err
	}
	h := o.w.Header()
	for name, values := range body.trailers() {
		switch {
		case !mayTrail(name):
		case slices.Contains(a.trailer, name):
			h[name] = values
		default:
			h[http.TrailerPrefix+name] = values
		}
	}
	return nil
}
