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
	"m3o/internal/balance/balanceapi"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db/lease"
	"m3o/internal/id"
	"m3o/internal/keys/keysapi"
	"m3o/internal/money"
)

// Who the first start makes.
const (
	defaultAdmin = "admin@localhost"
	demoCustomer = "demo@localhost"
	demoAPI      = "helloworld"
	demoPath     = "/v1/helloworld/call"
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

// firstStart makes the admin and the demo customer where there is no customer yet. Of
// the processes that run customers one does it. The admin's password is told as soon as
// it is good: the next start makes no admin, whatever becomes of this one. The house
// runs without a demo, too.
func (a *App) firstStart(ctx context.Context) error {
	if !a.runs(customersapi.Host) {
		return nil
	}
	ctx = auth.AsService(ctx, "app")
	defer debug.FreeOSMemory() // hashing passwords takes 19 MiB each, which an idle process need not keep
	if err := a.firstAdmin(ctx); err != nil || !a.welcomed.first || a.config.NoDemo {
		return err
	}
	if err := a.makeDemo(ctx); err != nil {
		a.config.Log.WarnContext(ctx, "the demo customer could not be made", "error", err)
	}
	return nil
}

// The lease of the first start, and how long a process that has died keeps it.
const (
	firstLease = "app.FirstStart"
	firstTerm  = 30 * time.Second
)

// firstAdmin makes the admin where there is no customer, and tells the password.
func (a *App) firstAdmin(ctx context.Context) error {
	if some, err := a.someCustomer(ctx); some || err != nil {
		return err
	}
	keeper := lease.New(a.db, id.New("proc"), a.config.Now)
	for {
		ours, err := keeper.Acquire(ctx, firstLease, firstTerm)
		if err != nil {
			return err
		}
		if ours {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(askEvery): // another process makes the admin
		}
	}
	defer func() {
		if err := keeper.Release(context.WithoutCancel(ctx), firstLease); err != nil {
			a.config.Log.WarnContext(ctx, "other processes wait for the lease of the first start to end", "error", err)
		}
	}()
	if some, err := a.someCustomer(ctx); some || err != nil {
		return err
	}
	if err := a.makeAdmin(ctx); err != nil {
		return err
	}
	a.welcomed.tellAdmin(a.config.Out)
	return nil
}

func (a *App) someCustomer(ctx context.Context) (bool, error) {
	some, _, err := a.house.customers.List(ctx, "", 1, "")
	if err != nil {
		return false, fmt.Errorf("look for customers: %w", err)
	}
	return len(some) > 0, nil
}

func (a *App) makeAdmin(ctx context.Context) error {
	w := &a.welcomed
	w.first = true
	email, password := a.config.AdminEmail, a.config.AdminPassword
	if email == "" {
		email, password = defaultAdmin, newPassword()
		w.adminPassword = password
	}
	w.adminEmail = email
	if _, _, err := a.house.customers.Provision(ctx, email, password, "Admin", true); err != nil {
		return fmt.Errorf("make the admin: %w", err)
	}
	return nil
}

// makeDemo makes a verified customer, whose sign-up credit comes as everybody's
// does, and a key for all APIs. An account that has the address already is left alone.
func (a *App) makeDemo(ctx context.Context) error {
	if err := a.await(ctx, []string{balanceapi.Host, keysapi.Host}, a.patience()); err != nil {
		return err
	}
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
		if err != nil || current > 0 || a.house.ledger.SignUpCredit() == 0 {
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

// tell tells the operator the rest, once the house runs. A process without the gateway
// does not know where the gateways are.
func (w welcome) tell(out io.Writer, address string, gateway bool) {
	var b strings.Builder
	if !gateway {
		address = "http://GATEWAY"
	}
	if w.key != "" {
		b.WriteString(row("Demo", "%s    password %s   credit %s", w.demoEmail, w.demoPassword, dollars(w.credit)))
		b.WriteString(row("Key", "%s", w.key))
	}
	if w.first {
		b.WriteString("\n  Passwords and the key are shown this once.\n")
	}
	if gateway {
		b.WriteString("\n" + row("m3o", "%s   (reference: %s/docs)", address, address))
	}
	if w.key != "" {
		b.WriteString("\n  Try it:\n\n")
		fmt.Fprintf(&b, "curl %s%s -H \"Authorization: Bearer %s\" -H \"Content-Type: application/json\" -d '{\"name\": \"John\"}'\n", address, demoPath, w.key)
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
