// Package securefile opens and replaces the files that decide who gets in. A file is trusted only when
// it and every directory above it belong to root (or to the effective user, in tests and for services that run
// as somebody else) and nobody else can write them; a sticky directory of root's, such as /tmp, counts as
// safe. Everything is judged by its open descriptor and no symbolic link is followed.
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

// ErrUntrusted is wrapped by every refusal to use a file because of its owner, its mode or its kind.
var ErrUntrusted = errors.New("not trusted")

// TrustError says which part of a path is not trusted, and why. It wraps ErrUntrusted.
type TrustError struct {
	Path    string // the file or the directory above it that is at fault
	Problem string // such as "can be written by others (mode 0666)"
	Fix     string // a command that mends it, or ""
}

func (e *TrustError) Error() string {
	return fmt.Sprintf("%q is %v: it %s", e.Path, ErrUntrusted, e.Problem)
}

// Unwrap makes errors.Is(err, ErrUntrusted) true.
func (e *TrustError) Unwrap() error { return ErrUntrusted }

// Open opens a trusted regular file for reading. A missing file is fs.ErrNotExist.
func Open(path string) (*os.File, error) {
	dir, base, err := openParent(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	// O_NONBLOCK: a pipe in the file's place must not hang a login.
	fd, err := openat(dir, base, unix.O_RDONLY|unix.O_NONBLOCK, path)
	if err != nil {
		return nil, err
	}
	if err := judge(fd, path, unix.S_IFREG); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Read returns the contents of a trusted regular file of at most limit bytes.
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
		return nil, fmt.Errorf("%q is larger than %d bytes", path, limit)
	}
	return data, nil
}

// CheckPrivate returns a TrustError if anybody but the owner can read the trusted file: a secret in it
// is then known to every user of this machine. `latch config check` takes that for a mistake; a login goes on,
// because refusing would lock out what the secret's theft has not.
func CheckPrivate(path string) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o044 != 0 {
		return &TrustError{path, fmt.Sprintf("can be read by others (mode %04o)", mode), "chmod 600 " + ShellWord(path)}
	}
	return nil
}

// openParent walks to path's directory and returns it with path's last element.
func openParent(path string) (dir int, base string, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return -1, "", err
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	base = parts[len(parts)-1]
	if base == "" {
		return -1, "", &fs.PathError{Op: "open", Path: path, Err: unix.EISDIR}
	}
	walked := "/"
	dir, err = openat(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, walked)
	for _, part := range parts[:len(parts)-1] {
		if err != nil {
			return -1, "", err
		}
		if err = judge(dir, walked, unix.S_IFDIR); err != nil {
			unix.Close(dir)
			return -1, "", err
		}
		walked = filepath.Join(walked, part)
		next, failed := openat(dir, part, unix.O_PATH|unix.O_DIRECTORY, walked)
		unix.Close(dir)
		dir, err = next, failed
	}
	if err == nil {
		if err = judge(dir, walked, unix.S_IFDIR); err != nil {
			unix.Close(dir)
		}
	}
	return dir, base, err
}

func openat(dir int, name string, flags int, path string) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return fd, nil
		case unix.EINTR:
			continue
		case unix.ELOOP:
			return -1, &TrustError{path, "is a symbolic link", ""}
		case unix.ENOTDIR:
			if isLink(dir, name) {
				return -1, &TrustError{path, "is a symbolic link", ""}
			}
		}
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
}

// isLink tells a link from a file in a directory's place: with O_DIRECTORY both are ENOTDIR.
func isLink(dir int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}

func judge(fd int, path string, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != kind:
		return &TrustError{path, "is not a " + map[uint32]string{unix.S_IFREG: "regular file", unix.S_IFDIR: "directory"}[kind], ""}
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return &TrustError{path, fmt.Sprintf("belongs to uid %d", st.Uid), "chown root " + ShellWord(path)}
	case st.Mode&0o022 == 0:
		return nil
	case kind == unix.S_IFDIR && st.Uid == 0 && st.Mode&unix.S_ISVTX != 0:
		return nil
	}
	return &TrustError{path, fmt.Sprintf("can be written by others (mode %04o)", st.Mode&0o7777), "chmod go-w " + ShellWord(path)}
}

// ShellWord makes a text one word of a shell command that can be pasted.
func ShellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@", r)
	}
	if !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
