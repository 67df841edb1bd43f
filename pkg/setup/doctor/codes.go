package doctor

import (
	"errors"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// codes looks at what one-time passwords are checked with, where there are any or a login may ask for one.
func (e *examination) codes() {
	if e.config == nil {
		return
	}
	store := adapters.CodeStore(e.config)
	users, err := store.Users()
	modes := e.modes()
	asks := e.config.AsksHere() || slices.ContainsFunc(modes, func(mode string) bool { return strings.HasSuffix(mode, "totp") })
	switch {
	case err != nil:
		e.fail("codes", orElse(fixOf(err), "look at the mode and owner of "+store.Dir), "%v", err)
		return
	case len(users) == 0 && !asks:
		return
	}
	place, before := [2]string{store.Dir, store.KeyFile}, len(e.findings)
	reported := slices.Contains(e.stores, place)
	e.stores = append(e.stores, place)
	usable := e.codeFiles(store)
	var has map[string]enrolled
	bad := 0
	if usable {
		has, bad = e.records(store, users)
		e.atRest(store, users)
	}
	if reported { // another profile's users have theirs in the same place
		e.findings = e.findings[:before]
	}
	if usable && asks {
		bad += e.unenrolled(modes, has)
	}
	if usable && bad == 0 && !reported {
		e.ok("codes", "users with one-time passwords in %s: %d", store.Dir, len(users))
	}
}

// codeFiles looks at the directory of the records and at their key, and reports whether records can be read.
func (e *examination) codeFiles(store otpstore.Store) bool {
	if errors.Is(store.Lost(), otpstore.ErrNoRecords) {
		e.fail("codes", "restore it from a backup, or if nobody was enrolled mkdir -m 700 "+store.Dir,
			"%s is missing, and its key is not: users who are asked for a code are refused", store.Dir)
		return false
	}
	if err := securefile.CheckPrivate(store.KeyFile); err != nil && !(missing(err) && needless(store)) {
		e.fail("codes", orElse(fixOf(err), "restore it from a backup; without one, for everybody: "+e.enrolAgain()), "the key of the one-time passwords: %v", err)
		return false
	}
	return true
}

// needless reports whether no record needs the key.
func needless(store otpstore.Store) bool {
	n, err := store.Sealed()
	return n == 0 && err == nil
}

// enrolAgain is what gives a user codes whose record is lost.
func (e *examination) enrolAgain() string {
	return e.latch("otp remove --local --user NAME") + " and " + e.latch("otp enroll --user NAME")
}

// records judges every user's record, and returns what each could type.
func (e *examination) records(store otpstore.Store, users []string) (has map[string]enrolled, bad int) {
	has = map[string]enrolled{}
	for _, user := range users {
		r, err := store.Load(user)
		if err != nil {
			bad++
			e.fail("codes", "restore it from a backup, or "+e.enrolAgain(), "%v", err)
			continue
		}
		uid, known, err := e.Find(user)
		remove := e.latch("otp remove" + forUser(user))
		switch left, _ := r.Bypass.Left(); {
		case err == nil && !known && r.UID >= 0:
			bad++
			e.warn("codes", remove, "%q has one-time passwords and is no user of this machine", user)
		case err == nil && known && r.BelongsToOtherUID(uid):
			bad++
			e.warn("codes", remove, "%q had the uid %d when enrolled and has %d now: no code is taken", user, r.UID, uid)
		case r.Authenticator != nil && store.Expired(r.Authenticator):
			bad++
			e.warn("codes", e.latch("otp enroll --replace"+forUser(user)), "the authenticator of %q has expired: no code of it is taken", user)
		case left > 0:
			bad++
			e.warn("codes", e.latch("bypass --end"+forUser(user)), "%q is excused from codes", user)
		}
		has[user] = enrolled{here: r.Authenticator != nil || r.RecoveryLeft() > 0, atServer: r.Remotes[e.config.AppID] != nil}
	}
	return has, bad
}
