package securefile

import (
	"crypto/rand"
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
// lies at path itself is replaced without being followed, only a directory is an error.
func Write(path string, data []byte, mode fs.FileMode) error {
	dir, name, err := openParent(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	// The parent was opened by path only to be judged; syncing it takes a real descriptor of the same directory.
	fd, err := openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir.Name(), Err: err}
	}
	synced := os.NewFile(uintptr(fd), dir.Name())
	defer synced.Close()

	temporary := temporaryPrefix(name) + rand.Text()
	if err := create(synced, temporary, data, mode); err != nil {
		unix.Unlinkat(fd, temporary, 0)
		return err
	}
	if err := unix.Renameat(fd, temporary, fd, name); err != nil {
		unix.Unlinkat(fd, temporary, 0)
		return &fs.PathError{Op: "replace", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	if err := synced.Sync(); err != nil {
		return fmt.Errorf("%q was replaced, but the disk did not confirm it: %w", path, err)
	}
	return nil
}

// create writes a new file in dir and waits until the disk has it.
func create(dir *os.File, name string, data []byte, mode fs.FileMode) error {
	at := filepath.Join(dir.Name(), name)
	fd, err := openat(int(dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(mode.Perm()))
	if err != nil {
		return &fs.PathError{Op: "create", Path: at, Err: err}
	}
	f := os.NewFile(uintptr(fd), at)
	defer f.Close()
	if err := f.Chmod(mode.Perm()); err != nil {
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

// temporaryPrefix begins the names of unfinished copies of the file name.
func temporaryPrefix(name string) string { return "." + name + ".new-" }

// sweep removes what writers of name left when they were killed. The caller holds name's lock, so none is in use.
func sweep(dir *os.File, name string) {
	fd, err := openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	listing := os.NewFile(uintptr(fd), dir.Name())
	defer listing.Close()
	// Leftovers are harmless, so failing to list or to remove them fails nothing.
	names, _ := listing.Readdirnames(-1)
	for _, n := range names {
		if strings.HasPrefix(n, temporaryPrefix(name)) {
			unix.Unlinkat(fd, n, 0)
		}
	}
}
