-- +goose Up

-- The tier of each customer who has had another than free.
CREATE TABLE billing (
    customer_id TEXT PRIMARY KEY,
    tier        TEXT NOT NULL CHECK (tier <> ''),
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
