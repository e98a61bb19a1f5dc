package localcluster

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// environmentFile is where a laptop's ports are set.
const environmentFile = "platform/environments/local.yaml"

// fault makes a fault of an error whose text may end in a line "next: ...".
func fault(what string, err error, next string) *daemon.Fault {
	why, own, found := strings.Cut(err.Error(), "\nnext: ")
	if found {
		next = own
	} else if n := event.Next(err); n != "" {
		next = n
	}
	return &daemon.Fault{What: what, Why: why, Hint: next}
}

func stateFault(dir string, err error) error {
	var storage *state.StorageError
	full := errors.As(err, &storage) && storage.Full() || isFull(err)
	next := fmt.Sprintf("make %s writable, or choose another folder: %s=DIR go tool mage up", dir, place.StateVariable)
	if full {
		next = fmt.Sprintf("make room, or choose another folder: %s=DIR go tool mage up   # now: df -h %s", place.StateVariable, dir)
	}
	return fault("use the state folder", err, next)
}

func cacheFault(dir string, err error) error {
	return fault("use the cache folder", err,
		fmt.Sprintf("make %s writable, or choose another folder: %s=DIR go tool mage up", dir, place.CacheVariable))
}

func portFault(name string, port int, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fault(fmt.Sprintf("listen on port %d", port), err, "go tool mage doctor")
	}
	return fault(fmt.Sprintf("listen on port %d", port),
		errors.New("another program listens there already"),
		fmt.Sprintf("end it, or choose another port (ports.%s in %s), then go tool mage up", name, environmentFile))
}

// isFull reports whether the disk has no room. PostgreSQL says it in words.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || strings.Contains(err.Error(), "No space left on device")
}

func databaseFault(dir string, port int, err error) error {
	if isFull(err) {
		return stateFault(dir, err)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return portFault("postgres", port, syscall.EADDRINUSE)
	}
	if _, ok := errors.AsType[*postgres.ObtainError](err); ok {
		return fault("start PostgreSQL", err, "")
	}
	return fault("start PostgreSQL", err, "go tool mage doctor")
}
