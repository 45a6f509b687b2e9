-- +goose Up

-- The catalogue. A removed API leaves its row behind, so that the compiled-in one of that name stays off sale.
CREATE TABLE publicapi (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    description  TEXT NOT NULL,
    category     TEXT NOT NULL,
    icon         TEXT NOT NULL,
    owner_id     TEXT NOT NULL,
    open_api     TEXT NOT NULL,            -- JSON; empty: the compiled-in one, or one made of the prices
    postman      TEXT NOT NULL,            -- JSON; empty: made of the OpenAPI document
    examples     TEXT NOT NULL,            -- JSON; empty: none
    pricing      TEXT NOT NULL,            -- JSON object, micro-dollars by endpoint
    quotas       TEXT NOT NULL,            -- JSON object, free calls a month by endpoint
    target       TEXT NOT NULL,
    declared     BOOLEAN NOT NULL,         -- nobody but Declare has written it
    digest       TEXT NOT NULL,            -- of the content
    revision     BIGINT NOT NULL,          -- the catalogue's version that brought this row
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    removed_at   BIGINT NOT NULL DEFAULT 0 -- 0: on sale
);

-- The version of the whole: one row, the first that every change takes hold of, so that changes come one after the other.
CREATE TABLE publicapi_version (
    id      BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);

INSERT INTO publicapi_version (id, version) VALUES (1, 0);
