package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/pairings"
)

// inputLimit bounds what is read from a pipe or from a file that somebody hands in.
const inputLimit = 16 << 20

// readInput reads what is not a file of ours: its owner and mode say nothing about it.
func (a *app) readInput(from string) ([]byte, error) {
	if from == "-" {
		return io.ReadAll(io.LimitReader(a.in, inputLimit))
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, inputLimit))
}

// importPairings checks everything before it changes anything.
func (a *app) importPairings(ctx context.Context, from string, anyUID bool) error {
	data, err := a.readInput(from)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return cli.WithHint(cli.ExitError, errors.New("nothing was imported: the input is JSON"), "export without --json")
	}
	name := from
	if name == "-" {
		name = "standard input"
	}
	given, err := pairings.Parse(name, data)
	if err != nil {
		return nothingImported(err)
	}
	if len(given.All()) == 0 {
		return nothingImported(errors.New("there are no pairings in the input"))
	}
	_, path, err := a.files()
	if err != nil {
		return err
	}
	present, err := pairings.Load(path)
	if err != nil {
		return err
	}
	list, err := a.checkImport(given, present, anyUID)
	if err != nil {
		return nothingImported(err)
	}
	if err := storePairings(ctx, path, list...); err != nil {
		return nothingImported(err)
	}
	return a.reportLatch(nil, "", map[string]any{"imported": len(list)}, "pairings imported: %d", len(list))
}

// nothingImported keeps status and hint of the cause.
func nothingImported(err error) error {
	var known *cli.Error
	if errors.As(explain(err), &known) {
		return cli.WithHint(known.Status, fmt.Errorf("nothing was imported: %w", known.Err), known.Hint)
	}
	return fmt.Errorf("nothing was imported: %w", err)
}

// checkImport returns the pairings under the names and uids of this machine.
func (a *app) checkImport(given, present *pairings.File, anyUID bool) ([]pairings.Pairing, error) {
	var list []pairings.Pairing
	from := map[string]string{} // name here to name there
	for _, p := range given.All() {
		who, err := a.importedUser(p, anyUID)
		if err != nil {
			return nil, err
		}
		if other, twice := from[who.name]; twice {
			return nil, fmt.Errorf("%q and %q are one user here", other, p.User)
		}
		from[who.name] = p.User
		if old, paired := present.Find(who.name); paired && old.AccountID != p.AccountID {
			return nil, fmt.Errorf("%q is %w", who.name, pairings.ErrExists)
		}
		list = append(list, pairings.Pairing{User: who.name, AccountID: p.AccountID, UID: who.uid})
	}
	return list, nil
}

// importedUser finds who here is the user of another machine. Another uid may be another person.
func (a *app) importedUser(p pairings.Pairing, anyUID bool) (person, error) {
	who, err := a.find(p.User)
	if errors.Is(err, errNoSuchUser) && a.profile == "openvpn" {
		return person{name: p.User, uid: p.UID}, nil
	}
	switch {
	case err != nil:
		return person{}, err
	case !strings.EqualFold(who.name, p.User):
		return person{}, fmt.Errorf("%q is the user %q here", p.User, who.name)
	case p.UID >= 0 && p.UID != who.uid && !anyUID:
		return person{}, cli.WithHint(cli.ExitError, fmt.Errorf("%q has the uid %d there and %d here", who.name, p.UID, who.uid),
			"if these are the same people, say --any-uid")
	}
	return who, nil
}
