package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// Inspect finds out where a service's inputs come from: its module in dir and
// the modules go.mod reaches by relative replace directives. root is the
// checkout; without git, or without a commit, the inputs' digest is all there
// is, and Note says why.
func Inspect(ctx context.Context, root, dir string) (Source, error) {
	root, dir, err := absolute(root, dir)
	if err != nil {
		return Source{}, err
	}
	folders, err := Folders(dir)
	if err != nil {
		return Source{}, err
	}
	git := repository{root: root}
	source := Source{}
	source.Commit, source.Note, err = git.commit(ctx)
	if err != nil {
		return Source{}, err
	}
	var files []string
	if source.Commit != "" || source.Note == noteNoCommit {
		if files, err = git.files(ctx, folders); err != nil {
			return Source{}, err
		}
	}
	if len(files) == 0 {
		if files, err = walk(folders); err != nil {
			return Source{}, err
		}
	}
	if source.Inputs, err = digestFiles(ctx, root, files); err != nil {
		return Source{}, err
	}
	if source.Commit == "" {
		return source, nil
	}
	changed, err := git.changed(ctx, folders)
	if err != nil {
		return Source{}, err
	}
	source.Dirty, source.Changes = len(changed) > 0, summarize(changed)
	source.URL, err = git.origin(ctx)
	return source, err
}

func absolute(root, dir string) (string, string, error) {
	absRoot, err := filepath.Abs(root)
	if err != nil {
		return "", "", fmt.Errorf("find checkout: %w", err)
	}
	absDir, err := filepath.Abs(dir)
	if err != nil {
		return "", "", fmt.Errorf("find module folder: %w", err)
	}
	return absRoot, absDir, nil
}

// Folders lists the folders a service is built from: that of its module, and
// those its go.mod points to by relative replace directives.
func Folders(dir string) ([]string, error) {
	path := filepath.Join(dir, "go.mod")
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read go.mod: %w", err)
	}
	mod, err := modfile.Parse(path, content, nil)
	if err != nil {
		return nil, fmt.Errorf("parse go.mod: %w", err)
	}
	folders := []string{dir}
	for _, r := range mod.Replace {
		if r.New.Version == "" {
			folders = append(folders, filepath.Join(dir, filepath.FromSlash(r.New.Path)))
		}
	}
	return folders, nil
}

// goesIn tells whether a file can have a part in the binary.
func goesIn(path string) bool {
	slashed := filepath.ToSlash(path)
	return !strings.HasSuffix(slashed, "_test.go") && !strings.Contains(slashed, "/testdata/")
}

// walk lists the files below the folders where git cannot: all but those in
// hidden folders.
func walk(folders []string) ([]string, error) {
	var files []string
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && path != folder && strings.HasPrefix(entry.Name(), "."):
				return fs.SkipDir
			case entry.Type().IsRegular():
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list inputs: %w", err)
		}
	}
	return files, nil
}

// digestFiles hashes names (relative to root) and contents. A file that git
// lists and somebody deleted is as absent as one never written.
func digestFiles(ctx context.Context, root string, files []string) (string, error) {
	files = slices.DeleteFunc(slices.Clone(files), func(f string) bool { return !goesIn(f) })
	slices.Sort(files)
	total := sha256.New()
	for _, path := range slices.Compact(files) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err := digestFile(total, root, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read input: %w", err)
		}
	}
	return "sha256:" + hex.EncodeToString(total.Sum(nil)), nil
}

func digestFile(total hash.Hash, root, path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	content := sha256.New()
	if _, err := io.Copy(content, file); err != nil {
		return err
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		name = path
	}
	fmt.Fprintf(total, "%s\x00%x\n", filepath.ToSlash(name), content.Sum(nil))
	return nil
}

// Why there is no commit.
const (
	noteNoGit    = "there is no git command on PATH"
	noteNoCommit = "the repository has no commit yet"
)

