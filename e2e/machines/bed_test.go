// Package machines proves the product on whole machines: releases of Debian with programs that this one does not have, in
// folders of their own, of which some boot with systemd. It runs on a machine of the tests' own (fixture.Isolate), whose
// loopback they share. Everything here needs root.
package machines

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

const (
	ana   = "ana"
	anaID = "7501"
)

// bed is what all tests share.
var bed struct {
	forky, trixie string // directories of minimal Debians
	scratch       string
	server        *fixture.Server
	app           fixture.App
}

func TestMain(m *testing.M) {
	if err := locate(); err != nil {
		fmt.Fprintf(os.Stderr, "setting up: %v\n", err)
		os.Exit(1)
	}
	os.Exit(fixture.Main(m, func() { _ = bed.server.Stop() }, unifyGroups, serve))
}

func locate() error {
	if err := fixture.Prepare(); err != nil {
		return err
	}
	root, err := fixture.Root()
	if err != nil {
		return err
	}
	for name, dir := range map[string]*string{"forky": &bed.forky, "trixie": &bed.trixie} {
		if *dir, err = filepath.EvalSymlinks(filepath.Join(root, "build", "test", name)); err != nil {
			return err
		}
	}
	return nil
}

// unifyGroups shows version 2 of control groups alone, where the machine has both: systemd knows no other any more.
func unifyGroups() error {
	const all, unified = "/sys/fs/cgroup", "/sys/fs/cgroup/unified"
	if _, err := os.Stat(unified); err != nil {
		return nil
	}
	return syscall.Mount(unified, all, "", syscall.MS_BIND, "")
}

func serve() (err error) {
	if bed.scratch, err = os.MkdirTemp("/run", "machines-"); err != nil {
		return err
	}
	artefacts, err := fixture.Built()
	if err != nil {
		return err
	}
	if bed.server, err = fixture.StartServer(artefacts.Server, bed.scratch+"/data"); err != nil {
		return err
	}
	if bed.app, err = bed.server.AddApp("machine"); err != nil {
		return err
	}
	return bed.server.AddUser(ana)
}
