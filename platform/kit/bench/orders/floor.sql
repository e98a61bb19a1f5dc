-- The tables that an order touches in the shop, with their keys, in one database
-- and without the triggers. The job is a row, too, written as done.
CREATE TABLE products (
    id text PRIMARY KEY, sku text NOT NULL UNIQUE, title text NOT NULL, currency text NOT NULL,
    units bigint NOT NULL, nanos integer NOT NULL, state text NOT NULL
);
CREATE TABLE stock_items (
    sku text PRIMARY KEY, on_hand integer NOT NULL CHECK (on_hand >= 0), entries bigint NOT NULL,
    update_time timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE orders (
    id text PRIMARY KEY, customer text NOT NULL, currency text NOT NULL, units bigint NOT NULL, nanos integer NOT NULL,
    state text NOT NULL, revision integer NOT NULL, create_time timestamptz NOT NULL, update_time timestamptz NOT NULL
);
CREATE INDEX orders_of_customer ON orders (customer, create_time DESC, id DESC);
CREATE TABLE order_lines (
    order_id text REFERENCES orders, position integer, product text NOT NULL, sku text NOT NULL, title text NOT NULL,
    quantity integer NOT NULL, units bigint NOT NULL, nanos integer NOT NULL,
    PRIMARY KEY (order_id, position), UNIQUE (order_id, product)
);
CREATE TABLE order_events (
    order_id text REFERENCES orders, revision integer, state text NOT NULL, create_time timestamptz NOT NULL,
    PRIMARY KEY (order_id, revision)
);
CREATE TABLE order_keys (
    customer text, key text, order_id text NOT NULL UNIQUE REFERENCES orders, answer json NOT NULL,
    PRIMARY KEY (customer, key)
);
CREATE TABLE reservations (
    id text PRIMARY KEY, state text NOT NULL, expire_time timestamptz NOT NULL, create_time timestamptz NOT NULL
);
CREATE TABLE reservation_lines (
    reservation_id text REFERENCES reservations, sku text, quantity integer NOT NULL, PRIMARY KEY (reservation_id, sku)
);
CREATE TABLE ledger_entries (
    sku text REFERENCES stock_items, number bigint, kind text NOT NULL, on_hand_delta integer NOT NULL,
    reserved_delta integer NOT NULL, reservation_id text NOT NULL, create_time timestamptz NOT NULL,
    PRIMARY KEY (sku, number), UNIQUE (reservation_id, sku, kind)
);
CREATE TABLE jobs (
    id bigserial PRIMARY KEY, kind text NOT NULL, state text NOT NULL, args jsonb NOT NULL, finalized_at timestamptz NOT NULL
);
