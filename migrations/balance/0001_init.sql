-- +goose Up

-- The accounts of the ledger. A customer's cannot go below zero; those of the
-- house (owner 'house') can: cash and promo are where money comes from.
CREATE TABLE ledger_accounts (
    owner   TEXT NOT NULL,
    name    TEXT NOT NULL,
    balance BIGINT NOT NULL,
    PRIMARY KEY (owner, name),
    CHECK (balance BETWEEN -4000000000000000000 AND 4000000000000000000),
    CHECK (owner = 'house' OR name = 'receivable' OR balance >= 0),
    CHECK (name <> 'receivable' OR balance <= 0)
);

-- A transfer is applied at most once: its id is the client's. The digest tells
-- the same transfer from another one under the same id.
CREATE TABLE ledger_transfers (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    digest     TEXT NOT NULL,
    reference  TEXT NOT NULL,
    visible    BOOLEAN NOT NULL,
    actor      TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Entries are appended, never changed. Those of one transfer sum to zero.
CREATE TABLE ledger_entries (
    id          TEXT PRIMARY KEY,
    transfer_id TEXT NOT NULL REFERENCES ledger_transfers (id),
    owner       TEXT NOT NULL,
    account     TEXT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount <> 0),
    balance     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX ledger_entries_by_owner ON ledger_entries (owner, created_at, id);
CREATE INDEX ledger_entries_by_transfer ON ledger_entries (transfer_id);

-- Leases of money. What is leased and neither posted nor released is in the
-- customer's leased account: amount - posted.
CREATE TABLE ledger_leases (
    id          TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    holder      TEXT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount > 0),
    posted      BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    closed      BOOLEAN NOT NULL,
    CHECK (posted >= 0 AND posted <= amount)
);
CREATE INDEX ledger_leases_open ON ledger_leases (customer_id, id) WHERE NOT closed;
CREATE INDEX ledger_leases_expiring ON ledger_leases (expires_at) WHERE NOT closed;
