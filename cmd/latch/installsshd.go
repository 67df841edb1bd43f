package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/latch-linux/latch/pkg/setup/doctor"
	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/sshd"
)

// sshdPID is where sshd of every distribution that we know leaves the number of its process.
const sshdPID = "/run/sshd.pid"

// findPrograms notes which PAM services sshd and sudo use, and how sshd is configured. Only root is told.
func (a *app) findPrograms(ctx context.Context) {
	if a.uid == 0 {
		a.pam.FindPrograms(ctx, doctor.RunProgram, sshd.Files{})
	}
}

// sshdServices are the PAM services that sshd uses.
func (a *app) sshdServices() []string { return a.pam.SSHD.Services() }

// reloadSSHD makes a running sshd read its configuration anew. Sessions go on, and so does sshd itself.
func (a *app) reloadSSHD(ctx context.Context, changes []installer.Change) {
	if !slices.ContainsFunc(changes, func(c installer.Change) bool { return c.Kind == installer.SSHD && !c.None() }) {
		return
	}
	data, err := os.ReadFile(sshdPID)
	if err != nil {
		a.Say("there is no %s: if sshd runs, reload it", sshdPID)
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return
	}
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil || string(bytes.TrimSpace(name)) != "sshd" {
		return // a number that another process has by now
	}
	if _, err := doctor.RunProgram(ctx, "/usr/sbin/sshd", "-t"); err != nil {
		a.Say("sshd was not reloaded: %v", err)
		return
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		a.Say("sshd was not reloaded: %v", err)
	}
}
