// Package site is what every AWS service of the embedded cluster stands on: the
// durable state, the clock, and the account and region that its ARNs name.
package site

import (
	"errors"
	"fmt"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// Config is what a service needs.
type Config struct {
	State   *state.Store
	Clock   clockwork.Clock // nil: the real one
	Region  string          // for ARNs; empty: us-east-1
	Account string          // for ARNs; empty: 000000000000
}

// Complete fills in what is empty. A service without a state is an error, which
// names it.
func (c *Config) Complete(service string) error {
	if c.State == nil {
		return errors.New(service + ": a state store is needed")
	}
	if c.Clock == nil {
		c.Clock = clockwork.NewRealClock()
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Account == "" {
		c.Account = "000000000000"
	}
	return nil
}

// ARN names a resource of a service in the account and region.
func (c *Config) ARN(service, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, c.Region, c.Account, resource)
}
