-- +goose Up
-- SKUs and ids compare byte by byte (collation C): the order of a list, and that
-- in which rows are locked, must not depend on the server's locale. The checks
-- are the last line behind the statements in query/, which never come near them.
-- Room is left in the pages of rows that change often, so that a change stays
-- in its page and touches no index.
CREATE TABLE stock_items (
    sku         text COLLATE "C" PRIMARY KEY,
    on_hand     integer NOT NULL CONSTRAINT stock_items_on_hand_check CHECK (on_hand BETWEEN 0 AND 1000000000),
    reserved    integer NOT NULL CONSTRAINT stock_items_reserved_check CHECK (reserved BETWEEN 0 AND on_hand),
    entries     bigint NOT NULL CHECK (entries > 0), -- number of the latest ledger entry
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL CHECK (update_time >= create_time)
) WITH (fillfactor = 50);

CREATE TABLE reservations (
    id          text COLLATE "C" PRIMARY KEY,
    state       text COLLATE "C" NOT NULL CHECK (state IN ('ACTIVE', 'COMMITTED', 'RELEASED', 'EXPIRED', 'RETURNED')),
    expire_time timestamptz NOT NULL CHECK (expire_time > create_time),
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL CHECK (update_time >= create_time)
) WITH (fillfactor = 80);

CREATE INDEX reservations_due ON reservations (expire_time) WHERE state = 'ACTIVE';

CREATE TABLE reservation_lines (
    reservation_id text COLLATE "C" NOT NULL REFERENCES reservations,
    sku            text COLLATE "C" NOT NULL,
    quantity       integer NOT NULL CHECK (quantity BETWEEN 1 AND 1000000),
    PRIMARY KEY (reservation_id, sku)
);

-- Why stock is what it is. Each kind moves the stock in its own way, and no line
-- of a reservation can be moved twice in the same way.
CREATE TABLE ledger_entries (
    sku            text COLLATE "C" NOT NULL REFERENCES stock_items,
    number         bigint NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    on_hand_delta  integer NOT NULL,
    reserved_delta integer NOT NULL,
    reason         text NOT NULL,
    reservation_id text COLLATE "C",
    request_id     uuid CONSTRAINT ledger_entries_request_id_key UNIQUE,
    create_time    timestamptz NOT NULL,
    PRIMARY KEY (sku, number),
    UNIQUE (reservation_id, sku, kind),
    FOREIGN KEY (reservation_id, sku) REFERENCES reservation_lines,
    CHECK (CASE WHEN kind = 'ADJUST'
        THEN reservation_id IS NULL AND request_id IS NOT NULL AND reason <> ''
        ELSE reservation_id IS NOT NULL AND request_id IS NULL AND reason = ''
    END),
    CHECK (CASE kind
        WHEN 'ADJUST' THEN on_hand_delta <> 0 AND reserved_delta = 0
        WHEN 'RESERVE' THEN on_hand_delta = 0 AND reserved_delta > 0
        WHEN 'RELEASE' THEN on_hand_delta = 0 AND reserved_delta < 0
        WHEN 'EXPIRE' THEN on_hand_delta = 0 AND reserved_delta < 0
        WHEN 'COMMIT' THEN on_hand_delta < 0 AND reserved_delta = on_hand_delta
        WHEN 'RETURN' THEN on_hand_delta > 0 AND reserved_delta = 0
        ELSE false
    END)
);

-- +goose StatementBegin
CREATE FUNCTION ledger_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger only grows: % of ledger_entries is refused', TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Correct the stock with an adjustment.';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER ledger_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_only_grows();

-- +goose Down
DROP TABLE ledger_entries;
DROP FUNCTION ledger_only_grows;
DROP TABLE reservation_lines;
DROP TABLE reservations;
DROP TABLE stock_items;
