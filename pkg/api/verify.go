package api

import (
	"crypto/hmac"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// SignedRequest is what a server needs of a request to check its signature.
type SignedRequest struct {
	Method    string
	Path      string // as on the request line, query included
	Date      string // the date header as it came
	Header    http.Header
	Body      string // as it came
	Signature string // third field of the Authorization header
}

// Verify reports whether the request was signed with this secret. The official SDKs encode the signed
// parameters each in its own way, and some send the body in another order than they sign it, so the body is
// taken apart and each known encoding is tried. Comparisons take constant time.
func (r SignedRequest) Verify(secret string) bool {
	ok := false
	for _, params := range r.paramsAsSigned() {
		text := StringToSign(r.Method, r.Date, r.extraHeaders(), r.Path, params)
		if hmac.Equal([]byte(signature(secret, text)), []byte(r.Signature)) {
			ok = true
		}
	}
	if r.Body == "" && (r.Method == http.MethodPost || r.Method == http.MethodPut) && !ok {
		// One client puts a newline behind the path even without parameters.
		text := StringToSign(r.Method, r.Date, r.extraHeaders(), r.Path, "") + "\n"
		ok = hmac.Equal([]byte(signature(secret, text)), []byte(r.Signature))
	}
	return ok
}

// extraHeaders returns the signed headers. A repeated one, in whatever spelling, is joined as HTTP joins it, so that no
// second value rides along unsigned.
func (r SignedRequest) extraHeaders() map[string]string {
	all := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, headerPrefix) && lower != strings.ToLower(HeaderDate) {
			all[lower] = append(all[lower], r.Header[name]...)
		}
	}
	extra := map[string]string{}
	for name, values := range all {
		extra[name] = strings.Join(values, ",")
	}
	return extra
}

// paramsAsSigned returns the forms that the signed parameters may have had, without repeats.
func (r SignedRequest) paramsAsSigned() []string {
	if r.Body == "" || (r.Method != http.MethodPost && r.Method != http.MethodPut) {
		return []string{""}
	}
	forms := []string{r.Body}
	pieces := filled(r.Body)
	if pieces != r.Body { // PHP's SDKs of 0.9 and 1.0 send "a=b&" and sign "a=b"
		forms = append(forms, pieces)
	}
	values, err := url.ParseQuery(r.Body)
	if err != nil {
		return forms
	}
	for _, e := range encodings {
		form := encodeSorted(values, e.key, e.value)
		// Some rows leave & and = as they are. Then one signature would fit bodies that mean different things.
		if strings.Count(form, "&") == strings.Count(pieces, "&") && strings.Count(form, "=") == strings.Count(r.Body, "=") {
			forms = append(forms, form)
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// filled returns a form's body without its empty pieces.
func filled(body string) string {
	parts := slices.DeleteFunc(strings.Split(body, "&"), func(part string) bool { return part == "" })
	return strings.Join(parts, "&")
}

// encodings are the rows of the SDKs: how each writes names and values in the signed text.
var encodings = []struct{ key, value func(string) string }{
	{url.QueryEscape, url.QueryEscape}, // Go, and Python's and C's values
	{asIs, url.QueryEscape},            // Python, C
	{javaEscape, javaEscape},           // Java
	{asIs, nodeEscape},                 // Node
	{netEscape, netEscape},             // .NET
	{asIs, phpEscape},                  // PHP, Ruby
	{asIs, asIs},                       // PHP's and Ruby's instance names
	{asIs, phpTwice},                   // Ruby's pair and totp values
	{asIs, queryTwice},                 // the same since Ruby 2.5, which leaves ~
	{url.QueryEscape, swiftEscape},     // Swift
}

func asIs(s string) string { return s }

func phpTwice(s string) string   { return phpEscape(phpEscape(s)) }
func queryTwice(s string) string { return url.QueryEscape(url.QueryEscape(s)) }

// keep lists what stays as it is besides letters and digits.
func javaEscape(s string) string  { return escape(s, "-_.*", "+", upperHex) }
func nodeEscape(s string) string  { return escape(s, "-_.!~*'()", "%20", upperHex) }
func netEscape(s string) string   { return escape(s, "-_.!*()", "+", lowerHex) }
func phpEscape(s string) string   { return escape(s, "-_.", "+", upperHex) }
func swiftEscape(s string) string { return escape(s, "-_.!~*'()+,;=&$", "+", upperHex) }

const (
	upperHex = "0123456789ABCDEF"
	lowerHex = "0123456789abcdef"
)

func escape(s, keep, space, hex string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteString(space)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
