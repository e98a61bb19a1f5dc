package servetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a PostgreSQL server on a Unix socket, so that any number run side
// by side without ports.
type server struct {
	dir  string   // socket, data and log; owned by the server's user
	life *os.File // the server lives until this end of the pipe closes
	cmd  *exec.Cmd
}

// supervise runs PostgreSQL until its standard input ends, which it does when
// the test process closes it or dies in any way; then it stops the server and
// removes its folder. $1 is the binary, $2 the folder.
const supervise = `
"$1" -D "$2/data" -c listen_addresses= -c unix_socket_directories="$2" \
	-c fsync=off -c synchronous_commit=off -c full_page_writes=off \
	-c max_connections=300 -c shared_buffers=32MB -c wal_level=minimal -c max_wal_senders=0 &
server=$!
read -r _
kill -INT "$server" 2>/dev/null
wait "$server"
rm -rf "$2"
`

// startServer makes a cluster in a temporary folder and starts it.
func startServer(ctx context.Context) (*server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	return startServerIn(ctx, bin, account)
}

// startServerIn starts the server whose programs are in bin, as the account.
func startServerIn(ctx context.Context, bin string, account *syscall.Credential) (*server, error) {
	dir, err := os.MkdirTemp(tempDir(), "slipway-pg-")
	if err != nil {
		return nil, fmt.Errorf("make server folder: %w", err)
	}
	s := &server{dir: dir}
	if err := s.start(ctx, bin, account); err != nil {
		return nil, errors.Join(err, s.stop(), os.RemoveAll(dir))
	}
	return s, nil
}

func (s *server) start(ctx context.Context, bin string, account *syscall.Credential) error {
	if account != nil {
		if err := os.Chown(s.dir, int(account.Uid), int(account.Gid)); err != nil {
			return fmt.Errorf("hand over server folder: %w", err)
		}
	}
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(s.dir, "data"),
		"-U", "slipway", "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync")
	prepare(initdb, s.dir, account)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initialise postgres: %w\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return fmt.Errorf("create server log: %w", err)
	}
	defer func() { _ = log.Close() }() // the server has its own handle
	stdin, life, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer func() { _ = stdin.Close() }() // likewise
	//nolint:noctx // the server outlives the context it is started under
	cmd := exec.Command("/bin/sh", "-c", supervise, "postgres", filepath.Join(bin, "postgres"), s.dir)
	prepare(cmd, s.dir, account)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, log, log
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start postgres: %w", err), life.Close())
	}
	s.cmd, s.life = cmd, life
	return s.wait(ctx)
}

// prepare gives the command the server's user, its own process group (so that
// Ctrl-C reaches the tests first) and nothing of the caller's environment that
// would steer PostgreSQL.
func prepare(cmd *exec.Cmd, dir string, account *syscall.Credential) {
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + dir, "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: account}
}

// wait polls until the server answers.
func (s *server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url())
		if err == nil {
			return conn.Close(ctx) //nolint:wrapcheck // nothing to add
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("wait for postgres: %w\n%s", err, log)
		case <-tick.C:
		}
	}
}

func (s *server) url() string {
	u := url.URL{Scheme: "postgres", User: url.User("slipway"), Path: "/postgres", RawQuery: url.Values{"host": {s.dir}}.Encode()}
	return u.String()
}

// stop ends the server and waits until it is gone with its folder.
func (s *server) stop() error {
	if s.cmd == nil {
		return nil
	}
	err := s.life.Close()
	_ = s.cmd.Wait() // a shell's exit code after rm says nothing of use
	if _, statErr := os.Stat(s.dir); !errors.Is(statErr, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("remove server folder %s: it is still there", s.dir))
	}
	return err
}

// serverAccount is the user PostgreSQL runs as: it refuses to run as root.
func serverAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil means our own user
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("read ids of user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("start postgres as root: there is no user postgres or nobody to run it as")
}

// tempDir is a folder for temporary files that other users can reach, with a
// path short enough for a socket in it.
func tempDir() string {
	dir := os.TempDir()
	for p := dir; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil || info.Mode()&0o001 == 0 || len(dir) > 70 {
			return "/tmp"
		}
		if p == filepath.Dir(p) {
			return dir
		}
	}
}
