-- name: GetItem :one
SELECT sku, on_hand, reserved, create_time, update_time FROM stock_items WHERE sku = $1;

-- name: GetItems :many
SELECT sku, on_hand, reserved, create_time, update_time
FROM stock_items WHERE sku = ANY (sqlc.arg(skus)::text[]);

-- name: ListItems :many
SELECT sku, on_hand, reserved, create_time, update_time
FROM stock_items WHERE sku > sqlc.arg(after)::text ORDER BY sku LIMIT sqlc.arg(row_limit);

-- name: ListEntries :many
SELECT sku, number, kind, on_hand_delta, reserved_delta, reason, reservation_id, create_time
FROM ledger_entries
WHERE sku = sqlc.arg(sku) AND number < sqlc.arg(before)::bigint
ORDER BY number DESC LIMIT sqlc.arg(row_limit);

-- name: GetAdjustment :one
SELECT sku, on_hand_delta, reason, create_time FROM ledger_entries WHERE request_id = sqlc.arg(request_id)::uuid;

-- name: Adjust :one
-- A row is inserted only for a new item, which must come in: what is proposed
-- to ON CONFLICT has to pass the checks even where it is not inserted.
WITH stocked AS (
    INSERT INTO stock_items AS s (sku, on_hand, reserved, entries, create_time, update_time)
    SELECT sqlc.arg(sku)::text, greatest(sqlc.arg(delta)::integer, 0), 0, 1, sqlc.arg(now)::timestamptz, sqlc.arg(now)::timestamptz
    WHERE sqlc.arg(delta)::integer > 0 OR EXISTS (SELECT 1 FROM stock_items AS known WHERE known.sku = sqlc.arg(sku)::text)
    ON CONFLICT (sku) DO UPDATE SET
        on_hand = s.on_hand + sqlc.arg(delta)::integer,
        entries = s.entries + 1,
        update_time = greatest(s.update_time, sqlc.arg(now)::timestamptz)
    WHERE s.on_hand + sqlc.arg(delta)::integer BETWEEN s.reserved AND sqlc.arg(max_on_hand)::integer
    RETURNING s.sku, s.on_hand, s.reserved, s.entries, s.create_time, s.update_time
), noted AS (
    INSERT INTO ledger_entries (sku, number, kind, on_hand_delta, reserved_delta, reason, request_id, create_time)
    SELECT stocked.sku, stocked.entries, 'ADJUST', sqlc.arg(delta)::integer, 0, sqlc.arg(reason)::text,
        sqlc.arg(request_id)::uuid, sqlc.arg(now)::timestamptz
    FROM stocked
)
SELECT sku, on_hand, reserved, create_time, update_time FROM stocked;
