package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

var at = time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)

// every payload with every field set, so that a field without a JSON form shows.
func payloads() []event.Payload {
	code := 1
	return []event.Payload{
		event.StepStarted{ID: "s1", Parent: "s0", Title: "build"},
		event.StepProgress{ID: "s1", Message: "m", Done: 1, Total: 2, Unit: "bytes"},
		event.StepDone{ID: "s1", Duration: event.Duration(time.Second), Detail: "d", Skipped: true},
		event.StepFailed{ID: "s1", Duration: event.Duration(time.Second), Error: "e", Next: "n"},
		event.Plan{Text: "t", Data: map[string]any{"a": "b"}},
		event.Checks{Service: "s", Env: "e", Release: "v1", Failed: 1, Skipped: 1, Checks: []event.Check{{Group: "g", Name: "n", OK: true, Skipped: true, Detail: "d", Next: "n"}}, Duration: event.Duration(time.Second)},
		event.DeploymentChanged{Deployment: "d", Revision: "f:1", Release: "v1", State: "IN_PROGRESS", Stage: "s", Weight: 10, Desired: 1, Running: 2, Pending: 3, Healthy: 4, Failed: 5, Reason: "r"},
		event.ServiceMessage{ID: "i", At: at, Message: "m"},
		event.StageEnded{Deployment: "d", Stage: event.Stage{Name: "s", Weight: 10, Duration: event.Duration(time.Second)}},
		event.TaskStopped{Task: "t", Revision: "f:1", Code: "c", Reason: "r", Containers: []event.ContainerStopped{{Name: "n", ExitCode: &code, Reason: "r"}}},
		event.LogLine{At: at, Task: "t", Message: "m", Wanted: true},
		event.Notice{Level: event.Warning, Message: "m", Next: "n"},
		event.Verdict{
			Outcome: event.Failed, Service: "s", Env: "e", Release: "v1", Revision: "f:1", Deployment: "d", Summary: "s", Why: "w", PutBack: "v0", Causes: []string{"c"}, Stages: []event.Stage{{Name: "s", Weight: 10, Duration: event.Duration(time.Second)}},
			Log: []event.LogLine{{At: at, Message: "m"}}, LogTask: "t", Serving: []event.Serving{{Release: "v0", Revision: "f:0", Running: 1}},
			Next: []string{"n"}, Duration: event.Duration(time.Second), AlreadyRan: true, URL: "u", FinishedAt: at,
		},
		event.Result{Kind: "k", Text: "t", Data: map[string]any{"a": "b"}, Replaces: true},
	}
}

func TestEveryPayloadSurvivesJSON(t *testing.T) {
	t.Parallel()
	for _, p := range payloads() {
		v := reflect.ValueOf(p)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s: field %s of the test's payload is not set", p.Type(), v.Type().Field(i).Name)
			}
		}
		want := event.Event{Time: at, Environment: "local", Service: "catalog", Data: p}
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got event.Event
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s changed (-want +got):\n%s", p.Type(), diff)
		}
	}
}

func TestUnknownTypeIsKept(t *testing.T) {
	t.Parallel()
	line := `{"version":1,"time":"2026-03-04T10:00:00Z","type":"later","data":{"x":1}}`
	var e event.Event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(e)
	if err != nil || string(again) != line {
		t.Errorf("%s, %v; want it as it came", again, err)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ in, want string }{
		"later version": {`{"version":2,"type":"notice","data":{}}`, "line 1: decode event: version 2 is not known here"},
		"not JSON":      {"\n{", "line 2"},
		"wrong payload": {`{"version":1,"type":"notice","data":[]}`, "decode notice event"},
	}
	for name, tc := range cases {
		err := event.Read(strings.NewReader(tc.in), func(event.Event) error { return nil })
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q in it", name, err, tc.want)
		}
	}
	stop := errors.New("stop")
	var buffer bytes.Buffer
	for range 2 {
		data, _ := json.Marshal(event.Event{Time: at, Data: event.Notice{Level: event.Info}})
		buffer.Write(append(data, '\n'))
	}
	if err := event.Read(&buffer, func(event.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v; want the callback's error", err)
	}
}

type nextError struct{ error }

func (nextError) Next() string { return "go tool mage up" }

func TestSteps(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClockAt(at)
	var got event.Recorder
	emitter := event.NewEmitter(event.Tee(&got, event.Discard()), clock).For("local", "")
	outer := emitter.Start("outer")
	inner := outer.Start("inner")
	clock.Advance(time.Second)
	inner.End("", nextError{errors.New("broken")})
	inner.Done("too late")
	outer.Skip("no need")
	err := emitter.For("local", "catalog").Run("run", func(*event.Step) (string, error) { return "fine", nil })
	if err != nil {
		t.Fatal(err)
	}
	second := event.Duration(time.Second)
	want := []event.Event{
		{Time: at, Environment: "local", Data: event.StepStarted{ID: "s1", Title: "outer"}},
		{Time: at, Environment: "local", Data: event.StepStarted{ID: "s2", Parent: "s1", Title: "inner"}},
		{Time: at.Add(time.Second), Environment: "local", Data: event.StepFailed{ID: "s2", Duration: second, Error: "broken", Next: "go tool mage up"}},
		{Time: at.Add(time.Second), Environment: "local", Data: event.StepDone{ID: "s1", Duration: second, Detail: "no need", Skipped: true}},
		{Time: at.Add(time.Second), Environment: "local", Service: "catalog", Data: event.StepStarted{ID: "catalog-s3", Title: "run"}},
		{Time: at.Add(time.Second), Environment: "local", Service: "catalog", Data: event.StepDone{ID: "catalog-s3", Detail: "fine"}},
	}
	if diff := cmp.Diff(want, got.Events()); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
}

// TestExitCodes is the documented table; exactly one outcome is a success.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	want := map[event.Outcome]int{
		event.Completed: 0, event.Failed: 1, event.RolledBack: 3, event.Superseded: 4,
		event.TimedOut: 5, event.Interrupted: 130, "something else": 1,
	}
	for outcome, code := range want {
		if got := outcome.ExitCode(); got != code {
			t.Errorf("%s exits %d; want %d", outcome, got, code)
		}
	}
}

func TestDurationText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0ms", 840 * time.Millisecond: "840ms", 12340 * time.Millisecond: "12.3s",
		245 * time.Second: "4m05s", 90 * time.Minute: "1h30m",
	} {
		if got := event.Duration(d).String(); got != want {
			t.Errorf("%s is written %q; want %q", d, got, want)
		}
	}
}
