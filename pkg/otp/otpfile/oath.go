package otpfile

import (
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
)

// oathLine begins a line of users.oath: HOTP (also HOTP/E) counts, HOTP/T30 and HOTP/T60 go by the time; digits follow.
var oathLine = regexp.MustCompile(`^HOTP(?:/E|/T([1-9][0-9]{0,2}))?(?:/([1-9]))?$`)

func oathType(line string) bool {
	word, _, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	return oathLine.MatchString(word)
}

// usersOATH reads the file of pam_oath: type, user, PIN, seed in hexadecimal; where the user has logged in also the counter, the
// latest code and its time.
func usersOATH(text string) (entries []Entry, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		kind := oathLine.FindStringSubmatch(words[0])
		if kind == nil {
			return nil, lineError(n, "the type is not HOTP, HOTP/E, HOTP/T30 or HOTP/T60, with or without a number of digits")
		}
		if len(words) < 4 {
			return nil, lineError(n, "not a type, a user, a PIN and a seed")
		}
		e := Entry{Parameters: otp.Standard(), User: words[1], Account: words[1], Window: UsualWindow, Place: fmt.Sprintf("line %d", n)}
		if kind[2] != "" {
			e.Digits, e.Err = strconv.Atoi(kind[2])
		}
		if e.Kind, e.Period = otp.HOTP, 0; kind[1] != "" {
			e.Kind = otp.TOTP
			e.Period, e.Err = strconv.Atoi(kind[1])
		}
		if words[2] != "-" {
			e.Notes = append(e.Notes, "the PIN is not taken over: the password is checked by the PAM stack")
		}
		entries = append(entries, oathEntry(e, words[3:]))
	}
	return entries, nil
}

// oathEntry reads seed, counter, latest code and its time.
func oathEntry(e Entry, words []string) Entry {
	seed, err := hex.DecodeString(words[0])
	if err != nil {
		e.Err = errors.New("the seed is not hexadecimal")
	}
	e.Secret = base32.StdEncoding.EncodeToString(seed)
	e = e.check()
	if e.Err != nil || len(words) == 1 {
		return e
	}
	counter, err := strconv.ParseInt(words[1], 10, 62)
	if err != nil || e.Kind == otp.HOTP && counter < 0 {
		return e.refuse(errors.New("the counter is not a number from 0 on"))
	}
	if e.Kind == otp.HOTP {
		e.Next = counter
		// The counter is that of the latest code, which is used up.
		if code, err := e.Code(e.Secret, counter); err == nil && len(words) > 2 && otp.Equal(code, words[2]) {
			e.Next++
		}
		return e
	}
	if len(words) > 3 {
		when, err := time.ParseInLocation("2006-01-02T15:04:05L", words[3], time.Local)
		if err != nil || when.Unix() < 0 {
			return e.refuse(errors.New("the time of the latest code is not as in 2009-12-07T23:23:49L"))
		}
		e.Next = e.afterUse(when, words[2])
	}
	return e
}

// oathWindow is how far from its time the latest code may have been, in steps.
const oathWindow = otp.MaxWindow

// afterUse returns the step after the one whose code was used at an instant.
func (e Entry) afterUse(when time.Time, code string) int64 {
	if n, found := e.Find(e.Secret, code, when, 0, oathWindow); found == otp.Right {
		return n + 1
	}
	return e.Step(when) + 1
}