// repository asks git. It takes no lock, so it never disturbs a git command
// somebody runs meanwhile.
type repository struct{ root string }

func (r repository) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", r.root}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", &gitError{verb: args[0], says: strings.TrimSpace(stderr.String()), err: err}
	}
	return "", fmt.Errorf("run git %s: %w", args[0], err)
}

type gitError struct {
	verb, says string
	err        error
}

func (e *gitError) Error() string {
	says := e.says
	if says == "" {
		says = e.err.Error()
	}
	return "run git " + e.verb + ": " + says
}

func (e *gitError) Unwrap() error { return e.err }

// commit is the commit checked out, or a note why there is none.
func (r repository) commit(ctx context.Context) (hash, note string, err error) {
	out, err := r.run(ctx, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	var refused *gitError
	switch {
	case err == nil:
		return strings.TrimSpace(out), "", nil
	case errors.Is(err, exec.ErrNotFound):
		return "", noteNoGit, nil
	case errors.As(err, &refused) && refused.says == "":
		return "", noteNoCommit, nil
	case errors.As(err, &refused):
		first, _, _ := strings.Cut(refused.says, "\n")
		return "", strings.TrimPrefix(first, "fatal: "), nil
	}
	return "", "", err
}

// files lists what git tracks or would track in the folders.
func (r repository) files(ctx context.Context, folders []string) ([]string, error) {
	args := []string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"}
	out, err := r.run(ctx, append(args, r.relative(folders)...)...)
	if err != nil {
		return nil, err
	}
	var files []string
	for name := range strings.SplitSeq(out, "\x00") {
		if name != "" {
			files = append(files, filepath.Join(r.root, filepath.FromSlash(name)))
		}
	}
	return files, nil
}

// relative names folders as seen from root, so that it does not matter through
// which symbolic links root was reached.
func (r repository) relative(folders []string) []string {
	names := make([]string, len(folders))
	for i, folder := range folders {
		names[i] = folder
		if name, err := filepath.Rel(r.root, folder); err == nil {
			names[i] = name
		}
	}
	return names
}

// changed lists the files in the folders that differ from the commit.
func (r repository) changed(ctx context.Context, folders []string) ([]string, error) {
	args := []string{"status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--"}
	out, err := r.run(ctx, append(args, r.relative(folders)...)...)
	if err != nil {
		return nil, err
	}
	var files []string
	for line := range strings.SplitSeq(out, "\x00") {
		if len(line) > 3 && goesIn("/"+line[3:]) {
			files = append(files, line[3:])
		}
	}
	return files, nil
}

// namedChanges is how many changed files a release names.
const namedChanges = 5

// summarize names the first files and counts the rest.
func summarize(files []string) string {
	slices.Sort(files)
	if more := len(files) - namedChanges; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(files[:namedChanges], ", "), more)
	}
	return strings.Join(files, ", ")
}

var scpLike = regexp.MustCompile(`^(?:[^@/]+@)?([^:/]+\.[^:/]+):(.+)$`)

// origin is the repository's address for people, the same for all ways of
// cloning it: https, without user, password or .git. A local path is none.
func (r repository) origin(ctx context.Context) (string, error) {
	out, err := r.run(ctx, "config", "--get", "remote.origin.url")
	if err != nil {
		if _, ok := errors.AsType[*gitError](err); ok {
			return "", nil
		}
		return "", err
	}
	return publicURL(strings.TrimSpace(out)), nil
}

func publicURL(remote string) string {
	if m := scpLike.FindStringSubmatch(remote); m != nil && !strings.Contains(remote, "://") {
		remote = "ssh://" + m[1] + "/" + m[2]
	}
	u, err := url.Parse(remote)
	if err != nil || u.Hostname() == "" || u.Scheme == "file" {
		return ""
	}
	return "https://" + u.Hostname() + strings.TrimSuffix(strings.TrimSuffix(u.EscapedPath(), "/"), ".git")
}
