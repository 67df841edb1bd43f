package adapters

import (
	"strings"
	"testing"
	"time"
)

// TestLostTime: "no answer" stands unless the network was hardly waited for, or a caller may have caused what was lost.
func TestLostTime(t *testing.T) {
	const none, mine = "", "/sys/fs/cgroup/user.slice"
	for _, c := range []struct {
		what           string
		timeout        time.Duration
		elapsed        time.Duration
		waited         time.Duration
		silence        bool
		cgroup, inText string
	}{
		{"silence throughout", 8 * time.Second, 8 * time.Second, 7900 * time.Millisecond, true, mine, ""},
		{"silence on a slow machine", 8 * time.Second, 8 * time.Second, time.Second, true, none, ""},
		{"silence, held up by a caller", 8 * time.Second, 8 * time.Second, 5900 * time.Millisecond, true, mine, "held up for 2.1s, and its caller may control the cgroup " + mine},
		{"silence, held up a little", 8 * time.Second, 8 * time.Second, 6100 * time.Millisecond, true, mine, ""},
		{"a short query, held up a little", time.Second, time.Second, 600 * time.Millisecond, true, mine, ""},
		{"a short query, held up", time.Second, time.Second, 450 * time.Millisecond, true, mine, "held up for 550ms"},
		{"hardly waited", 8 * time.Second, 8 * time.Second, 700 * time.Millisecond, true, none, "waited for the server for only 700ms of 8s"},
		{"a name server's own limit", 99 * time.Second, 2 * time.Second, 2 * time.Second, true, mine, ""},
		{"refused at once", 8 * time.Second, 3 * time.Millisecond, 0, false, mine, ""},
		{"refused late", 8 * time.Second, 7 * time.Second, 0, false, none, ""},
		{"refused late, held up by a caller", 8 * time.Second, 7 * time.Second, 0, false, mine, "held up for 7s"},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := &Watch{Timeout: c.timeout, Delegated: func() string { return c.cgroup }}
			got := w.fault(c.timeout-c.elapsed, c.waited, c.silence)
			if got != c.inText && (c.inText == "" || !strings.Contains(got, c.inText)) {
				t.Errorf("%q, want %q", got, c.inText)
			}
		})
	}
}
