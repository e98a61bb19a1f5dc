package gateway

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestBucketsHoldWhatTheyShould(t *testing.T) {
	for _, took := range []time.Duration{0, time.Microsecond, lowestBound, lowestBound + 1, 3 * time.Millisecond, 300 * time.Millisecond, time.Minute, time.Hour} {
		i := bucketOf(took)
		if i < bounds && took > bound(i)+1 || i > 0 && took < bound(i-1) {
			t.Errorf("%s is in the bucket up to %s", took, bound(i))
		}
		if i > 0 && i < bounds && float64(bound(i)) > 1.091*float64(bound(i-1)) {
			t.Errorf("the bucket from %s to %s is too wide", bound(i-1), bound(i))
		}
	}
}

// TestAStreamIsAsFastAsItBegins: the latency is that to the head of the answer.
func TestAStreamIsAsFastAsItBegins(t *testing.T) {
	b := setup(t, Config{})
	b.group(nil)
	end := make(chan struct{})
	b.backend("a", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "begun")
		_ = http.NewResponseController(w).Flush()
		<-end
	})
	began := b.clock.Now()
	res, err := http.Get(b.url + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	begun := b.clock.Since(began)
	<-b.clock.After(50 * time.Millisecond)
	close(end)
	poll(t, func() bool { return b.Metrics()[groupARN].Requests == 1 })
	if took := b.Metrics()[groupARN].TotalSeconds; took > begun.Seconds() {
		t.Errorf("took %g s, the answer began after %s", took, begun)
	}
}
