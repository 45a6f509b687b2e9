package emails_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/emails"
)

// server is an SMTP server that keeps what it gets.
type server struct {
	address string
	roots   *x509.CertPool

	mu     sync.Mutex
	mails  []string // as received
	refuse error    // what it answers to a recipient
	user   string   // who logged in
}

// serve starts a server; secure says how it wants to be spoken to: none, starttls or tls.
func serve(t *testing.T, secure string) *server {
	t.Helper()
	s := &server{}
	backend := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	backend.Domain, backend.AllowInsecureAuth = "localhost", secure == "none"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.address = listener.Addr().String()
	if secure != "none" {
		config := s.certificate(t)
		if secure == "tls" {
			listener = tls.NewListener(listener, config)
		} else {
			backend.TLSConfig = config
		}
	}
	var running sync.WaitGroup
	running.Go(func() { _ = backend.Serve(listener) })
	t.Cleanup(func() {
		_ = backend.Close()
		running.Wait()
	})
	return s
}

// certificate is for 127.0.0.1, signed by itself.
func (s *server) certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	s.roots = x509.NewCertPool()
	s.roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func (s *server) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mails...)
}

func (s *server) loggedIn() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.user
}

func (s *server) refuses(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

type session struct{ server *server }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != "hunter22" {
			return errors.New("wrong password")
		}
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.user = user
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return s.server.refuse
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, string(text))
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func plain(s *server) emails.Deps {
	return emails.Deps{Config: config.Map{"emails.SMTPAddress": s.address, "emails.SMTPSecurity": "none", "emails.From": "m3o <post@m3o.example>"}}
}

func TestDeliverSendsEachMailOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := serve(t, "none")
		h := setup(t, d, plain(s))
		id := h.send("Your code")
		must(t, h.service.Deliver(t.Context()))
		must(t, h.service.Deliver(t.Context()))
		mails := s.received()
		if len(mails) != 1 {
			t.Fatalf("%d mails, want 1", len(mails))
		}
		for _, want := range []string{"Subject: Your code\r\n", "<ada@example.com>", "<post@m3o.example>", "Message-ID: <" + id + "@m3o.example>", "\r\n\r\nYour code is\r\n\r\nABCDEFGH\r\n"} {
			if !strings.Contains(mails[0], want) {
				t.Errorf("%q is not in %s", want, mails[0])
			}
		}
		if diff := cmp.Diff([]string{"sent"}, h.statuses()); diff != "" {
			t.Error(diff)
		}
		if log := h.log.String(); !strings.Contains(log, "mail sent") || !strings.Contains(log, "a***@example.com") || strings.Contains(log, ada) || strings.Contains(log, "ABCDEFGH") {
			t.Errorf("log = %s", log)
		}
	})
}

func TestParallelDeliveriesSendEachMailOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := serve(t, "none")
		h := setup(t, d, plain(s))
		for range 10 {
			h.send("Your code")
		}
		var wg sync.WaitGroup
		for range 3 {
			other := setup(t, d, plain(s))
			wg.Go(func() {
				if err := other.service.Deliver(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(s.received()); n != 10 {
			t.Errorf("%d mails, want 10", n)
		}
	})
}

func TestDeliverTriesAgainLaterAndGivesUp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := serve(t, "none")
		h := setup(t, d, plain(s))
		s.refuses(&smtp.SMTPError{Code: 451, Message: "try again, ada@example.com"})
		h.send("Your code")
		must(t, h.service.Deliver(t.Context()))
		s.refuses(nil)
		h.pass(29 * time.Second)
		must(t, h.service.Deliver(t.Context()))
		if n := len(s.received()); n != 0 {
			t.Fatalf("%d mails before the back-off has ended", n)
		}
		h.pass(time.Second)
		must(t, h.service.Deliver(t.Context()))
		if n := len(s.received()); n != 1 {
			t.Fatalf("%d mails, want 1", n)
		}
		s.refuses(&smtp.SMTPError{Code: 451, Message: "try again"})
		h.send("Your code")
		tries := 0
		for ; h.statuses()[0] == "waiting" && tries < 100; tries++ {
			must(t, h.service.Deliver(t.Context()))
			h.pass(2*time.Hour + 8*time.Minute) // the longest back-off
		}
		if diff := cmp.Diff([]string{"failed", "sent"}, h.statuses()); diff != "" || tries != 10 {
			t.Errorf("after %d tries: %s", tries, diff)
		}
		if strings.Contains(h.log.String(), ada) {
			t.Errorf("log = %s", h.log)
		}
	})
}

func TestDeliverGivesUpWhatCannotArrive(t *testing.T) {
	t.Parallel()
	s := serve(t, "none")
	h := setup(t, dbtest.SQLite(t), plain(s))
	h.send("too old")
	h.pass(24*time.Hour + time.Second)
	s.refuses(&smtp.SMTPError{Code: 550, Message: "no such user"})
	h.send("no such user")
	must(t, h.service.Deliver(t.Context()))
	s.refuses(nil)
	if diff := cmp.Diff([]string{"failed", "failed"}, h.statuses()); diff != "" || len(s.received()) != 0 {
		t.Errorf("%d mails; %s", len(s.received()), diff)
	}
}

func TestDeliverSpeaksTLSAndLogsIn(t *testing.T) {
	t.Parallel()
	for _, secure := range []string{"starttls", "tls"} {
		t.Run(secure, func(t *testing.T) {
			t.Parallel()
			s := serve(t, secure)
			deps := emails.Deps{TLS: &tls.Config{RootCAs: s.roots}, Config: config.Map{"emails.SMTPAddress": s.address,
				"emails.SMTPSecurity": secure, "emails.SMTPUser": "post", "emails.SMTPPassword": "hunter22"}}
			h := setup(t, dbtest.SQLite(t), deps)
			h.send("Your code")
			must(t, h.service.Deliver(t.Context()))
			if n, user := len(s.received()), s.loggedIn(); n != 1 || user != "post" {
				t.Errorf("%d mails, user %q; %s", n, user, h.log)
			}
		})
	}
}

func TestDeliverNeverFallsBackToPlainText(t *testing.T) {
	t.Parallel()
	s := serve(t, "none")
	h := setup(t, dbtest.SQLite(t), emails.Deps{Config: config.Map{"emails.SMTPAddress": s.address}})
	h.send("Your code")
	must(t, h.service.Deliver(t.Context()))
	if diff := cmp.Diff([]string{"waiting"}, h.statuses()); diff != "" || len(s.received()) != 0 {
		t.Errorf("%d mails; %s", len(s.received()), diff)
	}
}
