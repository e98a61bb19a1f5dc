package process

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jonboulle/clockwork"
)

// output carries what a container's processes print to its log stream.
type output struct {
	read, write *os.File
	stream      io.WriteCloser
	done        chan struct{}
}

// openOutput opens a way to a log stream.
func openOutput(stream io.WriteCloser) (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open output: %w", err)
	}
	return &output{read: r, write: w, stream: stream, done: make(chan struct{})}, nil
}

// begin copies in the background. The write end belongs to the process now.
func (o *output) begin() {
	_ = o.write.Close()
	go func() {
		defer close(o.done)
		_, _ = io.Copy(o.stream, o.read) // a log that cannot be written must not stop the task
		_, _ = io.Copy(io.Discard, o.read)
	}()
}

// abandon closes the output of a process that did not start.
func (o *output) abandon() {
	_ = o.write.Close()
	_ = o.read.Close()
	_ = o.stream.Close()
}

// lastWords is how long output is read on when the container has ended but a
// process that left its group still holds the pipe.
const lastWords = time.Second

// finish reads what is left and closes the stream.
func (o *output) finish(clock clockwork.Clock) {
	timer := clock.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-o.done:
	case <-timer.Chan():
	}
	_ = o.Close()
}

// Close closes the reading end and the stream.
func (o *output) Close() error {
	err := o.read.Close()
	<-o.done
	_ = o.stream.Close()
	return err
}
