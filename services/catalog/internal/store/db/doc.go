// Package db holds the fixed queries. sqlc makes it of ../query; only this file
// is written by hand.
package db
