-- Each change is one statement, and so one round trip and one transaction: the
-- rows of popular SKUs are locked no longer than the server needs to commit.
-- All of them lock the items first, in the order of their SKUs, and touch a
-- reservation only then. So whoever holds a reservation waits for nobody, and
-- nobody waits in a circle. (An insert that meets the id of a reservation waits
-- for a change of that one to end, so it must not come before the items.)
-- Reading a locked row in the same statement yields its newest version.

-- name: GetReservation :one
SELECT r.id, r.state, r.expire_time, r.create_time, r.update_time,
    array_agg(l.sku ORDER BY l.sku)::text[] AS skus,
    array_agg(l.quantity ORDER BY l.sku)::integer[] AS quantities
FROM reservations AS r JOIN reservation_lines AS l ON l.reservation_id = r.id
WHERE r.id = $1
GROUP BY r.id;

-- name: Reserve :execrows
-- Says how many entries it wrote: one for each line, or none if too little is
-- available or the id is taken. What the snapshot shows to be sold out does not
-- queue for the lock.
WITH wanted AS (
    SELECT unnest(sqlc.arg(skus)::text[]) AS sku, unnest(sqlc.arg(quantities)::integer[]) AS quantity
), promising AS (
    SELECT count(*) = cardinality(sqlc.arg(skus)::text[]) AS every_line
    FROM wanted AS w JOIN stock_items AS s ON s.sku = w.sku
    WHERE s.on_hand - s.reserved >= w.quantity
), locked AS (
    SELECT s.sku, w.quantity, s.on_hand - s.reserved >= w.quantity AS enough
    FROM wanted AS w JOIN stock_items AS s ON s.sku = w.sku
    WHERE (SELECT p.every_line FROM promising AS p)
    ORDER BY s.sku
    FOR NO KEY UPDATE OF s
), made AS (
    INSERT INTO reservations (id, state, expire_time, create_time, update_time)
    SELECT sqlc.arg(id)::text, sqlc.arg(state)::text, sqlc.arg(expire_time)::timestamptz, sqlc.arg(now)::timestamptz, sqlc.arg(now)::timestamptz
    WHERE (SELECT count(*) FROM locked AS l WHERE l.enough) = cardinality(sqlc.arg(skus)::text[])
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), lines AS (
    INSERT INTO reservation_lines (reservation_id, sku, quantity)
    SELECT m.id, w.sku, w.quantity FROM made AS m CROSS JOIN wanted AS w
), stocked AS (
    UPDATE stock_items AS s SET
        reserved = s.reserved + l.quantity,
        entries = s.entries + 1,
        update_time = greatest(s.update_time, sqlc.arg(now)::timestamptz)
    FROM locked AS l CROSS JOIN made AS m
    WHERE s.sku = l.sku
    RETURNING s.sku, s.entries AS number, l.quantity, m.id AS reservation_id
)
INSERT INTO ledger_entries (sku, number, kind, on_hand_delta, reserved_delta, reason, reservation_id, create_time)
SELECT k.sku, k.number, 'RESERVE', 0, k.quantity, '', k.reservation_id, sqlc.arg(now)::timestamptz
FROM stocked AS k;

-- name: Move :execrows
-- Says how many entries it wrote: one for each line, or none if the reservation
-- is not in the state that the movement starts from.
WITH locked AS (
    SELECT s.sku, l.quantity
    FROM reservation_lines AS l JOIN stock_items AS s ON s.sku = l.sku
    WHERE l.reservation_id = sqlc.arg(id)::text
    ORDER BY s.sku
    FOR NO KEY UPDATE OF s
), moved AS (
    UPDATE reservations AS r SET
        state = sqlc.arg(to_state)::text,
        update_time = greatest(r.update_time, sqlc.arg(now)::timestamptz)
    FROM (SELECT count(*) AS lines FROM locked) AS l
    WHERE r.id = sqlc.arg(id)::text AND r.state = sqlc.arg(from_state)::text AND l.lines > 0
    RETURNING r.id
), stocked AS (
    UPDATE stock_items AS s SET
        on_hand = s.on_hand + sqlc.arg(on_hand)::integer * l.quantity,
        reserved = s.reserved + sqlc.arg(reserved)::integer * l.quantity,
        entries = s.entries + 1,
        update_time = greatest(s.update_time, sqlc.arg(now)::timestamptz)
    FROM locked AS l CROSS JOIN moved AS m
    WHERE s.sku = l.sku
    RETURNING s.sku, s.entries AS number, l.quantity, m.id AS reservation_id
)
INSERT INTO ledger_entries (sku, number, kind, on_hand_delta, reserved_delta, reason, reservation_id, create_time)
SELECT k.sku, k.number, sqlc.arg(kind)::text,
    sqlc.arg(on_hand)::integer * k.quantity, sqlc.arg(reserved)::integer * k.quantity, '', k.reservation_id, sqlc.arg(now)::timestamptz
FROM stocked AS k;

-- name: MoveDue :one
-- Says how many reservations it moved. Several of them may hold the same SKU:
-- its row changes once, by their total, and their entries are numbered in turn.
-- The state is a constant, as a prepared statement must match the partial index.
WITH due AS (
    SELECT r.id FROM reservations AS r
    WHERE r.state = 'ACTIVE' AND r.expire_time <= sqlc.arg(now)::timestamptz
    ORDER BY r.expire_time
    LIMIT sqlc.arg(row_limit)
), wanted AS (
    SELECT DISTINCT l.sku FROM due AS d JOIN reservation_lines AS l ON l.reservation_id = d.id
), locked AS (
    SELECT s.sku FROM wanted AS w JOIN stock_items AS s ON s.sku = w.sku
    ORDER BY s.sku
    FOR NO KEY UPDATE OF s
), moved AS (
    UPDATE reservations AS r SET
        state = sqlc.arg(to_state)::text,
        update_time = greatest(r.update_time, sqlc.arg(now)::timestamptz)
    FROM due AS d CROSS JOIN (SELECT count(*) AS items FROM locked) AS l
    WHERE r.id = d.id AND r.state = 'ACTIVE' AND l.items > 0
    RETURNING r.id
), lines AS (
    SELECT l.sku, l.quantity, l.reservation_id,
        row_number() OVER (PARTITION BY l.sku ORDER BY l.reservation_id) AS place
    FROM moved AS m JOIN reservation_lines AS l ON l.reservation_id = m.id
), totals AS (
    SELECT l.sku, sum(l.quantity)::integer AS quantity, count(*) AS lines FROM lines AS l GROUP BY l.sku
), stocked AS (
    UPDATE stock_items AS s SET
        on_hand = s.on_hand + sqlc.arg(on_hand)::integer * t.quantity,
        reserved = s.reserved + sqlc.arg(reserved)::integer * t.quantity,
        entries = s.entries + t.lines,
        update_time = greatest(s.update_time, sqlc.arg(now)::timestamptz)
    FROM totals AS t
    WHERE s.sku = t.sku
    RETURNING s.sku, s.entries - t.lines AS before
), noted AS (
    INSERT INTO ledger_entries (sku, number, kind, on_hand_delta, reserved_delta, reason, reservation_id, create_time)
    SELECT k.sku, k.before + l.place, sqlc.arg(kind)::text,
        sqlc.arg(on_hand)::integer * l.quantity, sqlc.arg(reserved)::integer * l.quantity, '', l.reservation_id, sqlc.arg(now)::timestamptz
    FROM stocked AS k JOIN lines AS l ON l.sku = k.sku
)
SELECT count(*) FROM moved;
