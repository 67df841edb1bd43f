package store

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Settings about the TOTPs that people enrol themselves, for hosts with otp = server-totp. The admin switches them.
const (
	SettingTOTPEnrol  = "totp_self_enrol"    // "no" switches it off
	SettingTOTPRemove = "totp_self_remove"   // "no" switches it off
	SettingTOTPDays   = "totp_lifetime_days" // "" or "0" is without end
	SettingTOTPIssuer = "totp_issuer"        // "" is DefaultTOTPIssuer
	SettingTOTPLabel  = "totp_label"         // with {name} for the person's; "" is that name alone
)

// DefaultTOTPIssuer is what an authenticator app shows a TOTP under, until the admin says otherwise.
const DefaultTOTPIssuer = "Latch"

// maxTOTPDays keeps a lifetime within what a calendar can mean.
const maxTOTPDays = 36500

// provingTime is how long a new seed waits for the first code.
const provingTime = 15 * time.Minute

// hostDaily bounds the wrong codes of one person from one host's secret: of a million codes three are right at a time, so a
// day's guessing succeeds once in some five thousand.
var hostDaily = pace{24 * time.Hour, 60}

// Errors about people's own TOTPs.
var (
	ErrSwitchedOff = errors.New("the server's administrator has switched this off")
	ErrNotEnrolled = errors.New("the person has no totp of their own")
)

// TOTPRules are the settings, read.
type TOTPRules struct {
	Enrol, Remove bool
	Days          int // 0 = without end
	Issuer, Label string
}

// TOTPRules reads the settings.
func (s *Store) TOTPRules() (TOTPRules, error) {
	values := map[string]string{}
	for _, name := range []string{SettingTOTPEnrol, SettingTOTPRemove, SettingTOTPDays, SettingTOTPIssuer, SettingTOTPLabel} {
		value, err := s.Setting(name)
		if err != nil {
			return TOTPRules{}, err
		}
		values[name] = value
	}
	days, err := strconv.Atoi(values[SettingTOTPDays])
	if err != nil || days < 0 || days > maxTOTPDays {
		days = 0
	}
	r := TOTPRules{Enrol: values[SettingTOTPEnrol] != "no", Remove: values[SettingTOTPRemove] != "no", Days: days,
		Issuer: values[SettingTOTPIssuer], Label: values[SettingTOTPLabel]}
	if r.Issuer == "" {
		r.Issuer = DefaultTOTPIssuer
	}
	if r.Label == "" {
		r.Label = "{name}"
	}
	return r, nil
}

// LabelFor is the label of a person's TOTP.
func (r TOTPRules) LabelFor(person string) string {
	return strings.ReplaceAll(r.Label, "{name}", person)
}

// OwnTOTP is a TOTP that a person enrolled. Expires 0 is never.
type OwnTOTP struct {
	Secret           string // the seed in Base32
	Created, Expires int64

	row, lastStep int64
}

func ownAD(user int64, proven bool) []byte {
	return []byte("own_totps:" + strconv.FormatInt(user, 10) + ":" + strconv.FormatBool(proven))
}

// BeginOwnTOTP keeps a seed until ProveOwnTOTP, in place of another that waits for that. The one in use stays.
func (s *Store) BeginOwnTOTP(ctx context.Context, user, secret string) error {
	return s.write(ctx, func(t *tx) error {
		u, err := s.mayEnrol(t, user)
		if err != nil {
			return err
		}
		if err := s.putOwn(t, u.Row, false, secret, 0, 0); err != nil {
			return err
		}
		return touch(t, u.Row)
	})
}

func (s *Store) mayEnrol(q source, user string) (User, error) {
	u, err := findUser(q, user)
	if err != nil {
		return u, err
	}
	rules, err := s.TOTPRules()
	if err == nil && !rules.Enrol {
		err = ErrSwitchedOff
	}
	return u, err
}

func (s *Store) putOwn(t *tx, user int64, proven bool, secret string, step, expires int64) error {
	return t.exec(`INSERT INTO own_totps (user, proven, sealed, last_step, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (user, proven) DO UPDATE SET sealed = ?3, last_step = ?4, created = ?5, expires = ?6`,
		user, proven, s.box.Seal([]byte(secret), ownAD(user, proven)), step, s.millis(), expires)
}

// OwnTOTP is what a person has: in use (proven), or waiting for the first code. ErrNotEnrolled for none, or one past its time.
func (s *Store) OwnTOTP(user string, proven bool) (OwnTOTP, error) {
	u, err := findUser(s.reads, user)
	if err != nil {
		return OwnTOTP{}, err
	}
	return s.ownTOTP(s.reads, u.Row, proven)
}

