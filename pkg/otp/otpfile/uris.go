package otpfile

import (
	"cmp"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/latch-linux/latch/pkg/otp"
)

// migrationScheme begins what Google Authenticator shows where accounts are transferred.
const migrationScheme = "otpauth-migration://"

// maxParts bounds the QR codes of one transfer.
const maxParts = 1000

// scanned takes away what zbarimg prints before the text of a QR code.
func scanned(line string) string { return strings.TrimPrefix(line, "QR-Code:") }

// uris reads one URI in each line. Blank lines and comments are skipped.
func uris(text string) (entries []Entry, err error) {
	var all transfers
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = scanned(strings.TrimSpace(line))
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, otp.Scheme):
			entries = append(entries, link(line, n))
		case strings.HasPrefix(line, migrationScheme):
			more, err := all.part(line, n)
			if err != nil {
				return nil, lineError(n, "%w", err)
			}
			entries = append(entries, more...)
		default:
			return nil, lineError(n, "not a URI that begins with %s or %s", otp.Scheme, migrationScheme)
		}
	}
	return entries, all.missing()
}

func link(uri string, line int) Entry {
	l, err := otp.ParseURI(uri)
	return Entry{Parameters: l.Parameters, Secret: l.Secret, Issuer: l.Issuer, Account: l.Account, Window: UsualWindow, Next: l.Counter,
		Place: fmt.Sprintf("line %d", line), Err: err}.check()
}

// transfer is what one export of Google Authenticator shows as several QR codes.
type transfer struct {
	id    uint64
	size  uint64
	parts map[uint64]int // index to line
}

type transfers []*transfer

// part reads one QR code. One that stands there twice counts once.
func (all *transfers) part(uri string, line int) ([]Entry, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, errors.New("not a URI")
	}
	// A + that nobody escaped has become a blank.
	data := strings.TrimRight(strings.ReplaceAll(u.Query().Get("data"), " ", "+"), "=")
	payload, err := base64.RawStdEncoding.DecodeString(data)
	if err != nil || len(payload) == 0 {
		return nil, errors.New("data= is missing or not Base64")
	}
	entries, batch, err := migration(payload)
	if err != nil {
		return nil, err
	}
	if batch.size = max(batch.size, 1); batch.size > maxParts || batch.index >= batch.size {
		return nil, errors.New("the number of the QR code is out of range")
	}
	t := all.of(batch)
	if _, twice := t.parts[batch.index]; twice {
		return nil, nil
	}
	t.parts[batch.index] = line
	for i := range entries {
		entries[i].Place = fmt.Sprintf("line %d, entry %d", line, i+1)
	}
	return entries, nil
}

func (all *transfers) of(b batch) *transfer {
	if i := slices.IndexFunc(*all, func(t *transfer) bool { return t.id == b.id && t.size == b.size }); i >= 0 && b.size > 1 {
		return (*all)[i]
	}
	t := &transfer{id: b.id, size: b.size, parts: map[uint64]int{}}
	*all = append(*all, t)
	return t
}

// missing names the QR codes that were not scanned.
func (all *transfers) missing() error {
	for _, t := range *all {
		var missing []string
		first := 0
		for i := range t.size {
			if line, found := t.parts[i]; !found {
				missing = append(missing, fmt.Sprint(i+1))
			} else if first == 0 || line < first {
				first = line
			}
		}
		if len(missing) > 0 {
			return lineError(first, "of the %d QR codes of this export number %s is missing: the file needs all of them, one in each line",
				t.size, strings.Join(missing, ", "))
		}
	}
	return nil
}

// batch says which of how many QR codes one is.
type batch struct{ size, index, id uint64 }

// errPayload is all that can be said of bytes that protobuf does not allow.
var errPayload = errors.New("data= is not what Google Authenticator writes")

// migration reads the protobuf message of an export: 1 the entries, 3 to 5 the batch.
func migration(payload []byte) (entries []Entry, b batch, err error) {
	err = fields(payload, func(number protowire.Number, value uint64, message []byte) error {
		switch {
		case number == 1 && message != nil:
			e, err := migrated(message)
			entries = append(entries, e)
			return err
		case number == 3:
			b.size = value
		case number == 4:
			b.index = value
		case number == 5:
			b.id = value
		}
		return nil
	})
	return entries, b, err
}

// Values of the enumerations in an entry. What is left out is as Google Authenticator has it.
var (
	migrationKinds      = map[uint64]otp.Kind{0: otp.TOTP, 1: otp.HOTP, 2: otp.TOTP}
	migrationAlgorithms = map[uint64]otp.Algorithm{0: otp.SHA1, 1: otp.SHA1, 2: otp.SHA256, 3: otp.SHA512, 4: "MD5"}
	migrationDigits     = map[uint64]int{0: 6, 1: 6, 2: 8, 3: 7}
)

// migrated reads an entry: 1 the seed, 2 and 3 names, 4 to 6 the parameters, 7 the counter.
func migrated(message []byte) (Entry, error) {
	e := Entry{Parameters: otp.Standard(), Window: UsualWindow}
	err := fields(message, func(number protowire.Number, value uint64, text []byte) error {
		switch number {
		case 1:
			e.Secret = base32.StdEncoding.EncodeToString(text)
		case 2:
			e.Account = string(text)
		case 3:
			e.Issuer = string(text)
		case 4:
			e.Algorithm = cmp.Or(migrationAlgorithms[value], "unknown")
		case 5:
			e.Digits = cmp.Or(migrationDigits[value], -1)
		case 6:
			e.Kind = cmp.Or(migrationKinds[value], "unknown")
		case 7:
			e.Next = int64(value)
		}
		return nil
	})
	if issuer, account, both := strings.Cut(e.Account, ":"); both && (e.Issuer == "" || e.Issuer == issuer) {
		e.Issuer, e.Account = issuer, strings.TrimSpace(account)
	}
	if e.Kind == otp.HOTP {
		e.Period = 0
	}
	return e.check(), err
}

// fields hands over each field of a protobuf message that is a number or has a length.
func fields(message []byte, field func(number protowire.Number, value uint64, bytes []byte) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errPayload
		}
		message = message[n:]
		var value uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return errPayload
		}
		message = message[n:]
		if err := field(number, value, text); err != nil {
			return err
		}
	}
	return nil
}
