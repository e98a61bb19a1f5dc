package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lock is an flock(2) held on a file that names the holder's process id. The
// kernel drops it when the process ends, however it ends.
type lock struct{ file *os.File }

func acquire(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, storageError(path, err)
	}
	switch err := flock(f); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		held := &LockedError{Path: path, PID: holder(f)}
		return nil, errors.Join(held, f.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	if err := sign(f); err != nil {
		return nil, errors.Join(storageError(path, err), f.Close())
	}
	return &lock{f}, nil
}

// Hold keeps the store in dir from being opened until release is called. It is
// for what may only be done while no cluster runs. When somebody has the store,
// the error is a *LockedError; a folder that is not there can be held by nobody
// and is no error.
func Hold(dir string) (release func(), err error) {
	held, err := acquire(filepath.Join(dir, lockName))
	if errors.Is(err, os.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	return held.release, nil
}

// Holder returns the process that has the store in dir open; 0 when none has,
// or when it cannot be told.
func Holder(dir string) int {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return 0
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		return 0 // the lock, if we have it now, goes with the file
	}
	return holder(f)
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder is the process id in the lock file, 0 when it cannot be read.
func holder(f *os.File) int {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// release lets others in. The file stays: removing it would let two processes
// each lock a file of that name. Closing alone would not do while a child
// process between its fork and exec still has a copy of the descriptor.
func (l *lock) release() {
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	_ = l.file.Close()
}
