package otpfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/otp"
)

// maxScratch bounds the emergency codes of one file; google-authenticator makes ten at most.
const maxScratch = 20

// googleOption is a line that begins with a quotation mark.
type googleOption struct {
	line   int // from 1
	values []string
}

// googleOptions are the lines by the names of the options.
type googleOptions map[string]googleOption

// google reads a file of google-authenticator's PAM module: the seed, lines of options that begin with a quotation mark, emergency codes. Lines end
// in LF or CRLF. Errors name the line; none repeats what may be a secret. The format is that of the module's own FILEFORMAT.
func google(data []byte) (Entry, error) {
	lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	g := Entry{Parameters: otp.Standard(), Secret: typedSeed(lines[0])}
	if err := otp.CheckSecret(g.Secret); err != nil {
		return Entry{}, lineError(1, "%w", err)
	}
	options := googleOptions{}
	for i, line := range lines[1:] {
		line = strings.TrimSpace(line)
		text, isOption := strings.CutPrefix(line, `"`)
		words := strings.Fields(text)
		switch {
		case line == "":
		case isOption && len(words) == 0:
			return Entry{}, lineError(i+2, "an option without a name")
		case isOption && options[words[0]].line > 0:
			return Entry{}, lineError(i+2, "%.15q stands in line %d already", words[0], options[words[0]].line)
		case isOption:
			options[words[0]] = googleOption{i + 2, words[1:]}
		case len(line) == 8 && isDigits(line) && len(g.Recovery) < maxScratch:
			g.Recovery = append(g.Recovery, line)
		case len(line) == 8 && isDigits(line):
			return Entry{}, lineError(i+2, "more than %d emergency codes", maxScratch)
		default:
			return Entry{}, lineError(i+2, "neither an option nor an emergency code of 8 digits")
		}
	}
	return g, g.applyGoogle(options)
}

// typedSeed reads a seed as forgivingly as the module does: small letters, blanks, hyphens, digits that are mistaken for letters.
func typedSeed(line string) string {
	return strings.NewReplacer(" ", "", "\t", "", "-", "", "0", "O", "1", "L", "8", "B").Replace(strings.ToUpper(strings.TrimSpace(line)))
}

// apply gives the options their meaning, as the module's source has it: HOTP_COUNTER outweighs TOTP_AUTH.
func (g *Entry) applyGoogle(options googleOptions) error {
	counter, isHOTP := options["HOTP_COUNTER"]
	_, isTOTP := options["TOTP_AUTH"]
	window, err := options.number("WINDOW_SIZE", 3, 1, 2*otp.MaxWindow)
	if err != nil {
		return err
	}
	switch {
	case isHOTP:
		g.Kind, g.Period, g.Window = otp.HOTP, 0, min(window-1, otp.MaxWindow)
		if len(counter.values) != 1 || !isDigits(counter.values[0]) {
			return lineError(counter.line, "HOTP_COUNTER is no number")
		}
		if g.Next, err = strconv.ParseInt(counter.values[0], 10, 62); err != nil {
			return lineError(counter.line, "HOTP_COUNTER is out of range")
		}
	case isTOTP:
		if err := g.applyTime(options, window/2); err != nil {
			return err
		}
	default:
		return errors.New("there is neither TOTP_AUTH nor HOTP_COUNTER in the file, so no code passes there either")
	}
	g.note(options)
	return nil
}

// applyTime takes over what codes by the time have.
func (g *Entry) applyTime(options googleOptions, window int) (err error) {
	if g.Period, err = options.number("STEP_SIZE", g.Period, 1, 300); err != nil {
		return err
	}
	if g.Next, err = options["DISALLOW_REUSE"].afterUsed(); err != nil {
		return err
	}
	skew, err := options.number("TIME_SKEW", 0, -1<<30, 1<<30)
	if err != nil {
		return err
	}
	if g.Window = min(window+max(skew, -skew), otp.MaxWindow); skew != 0 {
		g.Notes = append(g.Notes, fmt.Sprintf("TIME_SKEW made the window %d steps: set the phone's clock, and enrol it again for a smaller one", g.Window))
	}
	return nil
}

// number reads an option that must lie in a range; absent it is usual.
func (o googleOptions) number(name string, usual, least, most int) (int, error) {
	option, stands := o[name]
	if !stands {
		return usual, nil
	}
	if len(option.values) == 1 {
		if n, err := strconv.Atoi(option.values[0]); err == nil && n >= least && n <= most {
			return n, nil
		}
	}
	return 0, lineError(option.line, "%s is no number between %d and %d", name, least, most)
}

// afterUsed returns the step after the latest one that was used.
func (o googleOption) afterUsed() (int64, error) {
	next := int64(0)
	for _, word := range o.values {
		n, err := strconv.ParseInt(word, 10, 62)
		if err != nil || n < 0 {
			return 0, lineError(o.line, "DISALLOW_REUSE lists what is no step")
		}
		next = max(next, n+1)
	}
	return next, nil
}

// note says which options mean another thing here, or nothing, in the order of the lines.
func (g *Entry) note(options googleOptions) {
	if _, unique := options["DISALLOW_REUSE"]; !unique && g.Kind == otp.TOTP {
		g.Notes = append(g.Notes, "without DISALLOW_REUSE a code could be used again there; here each passes once")
	}
	names := slices.SortedFunc(maps.Keys(options), func(a, b string) int { return options[a].line - options[b].line })
	known := []string{"TIME_SKEW", "DISALLOW_REUSE", "WINDOW_SIZE", "STEP_SIZE", "TOTP_AUTH", "HOTP_COUNTER", "RESETTING_TIME_SKEW"}
	for _, name := range names {
		switch {
		case name == "RATE_LIMIT":
			g.Notes = append(g.Notes, "RATE_LIMIT is replaced by the limits on guessing that hold for everybody")
		case name == "OTP_DISABLED":
			g.Notes = append(g.Notes, "OTP_DISABLED is not taken over: codes are asked for as latch.conf has it")
		case !strings.HasPrefix(name, "LAST") && !slices.Contains(known, name):
			g.Notes = append(g.Notes, fmt.Sprintf("line %d: the option %.15q is not known, and was left out", options[name].line, name))
		}
	}
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
