package inventory

import (
	"strconv"
	"strings"
)

// What comes before the ids in resource names (AIP-122).
const (
	itemPrefix        = "stockItems/"
	reservationPrefix = "reservations/"
)

// Name is the resource name, "stockItems/" and the SKU.
func (i Item) Name() string { return itemPrefix + i.SKU }

// Name is the resource name, "stockItems/", the SKU, "/entries/" and the number.
func (e Entry) Name() string {
	return itemPrefix + e.SKU + "/entries/" + strconv.FormatInt(e.Number, 10)
}

// Name is the resource name, "reservations/" and the id.
func (r Reservation) Name() string { return reservationPrefix + r.ID }

// ReservationName is the name of the reservation that moved the stock, empty if
// none did.
func (e Entry) ReservationName() string {
	if e.ReservationID == "" {
		return ""
	}
	return reservationPrefix + e.ReservationID
}

// ParseItemName is the SKU in a stock item's name.
func ParseItemName(name string) (sku string, ok bool) {
	sku, ok = strings.CutPrefix(name, itemPrefix)
	return sku, ok && isSKU(sku)
}

// ParseReservationName is the id in a reservation's name.
func ParseReservationName(name string) (id string, ok bool) {
	id, ok = strings.CutPrefix(name, reservationPrefix)
	return id, ok && isID(id)
}

// isSKU reports whether sku is 1 to 64 capitals and digits, with dots, hyphens
// and underscores inside, as in the catalog.
func isSKU(sku string) bool {
	if sku == "" || len(sku) > 64 {
		return false
	}
	edge := func(c byte) bool { return 'A' <= c && c <= 'Z' || isDigit(c) }
	return edge(sku[0]) && edge(sku[len(sku)-1]) &&
		consists(sku, func(c byte) bool { return edge(c) || c == '.' || c == '-' || c == '_' })
}

// isID reports whether id is 1 to 63 lower case letters and digits, with hyphens
// inside. Unlike AIP-122 it may start with a digit, so that any UUID is one.
func isID(id string) bool {
	if id == "" || len(id) > 63 {
		return false
	}
	edge := func(c byte) bool { return 'a' <= c && c <= 'z' || isDigit(c) }
	return edge(id[0]) && edge(id[len(id)-1]) &&
		consists(id, func(c byte) bool { return edge(c) || c == '-' })
}

func consists(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
