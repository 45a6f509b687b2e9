-- +goose Up

-- The outbox of mails. next_at is when delivery may be tried (again); whoever tries moves it on first, so that of two
-- processes one has the mail.
CREATE TABLE emails (
    id         TEXT PRIMARY KEY,
    recipient  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('waiting', 'sent', 'failed')),
    tries      BIGINT NOT NULL CHECK (tries >= 0),
    next_at    BIGINT NOT NULL
);

CREATE INDEX emails_created_at ON emails (created_at, id);
CREATE INDEX emails_waiting ON emails (next_at, id) WHERE status = 'waiting';
