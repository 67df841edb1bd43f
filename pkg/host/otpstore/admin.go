package otpstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/otp"
)

// Enrol gives a user an authenticator in place of any other. Recovery codes and the count of failures stay, unless the
// name was another user's. Of a seed that the user has already, what is used up stays so. The record is sealed, or not, as
// the Store has it.
func (s Store) Enrol(ctx context.Context, user string, uid int64, a Authenticator) error {
	return s.Import(ctx, Enrolment{User: user, UID: uid, Authenticator: a})
}

// undoTimeout bounds the wait for logins while an import is undone.
const undoTimeout = 30 * time.Second

// Enrolment is an authenticator for a user, with recovery codes in place of those that the user had, where there are any.
type Enrolment struct {
	User          string
	UID           int64
	Authenticator Authenticator
	Recovery      []string
}

// Import is Enrol for several users: all of them or, where one cannot be written, none. What was written until then is undone.
func (s Store) Import(ctx context.Context, all ...Enrolment) error {
	var undo []func(context.Context) error
	for _, e := range all {
		before, err := s.enrol(ctx, e)
		if err != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
			defer cancel()
			for _, step := range undo {
				err = errors.Join(err, step(ctx))
			}
			return err
		}
		undo = append(undo, func(ctx context.Context) error { return s.restore(ctx, e.User, before) })
	}
	return nil
}

// enrol writes one of them, and returns the record that was there, nil for none.
func (s Store) enrol(ctx context.Context, e Enrolment) (before *Record, err error) {
	if _, err := s.Load(e.User); err == nil {
		before = &Record{}
	}
	err = s.begin(ctx, e.User, func(r *Record) (bool, error) {
		if before != nil {
			*before = *r // edits replace what a record points to
		}
		r.claim(e.UID)
		a := e.Authenticator
		if old := r.Authenticator; old != nil && old.Secret == a.Secret && old.Parameters == a.Parameters {
			a.Next = max(a.Next, old.Next)
		}
		r.Authenticator = &a
		r.clear = s.Clear
		if len(e.Recovery) > 0 {
			r.Recovery = s.newRecovery(e.Recovery)
		}
		return true, nil
	})
	return before, err
}

// restore undoes enrol.
func (s Store) restore(ctx context.Context, user string, before *Record) error {
	if before == nil {
		return s.Remove(ctx, user)
	}
	return s.change(ctx, user, false, func(r *Record) (bool, error) {
		*r = *before
		return true, nil
	})
}

// claim makes the record the user's who has the name now.
func (r *Record) claim(uid int64) {
	if r.BelongsToOtherUID(uid) {
		*r = Record{User: r.User, clear: r.clear}
	}
	r.UID = uid
}

// EnrolRemote notes the name that an application's server has for a user's TOTP, and the code that proved it.
func (s Store) EnrolRemote(ctx context.Context, user string, uid int64, app, id, code string) error {
	return s.begin(ctx, user, func(r *Record) (bool, error) {
		r.claim(uid)
		if r.Remotes == nil {
			r.Remotes = map[string]*Remote{}
		}
		r.Remotes[app] = &Remote{ID: id, Enrolled: s.Now().Unix()}
		r.Remotes[app].spend(code, s.Now())
		return true, nil
	})
}

// SetRecovery replaces a user's recovery codes, given in the form that is hashed.
func (s Store) SetRecovery(ctx context.Context, user string, uid int64, codes []string) error {
	v := s.newRecovery(codes)
	return s.begin(ctx, user, func(r *Record) (bool, error) {
		r.claim(uid)
		r.Recovery = v
		return true, nil
	})
}

// newRecovery hashes codes with a key of their own.
func (s Store) newRecovery(codes []string) *Recovery {
	v := &Recovery{Key: make([]byte, sha256.Size), Made: s.Now().Unix()}
	rand.Read(v.Key) // never fails: crypto/rand ends the program rather than return
	for _, c := range codes {
		v.Hashes = append(v.Hashes, otp.RecoveryHash(v.Key, c))
	}
	return v
}

// Remove forgets a user, also one whose record cannot be read.
func (s Store) Remove(ctx context.Context, user string) error {
	path, err := s.path(user)
	if err != nil {
		return err
	}
	missing := fmt.Errorf("%q %w", user, ErrNotEnrolled)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	return securefile.WithLock(ctx, path, func() error {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return missing
		}
		return err
	})
}

// Resync finds a HOTP counter that ran ahead by two codes in a row, and uses both up. False if they are not right.
func (s Store) Resync(ctx context.Context, user, first, second string) (bool, error) {
	found := false
	err := s.change(ctx, user, false, func(r *Record) (bool, error) {
		a := r.Authenticator
		if a == nil || a.Kind != otp.HOTP {
			return false, errors.New("only codes that count (HOTP) can run ahead; a TOTP phone needs its clock set")
		}
		var n int64
		if n, found = a.Parameters.Resync(a.Secret, first, second, a.Next); found {
			a.Next, a.LastUsed = n+1, s.Now().Unix()
		}
		return found, nil
	})
	return found && err == nil, err
}

// Encrypt seals the record of a user, also where the Store would not. False where it was sealed already.
func (s Store) Encrypt(ctx context.Context, user string) (sealed bool, err error) {
	s.RefuseClear = false
	err = s.change(ctx, user, false, func(r *Record) (bool, error) {
		sealed, r.clear = r.clear, false
		return sealed, nil
	})
	return sealed && err == nil, err
}

// Rekey draws a new key and seals every record with it, one at a time, while logins go on: they know both keys. Killed in the
// middle it goes on where it was when it is called again. It returns the number of records; one that is not sealed stays so, and
// counts as none.
func (s Store) Rekey(ctx context.Context) (int, error) {
	count := 0
	err := securefile.WithLock(ctx, s.KeyFile, func() error {
		k, err := s.readKeys()
		if err == nil && k.current == nil {
			err = ErrNoKey
		}
		if err == nil && k.next == nil {
			err = writeNewKey(s.KeyFile + nextKey)
		}
		if err == nil {
			count, err = s.reseal(ctx)
		}
		if err != nil {
			return err
		}
		next, err := securefile.Read(s.KeyFile+nextKey, keyLimit)
		if err != nil {
			return err
		}
		// Written before the other is removed: with both names gone nothing could be opened.
		if err := securefile.Write(s.KeyFile, next, 0o600); err != nil {
			return err
		}
		return os.Remove(s.KeyFile + nextKey)
	})
	return count, err
}

// reseal writes every record anew, with the newest key, and ends at the first that it cannot.
func (s Store) reseal(ctx context.Context) (count int, err error) {
	users, err := s.Users()
	if err != nil {
		return 0, err
	}
	for _, user := range users {
		err := s.change(ctx, user, false, func(r *Record) (bool, error) {
			if !r.clear {
				count++
			}
			return !r.clear, nil
		})
		if err != nil && !errors.Is(err, ErrNotEnrolled) {
			return count, err
		}
	}
	return count, nil
}
