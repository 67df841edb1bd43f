package pages

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/notify"
	"github.com/latch-linux/latch/pkg/server/store"
)

// told is a person with a paired account and an ntfy server on this machine.
type told struct {
	*bed
	*client
	user    store.User
	app     store.Application
	account string
	seen    int64
	got     chan string // bodies
}

func newTold(t *testing.T) *told {
	t.Helper()
	b := newBed(t)
	d := &told{bed: b, got: make(chan string, 100)}
	d.client, _ = b.join("ana")
	var err error
	d.user, err = b.store.User("ana")
	b.must(err)
	d.app, _, err = b.store.AddApplication(b.ctx, store.Application{Name: "servers", ContactEmail: "it@example.org"})
	b.must(err)
	code, _, err := b.store.NewCode(b.ctx, "ana")
	b.must(err)
	d.account, err = b.store.Pair(b.ctx, store.PairRequest{App: d.app, Code: code, Subject: "test"})
	b.must(err)
	return d
}

// ntfy starts an ntfy server that answers with a status and returns a topic's address, which the site may send to.
func (d *told) ntfy(status int) string {
	d.bed.must(d.store.SetSetting(d.ctx, store.SettingPrivateReceivers, "yes"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			d.got <- string(body)
		}
		w.WriteHeader(status)
	}))
	d.bed.t.Cleanup(server.Close)
	return server.URL + "/ana-topic"
}

// refusal is an attempt that is refused and told of; it returns the notice.
func (d *told) refusal() store.Notice {
	d.bed.t.Helper()
	if list, err := d.store.Channels(d.user.Row); err != nil || len(list) == 0 {
		_, err := d.store.SaveChannel(d.ctx, store.Channel{User: d.user.Row, Kind: store.ChannelMail, Settings: store.ChannelSettings{Address: "ana@example.org"}})
		d.bed.must(err)
	}
	_, err := d.store.SetByUser(d.ctx, "ana", "", "", false)
	d.bed.must(err)
	_, err = d.store.Status(d.ctx, store.StatusRequest{App: d.app, AccountID: d.account, Attempt: store.Attempt{IP: "192.0.2.1",
		Context: map[string]string{"host": "web1", "service": "sshd", "user": "ana", "rhost": "203.0.113.7"}}})
	d.bed.must(err)
	d.seen, _, err = d.store.Fanout(d.ctx, d.seen)
	d.bed.must(err)
	list, err := d.store.Notices(d.user.Row, 1)
	d.bed.must(err)
	if len(list) != 1 || list[0].Kind != store.NoticeRefused {
		d.bed.t.Fatalf("the last notice is %+v", list)
	}
	return list[0]
}

func (d *told) reads(open bool) {
	d.bed.t.Helper()
	s, err := d.store.Status(d.ctx, store.StatusRequest{App: d.app, AccountID: d.account})
	if err != nil || s.Open != open {
		d.bed.t.Errorf("the latch reads %+v, %v", s, err)
	}
}

// shows checks that a page has texts.
func (d *told) shows(path string, texts ...string) {
	d.bed.t.Helper()
	body := html.UnescapeString(d.get(path))
	for _, text := range texts {
		if !strings.Contains(body, text) {
			d.bed.t.Errorf("%s does not say %q", path, text)
		}
	}
}

func TestNoticesAreListed(t *testing.T) {
	d := newTold(t)
	d.shows("/notices", "Notices go nowhere yet", "No notice yet")
	n := d.refusal()
	d.shows("/notices", "Refused: servers", "sshd on web1 from 203.0.113.7", "One place")
	path := "/notice/" + strconv.FormatInt(n.Row, 10)
	d.shows(path, "Refused: servers", "sshd on web1 from 203.0.113.7", "As ana", "Help: it@example.org", "It is me: open 10 minutes", "It was not me: close it")
	bob, _ := d.join("bob")
	if resp := bob.do("GET", path, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("somebody else's notice: %s", resp.Status)
	}
	if resp := bob.do("POST", path+"/open", url.Values{}); resp.StatusCode != http.StatusNotFound {
		t.Errorf("opening by somebody else's notice: %s", resp.Status)
	}
	d.offset.Add(int64(store.NoticeLife))
	if body := d.get(path); strings.Contains(body, "/close/") {
		t.Error("a notice that is a day old has a link that does not work any more")
	}
}

