package laststate

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/latch-linux/latch/pkg/host/policy"
)

// stateWords are the states as records write them.
var stateWords = map[policy.Seen]string{policy.SeenOpen: "open", policy.SeenClosed: "closed"}

func stateOf(word string) policy.Seen {
	for state, text := range stateWords {
		if text == word {
			return state
		}
	}
	return policy.Never
}

// answer is an answer of the server with its place in the order of this machine's queries.
type answer struct {
	state policy.Seen
	boot  string        // the boot that at counts from
	at    time.Duration // "open": when the query was sent; "closed": when the answer came
}

// supersedes reports whether a is newer than b, of the same boot. The server looked at the latch at some time between a query and its
// answer, so "open" is newer than "closed" only if it was asked for after "closed" had come. Where queries overlapped, "closed" wins.
func (a answer) supersedes(b answer) bool {
	if a.state == policy.SeenOpen && b.state == policy.SeenClosed {
		return a.at > b.at
	}
	return a.at >= b.at
}

func (a answer) text() string { return fmt.Sprintf("%s %s %d\n", stateWords[a.state], a.boot, a.at) }

func parse(text string) (answer, bool) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return answer{}, false
	}
	at, err := strconv.ParseInt(words[2], 10, 64)
	a := answer{state: stateOf(words[0]), boot: words[1], at: time.Duration(at)}
	return a, err == nil && a.state != policy.Never && strings.HasSuffix(text, "\n")
}

// SinceBoot is the time that orders queries. It is the same in all processes, and setting the clock does not move it.
func SinceBoot() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic(err) // every Linux since 2.6.39 has it
	}
	return time.Duration(now.Nano())
}

// bootID names the current boot.
func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}
