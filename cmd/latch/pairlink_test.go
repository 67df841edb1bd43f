package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/server/store"
)

var linkPattern = regexp.MustCompile(`https://latch\.example\.org/pair/([0-9A-Za-z]+)`)

// linked makes the shared server one that knows its address.
func linked(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.must(shared.store.SetSetting(context.Background(), store.SettingURL, "https://latch.example.org"))
	return w
}

// link is what the link that a text shows holds.
func (w *world) linkIn(text string) string {
	w.t.Helper()
	found := linkPattern.FindStringSubmatch(text)
	if found == nil {
		w.t.Fatalf("no link in %q", text)
	}
	return found[1]
}

func (w *world) confirm(link, person string) {
	w.t.Helper()
	_, err := shared.store.ConfirmPairing(context.Background(), link, person)
	w.must(err)
}

// TestPairByLink shows the link on the terminal; the command finishes by itself once the phone has confirmed.
func TestPairByLink(t *testing.T) {
	w := linked(t)
	person := w.sit()
	done := make(chan outcome, 1)
	go func() { done <- w.run("pair", "--user", "ana", "--host-context", "no") }()
	person.sees("Ctrl-C gives up.")
	link := w.linkIn(person.seen)
	if !strings.Contains(person.seen, "█") || !strings.Contains(person.seen, "it is for ana on "+hostname()) || !strings.Contains(person.seen, "check word "+link[:4]) {
		t.Errorf("the screen shows %q", person.seen)
	}
	seen, err := shared.store.PairingByLink(link)
	if err != nil || seen.Host != hostname() || seen.User != "ana" || seen.Attempt.IP != "127.0.0.1" || seen.App.ID != w.app.ID {
		t.Errorf("the page shows %+v, %v", seen, err)
	}
	w.confirm(link, "eva")
	if o := <-done; o.status != cli.ExitOK || o.out != "ana is paired, confirmed by eva\n" {
		t.Errorf("%v", o)
	}
	if p, ok := w.pairing("ana"); !ok || p.UID != 7001 || len(w.atServer("eva")) != 1 || p.AccountID != w.atServer("eva")[0].AccountID {
		t.Errorf("stored %+v, %v", p, ok)
	}
	if name := w.atServer("eva")[0].CommonName; name != hostname()+", ana" {
		t.Errorf("the pairing is called %q", name)
	}
	w.fails(cli.ExitError, []string{"already paired"}, "pair", "--user", "ana")
}

// output is read while its command runs.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// waitFor waits until a text is there.
func (o *output) waitFor(t *testing.T, text string) {
	t.Helper()
	eventually(t, text, func() bool { return strings.Contains(o.String(), text) })
}

// waiting starts a pairing by link in a process of its own, without a terminal, and returns once it waits.
func (w *world) waiting(user string) (link string, errOut *output, end func(syscall.Signal) error) {
	w.t.Helper()
	cmd := command("latch", "pair", "--user", user, "--config", w.conf, "--accounts", w.accounts)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	errOut = &output{}
	cmd.Stderr = errOut
	w.must(cmd.Start())
	errOut.waitFor(w.t.(*testing.T), "minutes at most")
	return w.linkIn(errOut.String()), errOut, func(s syscall.Signal) error {
		if s != 0 {
			w.must(cmd.Process.Signal(s))
		}
		return cmd.Wait()
	}
}

// TestInterruptedLink cannot be confirmed any more.
func TestInterruptedLink(t *testing.T) {
	w := linked(t)
	link, errOut, end := w.waiting("ana")
	if err := end(syscall.SIGINT); err == nil || !strings.Contains(errOut.String(), "interrupted") {
		t.Errorf("%v, %s", err, errOut)
	}
	if _, err := shared.store.ConfirmPairing(context.Background(), link, "ana"); err == nil {
		t.Error("the link of an interrupted command pairs")
	}
	if _, ok := w.pairing("ana"); ok {
		t.Error("a pairing was stored")
	}
}

// TestKilledAfterTheConfirmation loses nothing: the next run gets the same account.
func TestKilledAfterTheConfirmation(t *testing.T) {
	w := linked(t)
	link, _, end := w.waiting("ana")
	if err := end(syscall.SIGKILL); err == nil {
		t.Fatal("it was not killed")
	}
	w.confirm(link, "ana")
	account := w.atServer("ana")[0].AccountID
	link, errOut, end := w.waiting("ana")
	w.confirm(link, "ana")
	if err := end(0); err != nil || !strings.Contains(errOut.String(), "had this pairing already") {
		t.Errorf("%v, %s", err, errOut)
	}
	if p, ok := w.pairing("ana"); !ok || p.AccountID != account {
		t.Errorf("stored %+v, %v, want %s", p, ok, account)
	}
	if out := w.ok("status", "--user", "ana"); out != "open\n" {
		t.Errorf("status is %q", out)
	}
}

