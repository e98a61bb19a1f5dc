package main

import (
	"flag"
	"os"
	"testing"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
	"github.com/slipway-dev/slipway/platform/serve/servetest/cases"
	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
)

var update = flag.Bool("update", false, "write what the service answers into the golden files")

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// TestCases plays each case file by gRPC and by REST; -update rewrites the
// golden files.
func TestCases(t *testing.T) {
	t.Parallel()
	cases.Run(t, cases.Config{
		Service:  service,
		API:      catalogv1.File_slipway_catalog_v1_catalog_service_proto.Services().ByName("CatalogService"),
		Changing: []string{"etag", "uid", "createTime", "updateTime", "nextPageToken"},
		MadeUp:   []string{"products/p-"},
		Update:   *update,
	})
}
