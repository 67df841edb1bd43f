// Command latch-probe is a host of libpam for `latch install`: it loads a service file that is not in use yet, and asks
// pam_latch.so about a user who is not paired, so that a module or an authenticator that does not work is found before
// any login depends on it. It prints nothing when all is well.
//
// It is a program of its own because libpam needs cgo, and latch itself is static.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/msteinert/pam/v2"
)

const usage = `usage: latch-probe load DIR SERVICE    load all modules of a service file in DIR
       latch-probe ask DIR SERVICE USER    and run its auth and account phases`

var errTalks = errors.New("the module wants to talk to somebody")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "latch-probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "load":
		return login(args[1], args[2], "nobody", false)
	case len(args) == 4 && args[0] == "ask":
		return login(args[1], args[2], args[3], true)
	}
	return errors.New(usage)
}

func login(dir, service, user string, ask bool) error {
	silent := pam.ConversationFunc(func(pam.Style, string) (string, error) { return "", errTalks })
	t, err := pam.StartConfDir(service, user, silent, dir)
	if err != nil {
		return fmt.Errorf("libpam cannot load %s: %w", service, err)
	}
	defer t.End()
	if !ask {
		return nil
	}
	if err := t.Authenticate(pam.Silent); err != nil {
		return fmt.Errorf("the auth phase: %w", err)
	}
	if err := t.AcctMgmt(pam.Silent); err != nil {
		return fmt.Errorf("the account phase: %w", err)
	}
	return nil
}
