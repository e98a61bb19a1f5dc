package schema

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/toolchain"
)

// history asks git about a checkout.
type history struct{ root string }

func (h history) git(ctx context.Context, args ...string) (string, error) {
	var said strings.Builder
	out, err := toolchain.Command{Dir: h.root, Args: append([]string{"git"}, args...), Stderr: &said}.Output(ctx)
	if err != nil && said.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return out, err
}

// before is the commit before the one that added a file; HEAD for a file that
// is not committed yet.
func (h history) before(ctx context.Context, file string) (string, error) {
	shallow, err := h.git(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return "", &HistoryError{Why: "this folder is no git checkout (" + err.Error() + ")", Command: "git clone URL   # files that were downloaded have no history"}
	}
	added, err := h.git(ctx, "log", "--diff-filter=A", "--format=%H", "--", file)
	if err != nil {
		return "", fmt.Errorf("ask git for the commit that added %s: %w", file, err)
	}
	commit, _, _ := strings.Cut(strings.TrimSpace(added), "\n") // the newest: a file may come back
	revision := commit + "^"
	if commit == "" {
		revision = "HEAD"
	}
	parent, err := h.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	var exit *toolchain.ExitError
	switch {
	case err == nil:
		return strings.TrimSpace(parent), nil
	case strings.TrimSpace(shallow) == "true" && errors.As(err, &exit):
		return "", &HistoryError{Why: "the clone is shallow and does not reach back to it", Command: "git fetch --unshallow   # in a workflow: fetch-depth: 0"}
	case errors.As(err, &exit):
		return "", &HistoryError{Why: "the repository begins with " + file, Command: "git log   # the release before has to be a commit"}
	}
	return "", fmt.Errorf("ask git for the commit before %s: %w", file, err)
}

// has reports whether a commit has a file.
func (h history) has(ctx context.Context, commit, file string) (bool, error) {
	out, err := h.git(ctx, "ls-tree", "--name-only", commit, file)
	if err != nil {
		return false, fmt.Errorf("ask git for %s in %s: %w", file, commit, err)
	}
	return strings.TrimSpace(out) != "", nil
}

// unpacked are the trees of a commit that a service is built and tested from.
var unpacked = []string{"proto", "services", "platform/serve"}

// unpack writes a commit's code below dir.
func (h history) unpack(ctx context.Context, commit, dir string) error {
	var archive bytes.Buffer
	args := append([]string{"git", "archive", "--format=tar", commit}, unpacked...)
	if err := (toolchain.Command{Dir: h.root, Args: args, Stdout: &archive}).Run(ctx); err != nil {
		return fmt.Errorf("unpack commit %s: %w", commit, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // sources
		return fmt.Errorf("unpack commit %s: %w", commit, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack commit %s: %w", commit, err)
	}
	defer root.Close()
	for files := tar.NewReader(&archive); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = extract(root, header, files)
		}
		if err != nil {
			return fmt.Errorf("unpack commit %s: %w", commit, err)
		}
	}
}

func extract(root *os.Root, header *tar.Header, content io.Reader) error {
	name := filepath.FromSlash(header.Name)
	switch header.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755) //nolint:wrapcheck // the caller says what for
	case tar.TypeReg:
		data, err := io.ReadAll(content)
		if err != nil {
			return err //nolint:wrapcheck // likewise
		}
		return root.WriteFile(name, data, 0o644) //nolint:wrapcheck // likewise
	default:
		return nil // git's own header, and links, which no Go file is
	}
}
