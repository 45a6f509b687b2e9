-- +goose Up

-- The number of the holder's last request on the lease that was executed.
ALTER TABLE ledger_leases ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
