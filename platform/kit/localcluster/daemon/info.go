package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// infoFile is written by a cluster that is ready and removed by one that has
// ended in good order.
const infoFile = "cluster.json"

// Info is what a running cluster says of itself.
type Info struct {
	// PID is the cluster's process id.
	PID int `json:"pid"`
	// Build identifies the program that runs (a hash of the executable).
	Build string `json:"build"`
	// Checkout is the folder whose services the cluster runs.
	Checkout string `json:"checkout"`
	// Gateway is the base URL of the services' API.
	Gateway string `json:"gateway"`
	// Endpoint is the base URL of the AWS protocols and of the registry.
	Endpoint string `json:"endpoint"`
	// Postgres is the database server's host:port.
	Postgres string `json:"postgres"`
	// MeshPort is the first port that a service may be given to reach another,
	// as configured.
	MeshPort int `json:"mesh_port"`
	// Runtime is what runs tasks, "process" or "docker".
	Runtime string `json:"runtime"`
	// Token opens the endpoint's administration calls. It is a secret of this
	// user, so the file has mode 0600.
	Token string `json:"token"`
	// Started is when the cluster became ready.
	Started time.Time `json:"started"`
}

// WriteInfo records a ready cluster in its state folder.
func WriteInfo(stateDir string, info Info) error {
	raw, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return fmt.Errorf("encode cluster info: %w", err)
	}
	path := filepath.Join(stateDir, infoFile)
	tmp := path + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("write cluster info: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write cluster info: %w", err)
	}
	return nil
}

// RemoveInfo takes the record away; a missing one is no error.
func RemoveInfo(stateDir string) error {
	err := os.Remove(filepath.Join(stateDir, infoFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove cluster info: %w", err)
	}
	return nil
}

// ReadInfo returns the record that a cluster left in its state folder. The
// cluster it tells of may have died since; see Find.
func ReadInfo(stateDir string) (Info, bool, error) {
	raw, err := os.ReadFile(filepath.Join(stateDir, infoFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, false, nil
	}
	if err != nil {
		return Info{}, false, fmt.Errorf("read cluster info: %w", err)
	}
	var info Info
	if err := json.Unmarshal(raw, &info); err != nil {
		// Half a record is no record: it is made again at the next start.
		return Info{}, false, nil //nolint:nilerr // the file is only a hint
	}
	return info, true, nil
}
