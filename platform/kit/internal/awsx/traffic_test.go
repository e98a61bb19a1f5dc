package awsx_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

// elb answers as Elastic Load Balancing does, for one target group and one rule.
func elb(w http.ResponseWriter, r *http.Request) {
	fail := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>One or more not found</Message></Error></ErrorResponse>`, code)
	}
	answer := func(action, result string) {
		fmt.Fprintf(w, `<%[1]sResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>`, action, result)
	}
	w.Header().Set("Content-Type", "text/xml")
	switch action := r.FormValue("Action"); {
	case r.FormValue("TargetGroupArns.member.1") == "gone":
		fail("TargetGroupNotFound")
	case r.FormValue("RuleArns.member.1") == "gone":
		fail("RuleNotFound")
	case r.FormValue("RuleArns.member.1") == "secret":
		fail("AccessDenied")
	case action == "DescribeTargetGroups":
		answer(action, `<TargetGroups><member><TargetGroupArn>blue</TargetGroupArn><TargetGroupName>web-http</TargetGroupName><HealthCheckPath>/healthz</HealthCheckPath></member></TargetGroups>`)
	case action == "DescribeTargetGroupAttributes":
		answer(action, `<Attributes><member><Key>stickiness.enabled</Key><Value>false</Value></member><member><Key>deregistration_delay.timeout_seconds</Key><Value>30</Value></member></Attributes>`)
	case action == "DescribeTargetHealth":
		answer(action, `<TargetHealthDescriptions><member><TargetHealth><State>healthy</State></TargetHealth></member><member><TargetHealth><State>unhealthy</State></TargetHealth></member></TargetHealthDescriptions>`)
	case action == "DescribeRules":
		answer(action, `<Rules><member><RuleArn>rule</RuleArn><Actions><member><Type>forward</Type><ForwardConfig><TargetGroups><member><TargetGroupArn>blue</TargetGroupArn><Weight>100</Weight></member><member><TargetGroupArn>green</TargetGroupArn><Weight>0</Weight></member></TargetGroups></ForwardConfig></member></Actions></member></Rules>`)
	default:
		fail("InvalidAction")
	}
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(elb))
	defer server.Close()
	client := must(awsx.New(t.Context(), awsx.Config{Region: region, Endpoint: server.URL, Local: true}))(t)
	groups := must(client.Traffic().TargetGroups(t.Context(), []string{"gone", "blue"}))(t)
	want := []check.TargetGroup{{ARN: "blue", Name: "web-http", Targets: 2, Healthy: 1, Settings: &check.TargetGroupSettings{HealthPath: "/healthz", Delay: 30 * time.Second}}}
	if diff := cmp.Diff(want, groups); diff != "" {
		t.Errorf("target groups (-want +got)\n%s", diff)
	}
	rules := must(client.Traffic().Rules(t.Context(), []string{"rule", "gone"}))(t)
	if diff := cmp.Diff(map[string][]string{"rule": {"blue", "green"}}, rules); diff != "" {
		t.Errorf("rules (-want +got)\n%s", diff)
	}
	if _, err := client.Traffic().Rules(t.Context(), []string{"secret"}); err == nil {
		t.Error("a refused call is no empty answer")
	}
}
