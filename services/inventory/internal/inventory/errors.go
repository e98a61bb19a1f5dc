package inventory

import "github.com/slipway-dev/slipway/platform/serve/errs"

// Domain is who defines the reasons below (AIP-193).
const Domain = "inventory.slipway"

// What can go wrong, for errors.Is. Returned errors add metadata and fields.
var (
	ErrItemNotFound        = define(errs.NotFound, "STOCK_ITEM_NOT_FOUND", "nothing of this sku was ever in stock; add some first")
	ErrReservationNotFound = define(errs.NotFound, "RESERVATION_NOT_FOUND", "the reservation does not exist")
	ErrInsufficient        = define(errs.FailedPrecondition, "INSUFFICIENT_STOCK", "too little is available")
	ErrLimit               = define(errs.FailedPrecondition, "STOCK_LIMIT", "a stock item holds at most 1000000000 units")
	ErrMismatch            = define(errs.AlreadyExists, "RESERVATION_MISMATCH", "a reservation of other lines has this id; choose another id")
	ErrRequestReused       = define(errs.AlreadyExists, "REQUEST_ID_REUSED", "another adjustment had this request_id; make up a new one for each adjustment")
	ErrExpired             = define(errs.FailedPrecondition, "RESERVATION_EXPIRED", "the reservation has expired; reserve again")
	ErrReleased            = define(errs.FailedPrecondition, "RESERVATION_RELEASED", "the reservation was released; reserve again")
	ErrCommitted           = define(errs.FailedPrecondition, "RESERVATION_COMMITTED", "the reservation was committed; return it instead")
	ErrReturned            = define(errs.FailedPrecondition, "RESERVATION_RETURNED", "the reservation was returned; reserve again")
	ErrNotCommitted        = define(errs.FailedPrecondition, "RESERVATION_NOT_COMMITTED", "the reservation was not committed; release it instead")
	ErrContended           = define(errs.Conflict, "STOCK_CONTENDED", "others keep changing the same stock; try again")
	ErrInvalid             = define(errs.InvalidArgument, "INVALID_REQUEST", "the request is not valid")
	ErrInvalidName         = define(errs.InvalidArgument, "INVALID_NAME", "a name has the form stockItems/{sku} or reservations/{id}")
	ErrPageToken           = define(errs.InvalidArgument, "INVALID_PAGE_TOKEN", "the page token is not one this method gave for this request; start again without it")
	ErrPageSize            = define(errs.InvalidArgument, "INVALID_PAGE_SIZE", "the page size must not be negative")
)

func define(kind errs.Kind, reason, message string) *errs.Error {
	e := errs.New(kind, reason, message)
	e.Domain = Domain
	return e
}

// invalid reports everything that is wrong with a request, by field; nil if
// nothing is.
func invalid(fields []errs.Field) error {
	if len(fields) == 0 {
		return nil
	}
	err := *ErrInvalid
	err.Fields = fields
	err.Message = fields[0].Path + ": " + fields[0].Description
	return &err
}
