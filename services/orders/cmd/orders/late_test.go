package main

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestOrderOutlivesItsJobsTask takes every order's job as a task does that dies in
// it, and for so long that nobody may rescue it: the orders are confirmed by
// another way.
func TestOrderOutlivesItsJobsTask(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	conn, err := pgx.Connect(t.Context(), s.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.state := 'running';
    NEW.attempt := 1;
    NEW.attempted_at := now() + interval '1 day';
    RETURN NEW;
END
$$;
CREATE TRIGGER take BEFORE INSERT ON river_job FOR EACH ROW WHEN (NEW.kind = 'order_confirm') EXECUTE FUNCTION take()`)
	if err != nil {
		t.Fatal(err)
	}
	order := place(t, s.Server, "k1", body("ada", "lamp", 2))
	await(t, s.Server, order.field("name"), "CONFIRMED")
	if got := s.inventory.state(order.field("name")); got != "COMMITTED" {
		t.Errorf("the reservation is %s", got)
	}
	var state string
	if err := conn.QueryRow(t.Context(), "SELECT state FROM river_job WHERE kind = 'order_confirm'").Scan(&state); err != nil || state != "running" {
		t.Errorf("the job is %s, %v; it must not have been worked", state, err)
	}
	holds(t, s)
}
