package rest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
)

// body notes why reading the request failed, and lifts the read deadline once
// all of it is there, so that a long answer is not cut off.
type body struct {
	io.ReadCloser

	control  *http.ResponseController
	exchange *exchange
	ended    bool // a message has been read whole
	extra    bool // something stands behind it
}

// Read notes what went wrong, and what stands behind the message.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.ended && len(bytes.TrimSpace(p[:n])) > 0 {
		b.extra = true
	}
	if err == nil {
		return n, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		b.exchange.tooLarge.Store(true)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.exchange.slow.Store(true)
	} else {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// end notes that a message is whole, and what a decoder has read beyond it.
func (b *body) end(beyond io.Reader) {
	b.ended = true
	rest, err := io.ReadAll(beyond)
	b.extra = err == nil && len(bytes.TrimSpace(rest)) > 0
}

// statusRecorder remembers the answer's status for the log.
type statusRecorder struct {
	http.ResponseWriter

	exchange *exchange
	code     int
}

// WriteHeader notes the first status.
func (s *statusRecorder) WriteHeader(code int) {
	if st := s.exchange.failed; st != nil && s.code == 0 {
		setHeaders(s.Header(), st)
		code = problem.HTTPStatus(st)
	}
	if s.code == 0 {
		s.code = code
	}
	s.ResponseWriter.WriteHeader(code)
}

// Write notes the status that net/http implies.
func (s *statusRecorder) Write(p []byte) (int, error) {
	if s.code == 0 {
		s.code = http.StatusOK
	}
	return s.ResponseWriter.Write(p) //nolint:wrapcheck // a writer's error passes as it is
}

// Unwrap lets http.ResponseController reach the connection.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Flush lets the gateway stream.
func (s *statusRecorder) Flush() { _ = http.NewResponseController(s.ResponseWriter).Flush() }
