package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestTimesAreWrittenAsTheCatalogWritesThem compares with protojson: else one
// run in ten would find the two programs' answers different.
func TestTimesAreWrittenAsTheCatalogWritesThem(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 7200)
	for _, nanos := range []int{0, 1, 10, 1_000, 108_610_000, 120_000_000, 999_999_999, 123_450_000} {
		at := time.Date(2026, 11, 23, 1, 2, 3, nanos, zone)
		got := `"` + stamp(at) + `"`
		want, err := protojson.Marshal(timestamppb.New(at))
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%d ns: %s, want %s", nanos, got, want)
		}
	}
}
