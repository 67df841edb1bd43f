// Package otpstore keeps, on this machine, what people's one-time passwords are checked with: a record per user, sealed
// with a key file that lies elsewhere. Whoever checks a code uses it up in the same step, under a lock, and the disk has
// confirmed that before the answer is known: no code passes twice, whatever crashes. Guessing is limited per user and
// address; the limits are part of the record, and of bounded size.
//
// The record of user ana is the file ana, mode 0600, in Store.Dir; names are percent-encoded. It is one JSON object:
//
//	{"format":1,"user":"ana","sealed":"…"}
//
// where sealed is XChaCha20-Poly1305 of the Record as JSON, bound to the name, in Base64; or, where the administrator wants
// that, "clear" with the Record itself. A record keeps its form until it is enrolled again or sealed by Encrypt.
package otpstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/otp"
)

// Errors that callers tell apart.
var (
	ErrNotEnrolled = errors.New("has no one-time passwords on this machine")
	ErrNoKey       = errors.New("the key of the one-time passwords is missing; restore it from a backup, or remove the users' records and enrol them anew")
	ErrNoRecords   = errors.New("the records of the one-time passwords are lost")
	ErrOtherKey    = errors.New("does not open with the key of the one-time passwords; restore the right key from a backup")
	ErrClear       = errors.New("is not sealed, and otp_refuse_clear = yes: seal it with latch otp encrypt")
)

// maxEscaped is the longest name of a record's file, in bytes: a temporary name beside it is longer, and 255 is the limit.
const maxEscaped = 200

// Store is where the records lie, and what holds for those that say nothing else.
type Store struct {
	Dir         string // mode 0700, made at the first enrolment
	KeyFile     string // one line of Base64, mode 0600
	Now         func() time.Time
	Window      int           // steps of TOTP to either side
	Lifetime    time.Duration // of an authenticator, 0 for ever
	Clear       bool          // new records are not sealed
	RefuseClear bool          // what is not sealed is not read
}

// At is the store below a state directory, on the machine's clock, with a window of one step and no end of an authenticator.
func At(stateDir, keyFile string) Store {
	return Store{Dir: filepath.Join(stateDir, "otp"), KeyFile: keyFile, Now: time.Now, Window: 1}
}

// What an authenticator has where it leaves the choice to its Store.
const (
	UsualWindow   = -1
	UsualLifetime = 0
	ForEver       = -1 // a lifetime
)

// countedAhead is the usual window of codes that count: presses of the button that no login saw.
const countedAhead = 10

// Authenticator is an app or a token that shows codes.
type Authenticator struct {
	otp.Parameters
	Secret   string `json:"secret"`
	Window   int    `json:"window"`              // steps to either side, or counters ahead; or UsualWindow
	Lifetime int64  `json:"lifetime,omitempty"`  // seconds from Enrolled on; or UsualLifetime, ForEver
	Next     int64  `json:"next"`                // lowest step or counter that was not used up
	Enrolled int64  `json:"enrolled"`            // Unix seconds
	LastUsed int64  `json:"last_used,omitempty"` // Unix seconds
}

// WindowOf returns the window of an authenticator in steps or counters.
func (s Store) WindowOf(a *Authenticator) int {
	switch {
	case a.Window != UsualWindow:
		return a.Window
	case a.Kind == otp.HOTP:
		return countedAhead
	}
	return s.Window
}

// Expires returns when an authenticator ends, in Unix seconds, or 0 for never.
func (s Store) Expires(a *Authenticator) int64 {
	lasts := a.Lifetime
	if lasts == UsualLifetime {
		lasts = seconds(s.Lifetime)
	}
	if lasts <= 0 {
		return 0
	}
	return a.Enrolled + lasts
}

// Expired tells whether an authenticator has ended.
func (s Store) Expired(a *Authenticator) bool {
	end := s.Expires(a)
	return end > 0 && s.Now().Unix() >= end
}

// Recovery are codes for when the authenticator is not at hand.
type Recovery struct {
	Key      []byte   `json:"key"`    // of the hashes
	Hashes   [][]byte `json:"hashes"` // of the codes that were not used
	Made     int64    `json:"made"`   // Unix seconds
	LastUsed int64    `json:"last_used,omitempty"`
}

// Record is what is kept of one user.
type Record struct {
	User          string             `json:"-"`
	UID           int64              `json:"uid"` // when enrolled; -1 where the name service did not know the user
	Authenticator *Authenticator     `json:"authenticator,omitempty"`
	Remotes       map[string]*Remote `json:"remotes,omitempty"` // by application id
	Recovery      *Recovery          `json:"recovery,omitempty"`
	Bypass        *Bypass            `json:"bypass,omitempty"`
	Guesses       Guesses            `json:"guesses"`

	clear bool // not sealed
}

