-- +goose Up
-- Ids compare byte by byte (collation C), so that the order of a list does not
-- depend on the server's locale. The checks and triggers repeat the domain's
-- rules: no release of the service, and nobody at a prompt, can make an order go
-- a way that it must not go.
CREATE TABLE orders (
    id            text COLLATE "C" PRIMARY KEY,
    customer      text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total_units   bigint NOT NULL CHECK (total_units >= 0),
    total_nanos   integer NOT NULL CHECK (total_nanos BETWEEN 0 AND 999999999),
    state         text COLLATE "C" NOT NULL CHECK (state IN ('PENDING', 'CONFIRMED', 'CANCELLED', 'FULFILLED')),
    cancel_reason text COLLATE "C" NOT NULL CHECK (cancel_reason IN ('', 'REQUESTED', 'STOCK_LOST', 'TIMED_OUT')),
    revision      integer NOT NULL CHECK (revision >= 1),
    settled       boolean NOT NULL,
    create_time   timestamptz NOT NULL,
    update_time   timestamptz NOT NULL CHECK (update_time >= create_time),
    CONSTRAINT orders_reason_if_cancelled CHECK ((cancel_reason <> '') = (state = 'CANCELLED')),
    CONSTRAINT orders_settled_if_cancelled CHECK (NOT settled OR state = 'CANCELLED')
);

CREATE INDEX orders_customer ON orders (customer, create_time DESC, id DESC);
CREATE INDEX orders_pending ON orders (create_time) WHERE state = 'PENDING';
CREATE INDEX orders_unsettled ON orders (update_time) WHERE state = 'CANCELLED' AND NOT settled;

CREATE TABLE order_lines (
    order_id         text COLLATE "C" NOT NULL REFERENCES orders,
    position         integer NOT NULL CHECK (position >= 1),
    product          text COLLATE "C" NOT NULL,
    sku              text COLLATE "C" NOT NULL,
    title            text NOT NULL,
    quantity         integer NOT NULL CHECK (quantity >= 1),
    unit_price_units bigint NOT NULL CHECK (unit_price_units >= 0),
    unit_price_nanos integer NOT NULL CHECK (unit_price_nanos BETWEEN 0 AND 999999999),
    line_total_units bigint NOT NULL CHECK (line_total_units >= 0),
    line_total_nanos integer NOT NULL CHECK (line_total_nanos BETWEEN 0 AND 999999999),
    PRIMARY KEY (order_id, position),
    CONSTRAINT order_lines_product_key UNIQUE (order_id, product)
);

-- One row for each state an order came into. The trigger below writes it.
CREATE TABLE order_events (
    order_id      text COLLATE "C" NOT NULL REFERENCES orders,
    revision      integer NOT NULL,
    state         text COLLATE "C" NOT NULL,
    cancel_reason text COLLATE "C" NOT NULL,
    create_time   timestamptz NOT NULL,
    PRIMARY KEY (order_id, revision)
);

-- A customer's idempotency keys. A row without an order says only how often a
-- reservation made under the key was given up.
CREATE TABLE order_keys (
    customer    text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    generation  integer NOT NULL CHECK (generation >= 0),
    fingerprint bytea,
    order_id    text COLLATE "C" REFERENCES orders,
    answer      json,
    PRIMARY KEY (customer, key),
    CONSTRAINT order_keys_order_key UNIQUE (order_id),
    CONSTRAINT order_keys_answered CHECK ((order_id IS NULL) = (answer IS NULL) AND (order_id IS NULL) = (fingerprint IS NULL))
);

-- +goose StatementBegin
CREATE FUNCTION orders_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'PENDING' OR NEW.revision <> 1 THEN
            RAISE EXCEPTION 'order % must begin as PENDING', NEW.id USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.customer, NEW.currency, NEW.total_units, NEW.total_nanos, NEW.create_time)
        IS DISTINCT FROM (OLD.id, OLD.customer, OLD.currency, OLD.total_units, OLD.total_nanos, OLD.create_time) THEN
        RAISE EXCEPTION 'what order % is about never changes', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state = OLD.state THEN
        IF NEW.revision <> OLD.revision OR NEW.cancel_reason <> OLD.cancel_reason OR NEW.settled < OLD.settled THEN
            RAISE EXCEPTION 'order % changes with its state only', OLD.id USING ERRCODE = 'check_violation';
        END IF;
    ELSIF (OLD.state, NEW.state) NOT IN (('PENDING', 'CONFIRMED'), ('PENDING', 'CANCELLED'),
            ('CONFIRMED', 'CANCELLED'), ('CONFIRMED', 'FULFILLED')) OR NEW.revision <> OLD.revision + 1 THEN
        RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION orders_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.revision <> OLD.revision THEN
        INSERT INTO order_events (order_id, revision, state, cancel_reason, create_time)
        VALUES (NEW.id, NEW.revision, NEW.state, NEW.cancel_reason, NEW.update_time);
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.revision <> OLD.revision THEN
        PERFORM pg_notify('orders_changed', NEW.id); -- nobody watches an order before it is there
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION orders_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is not allowed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'check_violation';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION order_keys_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.order_id IS NOT NULL OR NEW.generation < OLD.generation THEN
        RAISE EXCEPTION 'an answer on record never changes' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER orders_guard BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION orders_guard();
CREATE TRIGGER orders_record AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION orders_record();
CREATE TRIGGER orders_keep BEFORE DELETE OR TRUNCATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION orders_refuse();
CREATE TRIGGER order_lines_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON order_lines FOR EACH STATEMENT EXECUTE FUNCTION orders_refuse();
CREATE TRIGGER order_events_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON order_events FOR EACH STATEMENT EXECUTE FUNCTION orders_refuse();
CREATE TRIGGER order_keys_guard BEFORE UPDATE ON order_keys FOR EACH ROW EXECUTE FUNCTION order_keys_guard();
CREATE TRIGGER order_keys_keep BEFORE DELETE OR TRUNCATE ON order_keys FOR EACH STATEMENT EXECUTE FUNCTION orders_refuse();

-- +goose Down
DROP TABLE order_keys, order_events, order_lines, orders;
DROP FUNCTION order_keys_guard, orders_refuse, orders_record, orders_guard;
