package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/setup/doctor"
	"github.com/latch-linux/latch/pkg/setup/installer"
)

// probe is the program that loads service files; the Makefile sets where it is installed.
var probe = "/usr/local/libexec/latch/latch-probe"

// probeTimeout bounds one run of it.
const probeTimeout = 30 * time.Second

// prove tries the service files as they will be, in dir. Any doubt is an error, and nothing has been written then.
func (a *app) prove(ctx context.Context, dir string, plans []installer.Change) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	if err := refuseSELinux(ctx); err != nil {
		return err
	}
	if dir, err = os.MkdirTemp(dir, ""); err != nil { // one for each profile
		return err
	}
	if err := a.proveFiles(ctx, dir, plans); err != nil {
		return err
	}
	if err := a.proveModule(ctx, dir, plans, c); err != nil {
		return err
	}
	skew, err := a.proveServer(ctx, c)
	if err == nil && skew.Abs() > clockLimit {
		err = errors.New("this machine's clock is " + apart(skew) + ", and a server may refuse what it signs: timedatectl set-ntp true")
	}
	return err
}

// proveFiles has libpam load the service files. Beside them lie all others: an include is looked for in the same
// directory by newer releases of libpam, and in /etc/pam.d by older ones.
func (a *app) proveFiles(ctx context.Context, dir string, plans []installer.Change) error {
	names, err := a.pam.Services()
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, name := range names {
		if text, err := a.pam.Read(name); err == nil { // else libpam will say what it makes of it
			files[name] = text
		}
	}
	for _, p := range plans {
		files[p.Service] = p.After
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	for _, p := range plans {
		if err := runProbe(ctx, "load", dir, p.Service); err != nil {
			return err
		}
	}
	return nil
}

// proveModule has the module and the authenticator answer about a user who is not paired, once for each set of arguments
// that the new lines have.
func (a *app) proveModule(ctx context.Context, dir string, plans []installer.Change, c *config.Config) error {
	const service = "latch-probe"
	for _, args := range installer.Arguments(plans) {
		words, err := lenientArgs(dir, c, strings.Fields(args))
		if err != nil {
			return err
		}
		line := strings.Join(append([]string{"required", "pam_latch.so"}, words...), " ")
		text := fmt.Sprintf("auth %s\nauth required pam_permit.so\naccount %s\naccount required pam_permit.so\n", line, line)
		if err := os.WriteFile(filepath.Join(dir, service), []byte(text), 0o600); err != nil {
			return err
		}
		if err := runProbe(ctx, "ask", dir, service, "nobody"); err != nil {
			return fmt.Errorf("the module does not work with the arguments %q; see the log for the reason (journalctl -t latch-auth, /var/log/auth.log): %w", args, err)
		}
	}
	a.Say("the module and the authenticator: they answer")
	return nil
}

// lenientArgs are the arguments of a line, with a configuration that lets an unpaired user by: a refusal would tell nothing.
// c is the configuration of a line that names none.
func lenientArgs(dir string, c *config.Config, words []string) ([]string, error) {
	named := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, "config=") })
	if named >= 0 {
		args, err := config.ParseArgs(words)
		if err != nil {
			return nil, err
		}
		if c, err = args.Load(); err != nil {
			return nil, err
		}
	}
	if c.Unpaired == config.Open && !c.OTPRequired {
		return words, nil
	}
	copied, err := lenient(dir, c.Path)
	if err != nil {
		return nil, err
	}
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return strings.HasPrefix(word, "config=") })
	return append(words, "config="+copied), nil
}

// lenient copies a configuration to a directory of root's, but with unpaired = open and otp_required = no.
func lenient(dir, path string) (string, error) {
	text, err := securefile.Read(path, inputLimit)
	if err != nil {
		return "", err
	}
	if text, err = config.SetKeys(text, map[string]string{"unpaired": config.Open.String(), "otp_required": "no"}); err != nil {
		return "", err
	}
	copied := filepath.Join(dir, "latch.conf") // no service has that name
	return copied, securefile.Write(copied, text, configMode)
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

// proveServer is meetServer for who wants to know nothing but that all is well.
func (a *app) proveServer(ctx context.Context, c *config.Config) (skew time.Duration, err error) {
	_, skew, err = a.meetServer(ctx, c)
	return skew, err
}

// meetServer asks about an account that nobody can have: the answer shows that the server knows the application. It
// returns by how much the server's clock is ahead, and whether it pairs by link.
func (a *app) meetServer(ctx context.Context, c *config.Config) (links bool, skew time.Duration, err error) {
	server, err := adapters.NewClient(c, nil)
	if err != nil {
		return false, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	_, err = server.Status(ctx, client.Query{AccountID: nobodysAccount, NoOTP: true})
	skew, known := server.Skew()
	switch {
	case !known: // the error says why nobody answered
	case skew.Abs() <= clockLimit:
		a.Say("the clock: %s", apart(skew))
	default:
		a.Say("the clock: %s; set it (timedatectl set-ntp true)", apart(skew))
	}
	switch {
	case client.KindOf(err) == client.KindNotPaired:
		a.Say("the credentials: the server knows the application")
		return server.Can(api.CanPairByLink), skew, nil
	case err == nil:
		return false, skew, errors.New("the server claims to know an account that does not exist")
	}
	return false, skew, err
}

// refuseSELinux refuses where our policy would be needed and is not loaded.
func refuseSELinux(ctx context.Context) error {
	run := func(name string, args ...string) ([]byte, error) { return doctor.RunProgram(ctx, name, args...) }
	if enforces, loaded := installer.SELinux("", run); enforces && !loaded {
		return cli.WithHint(cli.ExitError, errors.New("SELinux enforces here, and would keep sshd and login from the Latch server"),
			"load our policy module first: "+installer.LoadPolicy)
	}
	return nil
}