// TestLinkThatCloses: looking at it closes nothing, pressing it does, without a session and once.
func TestLinkThatCloses(t *testing.T) {
	d := newTold(t)
	n := d.refusal()
	_, err := d.store.SetByUser(d.ctx, "ana", "", "", true)
	d.bed.must(err)
	stranger := d.bed.client()
	path := "/close/" + n.Ticket
	for range 2 {
		if body := html.UnescapeString(stranger.get(path)); !strings.Contains(body, "Close servers?") || strings.Contains(body, "203.0.113.7") {
			t.Errorf("the link's page is %s", body)
		}
	}
	d.reads(true)
	stranger.header.Set("Accept", "text/html")
	if to := stranger.post(path, url.Values{}); to != "/closed" {
		t.Errorf("led to %q", to)
	}
	if body := stranger.get("/closed"); !strings.Contains(body, "Closed: servers.") {
		t.Errorf("the page after it is %s", body)
	}
	d.reads(false)
	_, err = d.store.SetByUser(d.ctx, "ana", "", "", true)
	d.bed.must(err)
	for _, method := range []string{"GET", "POST"} {
		if resp := stranger.do(method, path, nil); resp.StatusCode != http.StatusGone {
			t.Errorf("%s of a used link: %s", method, resp.Status)
		}
	}
	d.reads(true)
	if stranger.in() {
		t.Error("the link signed somebody in")
	}
}

// TestNotificationClosesAtOneTouch: a button of a notification has no page, no cookie and perhaps another origin.
func TestNotificationClosesAtOneTouch(t *testing.T) {
	d := newTold(t)
	n := d.refusal()
	_, err := d.store.SetByUser(d.ctx, "ana", "", "", true)
	d.bed.must(err)
	phone := d.bed.client()
	phone.header = http.Header{"Accept": {"*/*"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://ntfy.example"}, "Accept-Language": {"es"}}
	resp := phone.do("POST", "/close/"+n.Ticket, url.Values{})
	if body := text(t, resp); resp.StatusCode != http.StatusOK || body != "Está cerrado\n" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s %q %v", resp.Status, body, resp.Header)
	}
	d.reads(false)
	if resp := phone.do("POST", "/close/"+n.Ticket, url.Values{}); resp.StatusCode != http.StatusGone {
		t.Errorf("the second touch: %s", resp.Status)
	}
	phone.cookies = d.cookies
	if resp := phone.do("POST", "/notice/"+strconv.FormatInt(n.Row, 10)+"/open", url.Values{}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("opening from another site: %s", resp.Status)
	}
}

func TestItIsMe(t *testing.T) {
	d := newTold(t)
	n := d.refusal()
	path := "/notice/" + strconv.FormatInt(n.Row, 10)
	stranger := d.bed.client()
	if to := stranger.post(path+"/open", url.Values{}); !strings.HasPrefix(to, "/signin") {
		t.Errorf("without a session: led to %q", to)
	}
	d.reads(false)
	if to := d.post(path+"/open", url.Values{}); to != "/" {
		t.Errorf("led to %q", to)
	}
	d.reads(true)
	d.offset.Add(int64(notify.OpenFor))
	d.reads(false)
}

func TestChannelByForm(t *testing.T) {
	d := newTold(t)
	const page = "/notices/channels"
	topic := url.Values{"kind": {"ntfy"}, "url": {d.ntfy(200)}, "token": {"tk_secret"}}
	if to := d.post(page, topic); to != page {
		t.Errorf("led to %q", to)
	}
	var m struct{ Topic, Title string }
	if err := json.Unmarshal([]byte(<-d.got), &m); err != nil || m.Topic != "ana-topic" || m.Title != "A test of Latch" {
		t.Errorf("the test is %+v, %v", m, err)
	}
	d.shows(page, "The test was sent", "/ana-topic", "Last arrived")
	if body := d.get(page); strings.Contains(body, "tk_secret") {
		t.Error("the page shows the token")
	}
	list, err := d.store.Channels(d.user.Row)
	if err != nil || len(list) != 1 || list[0].Settings.Token != "tk_secret" || list[0].Settings.Language != "en" {
		t.Fatalf("channels are %+v, %v", list, err)
	}
	bob, _ := d.join("bob")
	row := strconv.FormatInt(list[0].Row, 10)
	for _, act := range []string{"/test", "/remove"} {
		if resp := bob.do("POST", page+"/"+row+act, url.Values{}); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s by somebody else: %s", act, resp.Status)
		}
	}
	d.post(page+"/"+row+"/remove", url.Values{})
	if list, err := d.store.Channels(d.user.Row); err != nil || len(list) != 0 {
		t.Errorf("channels are %+v, %v", list, err)
	}
	d.post(page, url.Values{"kind": {"ntfy"}, "url": {d.ntfy(403)}})
	d.shows(page, "The receiver refuses access")
}

