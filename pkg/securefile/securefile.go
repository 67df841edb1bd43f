// Package securefile reads and replaces files that decide who may log in. A file is trusted only when
// it and every directory above it belong to root or to the effective user and nobody else can write
// them. Everything is judged by open descriptors, one path component at a time, so that nothing can be
// exchanged between the look and the use; symbolic links are never followed.
package securefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUntrusted is what errors.Is finds in every error about a file or directory that others could have
// written. The error itself is an *Error and says which one and how to mend it.
var ErrUntrusted = errors.New("not trusted")

// Error is a file or directory that must not be believed.
type Error struct {
	Path    string // the offending path itself, often a parent of the one asked for
	Problem string // what is wrong with it, to stand after the path
	Fix     string // the shell command that mends it; empty where there is no single one
}

func (e *Error) Error() string { return fmt.Sprintf("%q %s", e.Path, e.Problem) }

// Is makes every Error an ErrUntrusted.
func (e *Error) Is(target error) bool { return target == ErrUntrusted }

// Open opens the regular file at path for reading. A relative path is made absolute by its text alone.
// A missing file or directory is fs.ErrNotExist, one that others can write is ErrUntrusted. It never
// blocks, whatever lies at path.
func Open(path string) (*os.File, error) {
	dir, name, err := openParent(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return openFile(dir, name)
}

// Read returns the content of the file at path as Open finds it; more than limit bytes are an error.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%q holds more than %d bytes", path, limit)
	}
	return data, nil
}

// openParent walks to the directory that holds path and returns it with the last component of path.
func openParent(path string) (*os.File, string, error) {
	if path == "" {
		return nil, "", &fs.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	if path == "/" {
		return nil, "", &Error{Path: path, Problem: "is a directory, not a file"}
	}
	dir, err := openDir(filepath.Dir(path))
	return dir, filepath.Base(path), err
}

// openDir opens the absolute, clean path and judges every directory on the way.
func openDir(path string) (*os.File, error) {
	dir, err := step(unix.AT_FDCWD, "/", "/")
	if err != nil || path == "/" {
		return dir, err
	}
	at := "/"
	for name := range strings.SplitSeq(path[1:], "/") {
		at = filepath.Join(at, name)
		next, err := step(int(dir.Fd()), name, at)
		dir.Close()
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

// step opens one directory below another; at is its whole path, for messages.
func step(parent int, name, at string) (*os.File, error) {
	fd, err := openat(parent, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		// With O_PATH and O_DIRECTORY the kernel calls a link ENOTDIR, too.
		if err == unix.ENOTDIR || err == unix.ELOOP {
			return nil, &Error{Path: at, Problem: "is no directory but " + kindAt(parent, name)}
		}
		return nil, &fs.PathError{Op: "open", Path: at, Err: err}
	}
	dir := os.NewFile(uintptr(fd), at)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		dir.Close()
		return nil, &fs.PathError{Op: "stat", Path: at, Err: err}
	}
	// In a sticky directory of root's everybody may create files, but not replace another's.
	sticky := st.Mode&unix.S_ISVTX != 0 && st.Uid == 0
	if err := judge(&st, at, sticky); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

// openFile opens the regular file name in dir and judges it.
func openFile(dir *os.File, name string) (*os.File, error) {
	at := filepath.Join(dir.Name(), name)
	// O_NONBLOCK: a pipe that somebody put there must not hold up a login.
	fd, err := openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	switch {
	case err == unix.ELOOP:
		return nil, &Error{Path: at, Problem: "is a symbolic link, not a file"}
	case err == unix.ENXIO:
		return nil, &Error{Path: at, Problem: "is " + kindAt(int(dir.Fd()), name) + ", not a file"}
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: at, Err: err}
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
		err = &fs.PathError{Op: "stat", Path: at, Err: err}
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = &Error{Path: at, Problem: "is " + kind(st.Mode) + ", not a file"}
	default:
		err = judge(&st, at, false)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Not for regular files, but a descriptor should mean what os.File thinks it means.
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: at, Err: err}
	}
	return os.NewFile(uintptr(fd), at), nil
}

// judge says whether only root and the effective user can have written what st describes.
func judge(st *unix.Stat_t, at string, sticky bool) error {
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return &Error{Path: at, Problem: fmt.Sprintf("belongs to uid %d", st.Uid),
			Fix: fmt.Sprintf("chown %d %s", os.Geteuid(), quote(at))}
	}
	if st.Mode&0o022 != 0 && !sticky {
		return &Error{Path: at, Problem: fmt.Sprintf("can be written by others (mode %04o)", st.Mode&0o7777),
			Fix: "chmod go-w " + quote(at)}
	}
	return nil
}

// openat retries what a signal interrupted.
func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// kindAt names the kind of file that stands in the way, for a message only.
func kindAt(dir int, name string) string {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "something else"
	}
	return kind(st.Mode)
}

func kind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a named pipe"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFREG:
		return "a file"
	}
	return "a device"
}

// quote makes a path one word of a shell command that can be pasted.
func quote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@", r)
	}
	if strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