// TestServerWithoutAddress has nothing to link to.
func TestServerWithoutAddress(t *testing.T) {
	w := linked(t)
	w.must(shared.store.SetSetting(context.Background(), store.SettingURL, ""))
	w.fails(cli.ExitError, []string{"no address for links", "--url", "hint: see to that, or pair with a code"}, "pair", "--user", "ana")
}

func TestRefusedLink(t *testing.T) {
	w := linked(t)
	link, errOut, end := w.waiting("ana")
	w.must(shared.store.RefusePairing(context.Background(), link, "eva"))
	if err := end(0); err == nil || !strings.Contains(errOut.String(), "eva refused the pairing") {
		t.Errorf("%v, %s", err, errOut)
	}
}

// cloud is a server that speaks the Latch API and nothing else. It points the world at it, and returns what it was asked.
func (w *world) cloud() (asked func() []string, lines []string) {
	w.t.Helper()
	var mu sync.Mutex
	var calls []string
	url, ca := w.serving(func(rw http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		call := strings.Split(r.URL.Path, "/")[3]
		mu.Lock()
		calls = append(calls, strings.TrimSpace(r.Method+" "+call+" "+r.PostForm.Encode()))
		mu.Unlock()
		for name := range r.Header {
			if strings.HasPrefix(name, "X-") && name != http.CanonicalHeaderKey("X-11Paths-Date") {
				w.t.Errorf("%s came with the header %s", call, name)
			}
		}
		answer := `{"error":{"code":201,"message":"Account not paired"}}`
		if call == "pair" {
			answer = `{"data":{"accountId":"` + strings.Repeat("a", 64) + `"}}`
		}
		io.WriteString(rw, answer)
	})
	lines = []string{"latch_host = " + url, "ca_file = " + ca}
	w.configure(lines...)
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return calls
	}, lines
}

// TestOtherServersPairByCode: nothing of ours is asked of a server that is not ours, which is told nothing but its own calls.
func TestOtherServersPairByCode(t *testing.T) {
	w := newWorld(t)
	cloud, lines := w.cloud()
	w.fails(cli.ExitUsage, []string{"pairs by code alone", "run latch pair CODE"}, "pair", "--user", "ana")
	o := w.run("pair", "AbC7xY", "--user", "ana", "--host-context", "yes")
	if o.status != cli.ExitOK || !strings.Contains(o.err, "host_context stays off") || strings.Contains(w.read(w.conf), "host_context") {
		t.Errorf("%v, written %q", o, w.read(w.conf))
	}
	want := []string{"GET status", "GET status", "POST pair commonName=" + strings.ReplaceAll(hostname(), " ", "+") + "%2C+ana"}
	if got := cloud(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the cloud was asked\n%q, want\n%q", got, want)
	}
	w.must(os.Remove(w.accounts))
	w.configure(append(lines, "api_version = 1.0")...)
	w.ok("pair", "AbC7xY", "--user", "ana")
	if got := cloud(); got[len(got)-1] != "GET pair" {
		t.Errorf("a version without names was asked %q", got[len(got)-1])
	}
}

// TestHostContextIsOffered once, where there is somebody to ask, and written as it is answered.
func TestHostContextIsOffered(t *testing.T) {
	w := newWorld(t)
	w.pair("ana") // nobody to ask
	if strings.Contains(w.read(w.conf), "host_context") {
		t.Errorf("without a terminal: %q", w.read(w.conf))
	}
	person := w.sit()
	done := make(chan outcome, 1)
	go func() { done <- w.run("pair", w.code("bob"), "--user", "bob") }()
	person.sees("[y/N]: ")
	for _, told := range []string{"host     " + hostname(), "service  such as sshd", "user     who logs in, such as bob"} {
		if !strings.Contains(person.seen, told) {
			t.Errorf("the screen lacks %q: %q", told, person.seen)
		}
	}
	person.types("y\n")
	if o := <-done; o.status != cli.ExitOK || !strings.Contains(w.read(w.conf), "\nhost_context = yes\n") {
		t.Errorf("%v, written %q", o, w.read(w.conf))
	}
	w.pair("eva") // not asked again: nobody answers
	w.fails(cli.ExitUsage, []string{"yes or no"}, "pair", "--user", "eva", "--host-context", "maybe")
	for _, answer := range []string{"no", "yes"} {
		w.ok("unpair", "--user", "eva")
		w.ok("pair", w.code("eva"), "--user", "eva", "--host-context", answer)
		if !strings.Contains(w.read(w.conf), "\nhost_context = "+answer+"\n") {
			t.Errorf("--host-context %s: %q", answer, w.read(w.conf))
		}
	}
}
