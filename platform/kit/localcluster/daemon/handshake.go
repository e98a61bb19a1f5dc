package daemon

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// Message is one line that a starting cluster writes to its starter. Exactly
// one of the fields is set.
type Message struct {
	Step  *Step  `json:"step,omitempty"`
	Ready *Info  `json:"ready,omitempty"`
	Fault *Fault `json:"fault,omitempty"`
}

// Step is progress on the way to ready.
type Step struct {
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"`
	Done   bool   `json:"done,omitempty"`
}

// Fault says what could not be done, why, and what to type next.
type Fault struct { //nolint:errname // a message first, and an error by the way
	What string `json:"what"`
	Why  string `json:"why"`
	Hint string `json:"next"`
}

// Error returns the fault as "what: why".
func (f *Fault) Error() string { return f.What + ": " + f.Why }

// Next returns the command or action that helps.
func (f *Fault) Next() string { return f.Hint }

// Reporter writes messages to the starter. It outlives the starter: once the
// pipe is closed at the other end messages are dropped.
type Reporter struct {
	mu sync.Mutex
	w  io.WriteCloser
}

// NewReporter returns a reporter on w, which may be nil for a cluster that was
// started in the foreground by hand.
func NewReporter(w io.WriteCloser) *Reporter { return &Reporter{w: w} }

// Step tells of progress.
func (r *Reporter) Step(name, detail string, done bool) {
	r.send(Message{Step: &Step{Name: name, Detail: detail, Done: done}})
}

// Ready tells that the cluster serves, and ends the conversation.
func (r *Reporter) Ready(info Info) { r.send(Message{Ready: &info}); r.close() }

// Fault tells that the cluster could not start, and ends the conversation.
func (r *Reporter) Fault(f Fault) { r.send(Message{Fault: &f}); r.close() }

func (r *Reporter) send(m Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.w == nil {
		return
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return
	}
	if _, err := r.w.Write(append(raw, '\n')); err != nil {
		r.w = nil
	}
}

func (r *Reporter) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.w != nil {
		_ = r.w.Close() // the starter has all it needs, or is gone
		r.w = nil
	}
}

// listen reads messages until the cluster is ready, has failed, or the pipe
// ends because the process died.
func listen(r io.Reader, onStep func(Step)) (Info, error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var m Message
		if err := json.Unmarshal(scan.Bytes(), &m); err != nil {
			return Info{}, fmt.Errorf("read the starting cluster's message: %w", err)
		}
		switch {
		case m.Ready != nil:
			return *m.Ready, nil
		case m.Fault != nil:
			return Info{}, m.Fault
		case m.Step != nil && onStep != nil:
			onStep(*m.Step)
		}
	}
	if err := scan.Err(); err != nil {
		return Info{}, fmt.Errorf("read the starting cluster's message: %w", err)
	}
	return Info{}, errEnded
}

// StarterReporter returns a reporter on the pipe that Start left to this
// process, or one that drops everything when nobody did.
func StarterReporter() *Reporter {
	fd, err := strconv.Atoi(os.Getenv(PipeVariable))
	if err != nil {
		return NewReporter(nil)
	}
	syscall.CloseOnExec(fd)
	return NewReporter(os.NewFile(uintptr(fd), "starter"))
}
