-- +goose Up

-- Who leads what, and until when (Unix microseconds).
CREATE TABLE leases (
    name   TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until  BIGINT NOT NULL
);

-- Answers given under an Idempotency-Key. The id is a hash of scope and key, the answer is sealed with the key, and the
-- key itself is nowhere. The answer is NULL only inside the transaction that makes it.
CREATE TABLE idempotency (
    id          TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    answer      BYTEA,
    created_at  BIGINT NOT NULL
);

CREATE INDEX idempotency_created_at ON idempotency (created_at);
