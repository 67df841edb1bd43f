package otpstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/latch-linux/latch/pkg/otp"
)

const (
	sizeLimit  = 64 << 10 // of a record, in bytes
	format     = 1
	maxCodes   = 32 // recovery codes of one record
	maxRemotes = 16 // applications of one record
	maxID      = 128
	// maxLifetime of an authenticator, in seconds: a hundred years.
	maxLifetime = 100 * 366 * 24 * 60 * 60
)

// envelope is a record as it lies on the disk: sealed or clear.
type envelope struct {
	Format int             `json:"format"`
	User   string          `json:"user"`
	Sealed []byte          `json:"sealed,omitempty"`
	Clear  json.RawMessage `json:"clear,omitempty"`
}

// recordContext binds a sealed body to its user.
func recordContext(user string) []byte { return []byte("latch otp record v1\x00" + user) }

// parse reads a record of this user. Its errors go on from the file's name and repeat nothing of the content.
func parse(data []byte, user string, k keys) (*Record, error) {
	var e envelope
	if err := strict(data, &e); err != nil {
		return nil, fmt.Errorf("is damaged: %w", err)
	}
	switch {
	case e.Format != format:
		return nil, errors.New("is of another version")
	case e.User != user:
		return nil, errors.New("belongs to another user")
	case (e.Sealed == nil) == (e.Clear == nil), e.Clear != nil && e.Clear[0] != '{':
		return nil, errors.New("is damaged: it is not either sealed or clear")
	case e.Clear != nil:
		r, err := parseBody(e.Clear, user)
		if err == nil {
			r.clear = true
		}
		return r, err
	}
	body, err := k.open(e.Sealed, recordContext(user))
	if err != nil {
		return nil, err
	}
	return parseBody(body, user)
}

// parseBody reads what was sealed.
func parseBody(body []byte, user string) (*Record, error) {
	r := new(Record)
	if err := strict(body, r); err != nil {
		return nil, fmt.Errorf("is damaged: %w", err)
	}
	if r.check() != nil { // whose words may repeat a value that is out of place
		return nil, errors.New("is damaged: a value is out of range")
	}
	r.User = user
	return r, nil
}

// format returns a record as it is written. What could not be read again is an error.
func (r *Record) format(k keys) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	e := envelope{Format: format, User: r.User}
	if r.clear {
		e.Clear = body
	} else if e.Sealed, err = k.seal(body, recordContext(r.User)); err != nil {
		return nil, err
	}
	data, err := json.Marshal(e)
	return append(data, '\n'), err
}

// strict decodes one JSON object with no unknown members and nothing behind it. Errors name a place, not a value.
func strict(data []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("no record stands at byte %d", d.InputOffset())
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more than one record")
	}
	return nil
}

// check refuses what could not have been written.
func (r *Record) check() error {
	if r.UID < -1 || r.UID > 1<<32-1 {
		return errors.New("the uid is out of range")
	}
	if a := r.Authenticator; a != nil {
		if err := errors.Join(a.Check(), otp.CheckSecret(a.Secret)); err != nil {
			return err
		}
		if a.Window < UsualWindow || a.Window > otp.MaxWindow || a.Next < 0 || a.Next > 1<<62 || a.Lifetime < ForEver || a.Lifetime > maxLifetime {
			return errors.New("window, counter or lifetime are out of range")
		}
	}
	if len(r.Remotes) > maxRemotes {
		return errors.New("there are too many applications")
	}
	for _, m := range r.Remotes {
		if m == nil || m.ID == "" || len(m.ID) > maxID || strings.ContainsAny(m.ID, "/?#%") || len(m.Spent) > maxSpent {
			return errors.New("the server's name for a TOTP is out of range")
		}
	}
	if err := r.Recovery.check(); err != nil {
		return err
	}
	if b := r.Bypass; b != nil && len(b.Reason) > maxReason {
		return errors.New("the reason of a bypass is too long")
	}
	return r.Guesses.check()
}

func (v *Recovery) check() error {
	if v == nil {
		return nil
	}
	if len(v.Hashes) > maxCodes || len(v.Key) != sha256.Size {
		return errors.New("there are too many recovery codes, or no key for them")
	}
	for _, h := range v.Hashes {
		if len(h) != sha256.Size {
			return errors.New("a recovery code's hash has another length")
		}
	}
	return nil
}
