package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// hostsOf gives latch-auth a hosts file of its own, which knows the server by a name. It returns the file and how to start
// latch-auth there.
func (s *site) hostsOf(server *latchtest.Server) (hosts string, argv []string) {
	s.t.Helper()
	dir := filepath.Dir(s.conf)
	name := filepath.Base(dir) + "." + latchtest.Domain
	hosts = filepath.Join(dir, "hosts")
	must(s.t, os.WriteFile(hosts, []byte("127.0.0.1 "+name+"\n"), 0o644))
	s.set("latch_host", "https://"+name+":"+server.URL.Port())
	return hosts, []string{"unshare", "--mount", "sh", "-c", `mount --bind "$1" /etc/hosts && exec "$2"`, "sh", hosts, built.Auth}
}

// TestSlowFiles: a file that cannot be read yet takes nothing from the time of the query, and one that cannot be read at all is a
// failure of this machine. The server would not answer, which opens under this policy.
func TestSlowFiles(t *testing.T) {
	for name, c := range map[string]struct {
		timeout string // 98 leaves 1 s for files
		hold    time.Duration
		want    byte
		texts   []string
	}{
		"longer than the timeout": {"3", 4 * time.Second, relay.Success, []string{`reason="no-answer-open"`}},
		"for ever":                {"98", time.Hour, relay.Refuse, []string{`reason="local-failure"`, "were not read within 1s; is a disk busy?"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.set("timeout", c.timeout)
			hosts, argv := s.hostsOf(s.serve("connect: silent"))
			held, err := fixture.HoldFile(hosts)
			must(t, err)
			defer held.Release()
			a := start(t, nil, argv...)
			a.greet(s.hello(nil))
			await(t, "somebody who waits for the file", held.Wanted)
			time.AfterFunc(c.hold, held.Release)
			if v := a.verdict(); v != c.want {
				t.Errorf("verdict %d, want %d; log: %q", v, c.want, a.log())
			}
			a.logged(c.texts...)
		})
	}
}

var (
	fileCall  = regexp.MustCompile(`^\d+ +(open|openat|openat2|stat|statx|newfstatat|access|faccessat2?|readlink|readlinkat|getcwd|execve)\(`)
	firstCall = regexp.MustCompile(`^\d+ +socket\(AF_INET`)
	noDisk    = regexp.MustCompile(`"/(proc|sys|run/cgroup)`) // who controls the cgroups, where time was lost
	lastCall  = regexp.MustCompile(`^\d+ +socket\(AF_UNIX`)   // to the log
)

// TestNoFileDuringTheQuery: from the first packet to the end of the query no file on a disk is touched, so none can hold it up. The
// server stays silent, since what an answer says is stored.
func TestNoFileDuringTheQuery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := s.serve("wire: never answers")
	s.set("timeout", "5")
	s.set("latch_host", "https://trace."+latchtest.Domain+":"+server.URL.Port())
	nameServer(t)
	trace := filepath.Join(filepath.Dir(s.conf), "trace")
	a := under(t, s.hello(nil), "strace", "-f", "-qq", "-o", trace, "-e", "trace=%file,%network,mlock")
	if v := a.verdict(); v != relay.Success {
		t.Errorf("verdict %d; log: %q", v, a.log())
	}
	<-a.ended
	text, err := os.ReadFile(trace)
	must(t, err)
	before, during := []string{}, []string(nil)
	for line := range strings.Lines(string(text)) {
		switch {
		case during == nil && !firstCall.MatchString(line):
			before = append(before, line)
		case lastCall.MatchString(line) && during != nil:
			if len(before) < 10 || len(during) < 10 || !slices.ContainsFunc(before, func(l string) bool { return strings.Contains(l, " mlock(") }) {
				t.Errorf("the trace is no login's, or its program may have to be read from a disk during the query:\n%s", text)
			}
			return
		default:
			during = append(during, line)
			if fileCall.MatchString(line) && !noDisk.MatchString(line) {
				t.Errorf("during the query: %s", line)
			}
		}
	}
	t.Errorf("no query in the trace:\n%s", text)
}
