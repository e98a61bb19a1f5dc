package catalog

import "github.com/slipway-dev/slipway/platform/serve/errs"

// Domain is who defines the reasons below (AIP-193).
const Domain = "catalog.slipway"

// What can go wrong, for errors.Is. Returned errors add metadata and fields.
var (
	ErrNotFound      = define(errs.NotFound, "PRODUCT_NOT_FOUND", "the product does not exist")
	ErrIDTaken       = define(errs.AlreadyExists, "PRODUCT_EXISTS", "a product with this name exists")
	ErrSKUTaken      = define(errs.AlreadyExists, "SKU_EXISTS", "a product with this sku exists")
	ErrEtagMismatch  = define(errs.Conflict, "ETAG_MISMATCH", "the product has changed since it was read; read it again and repeat the change")
	ErrSKUImmutable  = define(errs.InvalidArgument, "SKU_IMMUTABLE", "the sku of a product never changes")
	ErrPublished     = define(errs.FailedPrecondition, "PRODUCT_PUBLISHED", "a published product cannot become a draft again; discontinue it instead")
	ErrInvalid       = define(errs.InvalidArgument, "INVALID_PRODUCT", "the product is not valid")
	ErrInvalidName   = define(errs.InvalidArgument, "INVALID_NAME", "a product's name has the form products/{id}, with an id of lower case letters, digits and hyphens")
	ErrPageToken     = define(errs.InvalidArgument, "INVALID_PAGE_TOKEN", "the page token is not one this method gave for this request; start again without it")
	ErrPageSize      = define(errs.InvalidArgument, "INVALID_PAGE_SIZE", "the page size must not be negative")
	ErrOrder         = define(errs.InvalidArgument, "INVALID_ORDER_BY", "order_by must be one of name, create_time, price, each optionally followed by desc")
	ErrFilter        = define(errs.InvalidArgument, "INVALID_FILTER", "the filter cannot be used; it compares sku, title, state, price.currency_code, price.units, create_time, update_time and labels.KEY with constants")
	ErrUpdateMask    = define(errs.InvalidArgument, "INVALID_UPDATE_MASK", "the update mask names a field that cannot be updated")
	ErrQueryRequired = define(errs.InvalidArgument, "QUERY_REQUIRED", "a search needs at least one word")
)

func define(kind errs.Kind, reason, message string) *errs.Error {
	e := errs.New(kind, reason, message)
	e.Domain = Domain
	return e
}
