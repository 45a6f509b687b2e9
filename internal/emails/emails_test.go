package emails_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/emails"
	"m3o/internal/emails/emailsapi"
	"m3o/internal/fault"
	"m3o/internal/rpc/rpctest"
)

const ada = "ada@example.com"

type house struct {
	t       *testing.T
	service *emails.Service
	db      *db.DB
	log     *strings.Builder

	mu  sync.Mutex
	now time.Time
}

func setup(t *testing.T, d *db.DB, deps emails.Deps) *house {
	t.Helper()
	h := &house{t: t, db: d, log: &strings.Builder{}, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	deps.DB, deps.Now, deps.Log = d, h.clock, slog.New(slog.NewTextHandler(h.log, nil))
	service, err := emails.New(deps)
	if err != nil {
		t.Fatal(err)
	}
	h.service = service
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) admin() context.Context {
	return auth.With(h.t.Context(), auth.Account{ID: "cus_admin", Type: auth.TypeAdmin})
}

func (h *house) send(subject string) string {
	h.t.Helper()
	id, err := h.service.Send(h.t.Context(), ada, subject, "Your code is\n\nABCDEFGH\n")
	must(h.t, err)
	return id
}

// statuses are the states of all mails, newest first.
func (h *house) statuses() (found []string) {
	h.t.Helper()
	mails, _, err := h.service.List(h.admin(), 0, "")
	must(h.t, err)
	for _, m := range mails {
		found = append(found, m.Status)
	}
	return found
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantFault(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("err = %v, want %s", err, code)
	}
}

func TestSendKeepsMailsForAnAdminToRead(t *testing.T) {
	t.Parallel()
	contract := rpctest.Contract[emailsapi.Service]{Routes: emailsapi.Routes, Client: func(b bus.Bus) emailsapi.Service { return emailsapi.NewClient(b) }}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, emails.Deps{})
		s := rpctest.Loopback[emailsapi.Service](t, contract, h.service)
		first, err := s.Send(t.Context(), " "+ada+" ", "One", "text")
		must(t, err)
		h.pass(time.Second)
		second, err := s.Send(t.Context(), ada, "Two", "line\nABCDEFGH\n")
		must(t, err)
		mails, next, err := s.List(h.admin(), 0, "")
		must(t, err)
		want := []emailsapi.Email{
			{ID: second, To: ada, Subject: "Two", Text: "line\nABCDEFGH\n", Created: h.now, Status: "waiting"},
			{ID: first, To: ada, Subject: "One", Text: "text", Created: h.now.Add(-time.Second), Status: "waiting"},
		}
		if diff := cmp.Diff(want, mails); diff != "" || next != "" {
			t.Errorf("next %q: %s", next, diff)
		}
		page, next, err := s.List(h.admin(), 1, "")
		must(t, err)
		rest, last, err := s.List(h.admin(), 1, next)
		must(t, err)
		if diff := cmp.Diff(want, append(page, rest...)); diff != "" || last != "" {
			t.Errorf("last %q: %s", last, diff)
		}
		must(t, h.service.Deliver(t.Context())) // no server: they stay
		if diff := cmp.Diff([]string{"waiting", "waiting"}, h.statuses()); diff != "" {
			t.Error(diff)
		}
		log := h.log.String()
		if strings.Contains(log, "ABCDEFGH") || strings.Contains(log, ada) || !strings.Contains(log, second) || !strings.Contains(log, "a***@example.com") {
			t.Errorf("log = %s", log)
		}
	})
}

func TestListIsForAdmins(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), emails.Deps{})
	_, _, err := h.service.List(t.Context(), 0, "")
	wantFault(t, err, fault.Unauthenticated)
	_, _, err = h.service.List(auth.With(t.Context(), auth.Account{ID: "cus_1", Type: auth.TypeCustomer}), 0, "")
	wantFault(t, err, fault.Forbidden)
	_, _, err = h.service.List(h.admin(), -1, "")
	wantFault(t, err, fault.Invalid)
	_, _, err = h.service.List(h.admin(), 0, "nonsense")
	wantFault(t, err, fault.Invalid)
}

func TestSendRefusesWhatIsNoMail(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t), emails.Deps{})
	for _, m := range []emailsapi.Email{
		{To: "", Subject: "s", Text: "t"}, {To: "Ada <ada@example.com>", Subject: "s", Text: "t"}, {To: ada, Subject: "", Text: "t"},
		{To: ada, Subject: "s\r\nBcc: bob@example.com", Text: "t"}, {To: ada, Subject: strings.Repeat("s", 201), Text: "t"},
		{To: ada, Subject: "s", Text: ""}, {To: ada, Subject: "s", Text: strings.Repeat("t", 256<<10+1)},
	} {
		_, err := h.service.Send(t.Context(), m.To, m.Subject, m.Text)
		wantFault(t, err, fault.Invalid)
	}
	if found := h.statuses(); len(found) != 0 {
		t.Errorf("%d mails", len(found))
	}
}

func TestSweepDeletesMailsOfMoreThanThirtyDays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d, emails.Deps{})
		h.send("old")
		h.pass(time.Hour)
		h.send("new")
		h.pass(30*24*time.Hour - time.Minute)
		must(t, h.service.Sweep(t.Context()))
		if found := h.statuses(); len(found) != 1 {
			t.Errorf("%d mails, want 1", len(found))
		}
	})
}

func TestNewRefusesABadServerAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"localhost", "localhost:smtp?", ":x"} {
		_, err := emails.New(emails.Deps{Config: config.Map{"emails.SMTPAddress": address}})
		if err == nil || !strings.Contains(err.Error(), "SMTPAddress") {
			t.Errorf("%s: err = %v", address, err)
		}
	}
}
