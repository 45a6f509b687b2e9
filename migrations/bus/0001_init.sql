-- +goose Up

-- Facts to publish. Rows are written last in the transaction that makes the fact true.
CREATE TABLE outbox (
    id           TEXT PRIMARY KEY,
    event_id     TEXT NOT NULL,   -- the id, but for a replay: then that of the event
    seq          BIGINT NOT NULL, -- rises within a key while rows of it are unpublished
    source       TEXT NOT NULL,
    topic        TEXT NOT NULL,
    type         BIGINT NOT NULL,
    type_name    TEXT NOT NULL,
    key          TEXT NOT NULL,
    part         BIGINT NOT NULL, -- the key's partition
    only_group   TEXT NOT NULL,   -- of a replay; else empty
    data         BYTEA NOT NULL,
    created_at   BIGINT NOT NULL, -- when the fact was stated
    published_at BIGINT
);

-- What a relay reads.
CREATE INDEX outbox_unpublished ON outbox (source, seq, id) WHERE published_at IS NULL;

-- Where a new row finds the one before it.
CREATE INDEX outbox_keys ON outbox (topic, key, seq) WHERE published_at IS NULL;

CREATE INDEX outbox_topics ON outbox (topic, id);

CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

-- Which group has done which event.
CREATE TABLE inbox (
    event_id   TEXT NOT NULL,
    grp        TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (event_id, grp)
);

CREATE INDEX inbox_created_at ON inbox (created_at);

-- Events that a group could not handle.
CREATE TABLE dead_letters (
    id          TEXT PRIMARY KEY,
    event_id    TEXT NOT NULL,
    grp         TEXT NOT NULL,
    source      TEXT NOT NULL,
    topic       TEXT NOT NULL,
    type        BIGINT NOT NULL,
    type_name   TEXT NOT NULL,
    key         TEXT NOT NULL,
    data        BYTEA NOT NULL,
    created_at  BIGINT NOT NULL, -- when the fact was stated
    error       TEXT NOT NULL,   -- the last one
    tries       BIGINT NOT NULL,
    died_at     BIGINT NOT NULL,
    replayed_at BIGINT           -- NULL until an admin has it delivered again
);

CREATE UNIQUE INDEX dead_letters_event ON dead_letters (event_id, grp);
