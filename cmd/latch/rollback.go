package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/installer"
	"github.com/latch-linux/latch/pkg/securefile"
)

func newConfirm(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "confirm", Short: "keep what latch install changed", Args: cobra.NoArgs,
		Long: `confirm keeps a change that would undo itself. It must be run in a login session that is younger
than the change: that one can log in still is what it confirms.
` + cli.ExitHelp,
		Example: "  sudo latch confirm",
		RunE:    func(*cobra.Command, []string) error { return a.confirm() },
	}
}

func (a *app) confirm() error {
	p, err := a.pam.Pending()
	if err != nil {
		return err
	}
	if p == nil {
		return errors.New("no change waits to be confirmed")
	}
	began, err := installer.SessionStart(os.Getpid(), a.now())
	if err != nil {
		return err
	}
	if !began.After(p.At) {
		return cli.WithHint(cli.ExitError, errors.New("this session is older than the change, so it does not show that one can log in"),
			"log in anew and run it there; latch rollback undoes the change now")
	}
	if err := a.pam.Confirm(); err != nil {
		return err
	}
	a.stopClock()
	return a.Report(map[string]any{"confirmed": true}, "the change stays")
}

func newRollback(a *app) *cobra.Command {
	var due bool
	c := &cobra.Command{
		Use: "rollback", Short: "undo what latch install changed last", Args: cobra.NoArgs,
		Long: `rollback undoes a change that waits to be confirmed, now.
` + cli.ExitHelp,
		Example: "  sudo latch rollback",
		RunE:    func(c *cobra.Command, _ []string) error { return a.rollback(c.Context(), due) },
	}
	c.Flags().BoolVar(&due, "when-due", false, "wait for its time, as the background process does")
	if err := c.Flags().MarkHidden("when-due"); err != nil {
		panic(err) // the flag is two lines above
	}
	return c
}

func (a *app) rollback(ctx context.Context, wait bool) error {
	p, err := a.pam.Pending()
	if err != nil {
		return err
	}
	if p == nil {
		return errors.New("no change waits to be confirmed")
	}
	if wait {
		if ended, err := a.waitUntil(ctx, p.At, p.Due); ended || err != nil {
			return err
		}
	}
	var services []string
	if err := a.locked(ctx, func() (err error) { services, err = a.pam.Rollback(); return err }); err != nil {
		return err
	}
	a.settle(ctx, undone(p))
	a.stopClock()
	return a.Report(map[string]any{"changed": true, "services": services}, "as before: %s", strings.Join(services, ", "))
}

// waitUntil waits for the time of a change to come. ended tells that the change was confirmed, or is another one.
func (a *app) waitUntil(ctx context.Context, at, due time.Time) (ended bool, err error) {
	for {
		p, err := a.pam.Pending()
		if err != nil || p == nil || !p.At.Equal(at) {
			return true, err
		}
		// In short steps: the clock may be set meanwhile, and a confirmed change needs no process.
		left := due.Sub(a.now())
		if left <= 0 {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-time.After(min(left, 5*time.Second)):
		}
	}
}

// The timer lies in /etc so that it outlives a reboot; both files go when it has fired or the change is confirmed.
const (
	systemdRunning = "/run/systemd/system"
	unitDir        = "/etc/systemd/system"
	unitName       = "latch-rollback"
)

// startClock sees to it that a change is undone at its time: by systemd where it runs, else by a process of its own
// session, which no hangup of this one reaches.
func (a *app) startClock(due time.Time) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := os.Stat(systemdRunning); err == nil {
		return startTimer(self, due)
	}
	cmd := exec.Command(self, "rollback", "--when-due")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	a.Say("no systemd here: process %d undoes the change, and a reboot before that keeps it", cmd.Process.Pid)
	return cmd.Process.Release()
}

func startTimer(self string, due time.Time) error {
	service := fmt.Sprintf("[Unit]\nDescription=Undo an unconfirmed change of latch install\n\n[Service]\nType=oneshot\nExecStart=%s rollback\n", self)
	timer := fmt.Sprintf("[Unit]\nDescription=Undo an unconfirmed change of latch install\n\n[Timer]\nOnCalendar=%s UTC\nPersistent=true\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n",
		due.UTC().Format(time.DateTime))
	for name, text := range map[string]string{".service": service, ".timer": timer} {
		if err := securefile.Write(filepath.Join(unitDir, unitName+name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", "--now", unitName + ".timer"}} {
		if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// stopClock takes the timer away. What is left over of it only finds nothing to undo.
func (a *app) stopClock() {
	timer := filepath.Join(unitDir, unitName+".timer")
	if _, err := os.Stat(timer); err != nil {
		return // the background process sees for itself
	}
	_ = exec.Command("systemctl", "disable", unitName+".timer").Run()
	_ = os.Remove(timer)
	_ = os.Remove(filepath.Join(unitDir, unitName+".service"))
	_ = exec.Command("systemctl", "daemon-reload").Run()
}
