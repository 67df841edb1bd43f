package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

// leastSpace is how much room the database needs on its disk before the check says so, in bytes.
const leastSpace = 256 << 20

// finding is what one part of the check found; nil problem is well.
type finding struct {
	what    string
	problem error
	remedy  string
}

func newCheck(p *program) *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "look the server's data over, while it serves", Args: cobra.NoArgs,
		Long: `check looks at the data directory (who may read it, the room on its disk), at the database (whether it is
whole, and opens with its key), at the stored url, and whether an admin could sign in. It changes nothing, and
ends with status 1 where something is wrong.
` + cli.ExitHelp,
		RunE: func(c *cobra.Command, _ []string) error { return p.check(c.Context()) },
	}
}

var errCheck = errors.New("something is wrong")

func (p *program) check(ctx context.Context) error {
	var found []finding
	err := p.withStore(func(s store.Backend) error {
		found = append(found,
			finding{"directory", private(p.data), "chmod -R go= " + p.data},
			finding{"space", space(p.data), "make room: while the disk is full, hosts get no answer"},
			finding{"database", s.Check(ctx), "look at the disk; put a backup into an empty directory with latch-server restore FILE --data DIR"},
			finding{"url", urlKnown(s), "say it once: latch-server serve --url https://NAME[:PORT]"},
			finding{"admin", adminThere(s), "latch-server user add NAME --role admin, or latch-server user reset NAME"},
		)
		return nil
	})
	if err != nil {
		return err
	}
	wrong := false
	rows := make([]cli.Row, 0, len(found))
	for _, f := range found {
		state, detail := "ok", ""
		if f.problem != nil {
			wrong, state, detail = true, "wrong", f.problem.Error()+"; "+f.remedy
		}
		rows = append(rows, cli.Row{{Name: "what", Value: f.what}, {Name: "state", Value: state}, {Name: "detail", Value: detail}})
	}
	if err := p.Table("check", rows); err != nil {
		return err
	}
	if wrong {
		return errCheck
	}
	return nil
}

// private holds that nobody but the owner can read what is in the directory, but for the certificate that hosts are given.
func private(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a backup that has ended meanwhile
			return nil
		}
		if err != nil || d.Name() == "ca.pem" {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			return fmt.Errorf("%s has mode %04o", path, mode)
		}
		return nil
	})
}

func space(dir string) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < leastSpace {
		return fmt.Errorf("%d MiB are left on its disk", free>>20)
	}
	return nil
}

func urlKnown(s store.Backend) error {
	address, err := s.Setting(store.SettingURL)
	if err == nil && address == "" {
		err = errNoURL
	}
	return err
}

// adminThere holds that somebody could sign in at the panel.
func adminThere(s store.Backend) error {
	staff, err := s.People(store.PeopleQuery{Which: store.WhichStaff})
	if err != nil {
		return err
	}
	for _, u := range staff {
		if u.Role != store.RoleAdmin || u.Disabled {
			continue
		}
		f, err := s.Factors(u.Row)
		if err != nil {
			return err
		}
		if f.Password || f.Passkeys > 0 {
			return nil
		}
	}
	return errors.New("no admin has chosen a password yet")
}
