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
	"github.com/latch-linux/latch/pkg/host/authlog"
	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

// rollbackAfter is how long a change that was made over SSH waits to be confirmed.
const rollbackAfter = 5 * time.Minute

func newConfirm(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "confirm", Short: "keep what latch install changed", Args: cobra.NoArgs,
		Long: `confirm keeps a change that would undo itself. It must be run in a login session that is younger
than the change: that one can log in still is what it confirms. Over SSH that is a connection of its
own, not a further shell of an old one (ControlMaster), and no tmux or screen.
` + cli.ExitHelp,
		Example: "  sudo latch confirm",
		RunE:    func(c *cobra.Command, _ []string) error { return a.confirm(c.Context()) },
	}
}

func (a *app) confirm(ctx context.Context) error {
	began, err := installer.SessionStart(os.Getpid())
	if errors.Is(err, installer.ErrNoLogin) {
		return cli.WithHint(cli.ExitError, fmt.Errorf("%w (a tmux, a screen, a job), so it does not show that one can log in", err),
			"log in again and run it there; latch rollback undoes the change now")
	}
	if err != nil {
		return err
	}
	moment, err := installer.ThisMoment()
	if err != nil {
		return err
	}
	var services []string
	err = a.locked(ctx, func() error {
		p, err := a.pam.Pending()
		switch {
		case err != nil:
			return err
		case p == nil:
			return errNothingWaits
		case p.Interrupted():
			return cli.WithHint(cli.ExitError, errors.New("the change was interrupted half-way"), "latch rollback undoes it")
		case p.Made.Boot == moment.Boot && began <= p.Made.Since:
			return cli.WithHint(cli.ExitError, errors.New("this session is older than the change, so it does not show that one can log in"),
				"log in again, over a connection of its own, and run it there; latch rollback undoes the change now")
		}
		services = changedServices(undone(p))
		return a.pam.Confirm()
	})
	if err != nil {
		return err
	}
	a.stopClock()
	a.logChange("confirm", services, "")
	return a.Report(map[string]any{"confirmed": true}, "the change stays")
}

// automatic is the action of a rollback that nobody asked for.
const automatic = "automatic-rollback"

// logChange writes a change of service files to the system's log.
func (a *app) logChange(action string, services []string, detail string) {
	authlog.Log{}.Changed(authlog.Change{Action: action, By: a.caller(), Services: services, Detail: detail})
}

var errNothingWaits = errors.New("no change waits to be confirmed")

func newRollback(a *app) *cobra.Command {
	var due bool
	c := &cobra.Command{
		Use: "rollback", Short: "undo what latch install changed last", Args: cobra.NoArgs,
		Long: `rollback undoes a change that waits to be confirmed, now.
` + cli.ExitHelp,
		Example: "  sudo latch rollback",
		RunE: func(c *cobra.Command, _ []string) error {
			if due {
				return a.rollbackWhenDue(c.Context())
			}
			return a.rollback(c.Context())
		},
	}
	c.Flags().BoolVar(&due, "when-due", false, "wait for its time, as the background process does")
	if err := c.Flags().MarkHidden("when-due"); err != nil {
		panic(err) // the flag is two lines above
	}
	return c
}

func (a *app) rollback(ctx context.Context) error {
	p, err := a.pam.Pending()
	if err != nil {
		return err
	}
	if p == nil {
		return errNothingWaits
	}
	services, err := a.undoPending(ctx, p, "rollback", "")
	if err != nil {
		return err
	}
	return a.Report(map[string]any{"changed": true, "services": services}, "as before: %s", strings.Join(services, ", "))
}

// undoPending undoes a change, unless it was confirmed meanwhile or is another one by now. action and why are for the log.
func (a *app) undoPending(ctx context.Context, p *installer.Pending, action, why string) (services []string, err error) {
	err = a.locked(ctx, func() error {
		now, err := a.pam.Pending()
		if err == nil && (now == nil || !now.At.Equal(p.At)) {
			err = errNothingWaits
		}
		if err != nil {
			return err
		}
		services, err = a.pam.Rollback()
		return err
	})
	if err != nil {
		return nil, err
	}
	a.settle(ctx, undone(p))
	a.stopClock()
	a.logChange(action, services, why)
	return services, nil
}