// IsClear tells whether the record is not sealed.
func (r *Record) IsClear() bool { return r.clear }

// BelongsToOtherUID reports whether the record was made for another uid. An unknown uid (-1) matches every record.
func (r *Record) BelongsToOtherUID(uid int64) bool { return r.UID >= 0 && uid >= 0 && r.UID != uid }

// RecoveryLeft counts the recovery codes that were not used.
func (r *Record) RecoveryLeft() int {
	if r.Recovery == nil {
		return 0
	}
	return len(r.Recovery.Hashes)
}

// Load reads a record without a lock: writers replace it as a whole. ErrNotEnrolled if there is none.
func (s Store) Load(user string) (*Record, error) {
	r, _, err := s.load(user)
	if errors.Is(err, ErrOtherKey) {
		// Between reading record and key, Rekey may have come to its end.
		r, _, err = s.load(user)
	}
	return r, err
}

func (s Store) load(user string) (*Record, keys, error) {
	path, err := s.path(user)
	if err != nil {
		return nil, keys{}, err
	}
	data, err := securefile.Read(path, sizeLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, keys{}, s.noRecord(user)
	}
	if err != nil {
		return nil, keys{}, err
	}
	k, err := s.readKeys()
	if err != nil {
		return nil, keys{}, err
	}
	r, err := parse(data, user, k)
	if err == nil && r.clear && s.RefuseClear {
		err = ErrClear
	}
	if err != nil {
		return nil, keys{}, fmt.Errorf("%q %w", path, err)
	}
	return r, k, nil
}

// noRecord says what it means that a user has no file.
func (s Store) noRecord(user string) error {
	if err := s.Lost(); err != nil {
		return err
	}
	return fmt.Errorf("%q %w", user, ErrNotEnrolled)
}

// Lost tells whether the records of everybody are lost (ErrNoRecords): CreateKey makes the directory, with that of its locks, before
// the key. With the key there and no locks nobody must get in by having no record. The directory alone tells nothing, since
// systemd-tmpfiles makes it.
func (s Store) Lost() error {
	if _, err := os.Lstat(s.locks()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range []string{s.KeyFile, s.KeyFile + nextKey} {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, fmt.Errorf("%w, but %s is there: restore %s from a backup, or to begin anew: mkdir -pm 700 %s", ErrNoRecords, file, s.Dir, s.locks()))
		}
	}
	return nil
}

// change edits a user's record under its lock and writes it, also where edit fails with an error, if edit says so. create lets
// edit begin with an empty record where there is none.
func (s Store) change(ctx context.Context, user string, create bool, edit func(*Record) (write bool, err error)) error {
	path, err := s.path(user)
	if err != nil {
		return err
	}
	if create {
		if err := s.makeDirectory(); err != nil {
			return err
		}
	} else if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q %w", user, ErrNotEnrolled) // and there may be no directory to lock in
	}
	return securefile.Hold(ctx, path, func(h securefile.Held) error {
		// The keys are read under the lock: Rekey counts on that.
		r, k, err := s.load(user)
		if create && errors.Is(err, ErrNotEnrolled) {
			r = &Record{User: user, UID: -1, clear: s.Clear}
			k, err = s.readKeys()
		}
		if err != nil {
			return err
		}
		changed, err := edit(r)
		if !changed {
			return err
		}
		data, failed := r.format(k)
		if failed == nil {
			failed = h.Write(data, 0o600)
		}
		return errors.Join(err, failed)
	})
}

// begin is change for a record that there need not be yet. Rekey lists the users while it holds the lock of the key: a record
// that was begun with the key of before would come after that list, and open with none.
func (s Store) begin(ctx context.Context, user string, edit func(*Record) (write bool, err error)) error {
	return securefile.WithLock(ctx, s.KeyFile, func() error { return s.change(ctx, user, true, edit) })
}

// path returns where a user's record lies.
func (s Store) path(user string) (string, error) {
	name := url.PathEscape(user)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	if user == "" || len(name) > maxEscaped {
		return "", fmt.Errorf("%.64q cannot be the name of a user with one-time passwords", user)
	}
	return filepath.Join(s.Dir, name), nil
}

// Users returns the names that have a record, sorted.
func (s Store) Users() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var users []string
	for _, e := range entries {
		if user, err := url.PathUnescape(e.Name()); err == nil && e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users, nil
}

// locks is where package securefile keeps the locks of the records.
func (s Store) locks() string { return filepath.Join(s.Dir, ".lock") }

// makeDirectory makes the directory, and that of its locks, so that both survive a power failure.
func (s Store) makeDirectory() error {
	if _, err := os.Lstat(s.locks()); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.locks(), 0o700); err != nil {
		return err
	}
	for _, dir := range []string{s.Dir, filepath.Dir(s.Dir)} {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		err = d.Sync()
		d.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
