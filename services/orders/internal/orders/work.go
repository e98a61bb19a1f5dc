package orders

import (
	"context"
	"errors"
	"fmt"
)

// Confirm takes the order's stock and confirms it. If the reservation has ended,
// the order is cancelled. It may be repeated.
func (s *Service) Confirm(ctx context.Context, id string) error {
	o, err := s.Store.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("confirm order %s: %w", id, err)
	}
	if o.State != Pending {
		return nil
	}
	next, reason := Confirmed, CancelReason("")
	err = s.Inventory.Commit(ctx, id)
	if errors.Is(err, ErrReservationGone) {
		next, reason = Cancelled, StockLost
	} else if err != nil {
		return fmt.Errorf("confirm order %s: commit reservation: %w", id, err)
	}
	// Whoever cancelled the order meanwhile left a job that returns what has just
	// been committed.
	_, err = s.Store.Change(ctx, id, func(o Order) (Order, error) { return o.settle(next, reason, s.Now()) })
	if err != nil {
		return fmt.Errorf("confirm order %s: %w", id, err)
	}
	return nil
}

// ConfirmLate does the job of the oldest orders that have been pending for longer
// than LateAfter. A job that was running when its task died is tried again only
// when nobody can be at it any more, most of a minute later; nobody needs to wait
// for that. The job is left as it is, and finds nothing to do. Orders that cannot
// be confirmed now do not keep the others from it.
func (s *Service) ConfirmLate(ctx context.Context) error {
	ids, err := s.Store.PendingSince(ctx, s.Now().Add(-LateAfter), lateBatch)
	if err != nil {
		return fmt.Errorf("find late orders: %w", err)
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, s.Confirm(ctx, id))
	}
	return errors.Join(errs...)
}

// Settle sees to it that a cancelled order holds no stock. It may be repeated.
func (s *Service) Settle(ctx context.Context, id string) error {
	o, err := s.Store.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("settle order %s: %w", id, err)
	}
	if o.State != Cancelled || o.Settled {
		return nil
	}
	if err := s.undo(ctx, id); err != nil {
		return fmt.Errorf("settle order %s: %w", id, err)
	}
	if err := s.Store.Settled(ctx, id); err != nil {
		return fmt.Errorf("settle order %s: %w", id, err)
	}
	return nil
}

// undo drives a reservation to its end. Releasing comes first: once it is
// refused, the reservation is committed and can only be returned.
func (s *Service) undo(ctx context.Context, id string) error {
	err := s.Inventory.Release(ctx, id)
	if errors.Is(err, ErrReservationCommitted) {
		err = s.Inventory.Return(ctx, id)
	}
	if err != nil && !errors.Is(err, ErrReservationGone) {
		return fmt.Errorf("undo reservation: %w", err)
	}
	return nil
}

// Release gives free a reservation that no order stands on. It may be repeated.
func (s *Service) Release(ctx context.Context, id string) error {
	if err := s.Inventory.Release(ctx, id); err != nil && !errors.Is(err, ErrReservationGone) {
		return fmt.Errorf("release reservation %s: %w", id, err)
	}
	return nil
}

// Sweep cancels the orders that have been pending for longer than PendingLimit.
func (s *Service) Sweep(ctx context.Context) error {
	for {
		ids, err := s.Store.PendingSince(ctx, s.Now().Add(-PendingLimit), sweepBatch)
		if err != nil {
			return fmt.Errorf("find pending orders: %w", err)
		}
		for _, id := range ids {
			_, err := s.Store.Change(ctx, id, func(o Order) (Order, error) { return o.settle(Cancelled, TimedOut, s.Now()) })
			if err != nil {
				return fmt.Errorf("cancel pending order %s: %w", id, err)
			}
		}
		if len(ids) < sweepBatch {
			return nil
		}
	}
}