// rollbackPause is how long a failed attempt to undo a change waits for the next one: a disk that is full, too many open
// files. Nobody may be able to log in until it succeeds.
const rollbackPause = 5 * time.Second

// rollbackWhenDue undoes the change that waits now at its time.
func (a *app) rollbackWhenDue(ctx context.Context) error {
	p, err := a.pam.Pending()
	if err != nil || p == nil {
		return err
	}
	for {
		left, err := a.left(p)
		if err == nil && left <= 0 {
			if _, err = a.undoPending(ctx, p, automatic, "it was not confirmed in time"); err == nil || errors.Is(err, errNothingWaits) {
				return nil
			}
		}
		if err != nil {
			a.Say("%v", err)
			left = rollbackPause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(left, rollbackPause)): // a confirmed change needs no process
		}
		if now, err := a.pam.Pending(); err == nil && (now == nil || !now.At.Equal(p.At)) {
			return nil
		}
	}
}

func (a *app) left(p *installer.Pending) (time.Duration, error) {
	moment, err := installer.ThisMoment()
	return p.Left(a.now(), moment), err
}

// recover undoes what an earlier run left half-done, and what should have been undone long ago.
func (a *app) recover(ctx context.Context) error {
	p, err := a.pam.Pending()
	if err != nil || p == nil {
		return err
	}
	why := "an earlier change was interrupted half-way"
	if !p.Interrupted() {
		left, err := a.left(p)
		if err != nil || left > 0 {
			return err
		}
		why = "an earlier change was not confirmed, and nothing undid it at its time"
	}
	services, err := a.undoPending(ctx, p, automatic, why)
	if errors.Is(err, errNothingWaits) {
		return nil // another run was about it
	}
	if err == nil {
		a.Say("%s; as before: %s", why, strings.Join(services, ", "))
	}
	return err
}

// pendingChange describes a change that begins now: whether it undoes itself, as it does over SSH and where a time was
// named, and when.
func (a *app) pendingChange(o installOptions) (p installer.Pending, err error) {
	p.At = a.now()
	if o.noRollback || !o.timed && !a.remote() {
		return p, nil
	}
	p.Wait, p.Due = o.rollbackAfter, p.At.Add(o.rollbackAfter)
	p.Made, err = installer.ThisMoment()
	return p, err
}

// remote reports whether this change may shut out the person who makes it. In doubt it may.
func (a *app) remote() bool {
	if a.getenv("SSH_CONNECTION") != "" || a.getenv("SSH_TTY") != "" {
		return true
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		return false // a tree of files without any process: nobody logs in there
	}
	remote, err := installer.Remote(os.Getpid())
	return remote || err != nil
}

// The timer lies in /etc so that it outlives a reboot; both files go when it has fired or the change is confirmed.
const (
	systemdRunning = "/run/systemd/system"
	unitDir        = "/etc/systemd/system"
	unitName       = "latch-rollback"
)

// startClock sees to it that a change is undone at its time: by systemd where it runs, else by a process of its own
// session, which no hangup of this one reaches.
func (a *app) startClock(p installer.Pending) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := os.Stat(systemdRunning); err == nil {
		return startTimer(self, p)
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

// startTimer has systemd run the same process: after a time that no setting of the clock moves, or, after a reboot, when
// the clock says so.
func startTimer(self string, p installer.Pending) error {
	service := fmt.Sprintf("[Unit]\nDescription=Undo an unconfirmed change of latch install\n\n[Service]\nType=oneshot\nExecStart=%s rollback --when-due\n", self)
	timer := fmt.Sprintf("[Unit]\nDescription=Undo an unconfirmed change of latch install\n\n[Timer]\nOnActiveSec=%dms\nOnCalendar=%s UTC\n"+
		"Persistent=true\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n", p.Wait.Milliseconds(), p.Due.UTC().Format(time.DateTime))
	for name, text := range map[string]string{".service": service, ".timer": timer} {
		if err := securefile.Write(filepath.Join(unitDir, unitName+name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", unitName + ".timer"}, {"restart", unitName + ".timer"}} {
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
	_ = exec.Command("systemctl", "disable", "--now", unitName+".timer").Run()
	_ = os.Remove(timer)
	_ = os.Remove(filepath.Join(unitDir, unitName+".service"))
	_ = exec.Command("systemctl", "daemon-reload").Run()
}
