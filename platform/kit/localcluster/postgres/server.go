package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	host      = "127.0.0.1"
	superuser = "slipway"

	// startLimit bounds a start; recovery after a crash takes a part of it.
	startLimit = time.Minute
	// stopLimit is how long sessions may take to end before the server is
	// stopped without regard to them.
	stopLimit    = 3 * time.Second
	pollInterval = 10 * time.Millisecond
	watchPeriod  = 250 * time.Millisecond
)

// Config says where a server keeps its data and where it listens.
type Config struct {
	// Dir holds data, password and log; it is made if it does not exist.
	Dir string
	// Port on loopback; 0 takes a free one.
	Port int
	// Installations are the servers to choose from, best first. One that made
	// the data that is there wins.
	Installations []Installation
	// Logger hears of restarts. nil discards.
	Logger *slog.Logger
}

// Server is a running PostgreSQL server.
type Server struct {
	cfg      Config
	install  Installation
	account  *account
	port     int
	password string
	log      *slog.Logger

	mu   sync.Mutex
	pid  int
	exit chan struct{} // closed when the process that we started has ended
}

// Start starts the server on its data, which it makes first if there is none.
// A server that an earlier cluster left running on the same data and port is
// taken over.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if s.adopt(ctx) {
		return s, nil
	}
	if err := Sweep(ctx, cfg.Dir); err != nil {
		return nil, err
	}
	if err := s.choosePort(); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.cfg.Dir, "data") }

// LogFile is what the server writes of itself.
func (s *Server) LogFile() string { return filepath.Join(s.cfg.Dir, "log") }

// Addr returns the server's host:port.
func (s *Server) Addr() string { return net.JoinHostPort(host, strconv.Itoa(s.port)) }

// Installation returns the server's program.
func (s *Server) Installation() Installation { return s.install }

// prepare makes folder, data and password, and chooses the program.
func (s *Server) prepare(ctx context.Context) (err error) {
	if s.account, err = serverAccount(s.data()); err != nil {
		return err
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o755); err != nil { //nolint:gosec // the server's user walks through
		return fmt.Errorf("make database folder: %w", err)
	}
	if err := reachable(s.data(), s.account); err != nil {
		return fmt.Errorf("use database folder %s: %w", s.cfg.Dir, err)
	}
	if s.install, err = choose(s.cfg.Installations, s.data()); err != nil {
		return err
	}
	secret := filepath.Join(s.cfg.Dir, "password")
	raw, err := os.ReadFile(secret)
	if err == nil {
		s.password = string(raw)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read database password: %w", err)
	}
	if _, err := os.Stat(s.data()); err == nil && s.password != "" {
		return nil
	} else if err == nil {
		return fmt.Errorf("use database folder %s: its password file is gone; put it back, or move the folder away to begin with empty databases", s.cfg.Dir)
	}
	s.password = rand.Text()
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return fmt.Errorf("write database password: %w", err)
	}
	return s.initialise(ctx)
}

// choose picks the program for the data: data can only be used by the major
// version that made it.
func choose(have []Installation, data string) (Installation, error) {
	raw, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if len(have) == 0 {
			return Installation{}, ErrNone
		}
		return have[0], nil
	}
	if err != nil {
		return Installation{}, fmt.Errorf("read version of %s: %w", data, err)
	}
	made := strings.TrimSpace(string(raw))
	versions := make([]string, 0, len(have))
	for _, i := range have {
		if strconv.Itoa(i.Major) == made {
			return i, nil
		}
		versions = append(versions, i.Version)
	}
	return Installation{}, &VersionError{Data: data, Made: made, Have: versions}
}

// VersionError says that no server at hand can use the data.
type VersionError struct {
	Data, Made string
	Have       []string
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the databases in %s were made by PostgreSQL %s, and only version %s is at hand; they are untouched",
		e.Data, e.Made, strings.Join(e.Have, ", "))
}

// Next says how to get further.
func (e *VersionError) Next() string {
	return "install PostgreSQL " + e.Made + " and repeat, or begin afresh: mv " + e.Data + " " + e.Data + ".old"
}

