package doctor

import (
	"errors"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// codes looks at what one-time passwords are checked with, where there are any or a login may ask for one.
func (e *examination) codes() {
	if e.config == nil {
		return
	}
	store := adapters.CodeStore(e.config)
	users, err := store.Users()
	asks := e.config.AsksHere() || e.linesAsk()
	switch {
	case err != nil:
		e.fail("codes", orElse(fixOf(err), "look at the mode and owner of "+store.Dir), "%v", err)
		return
	case len(users) == 0 && !asks:
		return
	}
	place, before := [2]string{store.Dir, store.KeyFile}, len(e.findings)
	told := slices.Contains(e.stores, place)
	e.stores = append(e.stores, place)
	if errors.Is(store.Lost(), otpstore.ErrNoRecords) {
		if !told {
			e.fail("codes", "restore it from a backup, or if nobody was enrolled mkdir -m 700 "+store.Dir,
				"%s is missing, and its key is not: whoever is asked for a code is refused", store.Dir)
		}
		return
	}
	if err := securefile.CheckPrivate(store.KeyFile); err != nil && !(missing(err) && needless(store)) {
		if told {
			return
		}
		e.fail("codes", orElse(fixOf(err), "restore it from a backup; without one, for everybody: "+e.enrolAgain()), "the key of the one-time passwords: %v", err)
		return
	}
	has, bad := e.records(store, users)
	e.atRest(store, users)
	if told { // another profile's users have theirs in the same place
		e.findings = e.findings[:before]
	}
	if asks {
		bad += e.withoutCodes(has)
	}
	if bad == 0 && !told {
		e.ok("codes", "users with one-time passwords in %s: %d", store.Dir, len(users))
	}
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

// linesAsk reports whether a PAM line that works on these files asks for a code, whatever the configuration says.
func (e *examination) linesAsk() bool {
	return slices.ContainsFunc(e.ours, func(l line) bool { return l.profile == e.profile && strings.HasSuffix(l.otp, "totp") })
}

// records judges every user's, and returns who could type something.
func (e *examination) records(store otpstore.Store, users []string) (has map[string]bool, bad int) {
	has = map[string]bool{}
	for _, user := range users {
		r, err := store.Load(user)
		if err != nil {
			bad++
			e.fail("codes", "restore it from a backup, or "+e.enrolAgain(), "%v", err)
			continue
		}
		uid, known, err := e.Find(user)
		remove := e.latch("otp remove --user " + user)
		switch left, _ := r.Bypass.Left(); {
		case err == nil && !known && r.UID >= 0:
			bad++
			e.warn("codes", remove, "%q has one-time passwords and is no user of this machine", user)
		case err == nil && known && r.BelongsToOtherUID(uid):
			bad++
			e.warn("codes", remove, "%q had the uid %d when enrolled and has %d now: no code is taken", user, r.UID, uid)
		case r.Authenticator != nil && store.Expired(r.Authenticator):
			bad++
			e.warn("codes", e.latch("otp enroll --replace --user "+user), "the authenticator of %q has expired: no code of it is taken", user)
		case left > 0:
			bad++
			e.warn("codes", e.latch("bypass --end --user "+user), "%q is excused from codes", user)
		}
		has[user] = r.Authenticator != nil || len(r.Remotes) > 0 || r.RecoveryLeft() > 0
	}
	return has, bad
}

// spares reports whether who is not enrolled is let in wherever a code is asked for.
func (e *examination) spares() bool {
	c := *e.config
	c.OTP = "no"
	return !c.OTPRequired && !c.AsksHere() && e.config.OTP != "server-totp" &&
		!slices.ContainsFunc(e.ours, func(l line) bool { return l.profile == e.profile && l.otp == "server-totp" })
}

// withoutCodes names who has nothing to type.
func (e *examination) withoutCodes(has map[string]bool) int {
	f, err := pairings.Load(e.profile.Accounts)
	if err != nil {
		return 0 // which pairings tells
	}
	var without []string
	for _, p := range f.All() {
		if !has[p.User] {
			without = append(without, p.User)
		}
	}
	if len(without) > 0 {
		what := "refused where a code is asked for"
		if e.spares() {
			what = "let in without a code while otp_required is no"
		} else if e.config.OTP == "server-totp" {
			what += ", unless they have enrolled at latch-server's page"
		}
		e.warn("codes", e.latch("otp enroll --user NAME"), "%s, since they have none: %s", what, strings.Join(without, ", "))
	}
	return len(without)
}
