package publicapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"m3o/internal/db"
	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// row is an API as stored.
type row struct {
	publicapiapi.API
	declared bool   // nobody but Declare has written it
	digest   string // of the content
	revision int64
	created  time.Time
	updated  time.Time
	sealed   map[string]publicapiapi.Sealed // the credentials by header; the API itself has none
	removed  bool                           // its name is kept, so that Declare leaves it off sale
}

// digestOf tells one content from another; who owns it, its id and its secrets do not
// count.
func digestOf(api publicapiapi.API) (string, error) {
	api.ID, api.OwnerID, api.Credentials = "", "", nil
	text, err := json.Marshal(api)
	if err != nil {
		return "", fmt.Errorf("digest of %s: %w", api.Name, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

const bumpSQL = `UPDATE publicapi_version SET version = version + 1 WHERE id = 1 RETURNING version`

// bump begins a change: it gives the catalogue's next version and makes other
// changes wait, so that what is read after it stays true until the commit.
func bump(ctx context.Context, tx *db.Tx) (version int64, err error) {
	if err := tx.QueryRow(ctx, bumpSQL).Scan(&version); err != nil {
		return 0, fmt.Errorf("begin a change of the catalogue: %w", err)
	}
	return version, nil
}

const versionSQL = `SELECT version FROM publicapi_version WHERE id = 1`

func versionOf(ctx context.Context, q db.Querier) (version int64, err error) {
	if err := q.QueryRow(ctx, versionSQL).Scan(&version); err != nil {
		return 0, fmt.Errorf("read the version of the catalogue: %w", err)
	}
	return version, nil
}

const columns = `id, name, display_name, description, category, icon, owner_id, open_api, postman, examples,
	pricing, quotas, target, declared, digest, revision, created_at, updated_at, removed_at,
	metering, timeouts, validate, credentials`

const findSQL = `SELECT ` + columns + ` FROM publicapi WHERE name = $1 OR id = $2`

// find reads an API by name or by id, also a removed one; fault.NotFound when
// there never was one, fault.Invalid when name and id are of two.
func find(ctx context.Context, q db.Querier, name, id string) (row, error) {
	rows, err := list(ctx, q, findSQL, name, id)
	switch {
	case err != nil:
		return row{}, err
	case len(rows) == 0:
		return row{}, notFound(name, id)
	case len(rows) > 1 || (name != "" && rows[0].Name != name):
		return row{}, fault.New(fault.Invalid, "%s is not the id of the API %s: an API keeps its name", id, name)
	}
	return rows[0], nil
}

// notFound says so by what the caller named.
func notFound(name, id string) error {
	if name == "" {
		name = id
	}
	return fault.New(fault.NotFound, "there is no API %q", name)
}

const onSaleSQL = `SELECT ` + columns + ` FROM publicapi WHERE removed_at = 0 ORDER BY name`

func onSale(ctx context.Context, q db.Querier) ([]row, error) { return list(ctx, q, onSaleSQL) }

func list(ctx context.Context, q db.Querier, query string, args ...any) ([]row, error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	defer rows.Close()
	var found []row
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read the catalogue: %w", err)
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

func scan(from interface{ Scan(...any) error }) (r row, err error) {
	var pricing, quotas, metering, timeouts, credentials string
	var created, updated, removed int64
	var validate bool
	err = from.Scan(&r.ID, &r.Name, &r.DisplayName, &r.Description, &r.Category, &r.Icon, &r.OwnerID, &r.OpenAPIJSON, &r.PostmanJSON,
		&r.ExamplesJSON, &pricing, &quotas, &r.Target, &r.declared, &r.digest, &r.revision, &created, &updated, &removed,
		&metering, &timeouts, &validate, &credentials)
	if err != nil {
		return r, err
	}
	r.created, r.updated, r.removed = db.Time(created), db.Time(updated), removed != 0
	if validate {
		r.Validate = &validate
	}
	return r, errors.Join(
		json.Unmarshal([]byte(pricing), &r.Pricing), json.Unmarshal([]byte(quotas), &r.Quotas),
		json.Unmarshal([]byte(metering), &r.Metering), json.Unmarshal([]byte(timeouts), &r.Timeouts),
		json.Unmarshal([]byte(credentials), &r.sealed),
	)
}

const putSQL = `
	INSERT INTO publicapi (id, name, display_name, description, category, icon, owner_id, open_api, postman, examples,
		pricing, quotas, target, declared, digest, revision, created_at, updated_at, metering, timeouts, validate, credentials)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
	ON CONFLICT (name) DO UPDATE SET display_name = excluded.display_name, description = excluded.description,
		category = excluded.category, icon = excluded.icon, owner_id = excluded.owner_id, open_api = excluded.open_api,
		postman = excluded.postman, examples = excluded.examples, pricing = excluded.pricing, quotas = excluded.quotas,
		target = excluded.target, declared = excluded.declared, digest = excluded.digest, revision = excluded.revision,
		metering = excluded.metering, timeouts = excluded.timeouts, validate = excluded.validate,
		credentials = excluded.credentials, updated_at = excluded.updated_at, removed_at = 0`

// put puts an API on sale in place of the one of its name, whose id it keeps.
func put(ctx context.Context, tx *db.Tx, r row) error {
	var texts [5]string
	for i, v := range []any{r.Pricing, r.Quotas, r.Metering, r.Timeouts, r.sealed} {
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("store what %s costs and needs: %w", r.Name, err)
		}
		if texts[i] = string(text); texts[i] == "null" {
			texts[i] = "{}"
		}
	}
	_, err := tx.Exec(ctx, putSQL, r.ID, r.Name, r.DisplayName, r.Description, r.Category, r.Icon, r.OwnerID, r.OpenAPIJSON, r.PostmanJSON,
		r.ExamplesJSON, texts[0], texts[1], r.Target, r.declared, r.digest, r.revision, db.Micro(r.created), db.Micro(r.updated),
		texts[2], texts[3], r.Validate != nil && *r.Validate, texts[4])
	if err != nil {
		return fmt.Errorf("store the API %s: %w", r.Name, err)
	}
	return nil
}

const removeSQL = `UPDATE publicapi SET removed_at = $2, revision = $3 WHERE id = $1 AND removed_at = 0`

// remove takes an API off sale and keeps its row.
func remove(ctx context.Context, tx *db.Tx, r row, now time.Time, version int64) error {
	res, err := tx.Exec(ctx, removeSQL, r.ID, db.Micro(now), version)
	if err != nil {
		return fmt.Errorf("remove the API %s: %w", r.Name, err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return notFound(r.Name, r.ID)
	}
	return nil
}
