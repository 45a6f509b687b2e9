package customers

import (
	"cmp"
	"context"
	"strings"

	"m3o/internal/auth"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/changelog"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/identity"
	"m3o/internal/page"
	"m3o/pkg/events/proto/customers"
)

// The bounds of a customer's meta.
const (
	metaMax = 64   // entries
	textMax = 1024 // bytes of a key or a value
)

// List lists customers, newest first, whose address or name contains search, whatever the case. Admins only.
func (s *Service) List(ctx context.Context, search string, limit int, cursor string) (found []customersapi.Customer, nextCursor string, err error) {
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
	records, err := list(ctx, s.db, strings.TrimSpace(search), from, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(records) > limit {
		records = records[:limit]
		nextCursor = page.Cursor{Time: records[limit-1].created, ID: records[limit-1].ID}.String()
	}
	found = make([]customersapi.Customer, len(records))
	for i, r := range records {
		found[i] = r.Customer
	}
	return found, nextCursor, nil
}

// Update changes address, name and meta of the customer with that id; empty members stay as they are, meta is replaced
// as a whole. A status other than the customer's is fault.Invalid: Ban, Unban and Delete change it. An address that
// another customer has is fault.Conflict. Admins only.
func (s *Service) Update(ctx context.Context, customer customersapi.Customer) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	customer, err = checkUpdate(customer)
	if err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.UpdateOut, err error) {
		return out, s.update(ctx, tx, customer)
	})
	return err
}

func (s *Service) update(ctx context.Context, tx *db.Tx, c customersapi.Customer) error {
	r, err := byID(ctx, tx, c.ID)
	if err != nil {
		return err
	}
	if c.Status != "" && c.Status != r.Status {
		return fault.BadField("customer.status", "cannot be updated: use Ban, Unban or Delete").WithID("customers.update.badstatus")
	}
	if c.Email != "" && c.Email != r.Email {
		if err := dropCodes(ctx, tx, r.Email); err != nil {
			return err
		}
	}
	r, err = update(ctx, tx, c, s.now())
	if err != nil {
		return err
	}
	return s.updated(ctx, tx, "customers.Update", r)
}

// checkUpdate refuses an update that cannot be stored, and brings address and name into their stored form.
func checkUpdate(c customersapi.Customer) (checked customersapi.Customer, err error) {
	if c.ID == "" {
		return c, fault.BadField("customer.id", "is required")
	}
	if c.Email != "" {
		if c.Email, err = identity.ParseAddress(c.Email); err != nil {
			return c, err
		}
	}
	if c.Name, err = checkName("customer.name", c.Name); err != nil {
		return c, err
	}
	return c, checkMeta(c.Meta)
}

func checkMeta(meta map[string]string) error {
	if len(meta) > metaMax {
		return fault.BadField("customer.meta", "has more than %d entries", metaMax)
	}
	for key, value := range meta {
		if len(key) > textMax || len(value) > textMax {
			return fault.BadField("customer.meta", "has a key or value longer than %d bytes", textMax)
		}
	}
	return nil
}

// Ban bans a customer: its sessions end, whoever remembers it is told before the answer, and its address cannot sign up
// again. It can be repeated. A deleted customer, and an admin banning itself, is fault.Conflict. Admins only.
func (s *Service) Ban(ctx context.Context, id string, email string) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	var r record
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.BanOut, err error) {
		if r, err = find(ctx, tx, id, email); err != nil {
			return out, err
		}
		return out, s.ban(ctx, tx, r)
	})
	if err != nil {
		return err
	}
	return s.changed(ctx, cmp.Or(r.ID, id))
}

func (s *Service) ban(ctx context.Context, tx *db.Tx, r record) error {
	if err := notItself(ctx, r, "ban"); err != nil {
		return err
	}
	if r.Status == customersapi.Deleted {
		return fault.New(fault.Conflict, "customer %s is deleted", r.ID)
	}
	now := s.now()
	banned, err := move(ctx, tx, banSQL, r.ID, now)
	if err != nil || !banned {
		return err
	}
	if err := refuse(ctx, tx, r); err != nil {
		return err
	}
	if err := s.forgetAccess(ctx, tx, r); err != nil {
		return err
	}
	if err := s.audit(ctx, tx, "customers.Ban", r); err != nil {
		return err
	}
	if err := changelog.Note(ctx, tx, customersapi.Host, r.ID); err != nil {
		return err
	}
	r.Status, r.Updated = customersapi.Banned, now.Unix()
	return s.state(ctx, tx, r, fact(customers.EventType_EventTypeBanned))
}

// Unban gives a customer back the state it had before Ban, and its address the right to sign up, also when the customer
// has been deleted since. It can be repeated, and lifts nothing that Ban did not do. Admins only.
func (s *Service) Unban(ctx context.Context, id string, email string) (err error) {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	var r record
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.UnbanOut, err error) {
		if r, err = find(ctx, tx, id, email); err != nil {
			return out, err
		}
		return out, s.unban(ctx, tx, r)
	})
	if err != nil {
		return err
	}
	return s.changed(ctx, cmp.Or(r.ID, id))
}

func (s *Service) unban(ctx context.Context, tx *db.Tx, r record) error {
	now := s.now()
	unbanned, err := move(ctx, tx, unbanSQL, r.ID, now)
	if err != nil {
		return err
	}
	welcomed, err := welcome(ctx, tx, r.ID)
	if err != nil || !unbanned && !welcomed {
		return err
	}
	if err := s.audit(ctx, tx, "customers.Unban", r); err != nil {
		return err
	}
	if r, err = byID(ctx, tx, r.ID); err != nil {
		return err
	}
	if err := changelog.Note(ctx, tx, customersapi.Host, r.ID); err != nil {
		return err
	}
	return s.state(ctx, tx, r, fact(customers.EventType_EventTypeUnbanned))
}
