package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// MaxOTPWindow is the largest otp_window: every step makes a code that was looked at over a shoulder last longer, and a guess
// likelier.
const MaxOTPWindow = 10

const (
	maxIssuer      = 64 // bytes
	maxLifetimeDay = 3650
	hoursADay      = 24
)

// OTPModes returns the values of the key and the module argument otp.
func OTPModes() []string { return []string{"no", "yes", "totp", "server-totp"} }

func setOTP(to *string, v string) string {
	if !slices.Contains(OTPModes(), strings.ToLower(v)) {
		return fmt.Sprintf("unknown value %s; write %s", quoted(v), strings.Join(OTPModes(), " or "))
	}
	*to = strings.ToLower(v)
	return ""
}

func setIssuer(c *Config, v string) string {
	if err := CheckIssuer(v); err != nil {
		return err.Error()
	}
	c.OTPIssuer = v
	return ""
}

// CheckIssuer says why a text cannot be what an app shows above a code. A colon would end it in the app's link.
func CheckIssuer(v string) error {
	if len(v) > maxIssuer || strings.ContainsFunc(v, func(r rune) bool { return r == ':' || r == unicode.ReplacementChar || unicode.IsControl(r) }) {
		return fmt.Errorf("an issuer has at most %d bytes, no colon and no control character", maxIssuer)
	}
	return nil
}

func setLifetime(c *Config, v string) string {
	lasts, err := ParseLifetime(v)
	if err != nil {
		return err.Error()
	}
	c.OTPLifetime = lasts
	return ""
}

// ParseLifetime reads for how long an authenticator is good: 90d, 36h, or 0 for ever; at most 3650 days.
func ParseLifetime(v string) (time.Duration, error) {
	number, days := strings.CutSuffix(v, "d")
	number, hours := strings.CutSuffix(number, "h")
	n, err := strconv.ParseUint(number, 10, 31)
	if days {
		n *= hoursADay
	}
	if err != nil || n > maxLifetimeDay*hoursADay || days == hours && v != "0" {
		return 0, fmt.Errorf("%s is no lifetime; write days or hours such as 90d or 36h, at most %dd, or 0 for no end", quoted(v), maxLifetimeDay)
	}
	return time.Duration(n) * time.Hour, nil
}

// contradiction says why the keys of what is stored cannot stand together, or "".
func (c *Config) contradiction() string {
	if !c.OTPEncrypt && c.OTPRefuseClear {
		return "otp_encrypt = no writes what otp_refuse_clear = yes refuses; take one of them out"
	}
	return ""
}
