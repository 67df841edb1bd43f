package main_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// phone is a Latch server whose answers a test chooses one by one.
type phone struct {
	queries chan chan string // each takes the state that its query is answered with
	ca      string           // PEM
	url     string
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	p := &phone{queries: make(chan chan string, 16)}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := make(chan string, 1)
		p.queries <- answer
		select {
		case state := <-answer:
			fmt.Fprintf(w, `{"data":{"operations":{%q:{"status":%q}}}}`, latchtest.AppID, state)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	p.url = server.URL
	p.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return p
}

// use makes the site ask the phone's server, with time enough for every answer.
func (p *phone) use(s *site) {
	s.t.Helper()
	ca := filepath.Join(filepath.Dir(s.conf), "phone.pem")
	must(s.t, os.WriteFile(ca, []byte(p.ca), 0o644))
	s.set("ca_file", ca)
	s.set("latch_host", p.url)
	s.set("timeout", "60")
}

// login runs a whole login whose queries are answered with these states: after a refusal, a silent query is the first.
func (p *phone) login(s *site, states ...string) byte {
	s.t.Helper()
	c := ask(s.t, s.hello(nil))
	for _, state := range states {
		(<-p.queries) <- state
	}
	return c.verdict()
}

// lastSite is a site with action = last whose latch was seen open.
func lastSite(t *testing.T, prepare func(*site)) (*site, *phone) {
	t.Helper()
	s, p := newSite(t), newPhone(t)
	s.set("action", "last")
	p.use(s)
	prepare(s)
	if p.login(s, "on") != relay.Success {
		t.Fatal("the open latch does not open")
	}
	return s, p
}

// mounted mounts a file system of its own on a directory until the test ends, and returns what changes its flags.
func mounted(t *testing.T, dir, kind, options string) (remount func(flags uintptr)) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	source, flags := kind, uintptr(0)
	if kind == "bind" {
		source, kind, flags = dir, "", syscall.MS_BIND
	}
	must(t, syscall.Mount(source, dir, kind, flags, options))
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return func(more uintptr) {
		t.Helper()
		must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags|more, options))
	}
}

// reboot empties the directory that does not survive one.
func (s *site) reboot() {
	s.t.Helper()
	must(s.t, os.RemoveAll(s.settings["run_dir"]))
}

// TestLastOnAReadOnlyDisk: the state directory becomes read-only, as with errors=remount-ro, after "open" was stored. A newer
// "closed" cannot be stored there, so the old record must not decide.
func TestLastOnAReadOnlyDisk(t *testing.T) {
	var remount func(uintptr)
	prepare := func(s *site) { remount = mounted(t, s.settings["state_dir"], "bind", "mode=700") }

	s, p := lastSite(t, prepare)
	remount(syscall.MS_RDONLY)
	if p.login(s, "off") != relay.Refuse {
		t.Error("the closed latch opens")
	}
	s.set("latch_host", nowhere)
	decides(t, s.hello(nil), relay.Refuse, "no-answer-last-closed")
	remount(0) // repaired while the machine runs
	decides(t, s.hello(nil), relay.Refuse, "no-answer-last-closed")

	s, _ = lastSite(t, prepare)
	remount(syscall.MS_RDONLY)
	s.set("latch_host", nowhere)
	decides(t, s.hello(nil), relay.Refuse, "no-answer-never-seen").logged("could not be stored", "read-only file system")
	s.reboot()
	decides(t, s.hello(nil), relay.Refuse, "no-answer-never-seen")
	remount(0)
	decides(t, s.hello(nil), relay.Success, "no-answer-last-open")
}

// TestLastOnAFullDisk: neither record of "closed" can be written, so "open" must go.
func TestLastOnAFullDisk(t *testing.T) {
	s, p := lastSite(t, func(s *site) {
		disk := filepath.Join(filepath.Dir(s.conf), "disk")
		mounted(t, disk, "tmpfs", "mode=700,size=64k")
		s.set("state_dir", filepath.Join(disk, "state"))
		s.set("run_dir", filepath.Join(disk, "run"))
	})
	ballast := filepath.Join(filepath.Dir(s.settings["state_dir"]), "ballast")
	fill := func() {
		t.Helper()
		if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err == nil {
			t.Fatal("the disk does not fill")
		}
	}
	fill()
	s.set("latch_host", nowhere)
	decides(t, s.hello(nil), relay.Refuse, "no-answer-never-seen").logged("no space left on device")
	p.use(s)
	if p.login(s, "off") != relay.Refuse {
		t.Error("the closed latch opens")
	}
	s.set("latch_host", nowhere)
	must(t, os.Remove(ballast))
	decides(t, s.hello(nil), relay.Refuse, "no-answer-never-seen")
}

// TestOlderOpenDoesNotOutlastNewerClosed: two logins at once. The first one's query is answered last, with what the latch was
// before somebody closed it.
func TestOlderOpenDoesNotOutlastNewerClosed(t *testing.T) {
	s, p := lastSite(t, func(*site) {})
	first := ask(t, s.hello(nil))
	held := <-p.queries
	if p.login(s, "off") != relay.Refuse {
		t.Error("the closed latch opens")
	}
	held <- "on"
	if first.verdict() != relay.Success {
		t.Error("the login whose query was answered with on is refused")
	}
	s.set("latch_host", nowhere)
	decides(t, s.hello(nil), relay.Refuse, "no-answer-last-closed")
	p.use(s)
	if p.login(s, "on", "on") != relay.Success {
		t.Error("the open latch does not open")
	}
	s.set("latch_host", nowhere)
	decides(t, s.hello(nil), relay.Success, "no-answer-last-open")
}
