// Package db holds the queries. sqlc makes it of ../query; only this file is
// written by hand.
package db
