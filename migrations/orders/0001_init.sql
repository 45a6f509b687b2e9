-- +goose Up

-- One row an order, written once: who writes it first decides whether the order is
-- placed or rejected. Lines are JSON, as the order is answered.
CREATE TABLE orders (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('placed', 'rejected')),
    price_total BIGINT NOT NULL CHECK (price_total BETWEEN 0 AND 2147483647),
    quantity    BIGINT NOT NULL CHECK (quantity BETWEEN 1 AND 2147483647),
    lines       TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX orders_by_user ON orders (user_id, created_at, id);
CREATE INDEX orders_by_time ON orders (created_at, id);

-- What orders has heard of users and products, to find orders by.
CREATE TABLE orders_users (
    id       TEXT PRIMARY KEY,
    username TEXT NOT NULL,
    email    TEXT NOT NULL
);
CREATE TABLE orders_products (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL, -- empty until its creation is heard of
    stock   BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    version BIGINT NOT NULL -- of the stock
);
