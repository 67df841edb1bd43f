package faults

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/client/latchtest"
)

const tableFile = "testdata/table.txt"

const tableHead = `# What a login comes to, by fault of the server or of the way to it. The columns are the policies of latch.conf,
# action/on_error; the last one says what the fault counts as. "asks" is let in with the right code of an authenticator.
# timeout = 2 (more on a slow machine), everything else by default.
#
# fault                              open/open open/close close/open close/close otp/otp counts as
`

// goodAnswers are the faults behind which there is an answer "on" all the same: late, by an old protocol, beside a
// one-time token that nobody asked for. No other may open but by a policy.
var goodAnswers = []string{
	"none", "429 then good", "503 then good", "error 109 then good", "error null", "tls: chain", "wire: HTTP/1.0", "wire: body of 64 KiB", "wire: trailer",
	"two_factor: empty object", "two_factor: good", "two_factor: good, clock ahead", "two_factor: good, clock behind", "two_factor: no time", "two_factor: null", "two_factor: text",
	"two_factor: time a text", "two_factor: time null", "two_factor: token a number", "two_factor: token empty",
	"two_factor: token no letters", "two_factor: token null", "two_factor: token too long", "two_factor: token twice",
	"name: also over IPv6", "name: good", "name: one address is dead", "name: truncated, good over TCP",
	"name server: prohibited, good", "name server: the second one is good",
}

// answersOff are those with an answer "off".
var answersOff = []string{"none, closed", "status: off, child open", "two_factor: text beside off", "wire: HTTP/1.0 closed"}

// row is one fault. Each cell gets a place of its own.
type row struct {
	name  string
	place func(t *testing.T) place
}

func rows() []row {
	var all []row
	for _, name := range latchtest.Names() {
		all = append(all, row{name, func(t *testing.T) place { return serve(t, name) }})
	}
	return slices.Concat(all, networkRows(), localRows())
}

// localRows are faults of this machine beside a good server: a file on a disk that does not answer, and a thread that somebody holds
// up at a system call until the deadline has passed.
func localRows() []row {
	var all []row
	for name, path := range map[string]string{"ca_file": caFile, "hosts": "/etc/hosts", "resolv.conf": "/etc/resolv.conf", "the system's CAs": systemCAs} {
		all = append(all, row{"file held up: " + name, func(t *testing.T) place {
			at := atHost(t, hostOf("good"))
			at.held = path
			if path != caFile {
				text, err := os.ReadFile(path)
				must(t, err)
				at.instead = map[string]string{path: file(t, string(text))}
			}
			if path == systemCAs {
				at.ca = nil
			}
			return at
		}})
	}
	for name, call := range map[string]string{"before it connects": "connect", "before it writes": "getsockopt"} {
		all = append(all, row{"thread held up: " + name, func(t *testing.T) place {
			at := serve(t, "none")
			at.delay = call
			return at
		}})
	}
	slices.SortFunc(all, func(a, b row) int { return strings.Compare(a.name, b.name) })
	return all
}

// systemCAs is where Debian has them.
const systemCAs = "/etc/ssl/certs/ca-certificates.crt"

func serve(t *testing.T, fault string) place {
	t.Helper()
	s, err := latchtest.New(fault)
	must(t, err)
	t.Cleanup(func() {
		s.Close()
		if s.Trapped() > 0 {
			t.Error("a redirect was followed")
		}
	})
	return place{url: s.URL.String(), ca: s.CA}
}

// verdictBy is the whole policy: what the outcome of a question counts as decides, under latch.conf.
func verdictBy(kind string, p policies) string {
	opens := map[string]bool{"open": true, "no-answer": p.action == "open",
		"error": p.onError == "open", "bad-certificate": p.onError == "open"}
	switch {
	case opens[kind]:
		return "success"
	case p.action == "otp" && slices.Contains([]string{"no-answer", "error", "bad-certificate"}, kind):
		return "asks"
	}
	return "refuse"
}

// kindOf takes the policy's own word from a reason.
func kindOf(reason string, p policies) string {
	for _, suffix := range []string{"-" + p.action, "-" + p.onError, "-close"} {
		if kind, found := strings.CutSuffix(reason, suffix); found && kind != "" {
			return kind
		}
	}
	return reason
}

// extremes are the worst that was measured.
type extremes struct {
	sync.Mutex
	slowest, largest, largestOwn cell
	slow, large, largeOwn        string
}

