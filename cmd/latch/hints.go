package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// Hint prints advice for the shell that the reader is in.
func (a *app) Hint(format string, args ...any) {
	a.Printer.Hint("%s", a.forShell(fmt.Sprintf(format, args...)))
}

// hinted is an error whose hint works as printed in the shell that the reader is in.
func (a *app) hinted(err error) error {
	var known *cli.Error
	if !errors.As(err, &known) || known.Hint == "" {
		return err
	}
	return cli.WithHint(known.Status, err, a.forShell(known.Hint))
}

// forShell puts sudo before the commands of this program in a text, where the reader's shell is not root's.
func (a *app) forShell(text string) string {
	var names []string
	for _, c := range newRoot(&app{}).Commands() {
		names = append(names, regexp.QuoteMeta(c.Name()))
	}
	command := regexp.MustCompile(`(^|[\s"'(])(sudo )?latch (?:` + strings.Join(names, "|") + `)\b`)
	return command.ReplaceAllStringFunc(text, func(found string) string {
		before, rest, _ := strings.Cut(found, "latch ")
		if strings.HasSuffix(before, "sudo ") {
			return found
		}
		return before + a.asRoot("latch "+rest)
	})
}

// asRoot is a command that needs root, for the shell that the reader is in.
func (a *app) asRoot(command string) string {
	if a.uid != 0 || a.getenv("SUDO_USER") != "" {
		return "sudo " + command
	}
	return command
}

// again is the command line that is running, with one more word.
func (a *app) again(word string) string {
	words := []string{filepath.Base(a.argv[0])}
	for _, w := range append(slices.Clone(a.argv[1:]), word) {
		words = append(words, securefile.ShellWord(w))
	}
	return a.asRoot(strings.Join(words, " "))
}

// options are the options that make another command of latch work on the same files.
func (a *app) options() string {
	conf, accounts, err := a.files()
	if err != nil {
		return ""
	}
	return config.Profile{Name: a.profile, Config: conf, Accounts: accounts}.Options()
}
