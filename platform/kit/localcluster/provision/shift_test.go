package provision

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/alarms"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// routed applies target groups and rules of services to a gateway.
func routed(t *testing.T, p *Provisioner) {
	t.Helper()
	var shells []shell
	for _, name := range p.work.ServiceNames() {
		s := shellOf(t, p.work, name)
		shells = append(shells, s)
		if err := p.putTargetGroups(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.route(t.Context(), shells); err != nil {
		t.Fatal(err)
	}
}

// productionRules are the rules without their twins for test traffic.
func productionRules(gw *gateway.Gateway) []gateway.Rule {
	return slices.DeleteFunc(gw.Rules(), func(r gateway.Rule) bool { return len(r.Conditions) > 1 })
}

func weights(r gateway.Rule) []int {
	var out []int
	for _, w := range r.Forward {
		out = append(out, w.Weight)
	}
	return out
}

// TestWeightsAreTheDeployments: whatever is provisioned while traffic moves,
// and after, it does not move it.
func TestWeightsAreTheDeployments(t *testing.T) {
	gw, client := administered(t)
	work := workspace(t, two)
	p := &Provisioner{work: work, admin: client}
	routed(t, p)
	orders := shellOf(t, work, "orders")
	rule := orders.ruleARN(httpName)
	for _, percent := range []float64{10, 100} {
		err := gw.Divide(rule, map[string]float64{
			orders.targetGroupARN(httpName, false): 100 - percent, orders.targetGroupARN(httpName, true): percent,
		})
		if err != nil {
			t.Fatal(err)
		}
		before := gw.Rules()
		routed(t, p)
		if diff := cmp.Diff(before, gw.Rules()); diff != "" {
			t.Errorf("rules changed at %g percent (-before +after):\n%s", percent, diff)
		}
	}
	// A change of routes moves no traffic either.
	other := &Provisioner{work: workspace(t, map[string]string{"orders": two["orders"], "a": "http: {routes: [\"/v1/orders/a*\"]}\n"}), admin: client}
	routed(t, other)
	at := slices.IndexFunc(gw.Rules(), func(r gateway.Rule) bool { return r.ID == rule })
	if at < 0 || !slices.Equal(weights(gw.Rules()[at]), []int{0, 900}) {
		t.Errorf("rules %+v: the weights of %s were reset", gw.Rules(), rule)
	}
}

// TestOldRulesAreTakenOver: a cluster from before there were two target groups
// gets the new rules in the old ones' place.
func TestOldRulesAreTakenOver(t *testing.T) {
	gw, client := administered(t)
	work := workspace(t, two)
	orders := shellOf(t, work, "orders")
	if err := gw.PutTargetGroup(orders.entries()[0].groups[0]); err != nil {
		t.Fatal(err)
	}
	err := gw.PutRule(gateway.Rule{
		ID: "orders-http /v1/orders*", Priority: 3, Conditions: []gateway.Condition{{Field: gateway.PathPattern, Values: []string{"/v1/orders*"}}},
		Forward: []gateway.WeightedGroup{{TargetGroupARN: orders.targetGroupARN(httpName, false), Weight: 100}},
	})
	if err != nil {
		t.Fatal(err)
	}
	routed(t, &Provisioner{work: work, admin: client})
	var ids []string
	for _, r := range productionRules(gw) {
		ids = append(ids, r.ID)
		if r.ID == orders.ruleARN(httpName) && !slices.Equal(weights(r), []int{100, 0}) {
			t.Errorf("the production rule begins with the weights %v", weights(r))
		}
	}
	want := []string{orders.ruleARN(grpcName), "orders-docs", "shop-docs", orders.ruleARN(httpName), shellOf(t, work, "shop").ruleARN(httpName)}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// TestPagesFollow: what is not the production rule goes where it goes.
func TestPagesFollow(t *testing.T) {
	gw, client := administered(t)
	work := workspace(t, two)
	routed(t, &Provisioner{work: work, admin: client})
	orders := shellOf(t, work, "orders")
	served := map[string]bool{}
	for i, alternate := range []bool{false, true} {
		share := map[string]float64{orders.targetGroupARN(httpName, false): float64(100 * (1 - i)), orders.targetGroupARN(httpName, true): float64(100 * i)}
		if err := gw.Divide(orders.ruleARN(httpName), share); err != nil {
			t.Fatal(err)
		}
		before := gw.Metrics()[orders.targetGroupARN(httpName, alternate)].Requests
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/docs/orders", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		gw.ServeHTTP(discard{}, req)
		served[orders.groupName(httpName, alternate)] = gw.Metrics()[orders.targetGroupARN(httpName, alternate)].Requests == before+1
	}
	if diff := cmp.Diff(map[string]bool{"orders-http": true, "orders-http-2": true}, served); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
}

// TestTestTrafficHasRulesOfItsOwn: a request with the header goes where the test
// rule says, by whatever path it came; any other goes where it always went.
func TestTestTrafficHasRulesOfItsOwn(t *testing.T) {
	gw, client := administered(t)
	work := workspace(t, map[string]string{"shop": "http: {routes: [\"/v1/*\", \"/v1/orders/old/*\"]}\n", "orders": two["orders"]})
	routed(t, &Provisioner{work: work, admin: client})
	for _, name := range []string{"shop", "orders"} {
		s := shellOf(t, work, name)
		for i, lb := range s.settings().LoadBalancers {
			if got := *lb.AdvancedConfiguration.TestListenerRule; got != s.entries()[i].testRuleARN || got == *lb.AdvancedConfiguration.ProductionListenerRule {
				t.Errorf("the service has the test rule %s", got)
			}
		}
		share := map[string]float64{s.targetGroupARN(httpName, false): 0, s.targetGroupARN(httpName, true): 100}
		if err := gw.Divide(s.testRuleARN(httpName), share); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ path, value, group string }{
		{"/v1/products", "", "shop-http"},
		{"/v1/products", "next", "shop-http-2"},
		{"/v1/products", "last", "shop-http"},
		{"/v1/orders/old/1", "next", "shop-http-2"},
		{"/docs/shop", "next", "shop-http-2"},
		{"/v1/orders/1", "next", "orders-http-2"},
		{"/v1/orders/1", "", "orders-http"},
	} {
		before := gw.Metrics()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.RequestURI = tt.path
		if tt.value != "" {
			req.Header.Set(TestHeader, tt.value)
		}
		gw.ServeHTTP(discard{}, req)
		for arn, m := range gw.Metrics() {
			got := strings.Split(arn, "/")[1]
			if m.Requests > before[arn].Requests && got != tt.group {
				t.Errorf("%s %q went to %s, want %s", tt.path, tt.value, got, tt.group)
			}
		}
		if gw.Metrics()[groupNamed(t, work, tt.group)].Requests != before[groupNamed(t, work, tt.group)].Requests+1 {
			t.Errorf("%s %q did not reach %s", tt.path, tt.value, tt.group)
		}
	}
}

// groupNamed is the ARN of a target group by its name.
func groupNamed(t *testing.T, work *manifest.Workspace, group string) string {
	name, _, _ := strings.Cut(group, "-")
	return shellOf(t, work, name).targetGroupARN(httpName, strings.HasSuffix(group, "-2"))
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestDeploymentsGoAsTheManifestSays(t *testing.T) {
	breaker := &ecstypes.DeploymentCircuitBreaker{
		Enable: true, Rollback: true, ThresholdConfiguration: &ecstypes.ThresholdConfiguration{Type: ecstypes.ThresholdTypeCount, Value: 2},
	}
	watched := &ecstypes.DeploymentAlarms{AlarmNames: []string{"slipway-local-shop-errors"}, Enable: true, Rollback: true}
	base := func(strategy ecstypes.DeploymentStrategy, bake int32, change func(*ecstypes.DeploymentConfiguration)) *ecstypes.DeploymentConfiguration {
		c := &ecstypes.DeploymentConfiguration{
			MinimumHealthyPercent: aws.Int32(100), MaximumPercent: aws.Int32(200), DeploymentCircuitBreaker: breaker,
			Strategy: strategy, BakeTimeInMinutes: aws.Int32(bake), Alarms: &ecstypes.DeploymentAlarms{},
		}
		if change != nil {
			change(c)
		}
		return c
	}
	for name, tt := range map[string]struct {
		deploy string
		want   *ecstypes.DeploymentConfiguration
	}{
		"rolling":    {"{strategy: rolling}", base(ecstypes.DeploymentStrategyRolling, 0, nil)},
		"blue/green": {"{strategy: blue_green, bake: 7m}", base(ecstypes.DeploymentStrategyBlueGreen, 7, nil)},
		"canary": {"{strategy: canary, bake: 1m, alarms: [errors]}", base(ecstypes.DeploymentStrategyCanary, 1, func(c *ecstypes.DeploymentConfiguration) {
			c.CanaryConfiguration = &ecstypes.CanaryConfiguration{CanaryPercent: aws.Float64(10), CanaryBakeTimeInMinutes: aws.Int32(5)}
			c.Alarms = watched
		})},
		"linear": {"{strategy: linear, bake: 0m}", base(ecstypes.DeploymentStrategyLinear, 0, func(c *ecstypes.DeploymentConfiguration) {
			c.LinearConfiguration = &ecstypes.LinearConfiguration{StepPercent: aws.Float64(20), StepBakeTimeInMinutes: aws.Int32(1)}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			s := shellOf(t, workspace(t, map[string]string{"shop": two["shop"] + "slo: {availability: 99.9}\ndeploy: " + tt.deploy + "\n"}), "shop")
			got := s.settings()
			if diff := cmp.Diff(tt.want, got.DeploymentConfiguration, cmpopts.IgnoreUnexported(ecstypes.DeploymentConfiguration{}, ecstypes.DeploymentCircuitBreaker{},
				ecstypes.DeploymentAlarms{}, ecstypes.ThresholdConfiguration{}, ecstypes.CanaryConfiguration{}, ecstypes.LinearConfiguration{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("deployment configuration (-want +got):\n%s", diff)
			}
			if !sameDeployment(got.DeploymentConfiguration, tt.want) {
				t.Error("a service that has it would be updated")
			}
			a := got.LoadBalancers[0].AdvancedConfiguration
			if !strings.HasSuffix(*a.AlternateTargetGroupArn, s.targetGroupARN(httpName, true)) || *a.ProductionListenerRule != s.ruleARN(httpName) {
				t.Errorf("advanced configuration %s, %s", *a.AlternateTargetGroupArn, *a.ProductionListenerRule)
			}
		})
	}
	one, other := base(ecstypes.DeploymentStrategyCanary, 1, nil), base(ecstypes.DeploymentStrategyCanary, 1, func(c *ecstypes.DeploymentConfiguration) { c.Alarms = watched })
	if sameDeployment(one, other) || sameDeployment(other, one) || sameDeployment(nil, one) {
		t.Error("a change of the alarms is not seen")
	}
}

// seen is what a gateway saw.
type seen map[string]alarms.Counters

func (s seen) Counters() map[string]alarms.Counters { return maps.Clone(s) }

// TestTheErrorsAlarmGoesOff when too many requests fail, and not for a few.
func TestTheErrorsAlarmGoesOff(t *testing.T) {
	s := shellOf(t, workspace(t, map[string]string{"shop": two["shop"] + "slo: {availability: 99.9, latency_p99: 300ms}\ndeploy: {alarms: [errors, latency]}\n"}), "shop")
	name := func(alternate bool) string {
		arn := s.targetGroupARN(httpName, alternate)
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
	for _, kind := range []manifest.Alarm{manifest.AlarmErrors, manifest.AlarmLatency} {
		if _, err := store.PutMetricAlarm(t.Context(), s.alarm(kind)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		what   string
		bad    uint64
		took   time.Duration
		firing string
	}{
		{"nothing fails", 0, time.Millisecond, ""},
		{"a few fail", 4, time.Millisecond, ""},
		{"a tenth fails", 10, time.Millisecond, "slipway-local-shop-errors"},
		{"all is well again", 0, time.Millisecond, ""},
		{"slow once", 0, time.Second, ""},
		{"slow twice", 0, time.Second, ""},
		{"slow three times", 0, time.Second, "slipway-local-shop-latency"},
	} {
		store.Evaluate(t.Context())
		clock.Advance(alarmPeriod * time.Second)
		source[name(false)] = grown(source[name(false)], 90, 0, tt.took)
		source[name(true)] = grown(source[name(true)], 10-min(10, tt.bad), tt.bad, tt.took)
		store.Evaluate(t.Context())
		firing, err := store.Firing(s.alarmNames())
		if err != nil || strings.Join(firing, " ") != tt.firing {
			t.Errorf("%s: firing %v, %v; want %q", tt.what, firing, err, tt.firing)
		}
	}
}

// grown is what a group has seen after some more requests.
func grown(c alarms.Counters, good, bad uint64, took time.Duration) alarms.Counters {
	buckets := []alarms.Bucket{{UpTo: 100 * time.Millisecond}, {UpTo: time.Second}}
	for i := range buckets {
		if len(c.Latency) > 0 {
			buckets[i].Count = c.Latency[i].Count
		}
	}
	i := 0
	if took > buckets[0].UpTo {
		i = 1
	}
	buckets[i].Count += good + bad
	return alarms.Counters{Requests: c.Requests + good + bad, Errors5xx: c.Errors5xx + bad, Seconds: c.Seconds + took.Seconds(), Latency: buckets}
}

// TestAlarmsWatchBothGroups: the alarms are of both target groups, and only of
// what the manifest lists.
func TestAlarmsWatchBothGroups(t *testing.T) {
	s := shellOf(t, workspace(t, map[string]string{"shop": two["shop"] + "slo: {availability: 99.5, latency_p99: 250ms}\ndeploy: {alarms: [errors, latency]}\n"}), "shop")
	for _, tt := range []struct {
		kind      manifest.Alarm
		threshold float64
		metrics   string
	}{
		{manifest.AlarmErrors, 0.072, "RequestCount HTTPCode_Target_5XX_Count"},
		{manifest.AlarmLatency, 0.25, "RequestCount TargetResponseTime"},
	} {
		a := s.alarm(tt.kind)
		if *a.AlarmName != "slipway-local-shop-"+string(tt.kind) || *a.Threshold < tt.threshold-1e-9 || *a.Threshold > tt.threshold+1e-9 {
			t.Errorf("alarm %s at %g, want %g", *a.AlarmName, *a.Threshold, tt.threshold)
		}
		groups, metrics := map[string]int{}, []string{}
		for _, q := range a.Metrics {
			if q.MetricStat == nil {
				continue
			}
			groups[*q.MetricStat.Metric.Dimensions[1].Value]++
			if name := *q.MetricStat.Metric.MetricName; !slices.Contains(metrics, name) {
				metrics = append(metrics, name)
			}
		}
		if got := strings.Join(metrics, " "); got != tt.metrics || len(groups) != 2 {
			t.Errorf("%s looks at %s of %v", tt.kind, got, groups)
		}
	}
}
