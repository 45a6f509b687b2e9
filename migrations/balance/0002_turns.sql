-- +goose Up

-- The number of the holder's last request on the lease that was executed. A lease may be
-- empty: it was asked for when there was nothing, or closed before it was opened.
CREATE TABLE ledger_leases_with_turns (
    id          TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    holder      TEXT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount >= 0),
    posted      BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    turn        BIGINT NOT NULL DEFAULT 0,
    closed      BOOLEAN NOT NULL,
    CHECK (posted >= 0 AND posted <= amount)
);
INSERT INTO ledger_leases_with_turns (id, customer_id, holder, amount, posted, expires_at, turn, closed)
    SELECT id, customer_id, holder, amount, posted, expires_at, 0, closed FROM ledger_leases;
DROP TABLE ledger_leases;
ALTER TABLE ledger_leases_with_turns RENAME TO ledger_leases;
CREATE INDEX ledger_leases_open ON ledger_leases (customer_id, id) WHERE NOT closed;
CREATE INDEX ledger_leases_expiring ON ledger_leases (expires_at) WHERE NOT closed;
