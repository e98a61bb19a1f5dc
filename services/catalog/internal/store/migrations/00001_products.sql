-- +goose Up
-- Ids and SKUs compare byte by byte (collation C), so that the order of a list
-- does not depend on the server's locale. The checks repeat the domain's rules
-- where a breach would make a row that cannot be read back.
CREATE TABLE products (
    id             text COLLATE "C" PRIMARY KEY,
    uid            uuid NOT NULL,
    sku            text COLLATE "C" NOT NULL,
    title          text NOT NULL,
    description    text NOT NULL,
    price_currency text COLLATE "C" NOT NULL CHECK (price_currency ~ '^[A-Z]{3}$'),
    price_units    bigint NOT NULL CHECK (price_units >= 0),
    price_nanos    integer NOT NULL CHECK (price_nanos BETWEEN 0 AND 999999999),
    labels         jsonb NOT NULL CHECK (jsonb_typeof(labels) = 'object'),
    state          text COLLATE "C" NOT NULL CHECK (state IN ('DRAFT', 'ACTIVE', 'DISCONTINUED')),
    create_time    timestamptz NOT NULL,
    update_time    timestamptz NOT NULL CHECK (update_time >= create_time),
    words          tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title), 'A') ||
        setweight(to_tsvector('english', description), 'B')
    ) STORED,
    CONSTRAINT products_uid_key UNIQUE (uid),
    CONSTRAINT products_sku_key UNIQUE (sku)
);

CREATE INDEX products_create_time ON products (create_time, id);
CREATE INDEX products_price ON products (price_currency, price_units, price_nanos, id);
CREATE INDEX products_labels ON products USING gin (labels);
CREATE INDEX products_words ON products USING gin (words);

-- +goose Down
DROP TABLE products;
