package audit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/auth"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/id"
)

func TestAdd(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := id.WithRequest(auth.With(t.Context(), auth.Account{ID: "cus_admin", Type: auth.TypeAdmin}), "req_1")

		t.Run("KeepsWhoDidWhatToWhom", func(t *testing.T) {
			for i, action := range []string{"customers.Ban", "customers.Unban"} {
				err := d.Tx(ctx, func(tx *db.Tx) error {
					return audit.Add(ctx, tx, now.Add(time.Duration(i)*time.Second), action, "cus_1", map[string]string{"email": "a@b.example"})
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			entries, err := audit.Of(ctx, d, "cus_1", 1)
			if err != nil || len(entries) != 1 {
				t.Fatalf("Of = %d entries, %v", len(entries), err)
			}
			want := audit.Entry{ID: entries[0].ID, Created: now.Add(time.Second), Actor: "cus_admin", Action: "customers.Unban", Subject: "cus_1",
				Request: "req_1", Detail: map[string]string{"email": "a@b.example"}}
			if diff := cmp.Diff(want, entries[0]); diff != "" {
				t.Error(diff)
			}
		})

		t.Run("LeavesNothingWhenTheActionFails", func(t *testing.T) {
			failed := errors.New("failed")
			err := d.Tx(ctx, func(tx *db.Tx) error {
				if err := audit.Add(ctx, tx, now, "customers.Ban", "cus_2", nil); err != nil {
					return err
				}
				return failed
			})
			entries, readErr := audit.Of(ctx, d, "cus_2", 10)
			if !errors.Is(err, failed) || readErr != nil || len(entries) != 0 {
				t.Errorf("%d entries, %v, %v", len(entries), err, readErr)
			}
		})

		t.Run("RefusesAnActionOfNobody", func(t *testing.T) {
			err := d.Tx(t.Context(), func(tx *db.Tx) error {
				return audit.Add(t.Context(), tx, now, "customers.Ban", "cus_3", nil)
			})
			if !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("err = %v", err)
			}
		})
	})
}
