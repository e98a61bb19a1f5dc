package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// LockedError says that another process has the store open.
type LockedError struct {
	Path string // the file that is locked
	PID  int    // who holds it; 0 when unknown
}

// Error implements error.
func (e *LockedError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("open state: %s is in use by %s\nnext: go tool mage down", e.Path, who)
}

// CorruptError says that the state file is damaged. Nothing has been written
// to it.
type CorruptError struct {
	Path    string // the damaged file
	Backup  string // the state as it was at the last start; empty when there is none
	Problem string // what is wrong with the file
}

// Error implements error.
func (e *CorruptError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "read state: %s is damaged: %s (the file was left as it is)\n", e.Path, e.Problem)
	aside := ""
	if _, err := os.Lstat(e.Path); err == nil {
		aside = fmt.Sprintf("mv %s %s.damaged", quote(e.Path), quote(e.Path))
	}
	switch {
	case e.Backup == "":
		fmt.Fprintf(&b, "there is no backup; to start empty,\nnext: %s && go tool mage up", aside)
	case aside == "":
		fmt.Fprintf(&b, "%s is the state of the last start; to go back to it,\nnext: cp %s %s && go tool mage up",
			e.Backup, quote(e.Backup), quote(e.Path))
	default:
		fmt.Fprintf(&b, "%s is the state of the last start; to go back to it,\nnext: %s && cp %s %s && go tool mage up",
			e.Backup, aside, quote(e.Backup), quote(e.Path))
	}
	return b.String()
}

// StorageError says that the folder or the disk under the store refuses.
type StorageError struct {
	Path string // the file or folder in question
	Err  error  // the system's own error
}

// Error implements error.
func (e *StorageError) Error() string {
	switch {
	case e.Full():
		return fmt.Sprintf("write state: no room for %s: %v\nnext: df -h %s", e.Path, e.Err, quote(filepath.Dir(e.Path)))
	case e.ReadOnly():
		return fmt.Sprintf("write state: %s cannot be written: %v\nnext: ls -ld %s", e.Path, e.Err, quote(filepath.Dir(e.Path)))
	default:
		return fmt.Sprintf("access state: %s: %v\nnext: go tool mage doctor", e.Path, e.Err)
	}
}

// Unwrap gives the system's own error.
func (e *StorageError) Unwrap() error { return e.Err }

// Full reports whether there was no room: disk, quota or file size limit.
func (e *StorageError) Full() bool {
	return errors.Is(e.Err, syscall.ENOSPC) || errors.Is(e.Err, syscall.EDQUOT) || errors.Is(e.Err, syscall.EFBIG)
}

// ReadOnly reports whether writing is forbidden: permissions or a read-only
// file system.
func (e *StorageError) ReadOnly() bool {
	return errors.Is(e.Err, syscall.EROFS) || errors.Is(e.Err, os.ErrPermission)
}

// storageError types err, unless this package has typed it already.
func storageError(path string, err error) error {
	var (
		storage *StorageError
		damage  *CorruptError
		locked  *LockedError
	)
	if errors.As(err, &storage) || errors.As(err, &damage) || errors.As(err, &locked) {
		return err
	}
	return &StorageError{Path: path, Err: withErrno(err)}
}

// withErrno finds the system's error number in the text of an error that was
// formatted without wrapping, as bbolt does when it cannot grow its file.
func withErrno(err error) error {
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return err
	}
	for _, number := range []syscall.Errno{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EROFS, syscall.EACCES, syscall.EPERM,
	} {
		if strings.HasSuffix(err.Error(), ": "+number.Error()) {
			return &numbered{error: err, number: number}
		}
	}
	return err
}

// numbered is an error with the number that its text ends in.
type numbered struct {
	error

	number syscall.Errno
}

// Unwrap gives the error number.
func (e *numbered) Unwrap() error { return e.number }

func corrupt(path, problem string) error {
	backup := filepath.Join(filepath.Dir(path), backupName)
	return &CorruptError{Path: path, Backup: existing(backup), Problem: problem}
}

// existing is path, or empty when there is nothing there.
func existing(path string) string {
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	return path
}

// quote makes a path safe to paste into a shell.
func quote(path string) string {
	if strings.IndexFunc(path, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=@:,", r)
	}) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
