-- +goose Up

-- Which gateway holds a part of an allowance; empty: one from before this was noted.
ALTER TABLE usage_quota_leases ADD COLUMN holder TEXT NOT NULL DEFAULT '';
