-- +goose Up

-- One row for each served call. A request belongs to one customer and one moment,
-- so the key by which records are listed is also what makes them unique.
CREATE TABLE usage_records (
    request_id  TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    key_id      TEXT NOT NULL,
    service     TEXT NOT NULL,
    endpoint    TEXT NOT NULL,
    status      BIGINT NOT NULL,
    price       BIGINT NOT NULL CHECK (price >= 0),
    duration_us BIGINT NOT NULL,
    time        BIGINT NOT NULL,
    lease_id    TEXT NOT NULL,
    PRIMARY KEY (customer_id, time, request_id)
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
