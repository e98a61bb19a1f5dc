package vuln

import "fmt"

// FetchCommand makes a copy of the database.
const FetchCommand = "go tool mage vuln:fetch"

// DatabaseError says that a database could not be used.
type DatabaseError struct {
	Location string
	// Damaged tells that it was reached and is not what it should be.
	Damaged bool
	Err     error
	Do      string // the command to type next
}

// Error returns what failed and why.
func (e *DatabaseError) Error() string {
	if e.Damaged {
		return fmt.Sprintf("vulnerability database %s is damaged: %s", e.Location, e.Err)
	}
	return fmt.Sprintf("vulnerability database %s cannot be had: %s", e.Location, e.Err)
}

// Unwrap returns why.
func (e *DatabaseError) Unwrap() error { return e.Err }

// Next returns the command to type next.
func (e *DatabaseError) Next() string { return e.Do }

func unobtainable(location string, err error) error {
	return &DatabaseError{Location: location, Err: err, Do: FetchCommand}
}

func damaged(location string, err error) error {
	return &DatabaseError{Location: location, Damaged: true, Err: err, Do: FetchCommand}
}
