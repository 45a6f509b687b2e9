package usage

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"m3o/internal/db"
	"m3o/internal/money"
	"m3o/internal/page"
	"m3o/internal/usage/usageapi"
)

// byCustomer sorts a batch into the calls of each customer, oldest first, each once.
func byCustomer(calls []usageapi.Call) map[string][]usageapi.Call {
	batch := map[string][]usageapi.Call{}
	for _, call := range calls {
		batch[call.CustomerID] = append(batch[call.CustomerID], call)
	}
	for customerID, own := range batch {
		slices.SortFunc(own, inOrder)
		batch[customerID] = slices.CompactFunc(own, func(a, b usageapi.Call) bool { return inOrder(a, b) == 0 })
	}
	return batch
}

// inOrder compares two calls of a customer: by moment, then by request id.
func inOrder(a, b usageapi.Call) int {
	if c := cmp.Compare(db.Micro(a.Time), db.Micro(b.Time)); c != 0 {
		return c
	}
	return cmp.Compare(a.RequestID, b.RequestID)
}

const markSQL = `
	INSERT INTO usage_marks (customer_id, newest, before) VALUES ($1, $2, $3)
	ON CONFLICT (customer_id) DO UPDATE SET before = usage_marks.newest,
		newest = CASE WHEN excluded.newest > usage_marks.newest THEN excluded.newest ELSE usage_marks.newest END
	RETURNING before`

// unseen are those of a customer's calls, which are sorted, that have not been recorded.
// It keeps others from recording calls of the customer until the transaction ends.
func unseen(ctx context.Context, tx *db.Tx, customerID string, calls []usageapi.Call) ([]usageapi.Call, error) {
	oldest, newest := db.Micro(calls[0].Time), db.Micro(calls[len(calls)-1].Time)
	var before int64
	if err := tx.QueryRow(ctx, markSQL, customerID, newest, int64(math.MinInt64)).Scan(&before); err != nil {
		return nil, fmt.Errorf("mark the calls of %s: %w", customerID, err)
	}
	if oldest > before {
		return calls, nil
	}
	known := map[string]bool{}
	err := eachPack(ctx, tx, customerID, oldest, newest, func(stored []usageapi.Call) bool {
		for _, call := range stored {
			known[call.RequestID] = true
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(calls), func(call usageapi.Call) bool { return known[call.RequestID] }), nil
}

const insertPackSQL = `
	INSERT INTO usage_packs (customer_id, newest, id, oldest, calls, charged, data) VALUES ($1, $2, $3, $4, $5, $6, $7)`

// insertCalls stores calls of a customer that are sorted and have not been recorded.
func insertCalls(ctx context.Context, tx *db.Tx, customerID string, calls []usageapi.Call) error {
	for len(calls) > 0 {
		n := packable(calls)
		first, last := calls[0], calls[n-1]
		charged, err := total(calls[:n])
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, insertPackSQL, customerID, db.Micro(last.Time), last.RequestID, db.Micro(first.Time), n, int64(charged), pack(calls[:n]))
		if err != nil {
			return fmt.Errorf("insert calls of %s: %w", customerID, err)
		}
		calls = calls[n:]
	}
	return nil
}

// total is what calls cost together.
func total(calls []usageapi.Call) (all money.Micros, err error) {
	for _, call := range calls {
		if call.Price < 0 {
			return 0, fmt.Errorf("call %s has the price %s: it must not be below zero", call.RequestID, call.Price)
		}
		if all, err = all.Add(call.Price); err != nil {
			return 0, err
		}
	}
	return all, nil
}

// packable is how many calls the first pack of calls takes.
func packable(calls []usageapi.Call) int {
	end := calls[0].Time.UTC().Truncate(packSpan).Add(packSpan)
	n := 1
	for n < len(calls) && n < packCalls && calls[n].Time.Before(end) {
		n++
	}
	return n
}

// newest comes with a bound, so that the index finds where to begin: no pack is longer than
// packSpan.
const packsSQL = `
	SELECT newest, data FROM usage_packs WHERE customer_id = $1 AND newest >= $2 AND newest <= $3 AND oldest <= $4
	ORDER BY newest DESC, id DESC`

// eachPack hands the packs that have calls of a customer from oldest to newest (Unix
// microseconds) to fn, those that end last first, until it answers false.
func eachPack(ctx context.Context, q db.Querier, customerID string, oldest, newest int64, fn func(calls []usageapi.Call) bool) error {
	limit := newest
	if limit < math.MaxInt64-packSpan.Microseconds() {
		limit += packSpan.Microseconds()
	}
	rows, err := q.Query(ctx, packsSQL, customerID, oldest, limit, newest)
	if err != nil {
		return fmt.Errorf("read calls of %s: %w", customerID, err)
	}
	defer rows.Close()
	for rows.Next() {
		var last int64
		var data []byte
		if err := rows.Scan(&last, &data); err != nil {
			return err
		}
		calls, err := unpack(customerID, data)
		if err != nil {
			return fmt.Errorf("calls of %s until %s: %w", customerID, db.Time(last).Format(time.RFC3339Nano), err)
		}
		if !fn(calls) {
			return nil
		}
	}
	return rows.Err()
}

// listRecords are a customer's calls before a cursor, newest first.
func listRecords(ctx context.Context, q db.Querier, customerID string, before page.Cursor, limit int) ([]usageapi.Record, error) {
	until := usageapi.Call{Time: db.Time(before.Time), RequestID: before.ID}
	if before == (page.Cursor{}) {
		until.Time = db.Time(math.MaxInt64)
	}
	var found []usageapi.Call // newest first
	err := eachPack(ctx, q, customerID, math.MinInt64, db.Micro(until.Time), func(calls []usageapi.Call) bool {
		newest := calls[len(calls)-1]
		if len(found) == limit && inOrder(newest, found[limit-1]) < 0 {
			return false // this pack and all that follow are older
		}
		for _, call := range calls {
			if inOrder(call, until) < 0 {
				found = append(found, call)
			}
		}
		slices.SortFunc(found, func(a, b usageapi.Call) int { return inOrder(b, a) })
		found = found[:min(len(found), limit)]
		return true
	})
	records := make([]usageapi.Record, 0, len(found))
	for _, c := range found {
		records = append(records, usageapi.Record{
			RequestID: c.RequestID, KeyID: c.KeyID, Service: c.Service, Endpoint: c.Endpoint,
			Status: c.Status, Price: c.Price, DurationUS: c.Duration.Microseconds(), Time: c.Time,
		})
	}
	return records, err
}
