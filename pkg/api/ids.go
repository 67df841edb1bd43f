package api

import (
	"strconv"
	"strings"
)

// Lengths of identifiers, in characters.
const (
	AppIDLength     = 20
	SecretLength    = 40
	OperationLength = 20
	AccountIDLength = 64
	CodeLength      = 6 // pairing code
	TokenLength     = 6 // one-time token
)

// Alphabet holds the 54 letters and digits that ids, codes and tokens are drawn from: those that are easily
// taken for one another are left out.
const Alphabet = "2346789ABCDEFGHJKLMNPQRTUVWXYZabcdefghijkmnpqrstuvwxyz"

// Status words.
const (
	StatusOn  = "on"  // open: let in
	StatusOff = "off" // closed: refuse
)

// Modes of two_factor and lock_on_request.
const (
	ModeMandatory = "MANDATORY"
	ModeOptIn     = "OPT_IN" // the person chooses
	ModeDisabled  = "DISABLED"
)

// ValidAccountID and its neighbours judge the form alone: letters and digits of the right number.
func ValidAccountID(s string) bool { return alphanumeric(s, AccountIDLength) }

// ValidAppID judges the form of an application's, an operation's or a user's id.
func ValidAppID(s string) bool { return alphanumeric(s, AppIDLength) }

// ValidSecret judges the form of a secret.
func ValidSecret(s string) bool {
	return len(s) == SecretLength && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// ValidToken judges the form of a one-time token.
func ValidToken(s string) bool { return alphanumeric(s, TokenLength) }

// ValidCode judges the form of a pairing code. It refuses only the six characters that the original tool
// refuses too, since the service may use what we have not seen.
func ValidCode(s string) bool {
	return alphanumeric(s, CodeLength) && !strings.ContainsAny(s, "S5l10O")
}

func alphanumeric(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// Versions returns every version that a client has been seen to ask for.
func Versions() []string {
	return []string{"0.6", "0.7", "0.9", "1.0", "1.1", "1.3", "1.6", "2.0", "3.0"}
}

// TakesCommonName reports whether a version's pair call takes a name for the pairing: 1.3 as its SDK sends it, and 3.0 and later.
func TakesCommonName(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return version == "1.3" || err == nil && n >= 3
}

// Path joins the version and the segments of a call: /api/VERSION/a/b. Segments are ids, codes and words that
// need no escaping; the signed path and the sent path are then the same bytes.
func Path(version string, segments ...string) string {
	return "/api/" + version + "/" + strings.Join(segments, "/")
}
