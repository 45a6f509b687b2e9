-- +goose Up

-- A customer owns its address until it is deleted. status_before is what Unban goes back to. A password is an argon2id
-- hash in PHC form, empty until there is one. meta is a JSON object of texts.
CREATE TABLE customers (
    id            TEXT PRIMARY KEY,
    status        TEXT NOT NULL CHECK (status IN ('unverified', 'verified', 'banned', 'deleted')),
    status_before TEXT NOT NULL DEFAULT '' CHECK (status_before IN ('', 'unverified', 'verified')),
    admin         BOOLEAN NOT NULL,
    email         TEXT NOT NULL,
    name          TEXT NOT NULL,
    meta          TEXT NOT NULL,
    password      TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    login_at      BIGINT NOT NULL,
    CHECK ((status = 'banned') = (status_before <> '')),
    CHECK (status = 'deleted' OR email <> ''),
    CHECK (status <> 'deleted' OR password = '')
);

CREATE UNIQUE INDEX customers_owner ON customers (email) WHERE status <> 'deleted';
CREATE INDEX customers_email ON customers (email);
CREATE INDEX customers_created_at ON customers (created_at, id);

-- Addresses (SHA-256) that cannot sign up because their customer was banned, also after it was deleted and erased.
CREATE TABLE customers_refused (
    address     TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL
);

CREATE INDEX customers_refused_customer ON customers_refused (customer_id);

-- Live sessions. Only the SHA-256 of a token is stored.
CREATE TABLE customers_sessions (
    id              TEXT PRIMARY KEY,
    customer_id     TEXT NOT NULL,
    access          TEXT NOT NULL UNIQUE,
    refresh         TEXT NOT NULL UNIQUE,
    access_expires  BIGINT NOT NULL,
    refresh_expires BIGINT NOT NULL,
    created_at      BIGINT NOT NULL
);

CREATE INDEX customers_sessions_customer ON customers_sessions (customer_id);
CREATE INDEX customers_sessions_expires ON customers_sessions (refresh_expires);

-- Refresh tokens that have been used, so that a second use is noticed.
CREATE TABLE customers_spent (
    refresh    TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    expires    BIGINT NOT NULL
);

CREATE INDEX customers_spent_expires ON customers_spent (expires);

-- Codes that were mailed, one an address and purpose. Only the SHA-256 of a code is stored.
CREATE TABLE customers_codes (
    email   TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('verify', 'recover')),
    code    TEXT NOT NULL,
    tries   BIGINT NOT NULL CHECK (tries >= 0),
    expires BIGINT NOT NULL,
    PRIMARY KEY (email, purpose)
);

CREATE INDEX customers_codes_expires ON customers_codes (expires);

-- How much an address has asked for lately: the time until which its allowance is used up (see throttle in store).
CREATE TABLE customers_throttles (
    id      TEXT PRIMARY KEY,
    used_up BIGINT NOT NULL
);

CREATE INDEX customers_throttles_used_up ON customers_throttles (used_up);
