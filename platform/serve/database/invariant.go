package database

// Invariant is a statement about a service's data that always holds.
type Invariant struct {
	Name  string // e.g. "stock is never negative"; unique within the service
	Doc   string // why it holds, or what to do if it does not
	Query string // one SELECT of the rows that break it; no row means it holds
}
