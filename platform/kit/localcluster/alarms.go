package localcluster

import (
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/alarms"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
)

// minute is how long a minute of a bake time lasts here: long enough to see
// both releases serve, short enough to wait for.
const minute = 3 * time.Second

// measured is what the gateway sees, as alarms look at it.
type measured struct{ gateway *gateway.Gateway }

// Counters are the numbers of each target group, by the form its ARN has in a
// dimension: targetgroup/NAME/ID.
func (m measured) Counters() map[string]alarms.Counters {
	out := map[string]alarms.Counters{}
	for arn, seen := range m.gateway.Metrics() {
		c := alarms.Counters{Requests: seen.Requests, Errors5xx: seen.Target["5xx"], GRPCFailures: seen.GRPCFailures(), Seconds: seen.TotalSeconds}
		for _, b := range seen.Latency {
			c.Latency = append(c.Latency, alarms.Bucket{UpTo: b.UpTo, Count: b.Count})
		}
		out[arn[strings.LastIndex(arn, ":")+1:]] = c
	}
	return out
}

// openAlarms makes the alarms, which watch what the gateway sees.
func (c *cluster) openAlarms(g *gateway.Gateway) (*alarms.Store, error) {
	return alarms.New(alarms.Config{
		Config: site.Config{State: c.state, Clock: c.clock, Region: c.cfg.Region, Account: c.cfg.Account},
		Source: measured{g}, Logger: c.cfg.Logger,
	})
}
