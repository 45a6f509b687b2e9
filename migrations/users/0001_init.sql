-- +goose Up

-- email is in lower case. A password is an argon2id hash in PHC form. type is 0 by default and 1 for an admin of the
-- shop. token_version is that of the tokens that are good: who raises it revokes all others.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL UNIQUE CHECK (email <> ''),
    username      TEXT NOT NULL CHECK (username <> ''),
    type          BIGINT NOT NULL CHECK (type IN (0, 1)),
    password      TEXT NOT NULL CHECK (password <> ''),
    token_version BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);

CREATE INDEX users_created_at ON users (created_at, id);

-- Tokens that were revoked one by one, until they expire.
CREATE TABLE users_revoked (
    id      TEXT PRIMARY KEY,
    expires BIGINT NOT NULL
);

CREATE INDEX users_revoked_expires ON users_revoked (expires);
