package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"m3o/internal/fault"
	"m3o/internal/problem"
	"m3o/internal/usage/usageapi"
)

// answer stands between a target and the caller: it settles the call when the
// target's status is known, before anything of the answer goes out.
type answer struct {
	http.ResponseWriter
	service   *Service
	request   *http.Request
	admission *admission
	requestID string
	status    int
	settled   bool
	dropped   bool // the body that the target writes is not the caller's to see
}

// FlushError sends what was written so far; flushing begins the answer. There is
// no Unwrap: nobody shall take the connection out of the call.
func (w *answer) FlushError() error {
	w.finish()
	if w.dropped {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

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
	switch {
	case status < 400:
		w.serve(status)
	case status >= 500 && errors.Is(w.request.Context().Err(), context.DeadlineExceeded):
		w.replace(fault.New(fault.Timeout, "The API did not answer in time").WithID("v1"))
	default:
		w.ResponseWriter.WriteHeader(status)
	}
}

// serve settles a success and lets its answer begin.
func (w *answer) serve(status int) {
	a := w.admission
	if a.lease != "" && !a.key.customer.pays(a.lease, w.service.now()) {
		w.service.log.Error("a lease ended under a call, so the call is refused", "request", w.requestID, "lease", a.lease)
		w.replace(unavailable(nil))
		return
	}
	call := usageapi.Call{
		RequestID: w.requestID, CustomerID: a.key.CustomerID, KeyID: a.key.ID, Service: a.endpoint.api, Endpoint: a.endpoint.Name,
		Status: status, Price: a.price, Duration: w.service.now().Sub(a.at), Time: a.at, Lease: a.lease, Quotas: a.quotas, Free: a.free,
	}
	if err := w.service.recorder.add(call); err != nil {
		w.service.log.Error("a served call could not be kept, so it is refused", "request", w.requestID, "error", err)
		w.replace(unavailable(nil))
		return
	}
	w.settled = true
	w.service.settle(a, true)
	h := w.Header()
	h["M3o-Price"] = []string{strconv.FormatInt(int64(a.price), 10)}
	w.ResponseWriter.WriteHeader(status)
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
	return w.ResponseWriter.Write(body)
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
	if !w.settled {
		w.settled = true
		w.service.settle(w.admission, false)
	}
	s, api := w.service, w.admission.endpoint.api
	s.IncrementCalls(1, api, w.status)
	s.ObserveCallSeconds(s.now().Sub(w.admission.at), api)
}