func (e *extremes) add(name string, c cell) {
	e.Lock()
	defer e.Unlock()
	if c.took > e.slowest.took {
		e.slowest, e.slow = c, name
	}
	if c.peak > e.largest.peak {
		e.largest, e.large = c, name
	}
	if c.own > e.largestOwn.own {
		e.largestOwn, e.largeOwn = c, name
	}
}

// timeouts are those of latch.conf that a row is tried with, until it is as it should be. A machine that has much to do may
// not get to the fault itself within the first one.
var timeouts = []time.Duration{2 * time.Second, 8 * time.Second, 32 * time.Second}

// try runs a row with each timeout until it has the wanted line, and reports what is wrong with the last one.
func (r row) try(t *testing.T, worst *extremes, wanted string) (line string) {
	t.Helper()
	var problems []string
	for _, timeout := range timeouts {
		line, problems = r.outcome(t, worst, timeout)
		if line != wanted && !*update {
			problems = append(problems, fmt.Sprintf("\n%s, the table says\n%s", line, wanted))
		}
		if len(problems) == 0 {
			return line
		}
		t.Logf("with a timeout of %v: %s", timeout, strings.Join(problems, "\n"))
	}
	t.Error(strings.Join(problems, "\n"))
	return line
}

// outcome runs the five cells of a row and returns its line, and what is wrong with it.
func (r row) outcome(t *testing.T, worst *extremes, timeout time.Duration) (line string, problems []string) {
	t.Helper()
	var verdicts, kinds []string
	for _, p := range columns {
		c := login(t, p, r.place(t), timeout)
		worst.add(r.name, c)
		kind := kindOf(c.reason, p)
		verdicts, kinds = append(verdicts, c.verdict), append(kinds, kind)
		problems = append(problems, r.judge(p, kind, c)...)
	}
	if len(slices.Compact(slices.Clone(kinds))) != 1 {
		problems = append(problems, fmt.Sprintf("counts as %v, by policy", kinds))
	}
	v := verdicts
	return fmt.Sprintf("%-36s %-9s %-10s %-10s %-11s %-7s %s", r.name, v[0], v[1], v[2], v[3], v[4], kinds[0]), problems
}

// judge holds a cell against the rules, which the table itself cannot change.
func (r row) judge(p policies, kind string, c cell) (problems []string) {
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%v: ", p)+fmt.Sprintf(format, args...))
	}
	if want := verdictBy(kind, p); c.verdict != want {
		wrong("%s, but %q under this policy is %s; log: %s", c.verdict, kind, want, c.line)
	}
	if (kind == "open") != slices.Contains(goodAnswers, r.name) || (kind == "closed") != slices.Contains(answersOff, r.name) {
		wrong("counts as %q; log: %s", kind, c.line)
	}
	if c.peak > memoryLimit {
		wrong("used %d KiB, this process %d KiB", c.peak, highWater(os.Getpid()))
	}
	if strings.Contains(c.line, latchtest.Secret) || strings.Contains(c.line, latchtest.AccountID) {
		wrong("a secret in the log: %s", c.line)
	}
	return problems
}

// TestTable runs every row. With -update it writes what it finds; the rules hold all the same.
func TestTable(t *testing.T) {
	golden := readTable(t)
	var worst extremes
	var mutex sync.Mutex
	found := map[string]string{}
	all := rows()
	t.Run("rows", func(t *testing.T) {
		for _, r := range all {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				line := r.try(t, &worst, golden[r.name])
				mutex.Lock()
				defer mutex.Unlock()
				found[r.name] = line
			})
		}
	})
	t.Logf("%d rows; slowest %v: %s; largest %d KiB (with this process when it forked): %s; largest of its own %d KiB: %s", len(found),
		worst.slowest.took, worst.slow, worst.largest.peak, worst.large, worst.largestOwn.own, worst.largeOwn)
	for _, r := range all {
		delete(golden, r.name)
	}
	if *update && len(found) == len(all) {
		writeTable(t, all, found)
	} else if len(golden) > 0 {
		t.Errorf("the table has rows that are no faults: %q", slices.Sorted(maps.Keys(golden)))
	}
}

// readTable returns the table's lines by fault.
func readTable(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(tableFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		fields := strings.Fields(line)
		if len(fields) > 6 && fields[0] != "#" {
			lines[strings.Join(fields[:len(fields)-6], " ")] = line
		}
	}
	return lines
}

func writeTable(t *testing.T, all []row, found map[string]string) {
	t.Helper()
	text := tableHead
	for _, r := range all {
		text += found[r.name] + "\n"
	}
	must(t, os.WriteFile(tableFile, []byte(text), 0o644))
}
