-- name: GetKey :one
SELECT generation, fingerprint, answer FROM order_keys WHERE customer = $1 AND key = $2;

-- name: AcceptOrder :execrows
-- The key decides: where it is answered, or of another generation, nothing is
-- inserted anywhere.
WITH taken AS (
    INSERT INTO order_keys (customer, key, generation, fingerprint, order_id, answer)
    VALUES (sqlc.arg(customer), sqlc.arg(key), sqlc.arg(generation), sqlc.arg(fingerprint), sqlc.arg(id), sqlc.arg(answer))
    ON CONFLICT (customer, key) DO UPDATE
        SET fingerprint = EXCLUDED.fingerprint, order_id = EXCLUDED.order_id, answer = EXCLUDED.answer
        WHERE order_keys.order_id IS NULL AND order_keys.generation = EXCLUDED.generation
    RETURNING order_id
), accepted AS (
    INSERT INTO orders (
        id, customer, currency, total_units, total_nanos, state, cancel_reason, revision, settled, create_time, update_time
    )
    SELECT taken.order_id, sqlc.arg(customer), sqlc.arg(currency), sqlc.arg(total_units), sqlc.arg(total_nanos),
        'PENDING', '', 1, false, sqlc.arg(create_time), sqlc.arg(create_time)
    FROM taken
    RETURNING id
)
INSERT INTO order_lines (
    order_id, position, product, sku, title, quantity,
    unit_price_units, unit_price_nanos, line_total_units, line_total_nanos
)
SELECT accepted.id, n.i,
    (sqlc.arg(products)::text[])[n.i], (sqlc.arg(skus)::text[])[n.i], (sqlc.arg(titles)::text[])[n.i],
    (sqlc.arg(quantities)::integer[])[n.i],
    (sqlc.arg(unit_price_units)::bigint[])[n.i], (sqlc.arg(unit_price_nanos)::integer[])[n.i],
    (sqlc.arg(line_total_units)::bigint[])[n.i], (sqlc.arg(line_total_nanos)::integer[])[n.i]
FROM accepted, generate_series(1, sqlc.arg(line_count)::integer) AS n (i);

-- name: RaiseGeneration :execrows
INSERT INTO order_keys (customer, key, generation) VALUES (sqlc.arg(customer), sqlc.arg(key), sqlc.arg(generation)::integer + 1)
ON CONFLICT (customer, key) DO UPDATE SET generation = EXCLUDED.generation
    WHERE order_keys.order_id IS NULL AND order_keys.generation = EXCLUDED.generation - 1;

-- name: GetOrder :many
SELECT sqlc.embed(o), sqlc.embed(l)
FROM orders AS o JOIN order_lines AS l ON l.order_id = o.id
WHERE o.id = $1
ORDER BY l.position;

-- name: LockOrder :many
SELECT sqlc.embed(o), sqlc.embed(l)
FROM orders AS o JOIN order_lines AS l ON l.order_id = o.id
WHERE o.id = $1
ORDER BY l.position
FOR UPDATE OF o;

-- name: ListOrders :many
SELECT sqlc.embed(o), sqlc.embed(l)
FROM orders AS o JOIN order_lines AS l ON l.order_id = o.id
WHERE o.id IN (
    SELECT p.id FROM orders AS p
    WHERE p.customer = sqlc.arg(customer) AND (
        sqlc.arg(from_newest)::boolean
        OR (p.create_time, p.id) < (sqlc.arg(before_time)::timestamptz, sqlc.arg(before_id)::text)
    )
    ORDER BY p.create_time DESC, p.id DESC
    LIMIT sqlc.arg(row_limit)
)
ORDER BY o.create_time DESC, o.id DESC, l.position;

-- name: MoveOrder :execrows
-- Compare and set: the row must be as the change was decided on.
UPDATE orders SET
    state = sqlc.arg(state), cancel_reason = sqlc.arg(cancel_reason),
    revision = sqlc.arg(revision)::integer + 1, update_time = sqlc.arg(update_time)
WHERE id = sqlc.arg(id) AND state = sqlc.arg(from_state) AND revision = sqlc.arg(revision)::integer;

-- name: SettleOrder :execrows
UPDATE orders SET settled = true WHERE id = $1 AND state = 'CANCELLED' AND NOT settled;

-- name: PendingOrders :many
SELECT id FROM orders WHERE state = 'PENDING' AND create_time < $1 ORDER BY create_time LIMIT $2;

-- name: GetEvents :many
SELECT revision, state, cancel_reason, create_time FROM order_events
WHERE order_id = $1 AND revision > $2
ORDER BY revision;
