package otp

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxScratch bounds the emergency codes of one file; google-authenticator makes ten at most.
const maxScratch = 20

// Google is what a file of google-authenticator's PAM module says.
type Google struct {
	Parameters
	Secret  string
	Window  int      // steps to either side, or counters ahead
	Next    int64    // the lowest step or counter that has not been used up
	Scratch []string // emergency codes of 8 digits that have not been used
	Dropped []string // options that have no counterpart, in a sentence each
}

// ParseGoogle reads such a file: the seed, lines of options that begin with a quotation mark, emergency codes. Lines end
// in LF or CRLF. No error repeats what may be a secret.
func ParseGoogle(data []byte) (Google, error) {
	lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	g := Google{Parameters: Standard(), Secret: strings.TrimSpace(lines[0]), Window: 1}
	if err := CheckSecret(g.Secret); err != nil {
		return Google{}, fmt.Errorf("line 1: %w", err)
	}
	options := map[string][]string{}
	for i, line := range lines[1:] {
		line = strings.TrimSpace(line)
		option, isOption := strings.CutPrefix(line, `"`)
		words := strings.Fields(option)
		switch {
		case line == "":
		case isOption && len(words) == 0:
			return Google{}, fmt.Errorf("line %d: an option without a name", i+2)
		case isOption:
			options[words[0]] = append(options[words[0]], words[1:]...)
		case len(line) == 8 && isDigits(line) && len(g.Scratch) < maxScratch:
			g.Scratch = append(g.Scratch, line)
		default:
			return Google{}, fmt.Errorf("line %d is neither an option nor an emergency code of 8 digits", i+2)
		}
	}
	return g, g.apply(options)
}

// apply gives the options their meaning, as the module's source has it.
func (g *Google) apply(options map[string][]string) error {
	counter, isHOTP := options["HOTP_COUNTER"]
	_, isTOTP := options["TOTP_AUTH"]
	window, err := option(options, "WINDOW_SIZE", 3, 1, 2*MaxWindow)
	if err != nil {
		return err
	}
	if isTOTP == isHOTP {
		return errors.New("exactly one of TOTP_AUTH and HOTP_COUNTER must stand in the file")
	}
	if isHOTP {
		if len(counter) != 1 || !isDigits(counter[0]) {
			return errors.New("HOTP_COUNTER is no number")
		}
		g.Kind, g.Period = HOTP, 0
		g.Window = min(window-1, MaxWindow)
		if g.Next, err = strconv.ParseInt(counter[0], 10, 62); err != nil {
			return errors.New("HOTP_COUNTER is out of range")
		}
	} else {
		g.Window = window / 2
		if g.Period, err = option(options, "STEP_SIZE", g.Period, 1, 300); err != nil {
			return err
		}
		if g.Next, err = afterUsed(options["DISALLOW_REUSE"]); err != nil {
			return err
		}
	}
	g.drop(options)
	return nil
}

// option reads a number, which must lie in a range; absent it is usual.
func option(options map[string][]string, name string, usual, least, most int) (int, error) {
	values, stands := options[name]
	if !stands {
		return usual, nil
	}
	if len(values) == 1 {
		if n, err := strconv.Atoi(values[0]); err == nil && n >= least && n <= most {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s is no number between %d and %d", name, least, most)
}

// afterUsed returns the step after the latest one that was used.
func afterUsed(used []string) (int64, error) {
	next := int64(0)
	for _, word := range used {
		n, err := strconv.ParseInt(word, 10, 62)
		if err != nil || n < 0 {
			return 0, errors.New("DISALLOW_REUSE lists what is no step")
		}
		next = max(next, n+1)
	}
	return next, nil
}

// drop notes what is not taken over.
func (g *Google) drop(options map[string][]string) {
	if skew := options["TIME_SKEW"]; len(skew) > 0 && skew[0] != "0" {
		g.Dropped = append(g.Dropped, "TIME_SKEW is not taken over: set the phone's clock, or enrol with a larger window")
	}
	if _, reuse := options["DISALLOW_REUSE"]; !reuse && g.Kind == TOTP {
		g.Dropped = append(g.Dropped, "a code could be used again there; here each passes once")
	}
	if _, limited := options["RATE_LIMIT"]; limited {
		g.Dropped = append(g.Dropped, "RATE_LIMIT is replaced by the limits on guessing that hold for everybody")
	}
	for name := range options {
		known := []string{"TIME_SKEW", "DISALLOW_REUSE", "RATE_LIMIT", "WINDOW_SIZE", "STEP_SIZE", "TOTP_AUTH", "HOTP_COUNTER", "RESETTING_TIME_SKEW"}
		if !strings.HasPrefix(name, "LAST") && !slices.Contains(known, name) {
			g.Dropped = append(g.Dropped, fmt.Sprintf("the option %.32q is not known", name))
		}
	}
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
