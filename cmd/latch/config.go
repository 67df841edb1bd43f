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

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/config"
	"github.com/latch-linux/latch/pkg/latch"
	"github.com/latch-linux/latch/pkg/securefile"
)

// Modes of what this program writes. The configuration holds a secret.
const (
	configMode    = 0o600
	directoryMode = 0o755
)

func newConfig(a *app) *cobra.Command {
	return group("config", "check and edit the configuration", newConfigCheck(a), newConfigEdit(a))
}

func newConfigCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE]", Short: "read the configuration as a login would", Args: cobra.MaximumNArgs(1),
		Long: `check reads a configuration file as a login would and says what is wrong, with the line and the
remedy. A file that others can read is wrong too: it holds the application's secret.
` + cli.ExitHelp,
		Example: "  sudo latch config check",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.config = args[0]
			}
			path, _, err := a.files()
			if err != nil {
				return err
			}
			if _, err := config.Load(path); err != nil {
				return err
			}
			if err := securefile.CheckPrivate(path); err != nil {
				return err
			}
			return a.Report(map[string]any{"config": path, "valid": true}, "%s: ok", path)
		},
	}
}

func newConfigEdit(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "edit", Short: "edit the configuration safely", Args: cobra.NoArgs,
		Long: `edit opens a copy of the configuration in an editor ($SUDO_EDITOR, $VISUAL, $EDITOR, editor, vi) and
puts it in place when a login could read it. A copy with a mistake never reaches the logins:
edit it again, or leave the file as it was.
` + cli.ExitHelp,
		Example: "  sudo latch config edit",
		RunE:    func(c *cobra.Command, _ []string) error { return a.editConfig(c.Context()) },
	}
}

func (a *app) editConfig(ctx context.Context) error {
	path, _, err := a.files()
	if err != nil {
		return err
	}
	before, err := readConfig(path)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "latch-edit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	draft := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(draft, before, configMode); err != nil {
		return err
	}
	after, err := a.editUntilValid(ctx, draft)
	if err != nil || after == nil {
		return err
	}
	if string(after) == string(before) {
		return a.Report(map[string]any{"config": path, "changed": false}, "%s: unchanged", path)
	}
	err = a.changeConfig(ctx, path, func(now []byte) ([]byte, error) {
		if string(now) != string(before) {
			return nil, fmt.Errorf("%s was changed by somebody else meanwhile; nothing was written", path)
		}
		return after, nil
	})
	if err != nil {
		return err
	}
	return a.Report(map[string]any{"config": path, "changed": true}, "%s: written", path)
}

// editUntilValid returns nil when the person gives up.
func (a *app) editUntilValid(ctx context.Context, draft string) ([]byte, error) {
	for {
		if err := a.runEditor(ctx, draft); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(draft)
		if err != nil {
			return nil, err
		}
		_, mistake := config.Parse(draft, data)
		if mistake == nil {
			return data, nil
		}
		a.Say("%v", mistake)
		answer, err := a.terminal.Ask("e edits it again, q leaves the file as it was", "e")
		if err != nil {
			return nil, fmt.Errorf("nothing was written: %w", mistake)
		}
		if strings.HasPrefix(strings.ToLower(answer), "q") {
			return nil, errors.New("nothing was written")
		}
	}
}

func (a *app) runEditor(ctx context.Context, draft string) error {
	editor := "vi"
	if _, err := exec.LookPath("editor"); err == nil {
		editor = "editor"
	}
	for _, name := range []string{"EDITOR", "VISUAL", "SUDO_EDITOR"} {
		if value := a.getenv(name); value != "" {
			editor = value
		}
	}
	words := append(strings.Fields(editor), draft)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("editor %q: %w; nothing was written", words[0], err)
	}
	return nil
}

// fresh is what a configuration file begins as.
const fresh = "# Latch for Linux. The sample that comes with it explains every key; latch config check reads this file.\n"

// readConfig returns the text of a configuration file, or that of a new one.
func readConfig(path string) ([]byte, error) {
	data, err := securefile.Read(path, inputLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return []byte(fresh), nil
	}
	return data, err
}

// changeConfig edits the configuration under its lock. What a login could not read is not written.
func (a *app) changeConfig(ctx context.Context, path string, edit func([]byte) ([]byte, error)) error {
	if err := os.MkdirAll(filepath.Dir(path), directoryMode); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return securefile.WithLock(ctx, path, func() error {
		data, err := readConfig(path)
		if err != nil {
			return err
		}
		if data, err = edit(data); err != nil {
			return err
		}
		if _, err := config.Parse(path, data); err != nil {
			return fmt.Errorf("nothing was written: %w", err)
		}
		return securefile.Write(path, data, configMode)
	})
}

// installCredentials copies app_id and secret_key of the file that a how-to guide tells to hand over into the
// profile's own configuration, and latch_host where the file names one, since that is where they are valid.
func (a *app) installCredentials(ctx context.Context, from string) error {
	data, err := a.readInput(from)
	if err != nil {
		return err
	}
	given, err := config.Parse(from, data)
	if err != nil {
		return err
	}
	set := map[string]string{"app_id": given.AppID, "secret_key": given.SecretKey.Reveal()}
	if given.Host.String() != config.DefaultHost {
		set["latch_host"] = given.Host.String()
	}
	if given.CAFile != "" {
		set["ca_file"] = given.CAFile
	}
	p, err := config.ProfileByName(a.profile)
	if err != nil {
		return err
	}
	if err := a.changeConfig(ctx, p.Config, func(now []byte) ([]byte, error) { return config.SetKeys(now, set) }); err != nil {
		return err
	}
	a.Say("the credentials of %s are now in %s", from, p.Config)
	return nil
}

// clientOf reads a configuration text and makes a client, for what is not in its place yet.
func clientOf(path string, data []byte) (*latch.Client, *config.Config, error) {
	c, err := config.Parse(path, data)
	if err != nil {
		return nil, nil, err
	}
	client, err := newClient(c)
	return client, c, err
}
