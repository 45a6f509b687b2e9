package configurator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"m3o/internal/auth"
	"m3o/internal/config"
	"m3o/internal/configurator/configuratorapi"
	"m3o/internal/db"
)

// key is the id of a setting: names in the form in which they are compared.
func key(host, property string) string {
	return config.Canonical(host) + "/" + config.Canonical(property)
}

const valuesSQL = `SELECT scope, property, value FROM configurator WHERE scope IN (`

// valuesFor is what is set for host, by canonical property, the most specific one.
func valuesFor(ctx context.Context, q db.Querier, host string) (map[string]string, error) {
	scopes := config.Covering(host)
	args := make([]any, len(scopes))
	for i, scope := range scopes {
		args[i] = scope
	}
	rows, err := q.Query(ctx, valuesSQL+db.In(1, len(args))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("read the values for %s: %w", host, err)
	}
	defer rows.Close()
	values, ranks := map[string]string{}, map[string]int{}
	for rows.Next() {
		var scope, property, value string
		if err := rows.Scan(&scope, &property, &value); err != nil {
			return nil, fmt.Errorf("read the values for %s: %w", host, err)
		}
		property = config.Canonical(property)
		rank := 1 + slices.Index(scopes, scope)
		if rank > ranks[property] {
			values[property], ranks[property] = value, rank
		}
	}
	return values, rows.Err()
}

const setSQL = `
	INSERT INTO configurator (id, scope, host, property, value, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5, $6, $7)
	ON CONFLICT (id) DO UPDATE SET
		host = excluded.host, property = excluded.property, value = excluded.value, updated_at = excluded.updated_at, updated_by = excluded.updated_by
	WHERE configurator.value <> excluded.value`

// set says whether that changed something.
func set(ctx context.Context, tx *db.Tx, host, property, value string, now time.Time) (changed bool, err error) {
	caller, err := auth.Caller(ctx)
	if err != nil {
		return false, err
	}
	res, err := tx.Exec(ctx, setSQL, key(host, property), config.Canonical(host), host, property, value, db.Micro(now), caller.ID)
	if err != nil {
		return false, fmt.Errorf("set %s of %s: %w", property, host, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

const unsetSQL = `DELETE FROM configurator WHERE id = $1`

// unset says whether that changed something.
func unset(ctx context.Context, tx *db.Tx, host, property string) (changed bool, err error) {
	res, err := tx.Exec(ctx, unsetSQL, key(host, property))
	if err != nil {
		return false, fmt.Errorf("unset %s of %s: %w", property, host, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

const listSQL = `
	SELECT host, property, value, updated_at, updated_by FROM configurator WHERE id > $1 ORDER BY id LIMIT $2`

// list reads up to limit settings after the id from.
func list(ctx context.Context, q db.Querier, from string, limit int) ([]configuratorapi.Setting, error) {
	rows, err := q.Query(ctx, listSQL, from, limit)
	if err != nil {
		return nil, fmt.Errorf("list what is set: %w", err)
	}
	defer rows.Close()
	settings := []configuratorapi.Setting{}
	for rows.Next() {
		var s configuratorapi.Setting
		var updated int64
		if err := rows.Scan(&s.Host, &s.Property, &s.Value, &updated, &s.By); err != nil {
			return nil, fmt.Errorf("list what is set: %w", err)
		}
		s.Updated = db.Time(updated)
		settings = append(settings, s)
	}
	return settings, rows.Err()
}
