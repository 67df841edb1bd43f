package browser

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/server/store"
)

// waiting is a service of this machine whose refused logins wait for the phone. It has files of its own, so that other tests may
// have latch.conf to themselves.
const (
	waitingService  = "su-l" // what su -l is to PAM
	waitingConf     = "/etc/latch/waiting.conf"
	waitingAccounts = "/etc/latch/waiting.accounts"
)

// waitingTap counts the questions of that service.
var waitingTap *fixture.Tap

var installWaiting = sync.OnceValue(func() error {
	if err := installed(); err != nil {
		return err
	}
	app, err := server.AddApp("waiting hosts")
	if err != nil {
		return err
	}
	if waitingTap, err = fixture.StartTap(server, "/etc/latch/waiting.pem"); err != nil {
		return err
	}
	conf := fixture.NewConf(server, app).With("latch_host", waitingTap.URL).With("ca_file", waitingTap.CA).With("wait", "58").With("host_context", "yes")
	if _, err := conf.Write(waitingConf); err != nil {
		return err
	}
	args := " config=" + waitingConf + " accounts=" + waitingAccounts
	return fixture.WriteService("/etc/pam.d", waitingService,
		"auth requisite pam_unix.so nodelay", "auth required pam_latch.so"+args,
		"account required pam_unix.so", "account required pam_latch.so"+args, "session required pam_unix.so")
})

// told is one message that an ntfy server was given.
type told struct {
	Title, Message, Click string
	Actions               []struct{ Action, Label, URL string }
}

// ntfy gives a person a phone with ntfy and returns what it is told.
func ntfy(t *testing.T, u store.User) <-chan told {
	t.Helper()
	got := make(chan told, 20)
	phone := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m told
		if err == nil && json.Unmarshal(body, &m) == nil {
			got <- m
		}
	}))
	t.Cleanup(phone.Close)
	must(t, data.SetSetting(t.Context(), store.SettingPrivateReceivers, "yes"))
	_, err := data.SaveChannel(t.Context(), store.Channel{User: u.Row, Kind: store.ChannelNtfy, Label: "ntfy", Settings: store.ChannelSettings{URL: phone.URL + "/" + u.Name}})
	must(t, err)
	return got
}

// await waits for a message whose title begins so.
func await(t *testing.T, got <-chan told, title string) told {
	t.Helper()
	for over := time.After(fixture.Patience); ; {
		select {
		case m := <-got:
			if strings.HasPrefix(m.Title, title) {
				return m
			}
		case <-over:
			t.Fatalf("no notice %q arrives", title)
		}
	}
}

// TestNotMeClosesForSu: a login is told with who, where and from; its link closes at one touch without signing in, and then su
// is refused.
func TestNotMeClosesForSu(t *testing.T) {
	t.Parallel()
	u := newPerson(t, store.RolePerson)
	host := newMachine(t, u.Name)
	host.configure(host.conf.With("host_context", "yes"))
	must(t, fixture.Pair(server, latch, "/etc/latch/latch.conf", "/etc/latch/latch.accounts", u.Name))
	got, name := ntfy(t, u), host.app.Name
	if !host.su().in() {
		t.Fatal("su is refused though the latch is open")
	}
	m := await(t, got, "Let in: "+name)
	for _, part := range []string{"As " + u.Name, "su on "} {
		if !strings.Contains(m.Message, part) {
			t.Errorf("%q is not in %q", part, m.Message)
		}
	}
	if len(m.Actions) != 1 || m.Actions[0].Action != "http" {
		t.Fatalf("actions are %+v", m.Actions)
	}
	b := open(t, phone)
	b.visit(m.Actions[0].URL)
	b.read("Close " + name + "?")
	b.check()
	b.shot("close-phone")
	if accounts, err := data.LatchTree(u.Row); err != nil || !accounts[0].Status.Open {
		t.Fatalf("looking at the link closed the latch (%v)", err)
	}
	b.press("button", "It was not me: close it")
	b.read("It is closed")
	b.check()
	if host.su().in() {
		t.Error("su lets in what was closed")
	}
	await(t, got, "Refused: "+name)
	b.expect("410")
	b.visit(m.Actions[0].URL)
	b.read("This link is over")
	b.check()
}

