-- +goose Up

-- What others may remember and must not for long: when it was changed last, as a number. One row holds the last number,
-- so that changes come one after the other.
CREATE TABLE changes (
    source  TEXT NOT NULL,
    subject TEXT NOT NULL,
    number  BIGINT NOT NULL,
    PRIMARY KEY (source, subject)
);

CREATE INDEX changes_number ON changes (number);

CREATE TABLE changes_head (
    id     BIGINT PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);

INSERT INTO changes_head (id, number) VALUES (1, 0);
