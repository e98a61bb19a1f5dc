-- +goose NO TRANSACTION
-- +goose Up
-- Shops list what is for sale: filter state = STATE_ACTIVE, in the order of the
-- names. The index is built while both releases write. One that an interrupted
-- run left behind would never be used, so it goes first.
SET lock_timeout = '5s';
DROP INDEX CONCURRENTLY IF EXISTS products_state;
CREATE INDEX CONCURRENTLY products_state ON products (state, id);

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS products_state;
