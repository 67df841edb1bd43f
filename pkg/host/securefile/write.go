package securefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Write replaces the file at path, or creates it, with mode exactly mode whatever the umask. A reader
// sees the old content or the new one and nothing between; when Write returns nil the new one survives
// a power failure. On an error the old file stands as it was. The parents are judged as in Open; what
// lies at path itself is replaced without being followed, only a directory is an error. A trusted file keeps its group, its
// access control list with the mask of that, its SELinux label and its other extended attributes.
func Write(path string, data []byte, mode fs.FileMode) error {
	return replace(path, temporaryPrefix(filepath.Base(path))+rand.Text(), data, mode)
}

// replace is Write with a name for the unfinished copy.
func replace(path, temporary string, data []byte, mode fs.FileMode) error {
	parent, base, err := openParent(path)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	dir, err := reopen(parent, path)
	if err != nil {
		return err
	}
	defer dir.Close()

	fd := int(dir.Fd())
	if err := create(dir, temporary, base, data, mode.Perm()); err != nil {
		_ = unix.Unlinkat(fd, temporary, 0)
		return err
	}
	if err := unix.Renameat(fd, temporary, fd, base); err != nil {
		_ = unix.Unlinkat(fd, temporary, 0)
		return &fs.PathError{Op: "replace", Path: path, Err: err}
	}
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("%q was replaced, but the disk did not confirm it: %w", path, err)
	}
	return nil
}

// Touch sets the time of the trusted file at path to now, and creates it, empty and with mode, where there is none. It
// leaves nothing behind however it ends.
func Touch(path string, mode fs.FileMode) error {
	parent, base, err := openParent(path)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, uint32(mode.Perm()))
	if err != nil {
		return &fs.PathError{Op: "create", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if err := judge(fd, path, unix.S_IFREG); err != nil {
		return err
	}
	if err := unix.Futimes(fd, nil); err != nil {
		return &fs.PathError{Op: "set the time of", Path: path, Err: err}
	}
	return nil
}

// CheckReplaceable returns why Write could not replace the file at path, or create it: a read-only or full file system, or a
// file that is protected from change. It changes nothing, and does not wait for the disk.
func CheckReplaceable(path string) error {
	parent, base, err := openParent(path)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	probe := temporaryPrefix(base) + rand.Text()
	if err := writeProbe(parent, probe); err != nil {
		return &fs.PathError{Op: "replace", Path: path, Err: err}
	}
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "replace", Path: path, Err: err}
	}
	return unix.Close(fd)
}

// writeProbe makes a file with content and removes it.
func writeProbe(parent int, name string) error {
	fd, err := unix.Openat(parent, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(name))
	err = errors.Join(err, unix.Close(fd))                                                   // a network file system reports a full disk here
	if removed := unix.Unlinkat(parent, name, 0); removed != nil && removed != unix.ENOENT { // a writer may have swept it away
		err = errors.Join(err, removed)
	}
	return err
}

// create writes a new file in dir, which is to replace the file base, and waits until the disk has it.
func create(dir *os.File, name, base string, data []byte, mode fs.FileMode) error {
	at := filepath.Join(dir.Name(), name)
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &fs.PathError{Op: "create", Path: at, Err: err}
	}
	f := os.NewFile(uintptr(fd), at)
	defer f.Close()
	if mode, err = keepAttributes(int(dir.Fd()), base, f, mode); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// reopen turns the judged descriptor of path's directory, good for walking only, into one of the same
// directory that can be listed and synced.
func reopen(parent int, path string) (*os.File, error) {
	at := filepath.Dir(path)
	fd, err := openat(parent, ".", unix.O_RDONLY|unix.O_DIRECTORY, at)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), at), nil
}

// temporaryPrefix begins the names of unfinished copies of the file base.
func temporaryPrefix(base string) string { return "." + base + ".new-" }

// Sweep removes the unfinished copies that killed writers of path left. The caller sees to it that none is at work.
func Sweep(path string) error {
	parent, base, err := openParent(path)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	sweep(parent, path, base)
	return nil
}

// sweep removes what writers of path left when they were killed. The caller holds path's lock, so that
// none is in use. A leftover is harmless: failing to remove one fails nothing.
func sweep(parent int, path, base string) {
	dir, err := reopen(parent, path)
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if strings.HasPrefix(name, temporaryPrefix(base)) {
			_ = unix.Unlinkat(int(dir.Fd()), name, 0)
		}
	}
}
