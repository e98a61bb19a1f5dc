package orders

import (
	"errors"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// Domain is who defines the reasons below (AIP-193).
const Domain = "orders.slipway"

// What can go wrong, for errors.Is. Returned errors add metadata and fields.
var (
	ErrNotFound        = define(errs.NotFound, "ORDER_NOT_FOUND", "the order does not exist")
	ErrInvalid         = define(errs.InvalidArgument, "INVALID_ORDER", "the order is not valid")
	ErrInvalidName     = define(errs.InvalidArgument, "INVALID_NAME", "an order's name has the form orders/{id}")
	ErrKeyRequired     = define(errs.InvalidArgument, "IDEMPOTENCY_KEY_REQUIRED", "an order needs the header Idempotency-Key: a text of your making, another one for each order")
	ErrKeyInvalid      = define(errs.InvalidArgument, "IDEMPOTENCY_KEY_INVALID", "the Idempotency-Key must be 1 to 255 printable ASCII characters")
	ErrKeyReused       = define(errs.AlreadyExists, "IDEMPOTENCY_KEY_REUSED", "the Idempotency-Key was used for another order; make up a new key for a new order")
	ErrKeyInUse        = define(errs.Conflict, "IDEMPOTENCY_KEY_IN_USE", "a request with this Idempotency-Key is still running; repeat yours in a moment")
	ErrEtagMismatch    = define(errs.Conflict, "ETAG_MISMATCH", "the order has changed since it was read; read it again and repeat the change")
	ErrPending         = define(errs.FailedPrecondition, "ORDER_PENDING", "the order is not confirmed yet")
	ErrConfirmed       = define(errs.FailedPrecondition, "ORDER_CONFIRMED", "the order is confirmed already")
	ErrCancelled       = define(errs.FailedPrecondition, "ORDER_CANCELLED", "the order has been cancelled")
	ErrFulfilled       = define(errs.FailedPrecondition, "ORDER_FULFILLED", "the order has been fulfilled")
	ErrUnknownProduct  = define(errs.FailedPrecondition, "UNKNOWN_PRODUCT", "the catalog has no such product")
	ErrNotForSale      = define(errs.FailedPrecondition, "PRODUCT_NOT_FOR_SALE", "the product is not for sale")
	ErrMixedCurrencies = define(errs.FailedPrecondition, "MIXED_CURRENCIES", "all prices of an order must be of one currency")
	ErrTotalTooLarge   = define(errs.FailedPrecondition, "TOTAL_TOO_LARGE", "the order's total is too large")
	ErrNoStock         = define(errs.FailedPrecondition, "INSUFFICIENT_STOCK", "there is not enough in stock")
	ErrPageToken       = define(errs.InvalidArgument, "INVALID_PAGE_TOKEN", "the page token is not one this method gave for this request; start again without it")
	ErrPageSize        = define(errs.InvalidArgument, "INVALID_PAGE_SIZE", "the page size must not be negative")
	ErrReconnect       = define(errs.Unavailable, "RECONNECT", "this server is going away; watch again")
)

// What an Inventory answers; no client sees these.
var (
	// ErrReservationGone says that the reservation holds nothing and never will.
	ErrReservationGone = errors.New("the reservation has ended")
	// ErrReservationCommitted says that the stock was taken: release is too late.
	ErrReservationCommitted = errors.New("the reservation is committed")
	// ErrReservationMismatch says that the id belongs to other lines.
	ErrReservationMismatch = errors.New("the reservation has other lines")
)

func define(kind errs.Kind, reason, message string) *errs.Error {
	e := errs.New(kind, reason, message)
	e.Domain = Domain
	return e
}
