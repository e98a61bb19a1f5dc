package main

import (
	"flag"
	"os"
	"testing"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
	"github.com/slipway-dev/slipway/platform/serve/servetest/cases"
	inventoryv1 "github.com/slipway-dev/slipway/proto/slipway/inventory/v1"
)

var update = flag.Bool("update", false, "write what the service answers into the golden files")

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// TestCases plays each case file by gRPC and by REST; -update rewrites the
// golden files.
func TestCases(t *testing.T) {
	t.Parallel()
	cases.Run(t, cases.Config{
		Service:  service,
		API:      inventoryv1.File_slipway_inventory_v1_inventory_service_proto.Services().ByName("InventoryService"),
		Changing: []string{"createTime", "updateTime", "expireTime", "nextPageToken"},
		Update:   *update,
	})
}
