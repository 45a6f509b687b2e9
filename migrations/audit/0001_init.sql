-- +goose Up

-- What admins did. Rows are only ever added.
CREATE TABLE audit (
    id         TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    request_id TEXT NOT NULL,
    detail     TEXT NOT NULL
);

CREATE INDEX audit_created_at ON audit (created_at, id);
CREATE INDEX audit_subject ON audit (subject, created_at, id);
