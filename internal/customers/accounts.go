package customers

import (
	"cmp"
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"m3o/internal/auth"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/changelog"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/identity"
	"m3o/pkg/events/proto/customers"
)

const nameMax = 100 // characters

// Read reads a customer, one's own when nothing is named; another's is for admins.
func (s *Service) Read(ctx context.Context, id string, email string) (customer customersapi.Customer, err error) {
	r, err := findOwn(ctx, s.db, id, email)
	return r.Customer, err
}

// UpdateName changes a display name, one's own when no id is given; the empty name is fine. Naming it the same again
// changes nothing.
func (s *Service) UpdateName(ctx context.Context, name string, id string) (err error) {
	name, err = checkName("name", name)
	if err != nil {
		return err
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.UpdateNameOut, err error) {
		r, err := findOwn(ctx, tx, id, "")
		if err != nil || r.Name == name {
			return out, err
		}
		r, err = rename(ctx, tx, r.ID, name, s.now())
		if err != nil {
			return out, err
		}
		return out, s.updated(ctx, tx, "customers.UpdateName", r)
	})
	return err
}

// updated writes down and says that a customer was updated.
func (s *Service) updated(ctx context.Context, tx *db.Tx, action string, r record) error {
	if err := s.audit(ctx, tx, action, r); err != nil {
		return err
	}
	return s.state(ctx, tx, r, fact(customers.EventType_EventTypeUpdated))
}

func checkName(field, name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "", fault.BadField(field, "must be plain text on one line")
	case utf8.RuneCountInString(name) > nameMax:
		return "", fault.BadField(field, "is longer than %d characters", nameMax)
	}
	return name, nil
}

// audit writes down what somebody did to another's account.
func (s *Service) audit(ctx context.Context, tx *db.Tx, action string, r record) error {
	if caller, ok := auth.From(ctx); ok && caller.ID == r.ID {
		return nil
	}
	return audit.Add(ctx, tx, s.now(), action, r.ID, nil)
}

// Delete deletes a customer, one's own account when nothing is named: its sessions end, its address is free again
// (unless it was banned), and the fact Deleted has everybody delete what belongs to it. Force erases address, name and
// meta as well. It can be repeated. An admin cannot delete itself: fault.Conflict.
func (s *Service) Delete(ctx context.Context, id string, email string, force bool) (err error) {
	var r record // stays empty when the call is a repeated delivery
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out customersapi.DeleteOut, err error) {
		if r, err = findOwn(ctx, tx, id, email); err != nil {
			return out, err
		}
		return out, s.delete(ctx, tx, r, force)
	})
	if err != nil {
		return err
	}
	// What a repeated delivery by address cannot tell again, the durable fact tells.
	deleted := cmp.Or(r.ID, id)
	if err := s.changed(ctx, deleted); err != nil {
		return err
	}
	if deleted != "" {
		s.settle(ctx, deleted)
	}
	return nil
}

func (s *Service) delete(ctx context.Context, tx *db.Tx, r record, force bool) error {
	if err := notItself(ctx, r, "delete"); err != nil {
		return err
	}
	now := s.now()
	if r.Status == customersapi.Banned {
		if err := refuse(ctx, tx, r); err != nil {
			return err
		}
	}
	deleted, err := move(ctx, tx, deleteSQL, r.ID, now)
	if err != nil {
		return err
	}
	if err := s.forgetAccess(ctx, tx, r); err != nil {
		return err
	}
	if force {
		erased, err := move(ctx, tx, eraseSQL, r.ID, now)
		if err != nil {
			return err
		}
		r.Email, r.Name, r.Meta, deleted = "", "", nil, deleted || erased
	}
	if !deleted {
		return nil
	}
	if err := s.audit(ctx, tx, "customers.Delete", r); err != nil {
		return err
	}
	if err := changelog.Note(ctx, tx, customersapi.Host, r.ID); err != nil {
		return err
	}
	r.Status, r.Updated = customersapi.Deleted, now.Unix()
	return s.state(ctx, tx, r, fact(customers.EventType_EventTypeDeleted))
}

// forgetAccess ends every way into an account: its sessions and its codes.
func (s *Service) forgetAccess(ctx context.Context, tx *db.Tx, r record) error {
	if err := endSessions(ctx, tx, r.ID); err != nil {
		return err
	}
	if r.Status == customersapi.Deleted {
		return nil // its address may be another's by now
	}
	return dropCodes(ctx, tx, r.Email)
}

// notItself keeps an admin from locking itself out.
func notItself(ctx context.Context, r record, verb string) error {
	if caller, ok := auth.From(ctx); ok && r.Admin && caller.ID == r.ID {
		return fault.New(fault.Conflict, "an admin cannot %s itself: have another admin do it", verb)
	}
	return nil
}

// Status is the status of a customer in any state; fault.NotFound when it never existed.
func (s *Service) Status(ctx context.Context, id string) (status string, err error) {
	r, err := byID(ctx, s.db, id)
	return r.Status, err
}

// Provision makes a verified customer, or an admin, without a mail. An address that has an owner is answered with it as
// it is, whatever its state, password and rights. It says Created and Verified, not Signup.
func (s *Service) Provision(ctx context.Context, email string, password string, name string, admin bool) (customer customersapi.Customer, created bool, err error) {
	r := record{Customer: customersapi.Customer{ID: id.New("cus"), Status: customersapi.IsVerified}, Admin: admin}
	if r.Email, err = identity.ParseAddress(email); err != nil {
		return customer, false, err
	}
	if r.Name, err = checkName("name", name); err != nil {
		return customer, false, err
	}
	if err := identity.CheckPassword("password", password, r.Email); err != nil {
		return customer, false, err
	}
	if r.Password, err = s.hasher.Hash(ctx, password); err != nil {
		return customer, false, err
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (customersapi.ProvisionOut, error) {
		return s.provision(ctx, tx, r)
	})
	if err == nil && out.Created {
		s.settle(ctx, out.Customer.ID)
	}
	return out.Customer, out.Created, err
}

func (s *Service) provision(ctx context.Context, tx *db.Tx, r record) (out customersapi.ProvisionOut, err error) {
	out.Created, err = insert(ctx, tx, r, s.now())
	if err != nil {
		return out, err
	}
	r, err = owner(ctx, tx, r.Email)
	out.Customer = r.Customer
	if err != nil || !out.Created {
		return out, err
	}
	event := fact(customers.EventType_EventTypeCreated)
	event.Created = &customers.Created{}
	if err := s.state(ctx, tx, r, event); err != nil {
		return out, err
	}
	return out, s.state(ctx, tx, r, fact(customers.EventType_EventTypeVerified))
}
