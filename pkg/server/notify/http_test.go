package notify

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

func TestNtfy(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.receive(nil)
	row := b.channel(store.ChannelNtfy, store.ChannelSettings{URL: r.URL + "/ana-latch", Token: "tk_secret", Language: "en"})
	b.set(false)
	b.attempt()
	b.run()
	r.next()
	q := r.next()
	var m ntfyMessage
	if err := json.Unmarshal(q.body, &m); err != nil {
		t.Fatal(err)
	}
	if q.Method != "POST" || q.URL.Path != "/" || q.Header.Get("Authorization") != "Bearer tk_secret" || m.Topic != "ana-latch" ||
		m.Title != "en:refused servers" || m.Priority != 4 || m.Sequence == "" || !strings.HasPrefix(m.Click, pageURL+"/notice/") {
		t.Errorf("%s %s %v: %+v", q.Method, q.URL, q.Header, m)
	}
	if len(m.Actions) != 2 || m.Actions[0].Action != "http" || m.Actions[0].Method != "POST" || !strings.HasPrefix(m.Actions[0].URL, pageURL+"/close/") ||
		m.Actions[1].Action != "view" || m.Actions[1].URL != m.Click {
		t.Errorf("actions are %+v", m.Actions)
	}
	_, err := b.store.CloseByLink(b.ctx, strings.TrimPrefix(m.Actions[0].URL, pageURL+"/close/"), store.Attempt{})
	b.must(err)
	b.must(b.store.SetRules(b.ctx, b.user.Row, b.account, map[string]store.Rule{b.app.ID: {Refused: true, Quiet: true}}))
	b.attemptBy("su")
	if err := json.Unmarshal(r.next().body, &m); err != nil || m.Priority != 2 {
		t.Errorf("a quiet notice has priority %d, %v", m.Priority, err)
	}
	b.tested(row, "")
}

func TestSplitTopic(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://ntfy.sh/abc": "https://ntfy.sh/ abc", "https://n.example:8443/a_b-9/": "https://n.example:8443/ a_b-9",
		"https://ntfy.sh/": "", "https://ntfy.sh": "", "https://ntfy.sh/a/b": "", "https://ntfy.sh/a?x=1": "", "https://ntfy.sh/" + strings.Repeat("a", 65): "",
	} {
		base, topic, ok := SplitTopic(address)
		if got := strings.TrimSpace(base + " " + topic); got != want || ok != (want != "") {
			t.Errorf("%s is %q, %v; want %q", address, got, ok, want)
		}
	}
}

// TestReceiversThatMisbehave: every way gives its word, and quickly enough.
func TestReceiversThatMisbehave(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	elsewhere := b.receive(nil)
	huge := func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	stranger := httptest.NewTLSServer(http.NotFoundHandler())
	for _, s := range []*httptest.Server{plain, stranger} {
		s.Config.ErrorLog = nil
		t.Cleanup(s.Close)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	closed.Close()
	for what, c := range map[string]struct{ url, problem string }{
		"token":       {b.receive(status(403)).URL, ProblemDenied},
		"topic":       {b.receive(status(404)).URL, ProblemMissing},
		"too much":    {b.receive(status(429, "Retry-After", "30")).URL, ProblemBusy},
		"broken":      {b.receive(status(503)).URL, ProblemServer},
		"redirect":    {b.receive(status(307, "Location", elsewhere.URL+"/x")).URL, ProblemRedirect},
		"bad request": {b.receive(status(400)).URL, ProblemRejected},
		"huge":        {b.receive(huge).URL, ""},
		"hangs up":    {b.receive(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }).URL, ProblemUnreachable},
		"closed port": {"https://" + closed.Addr().String(), ProblemUnreachable},
		"no tls":      {"https://" + plain.Listener.Addr().String(), ProblemCertificate},
		"stranger":    {"https://localhost:" + port(t, stranger), ProblemCertificate},
		"no name":     {"https://nothing.invalid", ProblemName},
	} {
		t.Run(what, func(t *testing.T) {
			user, err := b.store.AddUser(b.ctx, "user of "+what)
			b.must(err)
			row, err := b.store.SaveChannel(b.ctx, store.Channel{User: user.Row, Kind: store.ChannelNtfy, Settings: store.ChannelSettings{URL: c.url + "/topic"}})
			b.must(err)
			got, err := b.sender.Test(b.ctx, user.Row, 0, row)
			b.must(err)
			if got != c.problem && !(what == "no name" && got == ProblemUnreachable) { // without a name server, the name is not asked for in vain but not at all
				t.Errorf("problem is %q, want %q", got, c.problem)
			}
		})
	}
	select {
	case <-elsewhere.got:
		t.Error("a redirect was followed")
	default:
	}
}

