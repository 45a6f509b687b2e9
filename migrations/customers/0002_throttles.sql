-- +goose Up

-- Its place is the table throttles, which services share. What it counted was minutes old, an hour at most.
DROP TABLE customers_throttles;
