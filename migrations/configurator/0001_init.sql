-- +goose Up

-- Configuration values that admins have set. scope is the host in the form in which names are compared, and id is scope and
-- property in that form; host and property are as they were written.
CREATE TABLE configurator (
    id         TEXT PRIMARY KEY,
    scope      TEXT NOT NULL,
    host       TEXT NOT NULL,
    property   TEXT NOT NULL,
    value      TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);

CREATE INDEX configurator_scope ON configurator (scope);
