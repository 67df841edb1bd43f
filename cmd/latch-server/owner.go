package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

// serviceUser is the user that packages make for the server.
const serviceUser = "latch-server"

// actAsOwner makes a root process act as the owner of the data directory from here on, so that it
// leaves no file that the service cannot read. Other users change nothing.
func actAsOwner(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q: %w", dir, store.ErrNotInitialized)
	}
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	return become(int(owner.Uid), int(owner.Gid))
}

// become gives up root for good, in every thread.
func become(uid, gid int) error {
	if uid == 0 || os.Geteuid() != 0 {
		return nil
	}
	if err := syscall.Setgroups([]int{}); err != nil {
		return fmt.Errorf("drop groups: %w", err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("become gid %d: %w", gid, err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("become uid %d: %w", uid, err)
	}
	return nil
}

// ownerIDs says whose the data shall be: the named user's; else, for root, the service user's where
// there is one, and root's where not.
func ownerIDs(name string) (uid, gid int, err error) {
	if os.Geteuid() != 0 {
		if name != "" {
			return 0, 0, errors.New("only root can give the data to another user")
		}
		return os.Geteuid(), os.Getegid(), nil
	}
	given := name != ""
	if !given {
		name = serviceUser
	}
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) && !given {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, fmt.Errorf("uid of %q: %w", name, err)
	}
	gid, err = strconv.Atoi(u.Gid)
	if err != nil {
		return 0, 0, fmt.Errorf("gid of %q: %w", name, err)
	}
	return uid, gid, nil
}

// prepareDir makes the data directory, 0700, for its owner and becomes the owner. A directory that holds anything
// already is left alone: a slip in --data must not close /etc to everybody, and the log of an older database would
// be applied to a restored one.
func prepareDir(dir, owner string) error {
	uid, gid, err := ownerIDs(owner)
	if err != nil {
		return err
	}
	if err := empty(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, uid, gid); err != nil {
			return err
		}
	}
	return become(uid, gid)
}

// empty refuses a directory that holds anything but what a new file system does.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() != "lost+found" {
			return cli.WithHint(cli.ExitError, fmt.Errorf("%q is there already: %w", filepath.Join(dir, e.Name()), fs.ErrExist),
				"name a directory that is empty, or not there yet, with --data")
		}
	}
	return nil
}
