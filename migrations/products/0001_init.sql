-- +goose Up

-- What is sold. Every unit that came is somewhere: in stock, reserved by an order
-- that is not placed yet, or sold. GraphQL's Int bounds what is shown.
CREATE TABLE products (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    price       BIGINT NOT NULL CHECK (price BETWEEN 0 AND 2147483647),
    initial     BIGINT NOT NULL CHECK (initial >= 0),
    added       BIGINT NOT NULL CHECK (added >= 0),
    subtracted  BIGINT NOT NULL CHECK (subtracted >= 0),
    stock       BIGINT NOT NULL CHECK (stock >= 0),
    reserved    BIGINT NOT NULL CHECK (reserved >= 0),
    sold        BIGINT NOT NULL CHECK (sold >= 0),
    version     BIGINT NOT NULL, -- of the stock: one more with each change of it
    stated      BOOLEAN NOT NULL, -- nothing has changed since the stock was stated; a column of its own, so that the index follows no version
    deleted     BOOLEAN NOT NULL, -- not sold any more
    created_at  BIGINT NOT NULL,
    CHECK (stock + reserved <= 2147483647), -- what is reserved may come back
    CHECK (initial + added - subtracted = stock + reserved + sold)
);
CREATE INDEX products_listed ON products (created_at, id) WHERE NOT deleted;
CREATE INDEX products_unstated ON products (id) WHERE NOT stated;

-- What orders hold, one row an order, for good: a released row keeps the order from
-- holding anything again. Lines are JSON, as the order was answered.
CREATE TABLE products_reservations (
    order_id   TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    lines      TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('reserved', 'sold', 'released')),
    created_at BIGINT NOT NULL
);
CREATE INDEX products_reservations_open ON products_reservations (created_at, order_id) WHERE state = 'reserved';
