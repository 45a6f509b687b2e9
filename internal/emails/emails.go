package emails

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/idempotency"
	"m3o/internal/emails/emailsapi"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/page"
)

// The bounds of a mail, and how long one is kept.
const (
	addressMax = 254
	subjectMax = 200
	textMax    = 256 << 10
	kept       = 30 * 24 * time.Hour
)

// Deps is what emails needs.
type Deps struct {
	DB      *db.DB
	Config  config.Source
	Metrics prometheus.Registerer
	Log     *slog.Logger
	Now     func() time.Time // UTC
	TLS     *tls.Config      // for the SMTP server; nil: the system's roots, and the server's own name
}

// Service is the outbox. It is safe for concurrent use.
type Service struct {
	settings

	db  *db.DB
	log *slog.Logger
	now func() time.Time
	tls *tls.Config
}

// New makes the service. An SMTP address that is not host:port is an error.
func New(d Deps) (*Service, error) {
	settings, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Service{settings: settings, db: d.DB, log: d.Log, now: d.Now, tls: d.TLS}
	if s.SMTPAddress() == "" {
		return s, nil
	}
	_, err = s.client()
	return s, err
}

// Send puts a plain-text mail into the outbox and answers its id. An address, subject or text that no mail can have is
// fault.Invalid.
func (s *Service) Send(ctx context.Context, to string, subject string, text string) (id string, err error) {
	m, err := newMail(to, subject, text)
	if err != nil {
		return "", err
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (emailsapi.SendOut, error) {
		m.Created = s.now()
		return emailsapi.SendOut{ID: m.ID}, insert(ctx, tx, m)
	})
	if err != nil {
		return "", err
	}
	if s.SMTPAddress() == "" {
		s.log.InfoContext(ctx, "mail kept in the outbox, for no SMTP server is configured", "mail", out.ID, "to", masked(m.To))
	}
	return out.ID, nil
}

func newMail(to, subject, text string) (emailsapi.Email, error) {
	m := emailsapi.Email{ID: id.New("eml"), To: strings.TrimSpace(to), Subject: strings.TrimSpace(subject), Text: text}
	address, err := mail.ParseAddress(m.To)
	switch {
	case err != nil || address.Address != m.To || len(m.To) > addressMax:
		return m, fault.BadField("to", "is not an e-mail address")
	case m.Subject == "" || len(m.Subject) > subjectMax || strings.ContainsFunc(m.Subject, unicode.IsControl):
		return m, fault.BadField("subject", "must be one line of 1 to %d bytes", subjectMax)
	case text == "" || len(text) > textMax:
		return m, fault.BadField("text", "must have 1 to %d bytes", textMax)
	}
	return m, nil
}

// masked is an address as a log may hold it: a***@example.com.
func masked(address string) string {
	at := strings.LastIndex(address, "@")
	if at < 1 {
		return "***"
	}
	first := []rune(address)[:1]
	return string(first) + "***" + address[at:]
}

// List lists the outbox, newest first. Admins only.
func (s *Service) List(ctx context.Context, limit int, cursor string) (emails []emailsapi.Email, nextCursor string, err error) {
	if err := auth.Admin(ctx); err != nil {
		return nil, "", err
	}
	limit, err = page.Limit(limit)
	if err != nil {
		return nil, "", err
	}
	from, err := page.Parse(cursor)
	if err != nil {
		return nil, "", err
	}
	emails, err = list(ctx, s.db, from, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(emails) > limit {
		emails = emails[:limit]
		last := emails[limit-1]
		nextCursor = page.Cursor{Time: db.Micro(last.Created), ID: last.ID}.String()
	}
	return emails, nextCursor, nil
}

// Sweep deletes mails that are older than thirty days.
func (s *Service) Sweep(ctx context.Context) (err error) {
	if _, err := s.db.Exec(ctx, sweepSQL, db.Micro(s.now().Add(-kept))); err != nil {
		return fmt.Errorf("sweep emails: %w", err)
	}
	return nil
}
