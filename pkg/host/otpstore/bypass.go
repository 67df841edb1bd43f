package otpstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// MaxBypass is the longest that a bypass may last.
const MaxBypass = 24 * time.Hour

// tick is the grain of /proc/uptime in seconds. Within it a bypass that was just given seems to last for a rounding error longer.
const tick = 0.01

// maxReason bounds what is written of a bypass, in bytes.
const maxReason = 200

// Bypass excuses a user from codes until a reading of the clock that counts from this start of the machine, which nobody can set.
type Bypass struct {
	Reason string  `json:"reason"`
	By     string  `json:"by"`      // who gave it
	BootID string  `json:"boot_id"` // of /proc/sys/kernel/random/boot_id
	Until  float64 `json:"until"`   // seconds of /proc/uptime
	Lasts  float64 `json:"lasts"`   // seconds: a container that starts anew counts from 0 again
}

// Left is for how long a bypass still lasts, 0 if there is none or it is over.
func (b *Bypass) Left() (time.Duration, error) {
	if b == nil {
		return 0, nil
	}
	boot, up, err := uptime()
	if err != nil || boot != b.BootID || up >= b.Until || b.Until-up > min(b.Lasts, MaxBypass.Seconds())+tick {
		return 0, err
	}
	return time.Duration((b.Until - up) * float64(time.Second)), nil
}

// uptime names this start of the machine and tells how many seconds ago that was, sleep included.
func uptime() (boot string, up float64, err error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0, err
	}
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return "", 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	up, err = strconv.ParseFloat(first, 64)
	return strings.TrimSpace(string(id)), up, err
}

// Excuse gives a user a bypass, in place of any before. A user without a record gets one.
func (s Store) Excuse(ctx context.Context, user string, uid int64, b Bypass, lasts time.Duration) error {
	switch {
	case lasts <= 0 || lasts > MaxBypass:
		return fmt.Errorf("a bypass lasts up to %v", MaxBypass)
	case b.Reason == "" || len(b.Reason) > maxReason:
		return fmt.Errorf("a bypass needs a reason of at most %d bytes", maxReason)
	}
	boot, up, err := uptime()
	if err != nil {
		return err
	}
	b.BootID, b.Until, b.Lasts = boot, up+lasts.Seconds(), lasts.Seconds()
	return s.begin(ctx, user, func(r *Record) (bool, error) {
		r.claim(uid)
		r.Bypass = &b
		return true, nil
	})
}

// EndBypass takes a bypass back; there need not be one.
func (s Store) EndBypass(ctx context.Context, user string) error {
	err := s.change(ctx, user, false, func(r *Record) (bool, error) {
		had := r.Bypass != nil
		r.Bypass = nil
		return had, nil
	})
	if errors.Is(err, ErrNotEnrolled) {
		return nil
	}
	return err
}