// initialise makes the data beside its place and moves it there once it is
// whole. What a start that was killed has left is removed as far as possible:
// its initdb may still be at work there.
func (s *Server) initialise(ctx context.Context) error {
	stale, err := filepath.Glob(s.data() + ".new*")
	if err != nil {
		return fmt.Errorf("find unfinished databases: %w", err)
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			s.log.WarnContext(ctx, "unfinished databases stay", "folder", dir, "error", err)
		}
	}
	fresh, err := os.MkdirTemp(s.cfg.Dir, filepath.Base(s.data())+".new-")
	if err != nil {
		return fmt.Errorf("make databases: %w", err)
	}
	secret := filepath.Join(fresh, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return fmt.Errorf("write password for initdb: %w", err)
	}
	defer func() { _ = os.Remove(secret) }() // its folder goes too
	if err := own(fresh, s.account); err != nil {
		return fmt.Errorf("hand over %s: %w", fresh, err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.install.Bin, "initdb"), "-D", filepath.Join(fresh, "data"),
		"-U", superuser, "-E", "UTF8", "--locale=C", "--auth=scram-sha-256", "--pwfile="+secret)
	prepare(cmd, fresh, s.account)
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("make databases with %s: %w%s", cmd.Path, err, complaints(string(out)))
		}
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.Rename(filepath.Join(fresh, "data"), s.data()); err != nil {
		return fmt.Errorf("place databases: %w", err)
	}
	return os.RemoveAll(fresh)
}

// complaints returns the lines of initdb's output that say what went wrong, or
// all of it when none does.
func complaints(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "FATAL:") || strings.Contains(line, "PANIC:") || strings.Contains(line, "initdb: error:") {
			lines = append(lines, "\n  "+strings.TrimSpace(line))
		}
	}
	if len(lines) == 0 {
		return "\n" + strings.TrimSpace(out)
	}
	return strings.Join(lines, "")
}

// choosePort finds out whether the port is free, since the server itself says
// it less clearly.
func (s *Server) choosePort() error {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(s.cfg.Port))) //nolint:noctx // at once
	if err != nil {
		return fmt.Errorf("listen for PostgreSQL: %w", err)
	}
	if addr, ok := l.Addr().(*net.TCPAddr); ok {
		s.port = addr.Port
	}
	return l.Close()
}

// maxLog is the size at which the server's log begins anew.
const maxLog = 16 << 20

// start starts the process and waits until the server answers.
func (s *Server) start(ctx context.Context) error {
	flags := os.O_CREATE | os.O_WRONLY | os.O_APPEND
	if st, err := os.Stat(s.LogFile()); err == nil && st.Size() > maxLog {
		flags |= os.O_TRUNC
	}
	log, err := os.OpenFile(s.LogFile(), flags, 0o600)
	if err != nil {
		return fmt.Errorf("open database log: %w", err)
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("open database log: %w", err)
	}
	cmd := exec.Command(filepath.Join(s.install.Bin, "postgres"), s.arguments()...) //nolint:noctx // it outlives ctx
	prepare(cmd, s.data(), s.account)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	exit := make(chan struct{})
	go func() { defer close(exit); _ = cmd.Wait() }()
	s.mu.Lock()
	s.pid, s.exit = cmd.Process.Pid, exit
	s.mu.Unlock()
	if err := s.await(ctx, exit); err != nil {
		_ = cmd.Process.Signal(syscall.SIGQUIT) // it serves nobody yet
		<-exit
		return fmt.Errorf("start %s: %w%s", s.install, err, since(s.LogFile(), from))
	}
	return nil
}

// arguments keep data safe (fsync stays on) and memory small.
func (s *Server) arguments() []string {
	args := []string{"-D", s.data()}
	for _, setting := range []string{
		"listen_addresses=" + host, "port=" + strconv.Itoa(s.port), "unix_socket_directories=",
		"max_connections=200", "shared_buffers=64MB", "password_encryption=scram-sha-256",
		"log_min_messages=warning", "logging_collector=off", "log_destination=stderr",
	} {
		args = append(args, "-c", setting)
	}
	return args
}

var errExited = errors.New("the process ended")

// await polls until the server answers or its process has ended.
func (s *Server) await(ctx context.Context, exit <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		conn, err := s.connect(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-exit:
			return errExited
		case <-ctx.Done():
			return fmt.Errorf("wait for an answer: %w", errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

func (s *Server) connect(ctx context.Context) (*pgx.Conn, error) {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: s.Addr(),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL on %s: %w", s.Addr(), err)
	}
	return conn, nil
}

// since returns what was written to a log from an offset on, at most its end.
func since(path string, from int64) string {
	raw, err := os.ReadFile(path)
	if err != nil || from >= int64(len(raw)) {
		return ""
	}
	text := strings.TrimSpace(string(raw[from:]))
	if len(text) > 2000 {
		text = "..." + text[len(text)-2000:]
	}
	return "\n" + text
}