func TestChannelsThatAreNotTaken(t *testing.T) {
	d := newTold(t)
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	d.bed.must(err)
	enc := base64.RawURLEncoding
	p256dh, auth := enc.EncodeToString(key.PublicKey().Bytes()), enc.EncodeToString(make([]byte, 16))
	for key, form := range map[string][]url.Values{
		"notices.ntfy.bad": {{"kind": {"ntfy"}, "url": {"http://ntfy.sh/topic"}}, {"kind": {"ntfy"}, "url": {"https://ntfy.sh/"}}, {"kind": {"ntfy"}, "url": {"javascript:alert(1)//x"}}},
		"notices.mail.bad": {{"kind": {"mail"}, "address": {"a@b.c\r\nBcc: d@e.f"}}},
		"notices.push.bad": {
			{"kind": {"push"}, "url": {"http://push.example/1"}, "p256dh": {p256dh}, "auth": {auth}},
			{"kind": {"push"}, "url": {"https://push.example/1"}, "p256dh": {p256dh[4:]}, "auth": {auth}},
			{"kind": {"push"}, "url": {"https://push.example/1"}, "p256dh": {p256dh}, "auth": {""}},
		},
	} {
		for _, f := range form {
			d.client.refused("/notices/channels", f, http.StatusUnprocessableEntity, key)
		}
	}
	if resp := d.do("POST", "/notices/channels", url.Values{"kind": {"webhook"}, "url": {"https://hook.example/"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a person's webhook: %s", resp.Status)
	}
	d.offset.Add(int64(provenSpan))
	if to := d.post("/notices/channels", url.Values{"kind": {"ntfy"}, "url": {"https://ntfy.sh/topic"}}); !strings.HasPrefix(to, "/prove") {
		t.Errorf("a device without a factor: led to %q", to)
	}
	if list, err := d.store.Channels(d.user.Row); err != nil || len(list) != 0 {
		t.Errorf("channels are %+v, %v", list, err)
	}
}

func TestRulesByForm(t *testing.T) {
	d := newTold(t)
	op, err := d.store.AddOperation(d.ctx, d.app, d.app.ID, store.Operation{Name: "ssh"})
	d.bed.must(err)
	d.shows("/notices/rules", "servers", "ssh", "in servers")
	to := "/notices/rules/" + d.account
	form := url.Values{}
	for _, id := range []string{d.app.ID, op.ID} {
		form.Set("refused."+id, "1")
		form.Set("quiet."+id, "1")
	}
	d.post(to, form)
	rules, err := d.store.Rules(d.account)
	d.bed.must(err)
	if len(rules) != 1 || rules[d.app.ID] != (store.Rule{Refused: true, Quiet: true}) {
		t.Errorf("rules are %+v", rules)
	}
	form.Set("let_in."+op.ID, "1")
	d.post(to, form)
	if rules, err = d.store.Rules(d.account); err != nil || len(rules) != 2 || !rules[op.ID].LetIn || rules[d.app.ID].LetIn {
		t.Errorf("rules are %+v, %v", rules, err)
	}
	body := d.get("/notices/rules")
	for name, on := range map[string]bool{"let_in." + op.ID: true, "let_in." + d.app.ID: false, "quiet." + d.app.ID: true} {
		if got := regexp.MustCompile(`name="` + regexp.QuoteMeta(name) + `" value="1"( checked)?`).FindStringSubmatch(body); got == nil || (got[1] != "") != on {
			t.Errorf("%s is %q, want %v", name, got, on)
		}
	}
	bob, _ := d.join("bob")
	if resp := bob.do("POST", to, form); resp.StatusCode != http.StatusNotFound {
		t.Errorf("rules of somebody else's account: %s", resp.Status)
	}
}

// TestEveryNoticeHasWords: no key and no placeholder is left in any notice, in any language.
func TestEveryNoticeHasWords(t *testing.T) {
	texts, err := loadCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	full := store.Notice{App: "servers", AppID: "a", Name: "ssh", Host: "web1", Service: "sshd", Login: "ana", Address: "203.0.113.7",
		Asker: "192.0.2.1", ContactEmail: "it@example.org", ContactPhone: "+34 900", Since: 0, T: 600_000, Addresses: 3, Count: 37, Latches: 2}
	var all []store.Notice
	add := func(change func(*store.Notice)) {
		for _, cut := range []func(*store.Notice){func(*store.Notice) {}, func(n *store.Notice) { n.Host, n.Service = "", "" }, func(n *store.Notice) { n.Service, n.Address = "", "" },
			func(n *store.Notice) { n.Host, n.Address, n.Login = "", "", "" }, func(n *store.Notice) { n.Count, n.Addresses = 1, 1 }, func(n *store.Notice) { n.App, n.AppID, n.Name = "", "", "" },
			func(n *store.Notice) { n.Host, n.Service, n.Asker = "", "", "" }} {
			n := full
			change(&n)
			cut(&n)
			all = append(all, n)
		}
	}
	for _, kind := range []string{store.NoticeRefused, store.NoticeLetIn, store.NoticeTest} {
		add(func(n *store.Notice) { n.Kind = kind })
	}
	for _, of := range []string{store.NoticeRefused, store.NoticeLetIn, store.NoticeChange} {
		add(func(n *store.Notice) { n.Kind, n.Of = store.NoticeSummary, of })
	}
	for _, change := range []string{"status on", "status off", "pairing paired", "pairing unpaired", "schedule set"} {
		for _, by := range []string{store.ActionUser, store.ActionDeveloper} {
			what, value, _ := strings.Cut(change, " ")
			add(func(n *store.Notice) { n.Kind, n.What, n.Value, n.Action = store.NoticeChange, what, value, by })
		}
	}
	for _, lang := range texts.languages {
		for _, n := range all {
			m := notify.Describe(words{texts}, lang, time.UTC, n)
			said := fmt.Sprintln(m.Title, m.Lines, m.When, m.Contact)
			if strings.ContainsAny(said, "{}") || strings.Contains(said, "notices.") || strings.Contains(said, "shell.") || m.Title == "" {
				t.Errorf("%s: %+v says %s", lang, n, said)
			}
		}
		for _, problem := range notify.Problems() {
			if !texts.has("notices.problem." + problem) {
				t.Errorf("%s has no text for problem %q", lang, problem)
			}
		}
	}
	n := full
	n.Kind, n.Of = store.NoticeSummary, store.NoticeRefused
	m := notify.Describe(words{texts}, "en", time.UTC, n)
	if m.Title != "37 more attempts refused on ssh (servers)" || m.Lines[0] != "From 3 addresses, in 10 minutes." {
		t.Errorf("a summary says %q, %q", m.Title, m.Lines)
	}
	if got := (words{texts}).When("es", time.UTC, time.Date(2026, 3, 1, 9, 5, 0, 0, time.UTC).UnixMilli()); !strings.Contains(got, "marzo") || !strings.Contains(got, "09:05 UTC") {
		t.Errorf("an instant is %q", got)
	}
}