func port(t *testing.T, s *httptest.Server) string {
	t.Helper()
	_, p, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPrivateAddressesAreRefused: with the default settings nothing on this machine is reached, however it is written.
func TestPrivateAddressesAreRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.must(b.store.SetSetting(b.ctx, store.SettingPrivateReceivers, ""))
	r := b.receive(nil)
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"} {
		row := b.channel(store.ChannelNtfy, store.ChannelSettings{URL: "https://" + host + ":" + port(t, r.Server) + "/topic"})
		got, err := b.sender.Test(b.ctx, b.user.Row, 0, row)
		b.must(err)
		if got != ProblemForbidden && (host != "2130706433" || got != ProblemName && got != ProblemUnreachable) {
			t.Errorf("%s: problem is %q", host, got)
		}
		b.must(b.store.RemoveChannel(b.ctx, b.user.Row, 0, row))
	}
	select {
	case <-r.got:
		t.Error("a private address was reached")
	default:
	}
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for address, good := range map[string]bool{
		"9.9.9.9:443": true, "[2620:fe::fe]:443": true, "10.1.2.3:443": false, "172.16.0.1:443": false, "192.168.1.1:443": false,
		"169.254.169.254:80": false, "100.64.0.1:443": false, "127.9.9.9:443": false, "0.0.0.0:443": false, "224.0.0.1:443": false,
		"255.255.255.255:443": false, "[::1]:443": false, "[fe80::1%eth0]:443": false, "[fd00::1]:443": false, "[::ffff:10.0.0.1]:443": false,
		"[64:ff9b::a00:1]:443": false, "[2002:a00:1::1]:443": false, "[::]:443": false, "garbage": false,
	} {
		if err := checkAddress(address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for url, good := range map[string][2]bool{
		"https://ntfy.sh/x": {true, true}, "http://10.0.0.1/x": {false, true}, "ftp://x/": {}, "https://": {}, "https://u:p@x/": {}, "https://x/#a": {},
		"javascript:alert(1)": {}, "https://x/" + strings.Repeat("a", maxAddress): {}, "://": {},
	} {
		for i, private := range []bool{false, true} {
			if err := CheckURL(url, private); (err == nil) != good[i] {
				t.Errorf("%s, private %v: %v", url, private, err)
			}
		}
	}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.receive(func(w http.ResponseWriter, q *http.Request) { io.WriteString(w, q.URL.Query().Get("challenge")) })
	row := b.channel(store.ChannelWebhook, store.ChannelSettings{URL: r.URL + "/hook?from=latch"})
	if problem, err := b.sender.Test(b.ctx, 0, b.app.Row, row); err != nil || problem != "" {
		t.Errorf("the challenge: %q, %v", problem, err)
	}
	if q := r.next(); q.Method != "GET" || q.URL.Query().Get("from") != "latch" || q.URL.Query().Get("challenge") == "" {
		t.Errorf("the challenge is %s %s", q.Method, q.URL)
	}
	b.run()
	b.set(false)
	q := r.next()
	mac := hmac.New(sha1.New, []byte(b.secret))
	mac.Write(q.body)
	if got := q.Header.Get("X-11Paths-Authorization"); q.Method != "POST" || got != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		t.Errorf("%s with signature %q", q.Method, got)
	}
	var body struct {
		T        int64
		Accounts map[string][]map[string]string
	}
	if err := json.Unmarshal(q.body, &body); err != nil {
		t.Fatal(err)
	}
	list := body.Accounts[b.account]
	if body.T != b.clock.now().UnixMilli() || len(list) != 1 || len(list[0]) != 4 || list[0]["type"] != "UPDATE" ||
		list[0]["source"] != "USER_UPDATE" || list[0]["id"] != b.app.ID || list[0]["new_status"] != "off" {
		t.Errorf("the body is %s", q.body)
	}
	b.must(b.store.SetByApplication(b.ctx, withOpening(b), b.account, store.Target{}, true, store.Attempt{}))
	if q := r.next(); !strings.Contains(string(q.body), `"source":"DEVELOPER_UPDATE"`) {
		t.Errorf("the application's own change is %s", q.body)
	}
}

func withOpening(b *bed) store.Application {
	b.t.Helper()
	yes := true
	b.must(b.store.ChangeApplication(b.ctx, b.app.Row, store.ApplicationChange{OpenByAPI: &yes}))
	a, err := b.store.Application(b.app.ID)
	b.must(err)
	return a
}

func TestWebhookThatDoesNotKnowUs(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.receive(func(w http.ResponseWriter, q *http.Request) { io.WriteString(w, "hello") })
	row := b.channel(store.ChannelWebhook, store.ChannelSettings{URL: r.URL})
	if problem, err := b.sender.Test(b.ctx, 0, b.app.Row, row); err != nil || problem != ProblemAnswer {
		t.Errorf("the challenge: %q, %v", problem, err)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := &Sender{now: func() time.Time { return now }}
	for value, want := range map[string]time.Duration{
		"": 0, "30": 30 * time.Second, "-5": 0, "soon": 0, "999999999": 24 * time.Hour,
		"Sun, 01 Mar 2026 12:02:00 GMT": 2 * time.Minute, "Sun, 01 Mar 2026 11:00:00 GMT": 0, "Mon, 01 Mar 2027 12:00:00 GMT": 24 * time.Hour,
	} {
		if got := s.retryAfter(value); got != want {
			t.Errorf("Retry-After %q waits %s, want %s", value, got, want)
		}
	}
}
