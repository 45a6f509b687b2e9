package problem_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/id"
	"m3o/internal/problem"
)

func write(t *testing.T, err error) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(id.WithRequest(t.Context(), "req_1"), "POST", "/x", nil)
	problem.Write(w, r, err)
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	return w, doc
}

func TestWriteIsTheRFCsBodyAndM3Os(t *testing.T) {
	t.Parallel()
	w, doc := write(t, fault.New(fault.PaymentRequired, "Request blocked. Insufficient credit").WithID("v1.blocked").With("price", 5))
	want := map[string]any{
		"type": "/problems#payment_required", "title": "Payment Required", "status": 402.0, "detail": "Request blocked. Insufficient credit",
		"instance": "req_1", "id": "v1.blocked", "code": 402.0, "price": 5.0,
	}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Error(diff)
	}
	if w.Code != 402 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s", w.Code, w.Header())
	}
}

func TestWriteHidesWhatIsInternal(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	var seen error
	r := httptest.NewRequestWithContext(problem.WithObserver(t.Context(), func(err error) { seen = err }), "GET", "/x", nil)
	problem.Write(w, r, errors.New("dial tcp 10.0.0.7:5432: refused"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "10.0.0.7") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if seen == nil {
		t.Error("nobody was told")
	}
}

func TestReadGivesBackWhatWriteWasGiven(t *testing.T) {
	t.Parallel()
	sent := fault.BadField("email", "is not an address").WithID("signup.User").After(1500 * time.Millisecond)
	w, _ := write(t, sent)
	got := problem.Read(w.Code, w.Header(), w.Body)
	sent.RetryAfter = 2 * time.Second // whole seconds on the wire, rounded up
	if diff := cmp.Diff(sent, got, cmpopts.IgnoreUnexported(fault.Error{})); diff != "" {
		t.Error(diff)
	}
}

func TestReadOfAForeignAnswerSaysItsStatus(t *testing.T) {
	t.Parallel()
	got := problem.Read(404, map[string][]string{"Content-Type": {"text/html"}}, strings.NewReader("<h1>no"))
	if got.Code != fault.NotFound || got.Detail != "Not Found" {
		t.Errorf("got %+v", got)
	}
}

func TestAServiceOfTheHouseSeesWhereAnErrorHasBeen(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/x", nil)
	frame.Inject(t.Context(), r.Header)
	sent := fault.Wrap(fault.PaymentRequired, errors.New("no row"), "pay %d", 5).WithStatus(418).With("price", 5)
	problem.Write(w, r, fault.Trace(sent))
	got := problem.Read(w.Code, w.Header(), w.Body)
	if got.Code != fault.PaymentRequired || got.Status() != 418 || got.Detail != "pay 5" || got.Err.Error() != "no row" || got.Extra["price"] != json.Number("5") {
		t.Errorf("got %+v", got)
	}
	stack := fault.Stack(got)
	if len(stack) != 2 || stack[0].File != "problem/problem_test.go" || stack[1].Line != stack[0].Line+1 {
		t.Errorf("stack %v", stack)
	}
	if sent.Extra["trace"] != nil {
		t.Error("the fault itself was changed")
	}
}
