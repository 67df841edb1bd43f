package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

func (a *app) editConfig(ctx context.Context, yes bool) error {
	path, _, err := a.files()
	if err != nil {
		return err
	}
	before, err := readConfig(path)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "latch-edit-") // mode 0700
	if err != nil {
		return err
	}
	keep := false
	defer func() {
		if !keep {
			os.RemoveAll(dir)
		}
	}()
	draft := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(draft, before, configMode); err != nil {
		return err
	}
	after, keep, err := a.editUntilValid(ctx, draft)
	if err != nil {
		return err
	}
	if err := a.putEdited(ctx, path, before, after, yes); err != nil {
		keep = true
		a.Say("your text is kept in %s", draft)
		return err
	}
	return nil
}

func (a *app) putEdited(ctx context.Context, path string, before, after []byte, yes bool) error {
	if string(after) == string(before) {
		if err := a.publishLockers(path, after); err != nil {
			return err
		}
		return a.Report(map[string]any{"config": path, "changed": false}, "%s: unchanged", path)
	}
	if err := a.confirmConfig(ctx, path, before, after, yes); err != nil {
		return err
	}
	if err := a.replaceConfig(ctx, path, before, after); err != nil {
		return err
	}
	if err := a.publishLockers(path, after); err != nil {
		return err
	}
	return a.Report(map[string]any{"config": path, "changed": true}, "%s: written", path)
}

// publishLockers writes locker_services to the file that screen lockers can read.
func (a *app) publishLockers(path string, text []byte) error {
	c, err := config.Parse(path, text)
	if err != nil {
		return err
	}
	changed, err := c.PublishLockers()
	if changed && err == nil {
		a.Say("%s: written", config.LockersFile(path))
	}
	return err
}

// editUntilValid returns a text that a login could read, or an error and whether the draft is to stay.
func (a *app) editUntilValid(ctx context.Context, draft string) (text []byte, keep bool, err error) {
	for {
		if err := a.runEditor(draft); err != nil {
			return nil, false, err
		}
		data, err := os.ReadFile(draft)
		if err != nil {
			return nil, false, err
		}
		_, mistake := config.Parse(draft, data)
		if mistake == nil {
			return data, false, nil
		}
		a.Say("%v", mistake)
		answer, err := a.askInterruptibly(ctx, "e edits it again, k keeps the draft aside, q gives it up", "e")
		if err != nil {
			return nil, false, fmt.Errorf("nothing was written: %w", mistake)
		}
		switch strings.ToLower(answer[:1]) {
		case "k":
			return nil, true, fmt.Errorf("nothing was written; the draft is %s", draft)
		case "q":
			return nil, false, errors.New("nothing was written")
		}
	}
}

// askInterruptibly asks where the program's own context may have ended long ago, by an interrupt for the editor.
func (a *app) askInterruptibly(ctx context.Context, question, fallback string) (string, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return a.terminal.Ask(ctx, question, fallback)
}

// runEditor gives the editor the terminal, and its interrupts: however many are typed, this program waits for it.
// The words of the editor are split at blanks, as visudo does.
func (a *app) runEditor(draft string) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGQUIT)
	defer signal.Stop(interrupts)
	words := append(a.editor(), draft)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.Err, a.Err // stdout holds the result alone
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("editor %q: %w; nothing was written", words[0], err)
	}
	return nil
}

func (a *app) editor() []string {
	for _, name := range []string{"SUDO_EDITOR", "VISUAL", "EDITOR"} {
		if words := strings.Fields(a.getenv(name)); len(words) > 0 {
			return words
		}
	}
	for _, name := range []string{"editor", "nano"} {
		if _, err := exec.LookPath(name); err == nil {
			return []string{name}
		}
	}
	return []string{"vi"}
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

// replaceConfig writes a text that was made from another one, unless the file has changed since.
func (a *app) replaceConfig(ctx context.Context, path string, before, after []byte) error {
	return a.changeConfig(ctx, path, func(now []byte) ([]byte, error) {
		if string(now) != string(before) {
			return nil, fmt.Errorf("%s was changed by somebody else meanwhile; nothing was written", path)
		}
		return after, nil
	})
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
