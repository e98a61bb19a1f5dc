package postgres

import (
	"context"
	"fmt"
)

// ObtainError says that no server can be had.
type ObtainError struct{ Err error }

// Error says what was tried.
func (e *ObtainError) Error() string {
	return fmt.Sprintf("no PostgreSQL %d or newer is installed, and none could be fetched: %v", OldestMajor, e.Err)
}

// Unwrap returns why none could be fetched.
func (e *ObtainError) Unwrap() error { return e.Err }

// Next names both ways to get one.
func (e *ObtainError) Next() string {
	return "install PostgreSQL (apt-get install postgresql, brew install postgresql), or give a Maven repository that has " +
		artifactName + ": " + RepositoryVariable + "=https://... go tool mage up"
}

// Obtain returns the servers that can be used, best first: installed ones, and
// the one in the cache. Where there is none at all it fetches one.
func Obtain(ctx context.Context, cacheDir string, progress Progress) ([]Installation, error) {
	found, err := Locate(ctx)
	if err != nil {
		return nil, err
	}
	if fetched, ok := Fetched(ctx, cacheDir); ok {
		found = append(found, fetched)
	}
	if len(found) > 0 {
		return found, nil
	}
	fetched, err := Fetch(ctx, cacheDir, progress)
	if err != nil {
		return nil, &ObtainError{Err: err}
	}
	return []Installation{fetched}, nil
}
