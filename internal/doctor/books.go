package doctor

import (
	"context"
	"time"

	"m3o/internal/db"
)

// After how long something that should be done within seconds is worth a look, and a repair.
const (
	waitingWarn = time.Minute
	waitingFail = 10 * time.Minute
)

// books looks at what services keep: money, events, leases, mails.
func (e *examination) books(ctx context.Context, d *db.DB) {
	for _, look := range []func(context.Context, *db.DB) error{e.ledger, e.moneyLeases, e.outbox, e.deadLetters, e.leaders, e.mails} {
		if err := look(ctx, d); err != nil {
			e.fail("books", "see that the role may read every table", "%s", oneLine(err))
		}
	}
}

const (
	ledgerSumSQL  = `SELECT CAST(COALESCE(SUM(balance), 0) AS BIGINT) FROM ledger_accounts`
	entriesSumSQL = `SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM ledger_entries`
	differingSQL  = `
		SELECT COUNT(*) FROM ledger_accounts a WHERE a.balance <>
		(SELECT CAST(COALESCE(SUM(e.amount), 0) AS BIGINT) FROM ledger_entries e WHERE e.owner = a.owner AND e.account = a.name)`
)

// ledger adds everything up.
func (e *examination) ledger(ctx context.Context, d *db.DB) error {
	const part, mend = "ledger", "stop selling, keep a backup of now, and find the transfer that is wrong: entries are never changed, so it is there"
	var accounts, entries, differing int64
	for query, place := range map[string]*int64{ledgerSumSQL: &accounts, entriesSumSQL: &entries, differingSQL: &differing} {
		if err := d.QueryRow(ctx, query).Scan(place); err != nil {
			return err
		}
	}
	if accounts != 0 || entries != 0 {
		e.fail(part, mend, "the accounts add up to %d micro-dollars and the entries to %d: both must be 0", accounts, entries)
	}
	if differing != 0 {
		e.fail(part, mend, "%d accounts are not the sum of their entries", differing)
	}
	if accounts == 0 && entries == 0 && differing == 0 {
		e.ok(part, "it adds up to 0, and each account is the sum of its entries")
	}
	return nil
}

const overdueSQL = `SELECT COUNT(*), CAST(COALESCE(SUM(amount - posted), 0) AS BIGINT), COALESCE(MIN(expires_at), 0) FROM ledger_leases WHERE NOT closed AND expires_at < $1`

// moneyLeases looks for leases of money that have ended and that nobody has closed.
func (e *examination) moneyLeases(ctx context.Context, d *db.DB) error {
	const part = "money leases"
	var n, micros, since int64
	now := e.Now()
	if err := d.QueryRow(ctx, overdueSQL, db.Micro(now.Add(-waitingWarn))).Scan(&n, &micros, &since); err != nil {
		return err
	}
	if n == 0 {
		e.ok(part, "none has ended without being closed")
		return nil
	}
	age := now.Sub(db.Time(since)).Round(time.Second)
	const mend = "see that a process with balance and one with usage run, and look for “ticker failed” in their logs; they close what has ended every few seconds"
	if age > waitingFail {
		e.fail(part, mend, "%d have ended and are not closed, the oldest for %s: %d micro-dollars of customers are held", n, age, micros)
	} else {
		e.warn(part, mend, "%d have ended and are not closed, the oldest for %s: %d micro-dollars of customers are held", n, age, micros)
	}
	return nil
}

// seq is when an event was added, in microseconds, also that of a replay.
const backlogSQL = `SELECT COUNT(*), COALESCE(MIN(seq), 0) FROM outbox WHERE published_at IS NULL`

// outbox looks at events that are not published yet.
func (e *examination) outbox(ctx context.Context, d *db.DB) error {
	const part = "outbox"
	var n, since int64
	if err := d.QueryRow(ctx, backlogSQL).Scan(&n, &since); err != nil {
		return err
	}
	age := time.Duration(0)
	if n > 0 {
		age = e.Now().Sub(db.Time(since)).Round(time.Second)
	}
	const mend = "see that the processes of the services that state and take these events run and reach the bus; a group that fails holds its own events until they are dead letters"
	switch {
	case age > waitingFail:
		e.fail(part, mend, "%d events wait to be taken, the oldest for %s", n, age)
	case age > waitingWarn:
		e.warn(part, mend, "%d events wait to be taken, the oldest for %s", n, age)
	default:
		e.ok(part, "%d events wait to be taken", n)
	}
	return nil
}

const lettersSQL = `SELECT COUNT(*), COUNT(DISTINCT grp), COALESCE(MAX(grp), ''), COALESCE(MAX(error), '') FROM dead_letters WHERE replayed_at IS NULL`

// deadLetters looks for events that a group could not handle.
func (e *examination) deadLetters(ctx context.Context, d *db.DB) error {
	const part = "dead letters"
	var n, groups int64
	var group, last string
	if err := d.QueryRow(ctx, lettersSQL).Scan(&n, &groups, &group, &last); err != nil {
		return err
	}
	if n == 0 {
		e.ok(part, "none")
		return nil
	}
	e.warn(part, "mend the cause, then replay each as an admin: POST /events/dead-letters lists them, POST /events/replay delivers one again",
		"%d events could not be handled by %d groups, such as %s: %s", n, groups, group, shortened(last))
	return nil
}

// shortened is the beginning of a text.
func shortened(text string) string {
	const most = 160
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

const (
	aheadSQL = `SELECT name || ' by ' || holder FROM leases WHERE until > $1 ORDER BY name`
	lockSQL  = `SELECT holder FROM migrations_lock WHERE until > $1`
)

// longestLease is more than any lease of leadership is taken for: that of a daily job is two days and a second.
const longestLease = 49 * time.Hour

// leaders looks for leases of leadership that nobody can have taken with a right clock, and for a process that migrates.
func (e *examination) leaders(ctx context.Context, d *db.DB) error {
	const part = "leadership"
	now := e.Now()
	stuck, err := texts(ctx, d, aheadSQL, db.Micro(now.Add(longestLease)))
	if err != nil {
		return err
	}
	migrating, err := texts(ctx, d, lockSQL, db.Micro(now))
	if err != nil {
		return err
	}
	if len(migrating) > 0 {
		e.warn(part, "wait half a minute: it ends, or its lock does", "a process migrates the database")
	}
	if len(stuck) > 0 {
		e.fail(part, "mend the clock of the holder, then delete the rows from the table leases: until their end nobody does that work", "taken for more than %s: %s", longestLease, few(stuck))
		return nil
	}
	e.ok(part, "no lease is held beyond its time")
	return nil
}

const mailsSQL = `SELECT COUNT(*), COALESCE(MIN(created_at), 0) FROM emails WHERE status = 'failed' AND created_at > $1`

// mails looks for mails of the last day that were given up.
func (e *examination) mails(ctx context.Context, d *db.DB) error {
	const part = "emails"
	var n, since int64
	if err := d.QueryRow(ctx, mailsSQL, db.Micro(e.Now().Add(-24*time.Hour))).Scan(&n, &since); err != nil {
		return err
	}
	if n > 0 {
		e.warn(part, "look for the mail server's answer in the log, and at the configuration of emails", "%d mails of the last day could not be delivered", n)
		return nil
	}
	e.ok(part, "no mail of the last day was given up")
	return nil
}
