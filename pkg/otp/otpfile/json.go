package otpfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/latch-linux/latch/pkg/otp"
)

// export is what Aegis and 2FAS write, as far as it matters here. Each entry is read by itself, so that an error can name it.
type export struct {
	DB                json.RawMessage   `json:"db"`                // Aegis: an object, or a text where there is a password
	Services          []json.RawMessage `json:"services"`          // 2FAS
	ServicesEncrypted json.RawMessage   `json:"servicesEncrypted"` // 2FAS with a password
}

func readJSON(data []byte) (Format, []Entry, error) {
	var x export
	if err := json.Unmarshal(data, &x); err != nil {
		return "", nil, fmt.Errorf("invalid JSON%s: %w", lineOf(data, err), ErrUnknown)
	}
	switch {
	case present(x.DB) && strings.HasPrefix(strings.TrimSpace(string(x.DB)), `"`):
		return Aegis, nil, ErrEncrypted
	case present(x.DB):
		var db struct{ Entries []json.RawMessage }
		if json.Unmarshal(x.DB, &db) != nil {
			return Aegis, nil, errors.New("db has no list of entries")
		}
		return Aegis, each(db.Entries, aegis), nil
	case present(x.ServicesEncrypted) && string(x.ServicesEncrypted) != `""`:
		return TwoFAS, nil, ErrEncrypted
	case x.Services != nil:
		return TwoFAS, each(x.Services, twoFAS), nil
	}
	return "", nil, ErrUnknown
}

func present(value json.RawMessage) bool { return len(value) > 0 && string(value) != "null" }

// lineOf says in which line JSON ends to be JSON. The decoder's own text may repeat a value.
func lineOf(data []byte, err error) string {
	offset := int64(-1)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset = kind.Offset
	}
	if offset < 0 || offset > int64(len(data)) {
		return ""
	}
	return fmt.Sprintf(" in line %d", 1+strings.Count(string(data[:offset]), "\n"))
}

// each reads entries one by one.
func each(list []json.RawMessage, read func(json.RawMessage) (Entry, error)) []Entry {
	var entries []Entry
	for i, raw := range list {
		e, err := read(raw)
		if err != nil {
			e.Err = errors.New("not an entry as the app writes it")
		}
		e.Window, e.Place = UsualWindow, fmt.Sprintf("entry %d", i+1)
		entries = append(entries, e.check())
	}
	return entries
}

// aegis reads an entry. Types of Aegis' own (steam, motp, yandex) have no counterpart.
func aegis(raw json.RawMessage) (Entry, error) {
	var x struct {
		Type, Name, Issuer string
		Info               struct {
			Secret, Algo   string
			Digits, Period int
			Counter        int64
		}
	}
	err := json.Unmarshal(raw, &x)
	return Entry{Parameters: parameters(x.Type, x.Info.Algo, x.Info.Digits, x.Info.Period), Secret: x.Info.Secret, Issuer: x.Issuer, Account: x.Name, Next: x.Info.Counter}, err
}

// twoFAS reads an entry. What is null or missing is as in every app.
func twoFAS(raw json.RawMessage) (Entry, error) {
	var x struct {
		Name, Secret string
		OTP          struct {
			Label, Account, Issuer, Algorithm, TokenType string
			Digits, Period                               int
			Counter                                      int64
		}
	}
	err := json.Unmarshal(raw, &x)
	p := parameters(x.OTP.TokenType, x.OTP.Algorithm, x.OTP.Digits, x.OTP.Period)
	e := Entry{Parameters: p, Secret: x.Secret, Issuer: x.OTP.Issuer, Account: x.OTP.Account, Next: x.OTP.Counter}
	if e.Issuer == "" {
		e.Issuer = x.Name
	}
	if e.Account == "" {
		_, account, both := strings.Cut(x.OTP.Label, ":")
		if !both {
			account = x.OTP.Label
		}
		e.Account = strings.TrimSpace(account)
	}
	return e, err
}

// parameters are those of an app, where what is left out is usual.
func parameters(kind, algorithm string, digits, period int) otp.Parameters {
	p := otp.Standard()
	if kind != "" {
		p.Kind = otp.Kind(strings.ToLower(kind))
	}
	if algorithm != "" {
		p.Algorithm = otp.Algorithm(strings.ReplaceAll(strings.ToUpper(algorithm), "-", ""))
	}
	if digits != 0 {
		p.Digits = digits
	}
	if period != 0 {
		p.Period = period
	}
	if p.Kind == otp.HOTP {
		p.Period = 0
	}
	return p
}
