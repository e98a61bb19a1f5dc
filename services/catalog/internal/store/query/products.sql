-- name: InsertProduct :exec
INSERT INTO products (
    id, uid, sku, title, description, price_currency, price_units, price_nanos,
    labels, state, create_time, update_time
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: GetProduct :one
SELECT id, uid, sku, title, description, price_currency, price_units, price_nanos,
    labels, state, create_time, update_time
FROM products WHERE id = $1;

-- name: LockProduct :one
SELECT id, uid, sku, title, description, price_currency, price_units, price_nanos,
    labels, state, create_time, update_time
FROM products WHERE id = $1 FOR UPDATE;

-- name: GetProducts :many
SELECT id, uid, sku, title, description, price_currency, price_units, price_nanos,
    labels, state, create_time, update_time
FROM products WHERE id = ANY (sqlc.arg(ids)::text[]);

-- name: UpdateProduct :exec
UPDATE products SET
    title = $2, description = $3, price_currency = $4, price_units = $5,
    price_nanos = $6, labels = $7, state = $8, update_time = $9
WHERE id = $1;

-- name: DeleteProduct :exec
DELETE FROM products WHERE id = $1;

-- name: SearchProducts :many
-- The rank depends on the product alone, so a page's place in it stays valid.
SELECT id, uid, sku, title, description, price_currency, price_units, price_nanos,
    labels, state, create_time, update_time, rank
FROM (
    SELECT p.*, ts_rank_cd(p.words, q)::real AS rank
    FROM products AS p, websearch_to_tsquery('english', sqlc.arg(query)) AS q
    WHERE p.words @@ q
) AS ranked
WHERE sqlc.arg(from_start)::boolean
    OR rank < sqlc.arg(after_rank)::real
    OR (rank = sqlc.arg(after_rank)::real AND id > sqlc.arg(after_id)::text)
ORDER BY rank DESC, id
LIMIT sqlc.arg(row_limit);
