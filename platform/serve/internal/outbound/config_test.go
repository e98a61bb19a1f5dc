package outbound_test

import (
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/serve/internal/outbound"
)

func TestTargetIsChecked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		target outbound.Target
		want   string
	}{
		"no address": {outbound.Target{Callee: "order-archive"}, "ORDER_ARCHIVE_GRPC_ADDRESS is not set\nnext: name order-archive among the calls in service.yaml"},
		"no port":    {outbound.Target{Callee: "catalog", Address: "catalog"}, "CATALOG_GRPC_ADDRESS must be host:port"},
		"no client":  {outbound.Target{Callee: "catalog", Address: "catalog:9090", Scopes: []string{"catalog.read"}}, "AUTH_TOKEN_URL, AUTH_CLIENT_ID and AUTH_CLIENT_SECRET"},
	} {
		if _, err := outbound.Dial(tc.target); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (outbound.Config{}).Validate(); err == nil {
		t.Error("a timeout of 0 is taken")
	}
}
