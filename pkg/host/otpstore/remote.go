package otpstore

import (
	"slices"
	"time"

	"github.com/latch-linux/latch/pkg/otp"
)

const (
	maxSpent   = 8                // codes that a record remembers
	spentLasts = 10 * time.Minute // longer than any server takes a code for
)

// Remote is a TOTP that a Latch server checks for one application.
type Remote struct {
	ID       string  `json:"id"`              // the server's name for it
	Enrolled int64   `json:"enrolled"`        // Unix seconds
	Spent    []Spent `json:"spent,omitempty"` // codes that were right, the latest last
}

// Spent is a code that was right. Not every server uses codes up, and one time means one time.
type Spent struct {
	Code string `json:"code"`
	At   int64  `json:"at"` // Unix seconds
}

// isSpent forgets the codes that no server takes any more. What lies ahead of a clock that was set back stays.
func (m *Remote) isSpent(code string, now time.Time) bool {
	m.Spent = slices.DeleteFunc(m.Spent, func(s Spent) bool { return now.Unix()-s.At > seconds(spentLasts) })
	found := false
	for _, s := range m.Spent {
		found = otp.Equal(s.Code, code) || found
	}
	return found
}

func (m *Remote) spend(code string, now time.Time) {
	m.Spent = append(m.Spent, Spent{code, now.Unix()})
	if n := len(m.Spent); n > maxSpent {
		m.Spent = slices.Delete(m.Spent, 0, n-maxSpent)
	}
}
