package otp

import (
	"cmp"
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Scheme begins the URIs that authenticator apps take over.
const Scheme = "otpauth://"

// URI returns the otpauth URI by which an app takes a seed over; counter is HOTP's next. It is written here and not by the
// otp module, which leaves an & in the issuer as it is; a space is %20 because apps show a + as such.
func (p Parameters) URI(secret, issuer, account string, counter int64) string {
	q := url.Values{"secret": {secret}, "issuer": {issuer}, "algorithm": {string(p.Algorithm)}, "digits": {strconv.Itoa(p.Digits)}}
	if p.Kind == HOTP {
		q.Set("counter", strconv.FormatInt(counter, 10))
	} else {
		q.Set("period", strconv.Itoa(p.Period))
	}
	u := url.URL{Scheme: "otpauth", Host: string(p.Kind), Path: "/" + issuer + ":" + account,
		RawQuery: strings.ReplaceAll(q.Encode(), "+", "%20")}
	return u.String()
}

// Link is what an otpauth URI says.
type Link struct {
	Parameters
	Secret          string // Base32 without padding
	Issuer, Account string // as an app shows them
	Counter         int64  // the next one, of HOTP
}

// ParseURI reads what URI and other makers of otpauth URIs write; what the URI leaves out is as in Standard. No error repeats
// the seed.
func ParseURI(uri string) (Link, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "otpauth" {
		return Link{}, errors.New("not an otpauth URI")
	}
	q := u.Query()
	l := Link{Parameters: Standard(), Secret: NormalSecret(q.Get("secret"))}
	l.Kind, l.Algorithm = Kind(strings.ToLower(u.Host)), Algorithm(strings.ToUpper(cmp.Or(q.Get("algorithm"), string(l.Algorithm))))
	label, account, both := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":")
	if !both {
		label, account = "", label
	}
	l.Issuer, l.Account = strings.TrimSpace(cmp.Or(q.Get("issuer"), label)), strings.TrimSpace(account)
	l.Digits, l.Period = number(q.Get("digits"), l.Digits), number(q.Get("period"), l.Period)
	if l.Kind == HOTP {
		l.Period = 0
		if l.Counter, err = strconv.ParseInt(cmp.Or(q.Get("counter"), "0"), 10, 62); err != nil || l.Counter < 0 {
			return l, errors.New("the counter is not a number from 0 on")
		}
	}
	if err := l.Check(); err != nil {
		return l, err
	}
	return l, CheckSecret(l.Secret)
}

// number reads a parameter of a URI; 0, which no parameter may be, for what is not a number.
func number(text string, usual int) int {
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// NormalSecret returns a seed as apps and people write it (small letters, blanks, hyphens, padding) in the form that CheckSecret
// wants.
func NormalSecret(text string) string {
	return strings.TrimRight(strings.NewReplacer(" ", "", "\t", "", "-", "").Replace(strings.ToUpper(text)), "=")
}
