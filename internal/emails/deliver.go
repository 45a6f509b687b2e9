package emails

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

const (
	batch     = 100              // mails of one run
	patience  = 30 * time.Second // with the server, for one mail
	claimed   = 2 * time.Minute  // a mail is ours; longer than patience
	firstWait = 30 * time.Second // after the first failure; it doubles with each
	triesMax  = 10               // the last one comes about four hours after the first
	ageMax    = 24 * time.Hour   // older mails are not worth delivering
)

// Deliver delivers what waits in the outbox when an SMTP server is configured. It may run in several processes at once:
// each mail is claimed first. What fails is tried again later; a recipient that the server refuses for good, the tenth
// try and a mail that is a day old are given up.
func (s *Service) Deliver(ctx context.Context) (err error) {
	if s.SMTPAddress() == "" {
		return nil
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	mails, err := due(ctx, s.db, s.now(), batch)
	if err != nil {
		return err
	}
	for _, m := range mails {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		mine, err := claim(ctx, s.db, m, s.now().Add(claimed))
		if err != nil {
			return err
		}
		if !mine {
			continue
		}
		if err := s.deliver(ctx, client, m); err != nil {
			return err
		}
	}
	return nil
}

// deliver tries a mail that is claimed and stores what came of it.
func (s *Service) deliver(ctx context.Context, client *mail.Client, m waiting) error {
	sent, err := s.send(ctx, client, m)
	tries := m.tries + 1
	switch {
	case sent:
		s.IncrementDeliveries(1, "sent")
		s.log.InfoContext(ctx, "mail sent", "mail", m.ID, "to", masked(m.To))
		return settle(context.WithoutCancel(ctx), s.db, m.ID, "sent")
	case ctx.Err() != nil:
		return nil // we are stopping: the claim ends by itself
	case tries >= triesMax || forGood(err) || s.now().Sub(m.Created) > ageMax:
		s.IncrementDeliveries(1, "given up")
		s.log.ErrorContext(ctx, "mail given up", "mail", m.ID, "to", masked(m.To), "tries", tries, "error", discreet(err, m.To))
		return settle(ctx, s.db, m.ID, "failed")
	}
	s.IncrementDeliveries(1, "retried")
	s.log.WarnContext(ctx, "mail not delivered", "mail", m.ID, "to", masked(m.To), "tries", tries, "error", discreet(err, m.To))
	return retry(ctx, s.db, m.ID, s.now().Add(firstWait<<(tries-1)))
}

// send hands a mail to the server. Sent counts also when only the goodbye failed.
func (s *Service) send(ctx context.Context, client *mail.Client, m waiting) (sent bool, err error) {
	if s.now().Sub(m.Created) > ageMax {
		return false, errors.New("it waited for more than a day")
	}
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(s.From()), msg.To(m.To)); err != nil {
		return false, err
	}
	_, domain, _ := strings.Cut(strings.TrimSuffix(s.From(), ">"), "@")
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetDateWithValue(m.Created)
	msg.Subject(m.Subject)
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	err = client.DialAndSendWithContext(ctx, msg)
	return msg.IsDelivered(), err
}

// client is set up as the configuration in force says; it connects for each mail.
func (s *Service) client() (*mail.Client, error) {
	host, port, err := net.SplitHostPort(s.SMTPAddress())
	if err != nil {
		return nil, fmt.Errorf("config emails.SMTPAddress: %q is not host:port", s.SMTPAddress())
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("config emails.SMTPAddress: %q is not a port number", port)
	}
	options := []mail.Option{mail.WithPort(number), mail.WithTimeout(patience), mail.WithTLSConfig(s.tlsConfig(host))}
	switch s.SMTPSecurity() {
	case "none":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	case "tls":
		options = append(options, mail.WithSSL())
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.SMTPUser() != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover),
			mail.WithUsername(s.SMTPUser()), mail.WithPassword(s.SMTPPassword()))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("set up the SMTP client: %w", err)
	}
	return client, nil
}

func (s *Service) tlsConfig(host string) *tls.Config {
	c := &tls.Config{}
	if s.tls != nil {
		c = s.tls.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	return c
}

// forGood tells whether the server refused the recipient for good. Other refusals are most often about the sender or
// the configuration, which an operator can mend.
func forGood(err error) bool {
	refusal, ok := errors.AsType[*mail.SendError](err)
	return ok && refusal.Reason == mail.ErrSMTPRcptTo && !refusal.IsTemp()
}

// discreet is an error's text without the recipient's address.
func discreet(err error, address string) string {
	return strings.ReplaceAll(fmt.Sprint(err), address, masked(address))
}
