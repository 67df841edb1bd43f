package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/config"
	"github.com/latch-linux/latch/pkg/doctor"
	"github.com/latch-linux/latch/pkg/installer"
	"github.com/latch-linux/latch/pkg/latch"
	"github.com/latch-linux/latch/pkg/ports"
	"github.com/latch-linux/latch/pkg/securefile"
)

// probe is the program that loads service files; the Makefile sets where it is installed.
var probe = "/usr/local/libexec/latch/latch-probe"

// probeTimeout bounds one run of it.
const probeTimeout = 30 * time.Second

// prove tries the service files as they will be. Any doubt is an error, and nothing has been written then.
func (a *app) prove(ctx context.Context, plans []installer.Change) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	if err := refuseSELinux(ctx); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "latch-probe-") // 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, p := range plans {
		if err := securefile.Write(filepath.Join(dir, p.Service), p.After, 0o600); err != nil {
			return err
		}
		if err := runProbe(ctx, "load", dir, p.Service); err != nil {
			return err
		}
	}
	if err := a.proveModule(ctx, dir, c); err != nil {
		return err
	}
	_, err = a.proveServer(ctx, c)
	return err
}

// proveModule has the module and the authenticator answer about a user who is not paired.
func (a *app) proveModule(ctx context.Context, dir string, c *config.Config) error {
	const service = "latch-probe"
	line := "required pam_latch.so"
	if a.profile != "system" {
		line += " profile=" + a.profile
	}
	text := fmt.Sprintf("auth %s\nauth required pam_permit.so\naccount %s\naccount required pam_permit.so\n", line, line)
	if err := securefile.Write(filepath.Join(dir, service), []byte(text), 0o600); err != nil {
		return err
	}
	err := runProbe(ctx, "ask", dir, service, "nobody")
	if c.Unpaired != config.Open {
		if err == nil {
			return errors.New("the module let a user in who is not paired, against the configuration's unpaired")
		}
		a.Say("the module refuses users who are not paired, as the configuration says (unpaired = %v)", c.Unpaired)
		return nil
	}
	if err != nil {
		return fmt.Errorf("the module does not work; see the log for the reason (journalctl -t latch-auth, /var/log/auth.log): %w", err)
	}
	a.Say("the module and the authenticator: they answer")
	return nil
}

func runProbe(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, probe, args...).CombinedOutput()
	var failed *exec.ExitError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing: run make install first", probe)
	case errors.As(err, &failed):
		return errors.New(strings.TrimSpace(string(out)))
	}
	return err
}

// proveServer asks about an account that nobody can have: the answer shows that the server knows the application. It
// returns by how much the server's clock is ahead.
func (a *app) proveServer(ctx context.Context, c *config.Config) (skew time.Duration, err error) {
	client, err := ports.NewClient(c, nil)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	_, err = client.Status(ctx, latch.Query{AccountID: strings.Repeat("2", api.AccountIDLength), NoOTP: true})
	skew, known := client.Skew()
	switch {
	case !known: // the error says why nobody answered
	case skew.Abs() <= clockLimit:
		a.Say("the clock: %s", apart(skew))
	default:
		a.Say("the clock: %s; set it (timedatectl set-ntp true)", apart(skew))
	}
	switch {
	case latch.KindOf(err) == latch.KindNotPaired:
		a.Say("the credentials: the server knows the application")
		return skew, nil
	case err == nil:
		return skew, errors.New("the server claims to know an account that does not exist")
	}
	return skew, err
}

// refuseSELinux refuses where our policy would be needed and is not loaded.
func refuseSELinux(ctx context.Context) error {
	run := func(name string, args ...string) ([]byte, error) { return doctor.RunProgram(ctx, name, args...) }
	if enforces, loaded := installer.SELinux("", run); enforces && !loaded {
		return errors.New("SELinux enforces here, and would keep sshd and login from the Latch server: load our policy module first")
	}
	return nil
}
