package registry_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
)

// dirVariable makes the test binary a registry on that folder, for the tests
// that kill one.
const dirVariable = "REGISTRY_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		fmt.Fprintln(os.Stderr, serveForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveForever(dir string) error {
	r, err := registry.New(registry.Config{Dir: dir, Authorize: registry.Basic("AWS", func(p string) bool { return p == password })})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, r)
}

// start runs a registry as a process and returns it with its address.
func start(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), dirVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(address)
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]string{} // tag to digest
	for round := range 4 {
		cmd, address := start(t, dir)
		// Each round kills a little later in the course of the pushes, at
		// whatever the other pushes are doing just then.
		pushUntilKilled(t, address, round, 3+2*round, func() { _ = cmd.Process.Kill() }, acknowledged)
		_ = cmd.Wait()
	}
	if len(acknowledged) < 10 {
		t.Fatalf("only %d pushes were acknowledged", len(acknowledged))
	}
	s := serve(t, dir)
	for tag, want := range acknowledged {
		img, err := remote.Image(s.ref(t, "a:"+tag), credentials)
		if err != nil {
			t.Errorf("tag %s: %v", tag, err)
			continue
		}
		if got, _ := img.Digest(); got.String() != want {
			t.Errorf("tag %s: digest %s, want %s", tag, got, want)
		}
		if err := validate.Image(img); err != nil {
			t.Errorf("tag %s: %v", tag, err)
		}
	}
	// What was never acknowledged may be there or not, but never in halves.
	all, err := s.registry.Manifests("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, detail := range all {
		img, err := remote.Image(s.ref(t, "a@"+detail.Digest), credentials)
		if err != nil {
			t.Errorf("%s: %v", detail.Digest, err)
		} else if err := validate.Image(img); err != nil {
			t.Errorf("%s: %v", detail.Digest, err)
		}
	}
}

// pushUntilKilled pushes from several goroutines and kills the registry after
// the given number of acknowledgements, while the others are under way.
func pushUntilKilled(t *testing.T, address string, round, after int, kill func(), acknowledged map[string]string) {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	count := 0
	for worker := range 3 {
		group.Go(func() {
			for i := 0; ; i++ {
				tag := fmt.Sprintf("r%d-w%d-%d", round, worker, i)
				img, err := random.Image(64<<10, 2)
				if err != nil {
					t.Error(err)
					return
				}
				ref, err := name.ParseReference(address + "/a:" + tag)
				if err != nil {
					t.Error(err)
					return
				}
				if remote.Write(ref, img, credentials, remote.WithRetryBackoff(remote.Backoff{Steps: 1})) != nil {
					return // killed
				}
				digest, _ := img.Digest()
				mu.Lock()
				acknowledged[tag] = digest.String()
				if count++; count == after {
					kill()
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
}
