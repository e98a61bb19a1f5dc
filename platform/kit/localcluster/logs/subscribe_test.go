package logs_test

import (
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/logs"
)

func TestSubscribe(t *testing.T) {
	t.Parallel()
	b := setup(t, logs.Config{})
	events, cancel, err := b.store.Subscribe("g", "ERROR")
	if err != nil {
		t.Fatal(err)
	}
	w := b.store.Writer("g", "s")
	_, _ = w.Write([]byte("fine\nERROR one\n"))
	_, _ = b.store.Writer("other", "s").Write([]byte("ERROR\n"))
	if e := <-events; e.Message != "ERROR one" || e.Stream != "s" || e.Time != b.clock.Now().UnixMilli() {
		t.Errorf("got %+v", e)
	}
	// Nobody reads: the writer goes on, and the reader learns what it missed.
	_, _ = w.Write([]byte(strings.Repeat("ERROR\n", 5000)))
	seen := 0
	for range 4096 {
		seen += 1 + (<-events).Missed
	}
	_, _ = w.Write([]byte("ERROR last\n"))
	if e := <-events; seen+e.Missed != 5000 || e.Message != "ERROR last" {
		t.Errorf("saw %d, then %+v", seen, e)
	}
	cancel()
	cancel()
	if _, open := <-events; open {
		t.Error("the channel is open after cancel")
	}
	if _, _, err := b.store.Subscribe("g", `"open`); codeOf(err) != "InvalidParameterException" {
		t.Errorf("got %v", err)
	}
}
