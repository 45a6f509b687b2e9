package keys

import (
	"context"
	"fmt"
	"unicode/utf8"

	"m3o/internal/auth"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/changelog"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/keys/keysapi"
)

// M3O's ids of the faults.
const (
	blockID   = "v1.BlockKey"
	unblockID = "v1.UnblockKey"
)

// byAdmin is what a caller with a blocked key reads when the admin gave no message.
const byAdmin = "The key has been blocked by an administrator"

// BlockKey blocks a live key of a customer, or without keyID all that it has now,
// for the reason "admin". A key that the customer does not have is
// fault.NotFound; a key that is blocked already gets the new message.
func (s *Service) BlockKey(ctx context.Context, userID, keyID, message string) (err error) {
	if err := s.admin(ctx, userID, blockID); err != nil {
		return err
	}
	if utf8.RuneCountInString(message) > maxMessage {
		return fault.BadField("message", "must have at most %d characters", maxMessage).WithID(blockID)
	}
	if message == "" {
		message = byAdmin
	}
	var count int
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out keysapi.BlockKeyOut, err error) {
		ids, err := liveKeys(ctx, tx, userID, keyID)
		if err != nil {
			return out, withID(err, blockID)
		}
		count = len(ids)
		for _, key := range ids {
			if err := block(ctx, tx, key, keysapi.Block{Reason: keysapi.BlockedByAdmin, Message: message}, s.now()); err != nil {
				return out, err
			}
		}
		detail := map[string]string{"key_id": keyID, "message": message}
		if err := audit.Add(ctx, tx, s.now(), "keys.BlockKey", userID, detail); err != nil {
			return out, err
		}
		if err := changelog.Note(ctx, tx, keysapi.Host, userID); err != nil {
			return out, err
		}
		return out, s.stateEach(ctx, tx, userID, ids, blocked)
	})
	if err != nil {
		return err
	}
	return s.changed(ctx, userID, "blocked", count)
}

// UnblockKey lifts the reason "admin" from a live key of a customer, or without
// keyID from all that it has. Other reasons stay. A key that was not blocked is
// left as it is.
func (s *Service) UnblockKey(ctx context.Context, userID, keyID string) (err error) {
	if err := s.admin(ctx, userID, unblockID); err != nil {
		return err
	}
	var count int
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out keysapi.UnblockKeyOut, err error) {
		ids, err := liveKeys(ctx, tx, userID, keyID)
		if err != nil {
			return out, withID(err, unblockID)
		}
		lifted := make([]string, 0, len(ids))
		for _, key := range ids {
			if was, err := unblock(ctx, tx, key, keysapi.BlockedByAdmin); err != nil {
				return out, err
			} else if was {
				lifted = append(lifted, key)
			}
		}
		count = len(lifted)
		if err := audit.Add(ctx, tx, s.now(), "keys.UnblockKey", userID, map[string]string{"key_id": keyID}); err != nil {
			return out, err
		}
		if err := changelog.Note(ctx, tx, keysapi.Host, userID); err != nil {
			return out, err
		}
		return out, s.stateEach(ctx, tx, userID, lifted, unblocked)
	})
	if err != nil {
		return err
	}
	return s.changed(ctx, userID, "unblocked", count)
}

// admin checks that an admin calls and that there is such a customer.
func (s *Service) admin(ctx context.Context, userID, faultID string) error {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	if userID == "" {
		return missing("user_id").WithID(faultID)
	}
	_, err := s.customers.Status(ctx, userID)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "there is no customer %s", userID).WithID(faultID)
	}
	return err
}

// ban is the block that follows from a customer's status; a customer that does
// not exist or has been deleted is fault.NotFound.
func (s *Service) ban(ctx context.Context, customerID string) ([]keysapi.Block, error) {
	status, err := s.customers.Status(ctx, customerID)
	switch {
	case err != nil:
		return nil, fmt.Errorf("status of customer %s: %w", customerID, err)
	case status == customersapi.Deleted:
		return nil, fault.New(fault.NotFound, "the customer has been deleted")
	case status == customersapi.Banned:
		return []keysapi.Block{{Reason: keysapi.BlockedByBan, Message: "User has been banned"}}, nil
	}
	return nil, nil
}

// Lookup finds a live key by the hash of its text. One that is unknown or
// revoked, or whose customer is gone, is fault.NotFound; one that has expired is
// found, with its time.
func (s *Service) Lookup(ctx context.Context, hash string) (record keysapi.Record, err error) {
	key, err := byHash(ctx, s.db, hash)
	if err != nil {
		return record, err
	}
	blocks, err := blocksOfKey(ctx, s.db, key.id)
	if err != nil {
		return record, err
	}
	ban, err := s.ban(ctx, key.customerID)
	if err != nil {
		return record, err
	}
	return keysapi.Record{
		ID: key.id, CustomerID: key.customerID, Scopes: key.scopes,
		Blocked: append(ban, blocks...), Expires: key.expires, Rate: key.rate,
	}, nil
}

// Changes is what gateways may remember and must not any more: what has changed since a
// number, of keys and of what stands behind them (customers, tiers, the catalogue), and
// the number to ask with the next time. It is all there is to tell unless it is called
// again with what it answered. A number below 0 asks for the latest only; one that never
// was is answered with a change of everything.
func (s *Service) Changes(ctx context.Context, since int64) (list []keysapi.Change, number int64, err error) {
	if since < 0 {
		number, err = changelog.Latest(ctx, s.db)
		return nil, number, err
	}
	found, number, err := changelog.Since(ctx, s.db, since)
	if err != nil {
		return nil, 0, err
	}
	if number < since {
		return []keysapi.Change{{}}, number, nil
	}
	list = make([]keysapi.Change, len(found))
	for i, c := range found {
		list[i] = keysapi.Change{Source: c.Source, Subject: c.Subject}
	}
	return list, number, nil
}

// Touch notes when keys were last used. It is repeatable and may come in any
// order: a time never moves back, and keys that are gone are passed over.
func (s *Service) Touch(ctx context.Context, seen []keysapi.Seen) (err error) {
	if len(seen) == 0 {
		return nil
	}
	return s.db.Batch(db.Relaxed(ctx), func(tx *db.Tx) error {
		for _, key := range seen {
			if err := touch(ctx, tx, key); err != nil {
				return err
			}
		}
		return nil
	})
}

// withID names a fault of the store as the function's; other errors stay.
func withID(err error, faultID string) error {
	if found := fault.From(err); found.Code != fault.Internal && found.ID == "" {
		return found.WithID(faultID)
	}
	return err
}
