package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// sweepLimit bounds the removal of what is ours.
const sweepLimit = 60 * time.Second

// recordFile names the engine that a runtime uses.
const recordFile = "docker.json"

// engineRecord is what is in it.
type engineRecord struct {
	Host     string `json:"host"`
	Registry string `json:"registry"`
}

// record keeps where the engine is, for Sweep, which may run elsewhere and much
// later.
func record(dir string, r engineRecord) error {
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // as the process runtime's
		return fmt.Errorf("make runtime folder: %w", err)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode engine record: %w", err)
	}
	at := filepath.Join(dir, recordFile)
	if err := errors.Join(os.WriteFile(at+".new", raw, 0o600), os.Rename(at+".new", at)); err != nil {
		return fmt.Errorf("write engine record: %w", err)
	}
	return nil
}

// Sweep removes from the engine what a runtime with this folder has put there:
// containers, images and its sockets. It needs no running cluster and must not
// be called beside one. It returns how many containers there were. A folder of
// which no runtime has put anything into an engine has none; an engine that does
// not answer is an error, an *EngineError.
func Sweep(ctx context.Context, dir string) (int, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, fmt.Errorf("sweep containers: %w", err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read engine record: %w", err)
	}
	var kept engineRecord
	if err := json.Unmarshal(raw, &kept); err != nil {
		return 0, fmt.Errorf("read engine record: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	e, err := Connect(ctx, kept.Host)
	if err != nil {
		return 0, fmt.Errorf("remove the cluster's containers: %w", err)
	}
	defer func() { _ = e.Close() }() // nothing is under way there any more
	n, err := e.removeContainers(ctx, dir)
	err = errors.Join(err, e.removeImages(ctx, dir, kept.Registry), clearSockets(dir))
	if err != nil {
		return n, err
	}
	if err := os.Remove(filepath.Join(dir, recordFile)); err != nil {
		return n, fmt.Errorf("remove engine record: %w", err)
	}
	return n, nil
}

// removeContainers removes those with the folder's label, running or not.
func (e *Engine) removeContainers(ctx context.Context, dir string) (int, error) {
	found, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", labelState+"="+dir)})
	if err != nil {
		return 0, fmt.Errorf("list the cluster's containers: %w", err)
	}
	n := 0
	for _, c := range found.Items {
		_, err := e.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) {
			return n, fmt.Errorf("remove container %.12s: %w", c.ID, err)
		}
		n++
	}
	return n, nil
}

// removeImages removes the ferry's and what was pulled from the embedded
// registry. One that somebody's container uses stays.
func (e *Engine) removeImages(ctx context.Context, dir, registry string) error {
	found, err := e.api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return fmt.Errorf("list the cluster's images: %w", err)
	}
	for _, img := range found.Items {
		var names []string
		if img.Labels[labelState] == dir {
			names = append(names, img.ID)
		}
		for _, name := range append(img.RepoTags, img.RepoDigests...) {
			if registry != "" && strings.HasPrefix(name, registry+"/") {
				names = append(names, name)
			}
		}
		for _, name := range names {
			_, err := e.api.ImageRemove(ctx, name, client.ImageRemoveOptions{PruneChildren: true})
			if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
				return fmt.Errorf("remove image %s: %w", name, err)
			}
		}
	}
	return nil
}

// clearSockets removes the folders of tasks that are no more.
func clearSockets(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, socketsFolder)); err != nil {
		return fmt.Errorf("remove folders of sockets: %w", err)
	}
	return nil
}

// lastLines is what a container wrote last.
func (e *Engine) lastLines(ctx context.Context, id string) string {
	logs, err := e.api.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "5"})
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out.String())
}
