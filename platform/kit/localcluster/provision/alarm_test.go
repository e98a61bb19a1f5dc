package provision

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/alarms"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// TestFailedGRPCCallsSetTheErrorsAlarmOff though their HTTP status is 200, and
// though REST has many more requests, all of them good.
func TestFailedGRPCCallsSetTheErrorsAlarmOff(t *testing.T) {
	const grpc, slo = "grpc: {service: slipway.shop.v1.ShopService}\n", "slo: {availability: 99.9}\ndeploy: {alarms: [errors]}\n"
	tests := map[string]struct {
		service string
		port    string
		add     alarms.Counters
		fires   bool
	}{
		"good calls":            {two["shop"] + grpc, grpcName, alarms.Counters{Requests: 50}, false},
		"few failed calls":      {two["shop"] + grpc, grpcName, alarms.Counters{Requests: 50, GRPCFailures: leastErrors - 1}, false},
		"failed calls":          {two["shop"] + grpc, grpcName, alarms.Counters{Requests: 50, GRPCFailures: leastErrors}, true},
		"failed REST requests":  {two["shop"] + grpc, httpName, alarms.Counters{Requests: 50, Errors5xx: 150}, true},
		"failed calls, no REST": {grpc, grpcName, alarms.Counters{Requests: 50, GRPCFailures: 5}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := shellOf(t, workspace(t, map[string]string{"shop": tt.service + slo}), "shop")
			dimension := func(port string) string {
				arn := s.targetGroupARN(port, true)
				return arn[strings.LastIndex(arn, ":")+1:]
			}
			records, err := state.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = records.Close() })
			clock, source := clockwork.NewFakeClock(), seen{}
			store, err := alarms.New(alarms.Config{Config: site.Config{State: records, Clock: clock}, Source: source})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.PutMetricAlarm(t.Context(), s.alarm(manifest.AlarmErrors)); err != nil {
				t.Fatal(err)
			}
			store.Evaluate(t.Context())
			maps.Copy(source, seen{dimension(httpName): {Requests: 5000}, dimension(grpcName): {Requests: 0}})
			had := source[dimension(tt.port)]
			tt.add.Requests += had.Requests
			source[dimension(tt.port)] = tt.add
			clock.Advance(alarmPeriod * time.Second)
			store.Evaluate(t.Context())
			firing, err := store.Firing(s.alarmNames())
			if err != nil || len(firing) > 0 != tt.fires {
				t.Errorf("firing %v, %v", firing, err)
			}
		})
	}
}
