// Package api is the wire contract of the Latch API: how requests are signed, the paths of its calls, the
// form of its identifiers, its data and its error codes. The asking and the answering side both stand on it
// and meet nowhere else. It does no I/O.
package api

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Headers of a request. Those with host context are sent only where latch.conf says so.
const (
	HeaderAuthorization = "Authorization"
	HeaderDate          = "X-11Paths-Date" // DateLayout, UTC
	HeaderHost          = "X-11Paths-Latch-Host"
	HeaderService       = "X-11Paths-Latch-Service"
	HeaderPhase         = "X-11Paths-Latch-Phase"
	HeaderRhost         = "X-11Paths-Latch-Rhost"
	HeaderUser          = "X-11Paths-Latch-User"

	headerPrefix = "x-11paths-"
	scheme       = "11PATHS"
)

// DateLayout is the form of the date header, in UTC.
const DateLayout = "2006-01-02 15:04:05"

// Credentials are what signs: an application's id and secret, or a user's for the user API.
type Credentials struct {
	ID     string // 20 characters
	Secret string // 40 characters, used as they are
}

// StringToSign is what the signature covers. path is the request line's, query included. xheaders are the
// extra X-11Paths headers without the date. params is EncodeParams of the body, "" for none.
func StringToSign(method, date string, xheaders map[string]string, path, params string) string {
	parts := []string{strings.ToUpper(method), date, serializeHeaders(xheaders), path}
	if params != "" {
		parts = append(parts, params)
	}
	return strings.Join(parts, "\n")
}

// Sign returns the value of the Authorization header. params is used by POST and PUT; nil for none.
func Sign(c Credentials, method, path string, xheaders map[string]string, params url.Values, date string) string {
	text := StringToSign(method, date, xheaders, path, EncodeParams(params))
	return scheme + " " + c.ID + " " + signature(c.Secret, text)
}

// EncodeParams returns the parameters as they are signed and sent: sorted by name, then by value, encoded as
// url.QueryEscape does. This is the row that most SDKs share.
func EncodeParams(v url.Values) string { return encodeSorted(v, url.QueryEscape, url.QueryEscape) }

func signature(secret, text string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// serializeHeaders joins "name:value" by blanks, names lower-cased and sorted.
func serializeHeaders(h map[string]string) string {
	lower := make(map[string]string, len(h))
	for name, value := range h {
		lower[strings.ToLower(name)] = strings.NewReplacer("\r\n", " ", "\n", " ").Replace(value)
	}
	parts := make([]string, 0, len(lower))
	for _, name := range slices.Sorted(maps.Keys(lower)) {
		parts = append(parts, name+":"+lower[name])
	}
	return strings.Join(parts, " ")
}

func encodeSorted(v url.Values, key, value func(string) string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		for _, one := range slices.Sorted(slices.Values(v[name])) {
			parts = append(parts, key(name)+"="+value(one))
		}
	}
	return strings.Join(parts, "&")
}
