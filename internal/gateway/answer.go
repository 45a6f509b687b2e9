package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"m3o/internal/fault"
	"m3o/internal/money"
	"m3o/internal/problem"
	"m3o/internal/usage/usageapi"
)

// answer stands between a target and the caller: it settles the call when the
// target's status is known, before anything of the answer goes out. When the price is
// known at the end of the body only, the call is open until then.
type answer struct {
	http.ResponseWriter
	service   *Service
	request   *http.Request
	admission admission
	requestID string
	status    int
	settled   bool
	dropped   bool     // the body that the target writes is not the caller's to see
	said      []string // the units of the answer, as an upstream says them

	open   *segment // where the open call is written down
	sent   int64    // bytes of the body, of an open call
	marked int64    // of these, written down
}

// Awaited leaves the time of a call to the service that serves it: it has the limit in its
// context, and a goroutine that watches over it would be a thirtieth of what a call costs.
func (w *answer) Awaited() {}

// FlushError sends what was written so far; flushing begins the answer. There is
// no Unwrap: nobody shall take the connection out of the call.
func (w *answer) FlushError() error {
	w.finish()
	if w.dropped {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// EnableFullDuplex lets a target answer before it has read the whole request.
func (w *answer) EnableFullDuplex() error {
	return http.NewResponseController(w.ResponseWriter).EnableFullDuplex()
}

// SetReadDeadline bounds how long the rest of the request may take.
func (w *answer) SetReadDeadline(until time.Time) error {
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(until)
}

// WriteHeader settles the call by the target's status and lets the answer begin.
func (w *answer) WriteHeader(status int) {
	if status < 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.status != 0 {
		return
	}
	w.status = status
	h := w.Header() // where the target's own headers of these names do not count
	h["M3o-Request-Id"] = []string{w.requestID}
	delete(h, "M3o-Price")
	if values, ok := h[unitsHeader]; ok {
		w.said = values
		delete(h, unitsHeader)
	}
	switch {
	case status < 400:
		w.serve(status)
	case (status >= 500 || status == http.StatusRequestTimeout) && errors.Is(w.request.Context().Err(), context.DeadlineExceeded):
		w.replace(fault.New(fault.Timeout, "The API did not answer in time").WithID("v1"))
	default:
		w.ResponseWriter.WriteHeader(status)
	}
}

// serve settles a success, or opens its call, and lets its answer begin.
func (w *answer) serve(status int) {
	a, s := &w.admission, w.service
	if a.lease != "" && !a.key.customer.pays(a.lease, s.now()) {
		s.log.Error("a lease ended under a call, so the call is refused", "request", w.requestID, "lease", a.lease)
		w.replace(unavailable(nil))
		return
	}
	units := w.units(status)
	if err := w.keep(units); err != nil {
		s.log.Error("a served call could not be kept, so it is refused", "request", w.requestID, "error", err)
		w.replace(unavailable(nil))
		return
	}
	h := w.Header()
	if units == unknown {
		delete(h, "Content-Length")
		h["Trailer"] = append(h["Trailer"], "M3O-Price")
	} else {
		h["M3o-Price"] = []string{strconv.FormatInt(int64(w.price(units)), 10)}
	}
	w.ResponseWriter.WriteHeader(status)
}

// units are what the answer is worth, or unknown.
func (w *answer) units(status int) int64 {
	a := &w.admission
	if a.lease == "" {
		return 0 // paid otherwise
	}
	units, ok := unitsOf(a.endpoint, w.said, bytesOf(w.request.Method, status, w.Header()))
	if !ok {
		w.service.log.Warn("an answer does not say its units as it should, so it costs one", "request", w.requestID, "api", a.endpoint.api, "endpoint", a.endpoint.Name)
	}
	return units
}

// keep takes the served call in: at its price, or as an open one.
func (w *answer) keep(units int64) (err error) {
	if units == unknown {
		w.open, err = w.service.open.mark(w.call(0), nil)
		return err
	}
	price := w.price(units)
	if err := w.service.recorder.add(w.call(price)); err != nil {
		return err
	}
	w.settled = true
	w.service.settle(&w.admission, price)
	return nil
}

// price is what so many units cost; nothing when the call is paid otherwise.
func (w *answer) price(units int64) money.Micros {
	a := &w.admission
	if a.lease == "" {
		return 0
	}
	if a.endpoint.Price == 0 {
		return a.held // the base price
	}
	return charge(a.endpoint.EndpointRoute, units)
}

// call is the served call for the record.
func (w *answer) call(price money.Micros) usageapi.Call {
	a := &w.admission
	var quotas []string // of its own: the record outlives the answer
	if len(a.quotas) > 0 {
		quotas = slices.Clone(a.quotas)
	}
	return usageapi.Call{
		RequestID: w.requestID, CustomerID: a.key.customer.id, KeyID: a.key.id, Service: a.endpoint.api, Endpoint: a.endpoint.Name,
		Status: w.status, Price: price, Duration: w.service.now().Sub(a.at), Time: a.at, Lease: a.lease, Quotas: quotas, Free: a.free,
	}
}

// replace answers with a fault of ours in place of what the target says.
func (w *answer) replace(err error) {
	w.dropped = true
	w.status = fault.From(err).Code.Status()
	clear(w.Header())
	w.Header().Set("M3O-Request-Id", w.requestID)
	problem.Write(w.ResponseWriter, w.request, err)
}

func (w *answer) Write(body []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.dropped {
		return len(body), nil
	}
	n, err := w.ResponseWriter.Write(body)
	if w.open != nil {
		w.count(n)
	}
	return n, err
}

// count counts bytes of an open call, and writes the call down when there are many.
func (w *answer) count(n int) {
	if w.sent += int64(n); w.sent-w.marked < markEvery {
		return
	}
	w.marked = w.sent
	marked, err := w.service.open.mark(w.call(w.price(w.sent)), w.open)
	if err != nil {
		w.service.log.Error("an open call could not be written down, so its last price stands", "request", w.requestID, "error", err)
	}
	if marked != nil {
		w.open = marked
	}
}

// close ends an open call at the price of what was sent.
func (w *answer) close() {
	price, s := w.price(w.sent), w.service
	w.settled = true
	defer s.settle(&w.admission, price)
	w.Header()["M3o-Price"] = []string{strconv.FormatInt(int64(price), 10)} // the trailer
	if err := s.recorder.add(w.call(price)); err != nil {
		s.log.Error("a served call could not be kept, so it is recorded at the next start", "request", w.requestID, "error", err)
		return
	}
	if err := s.open.end(w.open); err != nil {
		s.log.Error("an open call could not be ended in its journal", "request", w.requestID, "error", err)
	}
}

// finish completes an answer to which the target has added nothing.
func (w *answer) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
}

// settle gives back what a call that was not served had set aside, also when the
// target panicked.
func (w *answer) settle() {
	s, api := w.service, w.admission.endpoint.api
	if w.open != nil {
		w.close()
	}
	if !w.settled {
		w.settled = true
		s.giveUp(&w.admission)
	}
	s.IncrementCalls(1, api, w.status)
	s.ObserveCallSeconds(s.now().Sub(w.admission.at), api)
}
