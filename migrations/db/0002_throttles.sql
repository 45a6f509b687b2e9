-- +goose Up

-- How much of an allowance was used lately: the time (Unix microseconds) until which it is used up. The id is a hash.
CREATE TABLE throttles (
    id      TEXT PRIMARY KEY,
    used_up BIGINT NOT NULL
);

CREATE INDEX throttles_used_up ON throttles (used_up);