func (s *Store) ownTOTP(q source, user int64, proven bool) (OwnTOTP, error) {
	var k OwnTOTP
	var sealed []byte
	err := q.get([]any{&k.row, &sealed, &k.lastStep, &k.Created, &k.Expires},
		`SELECT id, sealed, last_step, created, expires FROM own_totps WHERE user = ? AND proven = ?`, user, proven)
	if isNoRows(err) {
		return OwnTOTP{}, ErrNotEnrolled
	}
	if err != nil {
		return OwnTOTP{}, err
	}
	now := s.millis()
	if proven && k.Expires != 0 && k.Expires <= now || !proven && now-k.Created >= provingTime.Milliseconds() {
		return OwnTOTP{}, ErrNotEnrolled
	}
	plain, err := s.box.Open(sealed, ownAD(user, proven))
	k.Secret = string(plain)
	return k, err
}

// ProveOwnTOTP takes the seed that waits into use, in place of the one before, once match finds the time step of a code. A
// wrong code is ErrTOTPWrong, too many of them a *TooManyError.
func (s *Store) ProveOwnTOTP(ctx context.Context, user string, match func(secret string, last int64) (step int64, ok bool)) error {
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		u, err := s.mayEnrol(t, user)
		if err != nil {
			return err
		}
		k, err := s.ownTOTP(t, u.Row, false)
		if err != nil {
			return err
		}
		subject := "own:" + strconv.FormatInt(u.Row, 10)
		if err := s.mayGuess(t, codePace, subject); err != nil {
			return err
		}
		step, ok := match(k.Secret, k.lastStep)
		if !ok {
			answer = ErrTOTPWrong
			return s.countGuess(t, codePace, subject)
		}
		rules, err := s.TOTPRules()
		if err != nil {
			return err
		}
		expires := int64(0)
		if rules.Days > 0 {
			expires = s.now().AddDate(0, 0, rules.Days).UnixMilli()
		}
		if err := t.exec(`DELETE FROM own_totps WHERE user = ? AND proven = 0`, u.Row); err != nil {
			return err
		}
		if err := s.putOwn(t, u.Row, true, k.Secret, step, expires); err != nil {
			return err
		}
		return errors.Join(s.auditPerson(ctx, t, "totp.enrol", u.Row, nil), touch(t, u.Row))
	})
	if err != nil {
		return err
	}
	return answer
}

// CheckOwnTOTP is CheckTOTP for what the person behind an account enrolled. subject is whose wrong codes are counted besides
// the minute's: by the day.
func (s *Store) CheckOwnTOTP(ctx context.Context, app Application, accountID, subject string,
	match func(secret string, last int64) (step int64, ok bool)) error {
	var answer error
	err := s.write(ctx, func(t *tx) error {
		answer = nil
		p, err := findPairing(t, app.Row, accountID)
		if err != nil {
			return err
		}
		if p.blocked {
			return ErrNotEnrolled
		}
		k, err := s.ownTOTP(t, p.user, true)
		if err != nil {
			return err
		}
		minute := "own:" + strconv.FormatInt(p.user, 10) + ":" + subject
		day := minute + ":day"
		if err := errors.Join(s.mayGuess(t, codePace, minute), s.mayGuess(t, hostDaily, day)); err != nil {
			return err
		}
		step, ok := match(k.Secret, k.lastStep)
		if !ok || step <= k.lastStep {
			answer = ErrTOTPWrong
			return errors.Join(s.countGuess(t, codePace, minute), s.countGuess(t, hostDaily, day))
		}
		return t.exec(`UPDATE own_totps SET last_step = ? WHERE id = ?`, step, k.row)
	})
	if err != nil {
		return err
	}
	return answer
}

// RemoveOwnTOTP ends what a person enrolled, where the admin lets people do so.
func (s *Store) RemoveOwnTOTP(ctx context.Context, user string) error {
	return s.write(ctx, func(t *tx) error {
		rules, err := s.TOTPRules()
		if err != nil {
			return err
		}
		if !rules.Remove {
			return ErrSwitchedOff
		}
		return s.endOwn(ctx, t, user)
	})
}

// EndOwnTOTP is RemoveOwnTOTP for the admin.
func (s *Store) EndOwnTOTP(ctx context.Context, user string) error {
	return s.write(ctx, func(t *tx) error { return s.endOwn(ctx, t, user) })
}

func (s *Store) endOwn(ctx context.Context, t *tx, user string) error {
	u, err := findUser(t, user)
	if err != nil {
		return err
	}
	n, err := t.change(`DELETE FROM own_totps WHERE user = ?`, u.Row)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrNotEnrolled
	}
	return errors.Join(s.auditPerson(ctx, t, "totp.remove", u.Row, nil), touch(t, u.Row))
}
