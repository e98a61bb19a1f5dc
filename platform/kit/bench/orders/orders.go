// Package orders measures how many orders the shop takes: clients place orders
// through the gateway of a running local cluster, each the next one as soon as
// the last is answered. Beside it, in turn, as many clients write the same rows
// straight into a PostgreSQL server with the same settings, in one transaction:
// the floor, which no shop of several services can reach.
//
// At the end everything is counted: every accepted order is there once, and the
// stock is less by what was sold. The products, with their stock, stay.
package orders

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"time"
)

// Config says what to load, and for how long.
type Config struct {
	// URL is the gateway's. Token has the scopes that Scopes lists.
	URL, Token string
	// Dir takes the floor's database, which is removed at the end; on the
	// cluster's file system, so that it is written as fast. Cache has the
	// PostgreSQL servers that were fetched.
	Dir, Cache string
	// Clients is how many place orders at once, Rounds how often floor and shop
	// are loaded in turn, Seconds for how long each time. 0 stands for 16
	// clients and 3 rounds of 5 seconds.
	Clients, Rounds, Seconds int
	// Progress hears what happens; nil discards.
	Progress io.Writer
}

// Scopes is what the token must allow.
const Scopes = "catalog.write inventory.read inventory.write orders.read orders.write"

const (
	defaultClients = 16
	defaultRounds  = 3
	defaultSeconds = 5

	products    = 100       // so that clients seldom want the same one at once
	initial     = 1_000_000 // units of each in stock
	warmUp      = time.Second
	settleLimit = 2 * time.Minute // for the orders of a round to be confirmed
)

// side is what is loaded.
type side interface {
	// name says what it is.
	name() string
	// place places the n-th order of a client; n counts from 0 and never
	// comes twice.
	place(ctx context.Context, client, n int) outcome
	// settle waits until what was placed is done.
	settle(ctx context.Context) error
	// check compares what was placed with what is there.
	check(ctx context.Context, placed []outcome) error
}

// outcome is what became of one order.
type outcome struct {
	order   string // its name or id, if accepted
	failure string // else why not
	unclear bool   // it failed, and may have been accepted all the same
	product int
	took    time.Duration
}

// Run measures. A refused or failed order is no error of Run; one that is lost,
// there twice or not in the stock is.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg = cfg.complete()
	fmt.Fprintln(cfg.Progress, "start PostgreSQL for the floor")
	f, err := newFloor(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare floor: %w", err)
	}
	defer f.close(ctx)
	fmt.Fprintln(cfg.Progress, "make products and stock")
	transport := &http.Transport{MaxIdleConnsPerHost: cfg.Clients}
	defer transport.CloseIdleConnections()
	s, err := newShop(ctx, cfg, transport)
	if err != nil {
		return nil, fmt.Errorf("prepare shop: %w", err)
	}
	return measure(ctx, cfg, f, s)
}

func (c Config) complete() Config {
	for value, def := range map[*int]int{&c.Clients: defaultClients, &c.Rounds: defaultRounds, &c.Seconds: defaultSeconds} {
		if *value <= 0 {
			*value = def
		}
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return c
}

// measure loads floor and shop in turn, and checks both at the end.
func measure(ctx context.Context, cfg Config, floor side, s *shop) (*Report, error) {
	r := &Report{
		Processors: runtime.NumCPU(), Clients: cfg.Clients, Products: products,
		Rounds: cfg.Rounds, Seconds: cfg.Seconds,
	}
	sides := []side{floor, s}
	loads := make([]*load, len(sides))
	for i, side := range sides {
		loads[i] = &load{side: side, clients: cfg.Clients}
		if _, err := loads[i].run(ctx, warmUp); err != nil {
			return nil, err
		}
	}
	samples := make([][]sample, len(sides))
	for round := range cfg.Rounds {
		for i, l := range loads {
			got, err := l.run(ctx, time.Duration(cfg.Seconds)*time.Second)
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], got)
			fmt.Fprintf(cfg.Progress, "round %d: %-40s %6.0f orders/s\n", round+1, l.side.name(), got.rate())
		}
	}
	for i, l := range loads {
		if err := l.side.check(ctx, l.placed); err != nil {
			return nil, fmt.Errorf("check %s: %w", l.side.name(), err)
		}
		r.Rows = append(r.Rows, rowOf(l.side.name(), samples[i], samples[0]))
	}
	r.Confirmed = s.confirmed
	r.Checked = len(s.listed)
	return r, nil
}
