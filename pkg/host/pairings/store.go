package pairings

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/latch-linux/latch/pkg/host/securefile"
)

// ErrExists means that the user is paired already, with another account id.
var ErrExists = errors.New("already paired with another account")

// ErrNotPaired means that the user has no pairing in the file.
var ErrNotPaired = errors.New("not paired")

// Store is the pairing file at Path, for writing. Its methods may run in any number of processes at
// once: each takes the file's lock, changes the file as it then stands and replaces it, mode 0600.
type Store struct{ Path string }

// Add writes pairings, all of them or none. Adding what is there already records the uid anew and changes nothing else; an
// unknown uid (-1) leaves a recorded one alone. ErrExists if a user is paired with another account id. A name
// that could not be read back the same (blank at an end, a colon, a control character, a leading #) and
// an account id that is none are refused.
func (s Store) Add(ctx context.Context, list ...Pairing) error {
	for _, p := range list {
		if err := checkNew(p); err != nil {
			return err
		}
	}
	return s.change(ctx, func(f *File) error {
		for _, p := range list {
			if old, ok := f.Find(p.User); ok && old.AccountID != p.AccountID {
				return fmt.Errorf("%q is %w", p.User, ErrExists)
			}
			f.add(p)
		}
		return nil
	})
}

// Remove takes the pairing of user out. ErrNotPaired if there is none.
func (s Store) Remove(ctx context.Context, user string) error {
	return s.change(ctx, func(f *File) error {
		if _, ok := f.Find(user); !ok {
			return fmt.Errorf("%q is %w", user, ErrNotPaired)
		}
		f.remove(user)
		return nil
	})
}

// change edits the file under its lock and writes it only if its text is another then.
func (s Store) change(ctx context.Context, edit func(*File) error) error {
	return securefile.WithLock(ctx, s.Path, func() error {
		f, err := Load(s.Path)
		if err != nil {
			return err
		}
		before := string(f.bytes())
		if err := edit(f); err != nil {
			return err
		}
		after := f.bytes()
		if string(after) == before {
			return nil
		}
		if err := securefile.Write(s.Path, after, 0o600); err != nil {
			return fmt.Errorf("writing the pairings: %w", err)
		}
		return nil
	})
}

// CheckUser says why a name cannot stand in the file.
func CheckUser(name string) error {
	if name == "" || strings.TrimSpace(name) != name || strings.HasPrefix(name, "#") || strings.HasPrefix(name, bom) ||
		strings.ContainsRune(name, ':') || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%q cannot be a user's name in the pairing file", name)
	}
	return nil
}

// checkNew says why p must not be written.
func checkNew(p Pairing) error {
	if err := CheckUser(p.User); err != nil {
		return err
	}
	switch {
	case !ValidID(p.AccountID):
		return fmt.Errorf("the account id for %q is not 64 letters and digits", p.User)
	case p.UID < -1 || p.UID > 1<<32-1:
		return fmt.Errorf("%d cannot be a uid", p.UID)
	}
	return nil
}
