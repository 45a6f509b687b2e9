-- +goose Up

-- What an API at an HTTP server may say of itself beyond M3O's.
ALTER TABLE publicapi ADD COLUMN metering TEXT NOT NULL DEFAULT '{}';       -- JSON object, what the price is for by endpoint
ALTER TABLE publicapi ADD COLUMN timeouts TEXT NOT NULL DEFAULT '{}';       -- JSON object, time budget by endpoint
ALTER TABLE publicapi ADD COLUMN validate BOOLEAN NOT NULL DEFAULT FALSE;   -- requests are held to the document
ALTER TABLE publicapi ADD COLUMN credentials TEXT NOT NULL DEFAULT '{}';    -- JSON object, sealed secrets by header
