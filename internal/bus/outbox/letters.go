package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"m3o/internal/bus"
	"m3o/internal/db"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/page"
)

// Letter is a dead letter as stored.
type Letter struct {
	ID string // dlt_…
	bus.Letter
	DiedAt     time.Time
	ReplayedAt time.Time // zero: not, or it died again since
}

const deadLetterSQL = `
	INSERT INTO dead_letters (id, event_id, grp, source, topic, type, type_name, key, data, created_at, error, tries, died_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
	ON CONFLICT (event_id, grp) DO UPDATE
	SET error = excluded.error, tries = excluded.tries, died_at = excluded.died_at, replayed_at = NULL`

// DeadLetter stores a letter; one of the same event and group is replaced, and is
// no longer replayed. It is what bus.MemoryConfig asks for.
func (o *Outbox) DeadLetter(ctx context.Context, l bus.Letter) error {
	e := l.Event
	_, err := o.db.Exec(ctx, deadLetterSQL, id.New("dlt"), e.ID, l.Group, e.Source, e.Topic, int64(e.Type), e.TypeName, e.Key, e.Data,
		db.Micro(e.Time), storable(l.Error), int64(l.Tries), db.Micro(o.now()))
	if err != nil {
		return fmt.Errorf("store event %s as dead letter of %s: %w", e.ID, l.Group, err)
	}
	return nil
}

// storable makes of any text one that both engines take: bounded, valid, without NUL.
func storable(s string) string {
	const most = 4 << 10
	if len(s) > most {
		s = s[:most]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
}

const letterColumns = `id, event_id, grp, source, topic, type, type_name, key, data, created_at, error, tries, died_at, COALESCE(replayed_at, 0)`

func scanLetter(scan func(...any) error) (l Letter, err error) {
	var created, died, replayed int64
	e := &l.Event
	err = scan(&l.ID, &e.ID, &l.Group, &e.Source, &e.Topic, &e.Type, &e.TypeName, &e.Key, &e.Data, &created, &l.Error, &l.Tries, &died, &replayed)
	e.Time, l.DiedAt, l.ReplayedAt = db.Time(created), db.Time(died), db.Time(replayed)
	return l, err
}

const lettersSQL = `SELECT ` + letterColumns + ` FROM dead_letters WHERE id < $1 ORDER BY id DESC LIMIT $2`

// DeadLetters lists letters, the latest first: by when their event first died. Limit and cursor are as
// in package page; next is empty at the end.
func (o *Outbox) DeadLetters(ctx context.Context, limit int, cursor string) (letters []Letter, next string, err error) {
	limit, before, err := bounds(limit, cursor)
	if err != nil {
		return nil, "", err
	}
	rows, err := o.db.Query(ctx, lettersSQL, before, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list dead letters: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		l, err := scanLetter(rows.Scan)
		if err != nil {
			return nil, "", fmt.Errorf("list dead letters: %w", err)
		}
		letters = append(letters, l)
	}
	if len(letters) > limit {
		letters = letters[:limit]
		last := letters[limit-1]
		next = page.Cursor{Time: db.Micro(last.Event.Time), ID: last.ID}.String()
	}
	return letters, next, rows.Err()
}

// bounds reads the limit and the cursor of a list. The lists here go by id,
// downwards from before.
func bounds(limit int, cursor string) (n int, before string, err error) {
	c, err := page.Parse(cursor)
	if err != nil {
		return 0, "", err
	}
	if c.ID == "" {
		c.ID = "z" // after every prefix of ours
	}
	n, err = page.Limit(limit)
	return n, c.ID, err
}

const replaySQL = `UPDATE dead_letters SET replayed_at = $1 WHERE id = $2 AND replayed_at IS NULL RETURNING ` + letterColumns

// Replay has a dead letter delivered again, to its group alone and with the same
// event id. It does nothing to one that is replayed already and has not died
// again; one that does not exist is fault.NotFound.
func (o *Outbox) Replay(ctx context.Context, letterID string) error {
	return o.db.Tx(ctx, func(tx *db.Tx) error {
		l, err := scanLetter(tx.QueryRow(ctx, replaySQL, db.Micro(o.now()), letterID).Scan)
		if errors.Is(err, db.ErrNoRows) {
			return exists(ctx, tx, letterID)
		}
		if err != nil {
			return fmt.Errorf("replay dead letter %s: %w", letterID, err)
		}
		e := l.Event
		e.Group = l.Group
		return o.add(ctx, tx, id.New("evt"), e)
	})
}

func exists(ctx context.Context, tx *db.Tx, letterID string) error {
	var one int
	err := tx.QueryRow(ctx, `SELECT 1 FROM dead_letters WHERE id = $1`, letterID).Scan(&one)
	if errors.Is(err, db.ErrNoRows) {
		return fault.New(fault.NotFound, "dead letter %s does not exist", letterID)
	}
	return err
}
