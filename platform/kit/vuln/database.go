package vuln

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// DatabaseVariable is the environment variable that names a database instead
// of an environment's file.
const DatabaseVariable = "SLIPWAY_VULNDB"

// Source says which database to use.
type Source struct {
	// Location is a URL, a folder or a zip file. Empty takes the copy that
	// Fetch made of vuln.go.dev and asks nobody.
	Location string
	// CacheDir is where Fetch keeps copies.
	CacheDir string
	// Client asks URLs; nil takes one that gives up after requestTimeout.
	Client *http.Client
}

const (
	requestTimeout = 10 * time.Second
	maxFile        = 64 << 20  // bytes of one file of a database
	maxArchive     = 512 << 20 // bytes of a zip file
)

// Database is a vulnerability database, open for reading.
// Format: https://go.dev/doc/security/vuln/database
type Database struct {
	Location string    // as it was named, or of the copy
	Modified time.Time // when the newest entry was written or changed
	// Copied tells that it is a copy, since the location could not be reached.
	Copied bool

	files files
	once  sync.Once
	index index
	err   error
}

// files are the files of a database by name, such as index/db.json.
type files interface {
	read(ctx context.Context, name string) ([]byte, error)
}

// Open opens a database. Its error is a [*DatabaseError].
func Open(ctx context.Context, s Source) (*Database, error) {
	if s.Location == "" {
		return openFile(ctx, copyOf(s.CacheDir, manifest.VulnDatabase), manifest.VulnDatabase)
	}
	u, err := url.Parse(s.Location)
	isURL := err == nil && (u.Scheme == "http" || u.Scheme == "https")
	if !isURL {
		path := s.Location
		if err == nil && u.Scheme == "file" {
			path = filepath.FromSlash(u.Path)
		}
		return openFile(ctx, path, s.Location)
	}
	db, err := open(ctx, s.Location, &web{base: strings.TrimRight(s.Location, "/"), client: s.client()})
	var failed *DatabaseError
	if errors.As(err, &failed) && !failed.Damaged && ctx.Err() == nil {
		if kept, keptErr := openFile(ctx, copyOf(s.CacheDir, s.Location), s.Location); keptErr == nil {
			kept.Copied = true
			return kept, nil
		}
	}
	return db, err
}

func (s *Source) client() *http.Client {
	if s.Client != nil {
		return s.Client
	}
	return &http.Client{Timeout: requestTimeout}
}

// openFile opens a folder or a zip file.
func openFile(ctx context.Context, path, location string) (*Database, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && location == manifest.VulnDatabase:
		return nil, unobtainable(location, errors.New("this machine has no copy of it"))
	case err != nil:
		return nil, unobtainable(location, err)
	case info.IsDir():
		return open(ctx, location, folder{os.DirFS(path)})
	case info.Size() > maxArchive:
		return nil, damaged(location, fmt.Errorf("%s has %d bytes, more than a database has", path, info.Size()))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, unobtainable(location, err)
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, damaged(location, fmt.Errorf("read %s: %w", path, err))
	}
	return open(ctx, location, folder{archive})
}

// open reads how old a database is.
func open(ctx context.Context, location string, f files) (*Database, error) {
	text, err := f.read(ctx, "index/db.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(location, fmt.Errorf("it is no database in the format of vuln.go.dev: %w", err))
	}
	if err != nil {
		return nil, unobtainable(location, err)
	}
	var about struct {
		Modified time.Time `json:"modified"`
	}
	if err := json.Unmarshal(text, &about); err != nil || about.Modified.IsZero() {
		return nil, damaged(location, errors.Join(errors.New("index/db.json does not say how old it is"), err))
	}
	return &Database{Location: location, Modified: about.Modified.UTC(), files: f}, nil
}

// folder is a database on disk, or in a zip file.
type folder struct{ fs.FS }

func (f folder) read(_ context.Context, name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return limited(file)
}

// web is a database behind a URL.
type web struct {
	base   string
	client *http.Client
}

func (w *web) read(ctx context.Context, name string) ([]byte, error) {
	response, err := get(ctx, w.client, w.base+"/"+name)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return limited(response.Body)
}

// get asks for a file; one that is not there is fs.ErrNotExist.
func get(ctx context.Context, client *http.Client, address string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK:
		return response, nil
	case http.StatusNotFound:
		err = fmt.Errorf("get %s: %w", address, fs.ErrNotExist)
	default:
		err = fmt.Errorf("get %s: %s", address, response.Status)
	}
	_ = response.Body.Close()
	return nil, err
}

func limited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("the file has more than %d bytes", maxFile)
	}
	return data, err
}

// index lists by module which entries there are.
type index map[string][]indexed

// indexed is an entry as index/modules.json has it.
type indexed struct {
	ID       string    `json:"id"`
	Modified time.Time `json:"modified"`
	Fixed    string    `json:"fixed,omitempty"` // newest version that fixes it, without v
}

// module is a module as index/modules.json has it.
type module struct {
	Path  string    `json:"path"`
	Vulns []indexed `json:"vulns"`
}

// modules returns the index; it is read once.
func (db *Database) modules(ctx context.Context) (index, error) {
	db.once.Do(func() {
		text, err := db.files.read(ctx, "index/modules.json")
		switch {
		case errors.Is(err, fs.ErrNotExist):
			db.err = damaged(db.Location, fmt.Errorf("it lacks its index: %w", err))
			return
		case err != nil:
			db.err = unobtainable(db.Location, err)
			return
		}
		var list []module
		if err := json.Unmarshal(text, &list); err != nil {
			db.err = damaged(db.Location, fmt.Errorf("read index/modules.json: %w", err))
			return
		}
		db.index = index{}
		for _, m := range list {
			db.index[m.Path] = m.Vulns
		}
	})
	return db.index, db.err
}

// entry is what the kit tells of an entry; govulncheck reads the rest.
type entry struct {
	ID       string   `json:"id"`
	Aliases  []string `json:"aliases"`
	Summary  string   `json:"summary"`
	Affected []struct {
		Specific struct {
			Imports []struct {
				Path string `json:"path"`
			} `json:"imports"`
		} `json:"ecosystem_specific"`
	} `json:"affected"`

	text []byte
}

func (db *Database) entry(ctx context.Context, id string) (*entry, error) {
	text, err := db.files.read(ctx, "ID/"+id+".json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(db.Location, fmt.Errorf("its index lists %s, which it lacks", id))
	}
	if err != nil {
		return nil, unobtainable(db.Location, err)
	}
	e := &entry{text: text}
	if err := json.Unmarshal(text, e); err != nil || e.ID != id {
		return nil, damaged(db.Location, errors.Join(fmt.Errorf("ID/%s.json is not that entry", id), err))
	}
	return e, nil
}
