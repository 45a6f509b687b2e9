-- +goose Up

CREATE TABLE keys (
    id          TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    hash        TEXT NOT NULL UNIQUE CHECK (LENGTH(hash) = 64),
    prefix      TEXT NOT NULL,
    description TEXT NOT NULL,
    scopes      TEXT NOT NULL,                                     -- JSON array, lower case
    rate        BIGINT NOT NULL CHECK (rate >= 0),                 -- requests a second; 0: no limit of its own
    expires_at  BIGINT NOT NULL CHECK (expires_at >= 0),           -- 0: never
    created_at  BIGINT NOT NULL,
    last_seen   BIGINT NOT NULL DEFAULT 0,                         -- 0: never
    revoked_at  BIGINT NOT NULL DEFAULT 0 CHECK (revoked_at >= 0)  -- 0: live; never set back
);

CREATE INDEX keys_customer ON keys (customer_id, created_at, id);

-- Why a key is refused: a set of reasons, so that lifting one never lifts another.
CREATE TABLE keys_blocks (
    key_id     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    message    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (key_id, reason)
);

-- How many live keys a customer has; the row is what holds the limit when two are issued at once.
CREATE TABLE keys_owners (
    customer_id TEXT PRIMARY KEY,
    live        BIGINT NOT NULL CHECK (live >= 0)
);
