package store

import "github.com/slipway-dev/slipway/platform/serve/database"

// Invariants are what holds of the data at every moment, whatever ran at once.
func Invariants() []database.Invariant {
	return append(ofStock(), ofReservations()...)
}

func ofStock() []database.Invariant {
	return []database.Invariant{
		{
			Name: "stock is never negative and never promised twice",
			Doc:  "every statement that takes stock asks under the row's lock whether there is enough; a check stands behind it",
			Query: `SELECT sku, on_hand, reserved FROM stock_items
WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand`,
		},
		{
			Name: "the ledger adds up to the stock",
			Doc:  "each movement writes its entry in the statement that moves the stock",
			Query: `SELECT s.sku, s.on_hand, sum(e.on_hand_delta) AS on_hand_entered,
	s.reserved, sum(e.reserved_delta) AS reserved_entered
FROM stock_items AS s LEFT JOIN ledger_entries AS e ON e.sku = s.sku
GROUP BY s.sku
HAVING s.on_hand IS DISTINCT FROM sum(e.on_hand_delta) OR s.reserved IS DISTINCT FROM sum(e.reserved_delta)`,
		},
		{
			Name: "the ledger has no gap",
			Doc:  "an item counts its entries; a missing number is an entry that was removed",
			Query: `SELECT s.sku, s.entries, count(e.number) AS found, min(e.number) AS first, max(e.number) AS last
FROM stock_items AS s LEFT JOIN ledger_entries AS e ON e.sku = s.sku
GROUP BY s.sku
HAVING s.entries <> count(e.number) OR min(e.number) <> 1 OR max(e.number) <> s.entries`,
		},
		{
			Name: "stock was never negative after any entry",
			Doc:  "entries are numbered in the order in which they took hold of the item",
			Query: `SELECT sku, number, on_hand, reserved FROM (
	SELECT sku, number, sum(on_hand_delta) OVER past AS on_hand, sum(reserved_delta) OVER past AS reserved
	FROM ledger_entries WINDOW past AS (PARTITION BY sku ORDER BY number)
) AS history
WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand`,
		},
	}
}

func ofReservations() []database.Invariant {
	return []database.Invariant{
		{
			Name: "what is reserved is what active reservations hold",
			Doc:  "the state and the stock change in one statement",
			Query: `SELECT s.sku, s.reserved, coalesce(held.quantity, 0) AS held
FROM stock_items AS s LEFT JOIN (
	SELECT l.sku, sum(l.quantity) AS quantity
	FROM reservation_lines AS l JOIN reservations AS r ON r.id = l.reservation_id
	WHERE r.state = 'ACTIVE' GROUP BY l.sku
) AS held ON held.sku = s.sku
WHERE s.reserved <> coalesce(held.quantity, 0)`,
		},
		{
			Name: "every line was moved as its reservation's state says, once each",
			Doc:  "a reservation moves all its lines in one statement, from a state that it leaves by that",
			Query: `SELECT r.id, r.state, l.sku, l.quantity, array_agg(e.kind ORDER BY e.number) AS kinds
FROM reservations AS r
LEFT JOIN reservation_lines AS l ON l.reservation_id = r.id
LEFT JOIN ledger_entries AS e ON e.reservation_id = l.reservation_id AND e.sku = l.sku
GROUP BY r.id, l.sku, l.quantity
HAVING l.sku IS NULL
	OR bool_or(greatest(abs(e.on_hand_delta), abs(e.reserved_delta)) <> l.quantity)
	OR array_agg(e.kind ORDER BY e.number)::text[] IS DISTINCT FROM (CASE r.state
		WHEN 'ACTIVE' THEN '{RESERVE}'
		WHEN 'COMMITTED' THEN '{RESERVE,COMMIT}'
		WHEN 'RELEASED' THEN '{RESERVE,RELEASE}'
		WHEN 'EXPIRED' THEN '{RESERVE,EXPIRE}'
		WHEN 'RETURNED' THEN '{RESERVE,COMMIT,RETURN}'
	END)::text[]`,
		},
	}
}
