package store

import "github.com/slipway-dev/slipway/platform/serve/database"

// jobOf is the condition that the order o has a job of the kind that will still
// be done.
func jobOf(kind string) string {
	return `EXISTS (
    SELECT FROM river_job AS j
    WHERE j.kind = '` + kind + `' AND j.args @> jsonb_build_object('order_id', o.id)
        AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled'))`
}

// Invariants are what always holds of the tables.
func Invariants() []database.Invariant {
	return []database.Invariant{
		{
			Name: "an order's history has legal steps only",
			Doc:  "A trigger refuses others, and refuses to change the history; somebody went round it.",
			Query: `SELECT order_id, revision, was, state FROM (
    SELECT order_id, revision, state, lag(state) OVER w AS was, lag(revision) OVER w AS before
    FROM order_events WINDOW w AS (PARTITION BY order_id ORDER BY revision)
) AS h
WHERE was IS NULL AND (state <> 'PENDING' OR revision <> 1)
    OR was IS NOT NULL AND (revision <> before + 1 OR (was, state) NOT IN (
        ('PENDING', 'CONFIRMED'), ('PENDING', 'CANCELLED'), ('CONFIRMED', 'CANCELLED'), ('CONFIRMED', 'FULFILLED')))`,
		},
		{
			Name: "an order is where its history ends",
			Doc:  "A trigger writes the history with each change; somebody went round it.",
			Query: `SELECT o.id, o.state, o.revision FROM orders AS o
LEFT JOIN order_events AS e ON e.order_id = o.id AND e.revision = o.revision
    AND e.state = o.state AND e.cancel_reason = o.cancel_reason
WHERE e.order_id IS NULL OR EXISTS (SELECT FROM order_events AS n WHERE n.order_id = o.id AND n.revision > o.revision)`,
		},
		{
			Name: "totals are the sums of what is bought",
			Doc:  "The domain calculates them once, when the order is accepted.",
			Query: `SELECT o.id FROM orders AS o LEFT JOIN order_lines AS l ON l.order_id = o.id
GROUP BY o.id
HAVING count(l.order_id) = 0
    OR o.total_units * 1000000000::numeric + o.total_nanos <>
        sum(l.line_total_units * 1000000000::numeric + l.line_total_nanos)
    OR bool_or(l.line_total_units * 1000000000::numeric + l.line_total_nanos <>
        l.quantity * (l.unit_price_units * 1000000000::numeric + l.unit_price_nanos))`,
		},
		{
			Name: "every order was accepted under one key",
			Doc:  "Both are inserted by one statement, and a key's order is unique.",
			Query: `SELECT o.id FROM orders AS o WHERE NOT EXISTS (
    SELECT FROM order_keys AS k WHERE k.order_id = o.id AND k.customer = o.customer AND k.answer ->> 'id' = o.id)`,
		},
		{
			Name: "a cancelled order gives its stock back",
			Doc: "The job that settles it is inserted with the cancellation and tried for days. " +
				"If it was discarded, insert it again.",
			Query: "SELECT o.id, o.update_time FROM orders AS o\nWHERE o.state = 'CANCELLED' AND NOT o.settled AND NOT " + jobOf("order_settle"),
		},
		{
			Name:  "a pending order has a job that confirms it",
			Doc:   "The job is inserted with the order and tried until the order is confirmed or cancelled.",
			Query: "SELECT o.id, o.create_time FROM orders AS o\nWHERE o.state = 'PENDING' AND NOT " + jobOf("order_confirm"),
		},
		{
			Name:  "no order is pending for ten minutes",
			Doc:   "A job cancels orders that are pending for five; is any task of the service running?",
			Query: `SELECT o.id, o.create_time FROM orders AS o WHERE o.state = 'PENDING' AND o.create_time < now() - interval '10 minutes'`,
		},
	}
}
