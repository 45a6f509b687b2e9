package main

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"m3o/test/bench/load"

	_ "modernc.org/sqlite"
)

// books are what m3o says of each kind's calls, and the ledger as a whole once m3o has
// stopped.
type books struct {
	pages      []page
	ledger     int64 // the sum of all accounts: 0
	mismatches int64 // accounts that are not the sum of their entries: 0
}

// page is what is known of the calls of one kind. Amounts are micro-dollars.
type page struct {
	kind           string
	served, lost   int64 // calls with an answer of 200, and with none
	charged        int64 // what their answers said they cost
	usage          int64 // calls, as /usage/Read says
	spent          int64 // what has gone from the balance, as /balance/Current says
	balance        int64 // as /balance/Current says
	entries        int64 // the sum of /balance/ListEntries
	records, price int64 // in the store: calls, and what they cost in all
}

// reconcile reads what m3o says while it runs, stops it, and reads its store.
func (h *house) reconcile(data string) (b books, err error) {
	for _, name := range h.names() {
		c := h.tally.of(name)
		p := page{kind: name, served: c.served(), lost: c.lost(), charged: c.charged}
		if err := p.ask(h.customers[name]); err != nil {
			return b, fmt.Errorf("%s: %w", name, err)
		}
		b.pages = append(b.pages, p)
	}
	if err := h.m3o.Stop(); err != nil {
		return b, fmt.Errorf("stop m3o: %w", err)
	}
	return b, h.readStore(&b, filepath.Join(data, "m3o.db"))
}

// ask fills in what m3o says to the customer.
func (p *page) ask(c load.Customer) (err error) {
	if p.usage, err = used(c); err != nil {
		return err
	}
	var balance struct {
		Current int64 `json:"current_balance,string"`
	}
	if err := c.Post("/balance/Current", struct{}{}, &balance); err != nil {
		return err
	}
	p.balance, p.spent = balance.Current, credited(p.kind)-balance.Current
	p.entries, err = sumOfEntries(c)
	return err
}

// used are the calls of all days and APIs.
func used(c load.Customer) (calls int64, err error) {
	var out struct {
		Usage map[string]struct {
			Records []struct{ Requests string }
		}
	}
	if err := c.Post("/usage/Read", struct{}{}, &out); err != nil {
		return 0, err
	}
	for _, api := range out.Usage {
		for _, day := range api.Records {
			n, err := strconv.ParseInt(day.Requests, 10, 64)
			if err != nil {
				return 0, err
			}
			calls += n
		}
	}
	return calls, nil
}

// sumOfEntries is what all entries of a customer's ledger add up to.
func sumOfEntries(c load.Customer) (sum int64, err error) {
	for cursor := ""; ; {
		var out struct {
			Entries []struct{ Amount int64 }
			Next    string `json:"next_cursor"`
		}
		if err := c.Post("/balance/ListEntries", map[string]any{"limit": 1000, "cursor": cursor}, &out); err != nil {
			return 0, err
		}
		for _, e := range out.Entries {
			sum += e.Amount
		}
		if cursor = out.Next; cursor == "" {
			return sum, nil
		}
	}
}

// The store's own account of it.
const (
	ledgerSQL   = `SELECT COALESCE(SUM(balance), 0) FROM ledger_accounts`
	mismatchSQL = `
	SELECT COUNT(*) FROM ledger_accounts a WHERE a.balance <>
	(SELECT COALESCE(SUM(e.amount), 0) FROM ledger_entries e WHERE e.owner = a.owner AND e.account = a.name)`
	recordsSQL = `SELECT COALESCE(SUM(calls), 0), COALESCE(SUM(charged), 0) FROM usage_packs WHERE customer_id = $1`
)

// readStore reads the database of an m3o that has stopped.
func (h *house) readStore(b *books, path string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	err = errors.Join(db.QueryRow(ledgerSQL).Scan(&b.ledger), db.QueryRow(mismatchSQL).Scan(&b.mismatches))
	for i := range b.pages {
		p := &b.pages[i]
		err = errors.Join(err, db.QueryRow(recordsSQL, h.customers[p.kind].ID).Scan(&p.records, &p.price))
	}
	return err
}

// complaints are what does not agree; none: the books are right.
func (b books) complaints() (all []string) {
	for _, p := range b.pages {
		for _, c := range p.complaints() {
			all = append(all, p.kind+": "+c)
		}
	}
	if b.ledger != 0 {
		all = append(all, fmt.Sprintf("the ledger sums to %d; it should be 0", b.ledger))
	}
	if b.mismatches != 0 {
		all = append(all, fmt.Sprintf("%d accounts are not the sum of their entries", b.mismatches))
	}
	return all
}

// complaints are what does not agree on a page. A call that no answer came to may have
// been served.
func (p page) complaints() (all []string) {
	agree := func(what string, got, least, most int64) {
		if got < least || got > most {
			all = append(all, fmt.Sprintf("%s is %d; it should be %s", what, got, between(least, most)))
		}
	}
	agree("what answers said they cost", p.charged, p.served*load.Price, p.served*load.Price)
	agree("usage", p.usage, p.served, p.served+p.lost)
	agree("the number of records", p.records, p.usage, p.usage)
	agree("what was spent", p.spent, p.usage*load.Price, p.usage*load.Price)
	agree("what the records cost", p.price, p.spent, p.spent)
	agree("the sum of the ledger's entries", p.entries, p.balance, p.balance)
	return all
}

func between(least, most int64) string {
	if least == most {
		return strconv.FormatInt(least, 10)
	}
	return fmt.Sprintf("from %d to %d", least, most)
}
