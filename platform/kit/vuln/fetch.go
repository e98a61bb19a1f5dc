package vuln

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// fetchTimeout bounds the download of a whole database, some megabytes.
const fetchTimeout = 5 * time.Minute

// archive is the file in which a database offers itself as a whole.
const archive = "vulndb.zip"

// copyOf returns where the copy of a database is kept.
func copyOf(cacheDir, location string) string {
	sum := sha256.Sum256([]byte(strings.TrimRight(location, "/")))
	return filepath.Join(cacheDir, "vuln", "database-"+hex.EncodeToString(sum[:6])+".zip")
}

// Fetch downloads a database as a whole for use without a network. The copy
// before it stays until the new one is complete and can be read.
func Fetch(ctx context.Context, s Source) (*Database, error) {
	if s.Location == "" {
		s.Location = manifest.VulnDatabase
	}
	if !strings.HasPrefix(s.Location, "https://") && !strings.HasPrefix(s.Location, "http://") {
		return nil, &DatabaseError{Location: s.Location, Err: errors.New("it is no URL, so there is nothing to fetch"), Do: "ls -l " + s.Location}
	}
	address := strings.TrimRight(s.Location, "/") + "/" + archive
	path := copyOf(s.CacheDir, s.Location)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("make cache folder: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "new-*.zip")
	if err != nil {
		return nil, fmt.Errorf("create copy of the database: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already after a success
	err = s.download(ctx, address, file)
	if err := errors.Join(err, file.Close()); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &DatabaseError{Location: s.Location, Err: err, Do: fmt.Sprintf(
			"curl -O %s   # where that is allowed, then %s=/path/to/%s here", address, DatabaseVariable, archive)}
	}
	db, err := openFile(ctx, file.Name(), s.Location)
	if err == nil {
		_, err = db.modules(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return nil, fmt.Errorf("keep copy of the database: %w", err)
	}
	return db, nil
}

func (s *Source) download(ctx context.Context, address string, to io.Writer) error {
	client := s.Client
	if client == nil {
		client = &http.Client{Timeout: fetchTimeout}
	}
	response, err := get(ctx, client, address)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.Copy(to, io.LimitReader(response.Body, maxArchive+1))
	if err == nil && n > maxArchive {
		err = fmt.Errorf("get %s: more than %d bytes", address, int64(maxArchive))
	}
	return err
}
