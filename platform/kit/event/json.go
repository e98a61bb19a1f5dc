package event

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Duration is a span of time; its JSON form is a number of milliseconds.
type Duration time.Duration

// MarshalJSON returns the milliseconds.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).Milliseconds())
}

// UnmarshalJSON reads milliseconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var ms int64
	if err := json.Unmarshal(data, &ms); err != nil {
		return fmt.Errorf("read duration: %w", err)
	}
	*d = Duration(time.Duration(ms) * time.Millisecond)
	return nil
}

// String returns the duration for people: "840ms", "12.3s", "4m05s".
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t < time.Second:
		return fmt.Sprintf("%dms", t.Milliseconds())
	case t < time.Minute:
		return fmt.Sprintf("%.1fs", t.Seconds())
	case t < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(t.Minutes()), int(t.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(t.Hours()), int(t.Minutes())%60)
	}
}

type envelope struct {
	Version     int             `json:"version"`
	Time        time.Time       `json:"time"`
	Type        Type            `json:"type"`
	Environment string          `json:"environment,omitempty"`
	Service     string          `json:"service,omitempty"`
	Data        json.RawMessage `json:"data"`
}

// MarshalJSON returns the versioned JSON form:
// {"version":1,"time":...,"type":...,"environment":...,"service":...,"data":{...}}.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Data == nil {
		return nil, errors.New("encode event: no payload")
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil, fmt.Errorf("encode %s event: %w", e.Data.Type(), err)
	}
	return json.Marshal(envelope{SchemaVersion, e.Time, e.Data.Type(), e.Environment, e.Service, data})
}

// UnmarshalJSON reads the versioned JSON form. A later version is an error; a
// type that is not known becomes an [Unknown] payload.
func (e *Event) UnmarshalJSON(raw []byte) error {
	var env envelope
	if err := json.Unmarshal(raw, &env); err != nil {
		return fmt.Errorf("decode event: %w", err)
	}
	if env.Version != SchemaVersion {
		return fmt.Errorf("decode event: version %d is not known here (known: %d)", env.Version, SchemaVersion)
	}
	data, err := decodePayload(env.Type, env.Data)
	if err != nil {
		return fmt.Errorf("decode %s event: %w", env.Type, err)
	}
	*e = Event{Time: env.Time, Environment: env.Environment, Service: env.Service, Data: data}
	return nil
}

// Unknown keeps a payload whose type this version of the kit does not know.
type Unknown struct {
	Kind Type
	Raw  json.RawMessage
}

// Type returns the type as it was read.
func (u Unknown) Type() Type { return u.Kind }

// MarshalJSON returns the payload as it was read.
func (u Unknown) MarshalJSON() ([]byte, error) { return u.Raw, nil }

func decodePayload(t Type, data []byte) (Payload, error) {
	decode, ok := map[Type]func([]byte) (Payload, error){
		TypeStepStarted:       payload[StepStarted],
		TypeStepProgress:      payload[StepProgress],
		TypeStepDone:          payload[StepDone],
		TypeStepFailed:        payload[StepFailed],
		TypePlan:              payload[Plan],
		TypeChecks:            payload[Checks],
		TypeDeploymentChanged: payload[DeploymentChanged],
		TypeServiceMessage:    payload[ServiceMessage],
		TypeStageEnded:        payload[StageEnded],
		TypeTaskStopped:       payload[TaskStopped],
		TypeLogLine:           payload[LogLine],
		TypeNotice:            payload[Notice],
		TypeVerdict:           payload[Verdict],
		TypeResult:            payload[Result],
	}[t]
	if !ok {
		return Unknown{Kind: t, Raw: append(json.RawMessage(nil), data...)}, nil
	}
	return decode(data)
}

func payload[P Payload](data []byte) (Payload, error) {
	var p P
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, err
	}
	return p, nil
}

// Read decodes events, one JSON value per line, and calls fn for each until
// the input ends or fn fails.
func Read(r io.Reader, fn func(Event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), 16<<20)
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("read events: line %d: %w", number, err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}
