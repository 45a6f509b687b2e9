-- +goose Up

-- Served calls of one customer, packed: newest and oldest moment, how many, what they
-- cost, and the calls themselves in the form of internal/usage/pack.go. A request
-- belongs to one customer and one moment; id is that of the newest.
CREATE TABLE usage_packs (
    customer_id TEXT NOT NULL,
    newest      BIGINT NOT NULL,
    id          TEXT NOT NULL,
    oldest      BIGINT NOT NULL,
    calls       BIGINT NOT NULL CHECK (calls > 0),
    charged     BIGINT NOT NULL CHECK (charged >= 0),
    data        BYTEA NOT NULL,
    PRIMARY KEY (customer_id, newest, id),
    CHECK (oldest <= newest)
);

-- The moment of each customer's newest call, and what it was before the last batch:
-- later calls cannot have been recorded. The row is what batches that record calls of
-- one customer at the same time wait for.
CREATE TABLE usage_marks (
    customer_id TEXT PRIMARY KEY,
    newest      BIGINT NOT NULL,
    before      BIGINT NOT NULL
);

-- Calls by UTC day; the monthly counters are sums over it.
CREATE TABLE usage_days (
    customer_id TEXT NOT NULL,
    day         TEXT NOT NULL,
    service     TEXT NOT NULL,
    endpoint    TEXT NOT NULL,
    requests    BIGINT NOT NULL CHECK (requests > 0),
    PRIMARY KEY (customer_id, day, service, endpoint)
);

-- Calls of free endpoints by UTC month, which the tier's free calls pay for.
CREATE TABLE usage_free (
    customer_id TEXT NOT NULL,
    month       TEXT NOT NULL,
    requests    BIGINT NOT NULL CHECK (requests > 0),
    PRIMARY KEY (customer_id, month)
);

-- What was charged on each lease of money. Once closed, nothing is added.
CREATE TABLE usage_leases (
    lease_id    TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    charged     BIGINT NOT NULL CHECK (charged >= 0),
    closed      BOOLEAN NOT NULL
);
CREATE INDEX usage_leases_by_customer ON usage_leases (customer_id);

-- A monthly allowance; its row is what concurrent leases of it wait for.
CREATE TABLE usage_allowances (
    customer_id TEXT NOT NULL,
    month       TEXT NOT NULL,
    name        TEXT NOT NULL,
    leases      BIGINT NOT NULL,
    PRIMARY KEY (customer_id, month, name)
);

-- Parts of allowances that gateways hold until they expire.
CREATE TABLE usage_quota_leases (
    id          TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    month       TEXT NOT NULL,
    name        TEXT NOT NULL,
    granted     BIGINT NOT NULL CHECK (granted > 0),
    used        BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX usage_quota_leases_open ON usage_quota_leases (customer_id, month, name, expires_at);