// TestItIsMeLetsAWaitingSuIn: a refused su waits, the phone's notice has two buttons, one touch of a signed-in person lets it in.
func TestItIsMeLetsAWaitingSuIn(t *testing.T) {
	t.Parallel()
	must(t, installWaiting())
	u := newPerson(t, store.RolePerson)
	_, err := fixture.AddUser(u.Name, 7000+int(numbers.Add(1)))
	must(t, err)
	must(t, fixture.Pair(server, latch, waitingConf, waitingAccounts, u.Name))
	got := ntfy(t, u)
	must(t, server.Close(u.Name))
	lines := func() int {
		list, err := data.Log(u.Name, 1000)
		must(t, err)
		return len(list)
	}
	before := lines()
	s, ended := startLogin(t, "su", "-l", u.Name, "-c", "echo inside"), make(chan bool, 1)
	go func() { ended <- s.in() }()
	m := await(t, got, "Refused: waiting hosts")
	if len(m.Actions) != 2 || m.Actions[1].Action != "view" || m.Actions[1].URL != m.Click {
		t.Fatalf("actions are %+v", m.Actions)
	}
	b := open(t, phone)
	b.visit(m.Actions[1].URL)
	b.wait(`location.pathname === "/signin"`) // the link alone opens nothing
	b.signIn(u)
	b.visit(m.Actions[1].URL)
	b.read("Refused: waiting hosts")
	b.check()
	b.shot("refused-phone")
	asked := waitingTap.Questions()
	if !fixture.Await(func() bool { return waitingTap.Questions() >= asked+3 }) {
		t.Fatal("the host does not ask again and again")
	}
	select {
	case in := <-ended:
		t.Fatalf("su did not wait, and let in: %v", in)
	default:
	}
	b.press("button", "It is me: open 10 minutes")
	b.read("Open until")
	if !<-ended {
		t.Errorf("su was not let in: %s", s.output.String())
	}
	// Refused, opened, let in, and what the account phase asks besides: the waiting itself is not in the history.
	if n := lines() - before; n > 4 {
		t.Errorf("the login is %d lines of history", n)
	}
}

// TestNoticePages shows every page about notices in every look, with and without scripts. For a sample see someOf.
func TestNoticePages(t *testing.T) {
	t.Parallel()
	u := newPerson(t, store.RolePerson)
	app, account := paired(t, u.Name, "servers")
	_, err := data.AddOperation(t.Context(), app, app.ID, store.Operation{Name: "ssh"})
	must(t, err)
	_, err = data.SaveChannel(t.Context(), store.Channel{User: u.Row, Kind: store.ChannelMail, Label: "ana@example.org", Settings: store.ChannelSettings{Address: "ana@example.org"}})
	must(t, err)
	must(t, server.Close(u.Name))
	_, err = data.Status(t.Context(), store.StatusRequest{App: app, AccountID: account, Attempt: store.Attempt{IP: "192.0.2.1",
		Context: map[string]string{"host": "web1", "service": "sshd", "user": "ana", "rhost": "203.0.113.7"}}})
	must(t, err)
	var last store.Notice
	made := fixture.Await(func() bool {
		list, err := data.Notices(u.Row, 1)
		must(t, err)
		if len(list) > 0 {
			last = list[0]
		}
		return last.Kind == store.NoticeRefused
	})
	if !made {
		t.Fatal("no notice is made")
	}
	one := "/notice/" + strconv.FormatInt(last.Row, 10)
	pages := map[string]string{"notices": "/notices", "channels": "/notices/channels", "rules": "/notices/rules", "notice": one}
	for i, name := range slices.Sorted(maps.Keys(looks)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, looks[name])
			b.signIn(u)
			for _, place := range someOf(pages, i) {
				b.visit(pages[place])
				b.see("main h1")
				b.check()
				b.shot(place + "-" + name)
			}
		})
	}
	t.Run("without scripts", func(t *testing.T) {
		t.Parallel()
		b := open(t, phone.withoutScript())
		b.signIn(u)
		b.visit("/notices/rules")
		b.click(`input[name="refused.` + app.ID + `"]`)
		b.click(`form.rules button`)
		b.see(".flash")
		rules, err := data.Rules(account)
		if err != nil || rules[app.ID] != (store.Rule{LetIn: true, Changes: true}) {
			t.Errorf("rules are %+v, %v", rules, err)
		}
		b.visit(one)
		b.click(`form[action^="/notice/"] button`)
		b.see(".flash")
		if accounts, err := data.LatchTree(u.Row); err != nil || !accounts[0].Status.Open {
			t.Errorf("the button opened nothing (%v)", err)
		}
	})
}
