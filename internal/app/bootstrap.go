package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"m3o/internal/auth"
	"m3o/internal/money"
)

// Who the first start makes.
const (
	defaultAdmin = "admin@localhost"
	demoCustomer = "demo@localhost"
	demoAPI      = "helloworld"
	demoEndpoint = "Helloworld.Call"
)

// creditWithin is how long the demo customer's credit may take to arrive.
const creditWithin = 5 * time.Second

// welcome is what the operator is told at a start; passwords and the key once.
type welcome struct {
	first                        bool
	adminEmail, adminPassword    string // the password is empty when the operator has chosen it
	demoEmail, demoPassword, key string // empty: no demo
	credit                       money.Micros
}

// firstStart makes the admin and the demo customer where there is no customer yet.
// The admin's password is told as soon as it is good: the next start makes no
// admin, whatever becomes of this one. The house runs without a demo, too.
func (a *App) firstStart(ctx context.Context) error {
	ctx = auth.AsService(ctx, "app")
	some, _, err := a.house.customers.List(ctx, "", 1, "")
	if err != nil {
		return fmt.Errorf("look for customers: %w", err)
	}
	if len(some) > 0 {
		return nil
	}
	a.welcomed.first = true
	defer debug.FreeOSMemory() // hashing passwords takes 19 MiB each, which an idle process need not keep
	if err := a.makeAdmin(ctx); err != nil {
		return fmt.Errorf("make the admin: %w", err)
	}
	a.welcomed.tellAdmin(a.config.Out)
	if a.config.NoDemo {
		return nil
	}
	if err := a.makeDemo(ctx); err != nil {
		a.config.Log.WarnContext(ctx, "the demo customer could not be made", "error", err)
	}
	return nil
}

func (a *App) makeAdmin(ctx context.Context) error {
	w := &a.welcomed
	email, password := a.config.AdminEmail, a.config.AdminPassword
	if email == "" {
		email, password = defaultAdmin, newPassword()
		w.adminPassword = password
	}
	w.adminEmail = email
	_, _, err := a.house.customers.Provision(ctx, email, password, "Admin", true)
	return err
}

// makeDemo makes a verified customer, whose sign-up credit comes as everybody's
// does, and a key for all APIs. An account that has the address already is left alone.
func (a *App) makeDemo(ctx context.Context) error {
	w := &a.welcomed
	w.demoEmail, w.demoPassword = demoCustomer, newPassword()
	customer, created, err := a.house.customers.Provision(ctx, w.demoEmail, w.demoPassword, "Demo", false)
	if err != nil {
		return err
	}
	if !created {
		return fmt.Errorf("%s has an account already", w.demoEmail)
	}
	if w.credit, err = a.awaitCredit(ctx, customer.ID); err != nil {
		return err
	}
	asDemo := auth.With(ctx, auth.Account{ID: customer.ID, Type: auth.TypeCustomer})
	w.key, _, err = a.house.keys.Generate(asDemo, []string{"*"}, "demo", time.Time{}, 0)
	return err
}

// awaitCredit returns the balance once the sign-up credit has come; it comes by an
// event. Where there is none, the balance is 0.
func (a *App) awaitCredit(ctx context.Context, customerID string) (money.Micros, error) {
	ctx, cancel := context.WithTimeout(ctx, creditWithin)
	defer cancel()
	for {
		current, _, err := a.house.balance.Current(ctx, customerID)
		if err != nil || current > 0 || a.house.balance.SignUpCredit() == 0 {
			return current, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("the sign-up credit did not arrive: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// newPassword is four groups of six letters and digits: 120 bits.
func newPassword() string {
	text := strings.ToLower(rand.Text())
	return strings.Join([]string{text[:6], text[6:12], text[12:18], text[18:24]}, "-")
}

// tellAdmin tells the operator how to log in. With tell it is the only place where
// a password or a key is shown.
func (w welcome) tellAdmin(out io.Writer) {
	_, _ = io.WriteString(out, "\n"+row("Admin", "%s   password %s", w.adminEmail, orChosen(w.adminPassword)))
}

// tell tells the operator the rest, once the house runs.
func (w welcome) tell(out io.Writer, address string) {
	var b strings.Builder
	if w.key != "" {
		b.WriteString(row("Demo", "%s    password %s   credit %s", w.demoEmail, w.demoPassword, dollars(w.credit)))
		b.WriteString(row("Key", "%s", w.key))
	}
	if w.first {
		b.WriteString("\n  Passwords and the key are shown this once.\n")
	}
	b.WriteString("\n" + row("m3o", "%s   (reference: %s/docs)", address, address))
	if w.key != "" {
		b.WriteString("\n  Try it:\n\n")
		fmt.Fprintf(&b, "curl %s%s -H \"Authorization: Bearer %s\" -H \"Content-Type: application/json\" -d '{\"name\": \"John\"}'\n", address, callPath(demoAPI, demoEndpoint), w.key)
	}
	b.WriteString("\n")
	_, _ = io.WriteString(out, b.String())
}

func row(name, format string, args ...any) string {
	return fmt.Sprintf("  %-9s "+format+"\n", append([]any{name}, args...)...)
}

func orChosen(password string) string {
	if password == "" {
		return "as you set it"
	}
	return password
}

// dollars is an amount in cents, as people write it; what is below a cent is cut off.
func dollars(m money.Micros) string {
	text := m.String()
	return text[:strings.IndexByte(text, '.')+3]
}
