// Package otpfile reads the files in which other programs keep the seeds of one-time passwords. No error repeats what may be a
// seed, a code or a PIN: errors name the line or the entry.
package otpfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/latch-linux/latch/pkg/otp"
)

// Format is the kind of a file.
type Format string

// Formats.
const (
	Google    Format = "google-authenticator" // its PAM module's ~/.google_authenticator
	URIs      Format = "otpauth"              // otpauth:// and otpauth-migration:// URIs, one in each line
	Aegis     Format = "aegis"
	TwoFAS    Format = "2fas"
	UsersOATH Format = "users.oath" // of pam_oath
)

// Known names the formats for people.
const Known = "otpauth:// URIs and otpauth-migration:// URIs (Google Authenticator), one in each line; Aegis JSON and 2FAS backups " +
	"that were exported without a password; users.oath (pam_oath); .google_authenticator"

// ErrUnknown means that a file has none of the formats.
var ErrUnknown = errors.New("unknown format; known are " + Known)

// ErrEncrypted means that the export has a password.
var ErrEncrypted = errors.New("the export is encrypted: export it without a password")

// UsualWindow leaves the window to the machine's configuration.
const UsualWindow = -1

// maxEntries bounds the entries of one file.
const maxEntries = 10000

// Entry is an authenticator that a file holds.
type Entry struct {
	otp.Parameters
	Secret          string   // Base32 without padding
	Issuer, Account string   // as an app shows them
	User            string   // of this machine, where the format names one
	Window          int      // steps to either side, or counters ahead; or UsualWindow
	Next            int64    // the lowest step or counter that has not been used up
	Recovery        []string // emergency codes of 8 digits that have not been used
	Notes           []string // what means another thing here, or nothing, in a sentence each
	Place           string   // "line 3" or "entry 2"
	Err             error    // why this one cannot be taken over
}

// Name is what an app shows: issuer and account.
func (e Entry) Name() string {
	if e.Issuer == "" || e.Account == "" {
		return e.Issuer + e.Account
	}
	return e.Issuer + ":" + e.Account
}

// check completes an entry that a parser has filled: its seed in one form, and Err where it cannot be taken over.
func (e Entry) check() Entry {
	e.Secret = otp.NormalSecret(e.Secret)
	if e.Err == nil {
		e.Err = e.Parameters.Check()
	}
	if e.Err == nil {
		e.Err = otp.CheckSecret(e.Secret)
	}
	if e.Err == nil && (e.Next < 0 || e.Next >= 1<<62) {
		e.Err = errors.New("the counter is out of range")
	}
	return e.refuse(e.Err)
}

// refuse makes an entry one that cannot be taken over, if there is a reason.
func (e Entry) refuse(why error) Entry {
	if e.Err = why; why != nil {
		e.Secret = ""
	}
	return e
}

// lineError names the line that is at fault and repeats nothing of it.
func lineError(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{line}, args...)...)
}

// Read recognizes the format of a file and returns its entries, at least one. An entry that cannot be taken over says so in
// Err: it may be one that nobody wants. The error is about the file as a whole.
func Read(data []byte) (Format, []Entry, error) {
	format, entries, err := read(bytes.TrimPrefix(data, []byte("\ufeff")))
	switch {
	case err != nil:
		return format, nil, err
	case len(entries) == 0:
		return format, nil, errors.New("there is no authenticator in it")
	case len(entries) > maxEntries:
		return format, nil, fmt.Errorf("more than %d authenticators", maxEntries)
	}
	return format, entries, nil
}

func read(data []byte) (Format, []Entry, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return readJSON(data)
	}
	switch format := formatOf(string(data)); format {
	case URIs:
		entries, err := uris(string(data))
		return format, entries, err
	case UsersOATH:
		entries, err := usersOATH(string(data))
		return format, entries, err
	case Google:
		e, err := google(data)
		return format, []Entry{e}, err
	}
	return "", nil, ErrUnknown
}

// formatOf goes by the first line that only one format has.
func formatOf(text string) Format {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(scanned(line), "otpauth"):
			return URIs
		case oathType(line):
			return UsersOATH
		case strings.HasPrefix(line, `"`):
			return Google
		}
	}
	return ""
}
