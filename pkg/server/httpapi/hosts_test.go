package httpapi

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

// TestWhoseServerItIs: hosts know latch-server by its answers, strangers do not.
func TestWhoseServerItIs(t *testing.T) {
	b := newBed(t)
	_, header, _ := b.send(b.request(b.app, "GET", "/api/1.3/status/nobody", nil, nil))
	for _, word := range []string{api.CanPairByLink, api.CanSpendTokens, api.CanOwnTOTP, api.CanAwait, api.CanContext} {
		if !api.Can(header.Get(api.HeaderServer), word) {
			t.Errorf("%q lacks %q", header.Get(api.HeaderServer), word)
		}
	}
	stranger := api.Credentials{ID: b.app.ID, Secret: strings.Repeat("x", 40)}
	if _, header, _ := b.send(b.request(stranger, "GET", "/api/1.3/status/nobody", nil, nil)); header.Get(api.HeaderServer) != "" {
		t.Errorf("a stranger is told %q", header.Get(api.HeaderServer))
	}
}

func (b *bed) pairing(body string) api.PairingRequest {
	b.t.Helper()
	var a struct{ Data api.PairingRequest }
	b.must(json.Unmarshal([]byte(body), &a))
	return a.Data
}

func TestPairingByLink(t *testing.T) {
	b := newBed(t)
	_, err := b.store.AddUser(b.ctx, "ana")
	b.must(err)
	web1 := url.Values{"host": {"web1"}, "user": {"ana"}}
	if body := b.call("POST", "host/pairing", web1); !strings.Contains(body, `"code":203,`) || !strings.Contains(body, "--url") {
		t.Errorf("without an address: %s", body)
	}
	b.must(b.store.SetSetting(b.ctx, store.SettingURL, "https://latch.example.org"))
	b.code(b.call("POST", "host/pairing", url.Values{"host": {"web1"}}), 401)
	b.code(b.call("POST", "host/pairing", url.Values{"host": {" "}, "user": {"ana"}}), 401)
	made := b.pairing(b.call("POST", "host/pairing", web1))
	link, ok := strings.CutPrefix(made.URL, "https://latch.example.org/pair/")
	if !ok || made.State != "waiting" || made.Check == "" || !strings.HasPrefix(link, made.Check) || made.Seconds < 290 || made.Seconds > 300 {
		t.Fatalf("the host gets %+v", made)
	}
	path := "host/pairing/" + made.RequestID
	if body := b.call("GET", path, nil); b.pairing(body).State != "waiting" || strings.Contains(body, link) {
		t.Errorf("the host asks and hears %s", body)
	}
	_, err = b.store.ConfirmPairing(b.ctx, link, "ana")
	b.must(err)
	got := b.pairing(b.call("GET", path, nil))
	if got.State != "confirmed" || got.Person != "ana" || got.Known || !api.ValidAccountID(got.AccountID) {
		t.Errorf("then it hears %+v", got)
	}
	b.is(b.call("GET", "status/"+got.AccountID, nil), `{"data":{"operations":{"`+b.app.ID+`":{"status":"on"}}}}`)
	if late := b.pairing(b.call("DELETE", path, nil)); late.State != "confirmed" || late.AccountID != got.AccountID {
		t.Errorf("a withdrawal that comes too late hears %+v", late)
	}
	forged := b.pairing(b.call("POST", "host/pairing", url.Values{"host": {"web1\u202egro.elpmaxe"}, "user": {"a\u2066n\u200fa"}}))
	if r, err := b.store.PairingByLink(strings.TrimPrefix(forged.URL, "https://latch.example.org/pair/")); err != nil || r.Host != "web1\ufffdgro.elpmaxe" || r.User != "a\ufffdn\ufffda" {
		t.Errorf("the page shows %q, %q, %v", r.Host, r.User, err)
	}
	second := b.pairing(b.call("POST", "host/pairing", web1))
	if gone := b.pairing(b.call("DELETE", "host/pairing/"+second.RequestID, nil)); gone.State != "waiting" {
		t.Errorf("a withdrawal hears %+v", gone)
	}
	b.code(b.call("GET", "host/pairing/"+second.RequestID, nil), 206)
	for range 9 {
		b.pairing(b.call("POST", "host/pairing", web1))
	}
	if body := b.call("POST", "host/pairing", web1); !strings.Contains(body, `"code":203,"message":"too many links of this host wait; one expires in`) {
		t.Errorf("one too many: %s", body)
	}
	if log := b.log.String(); strings.Contains(log, link) || strings.Contains(log, got.AccountID) {
		t.Error("the log holds the link or the account")
	}
}

func TestSpendingATokenOfOnesOwn(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	mode := store.Mandatory
	b.change(store.ApplicationChange{TwoFactor: &mode})
	token := b.field(b.call("GET", "status/"+id, nil), "operations", b.app.ID, "two_factor", "token")
	path := "host/token/" + id
	b.code(b.call("POST", path, url.Values{"token": {token}}), 401)
	b.code(b.call("POST", path, url.Values{"token": {token}, "right": {"maybe"}}), 402)
	b.is(b.call("POST", path, url.Values{"token": {token + "x"}, "right": {"yes"}}), `{}`)
	if list, err := b.store.Tokens("ana"); err != nil || len(list) != 1 {
		t.Errorf("the page shows %v, %v", list, err)
	}
	b.is(b.call("POST", path, url.Values{"token": {token}, "right": {"yes"}}), `{}`)
	if list, err := b.store.Tokens("ana"); err != nil || len(list) != 0 {
		t.Errorf("the page still shows %v, %v", list, err)
	}
	b.code(b.call("POST", "host/token/nobody", url.Values{"token": {token}, "right": {"yes"}}), 201)
}

func TestOwnTOTP(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	path := "host/totp/" + id + "/validate"
	b.code(b.call("POST", path, url.Values{"code": {"123456"}}), 305)
	b.code(b.call("POST", path, nil), 401)
	b.code(b.call("POST", "host/totp/nobody/validate", url.Values{"code": {"123456"}}), 201)
	key, err := otp.NewTOTP("Latch", "ana")
	b.must(err)
	b.must(b.store.BeginOwnTOTP(b.ctx, "ana", key.Secret))
	step := b.now().Unix() / 30
	b.must(b.store.ProveOwnTOTP(b.ctx, "ana", func(string, int64) (int64, bool) { return step - 1, true }))
	code, err := otp.Code(key.Secret, step)
	b.must(err)
	bad := "000000"
	if code == bad {
		bad = "000001"
	}
	b.code(b.call("POST", path, url.Values{"code": {bad}}), 306)
	b.is(b.call("POST", path, url.Values{"code": {code}}), `{}`)
	b.code(b.call("POST", path, url.Values{"code": {code}}), 306)
	for range 8 {
		b.code(b.call("POST", path, url.Values{"code": {bad}}), 306)
	}
	if body := b.call("POST", path, url.Values{"code": {bad}}); !strings.Contains(body, `{"error":{"code":306,"message":"too many`) {
		t.Errorf("after too many: %s", body)
	}
}

// awaitingStore reports calls of AwaitOpen, and makes them last as long as a test wants.
type awaitingStore struct {
	store.Backend
	called chan time.Duration // the limit that the server gives
	limit  atomic.Int64       // the limit in its place
}

func (a *awaitingStore) AwaitOpen(ctx context.Context, r store.StatusRequest, limit time.Duration) (store.Status, error) {
	a.called <- limit
	return a.Backend.AwaitOpen(ctx, r, time.Duration(a.limit.Load()))
}

// TestAwait: the answer comes with the phone's touch, is a plain one without an attempt that was refused, and leaves no trace.
func TestAwait(t *testing.T) {
	b := newBed(t)
	waits := &awaitingStore{Backend: b.store, called: make(chan time.Duration, 10)}
	waits.limit.Store(int64(time.Hour))
	b.server.store = waits
	id := b.pair("ana")
	path := "host/await/" + id
	b.code(b.call("GET", "host/await/nobody", nil), 201)
	b.code(b.call("GET", path+"/op/nothing", nil), 301)
	_, err := b.store.SetByUser(b.ctx, "ana", "", "", false)
	b.must(err)
	lines := func() int {
		list, err := b.store.Log("ana", 100)
		b.must(err)
		return len(list)
	}
	before := lines()
	if body := b.call("GET", path, nil); !strings.Contains(body, `"off"`) || lines() != before+1 {
		t.Errorf("without an attempt: %s, %d lines of history more", body, lines()-before)
	}
	before = lines()
	for len(waits.called) > 0 {
		<-waits.called
	}
	answer := make(chan string, 1)
	go func() { answer <- b.call("GET", path, nil) }()
	if limit := <-waits.called; limit != awaitLimit {
		t.Errorf("the answer is held for %v", limit)
	}
	_, err = b.store.SetByUser(b.ctx, "ana", "", "", true)
	b.must(err)
	if body := <-answer; !strings.Contains(body, `"on"`) || lines() != before+1 {
		t.Errorf("after the phone opened: %s, %d lines of history more, want the phone's alone", body, lines()-before)
	}
	_, err = b.store.SetByUser(b.ctx, "ana", "", "", false)
	b.must(err)
	waits.limit.Store(int64(time.Millisecond))
	if body := b.call("GET", path, nil); !strings.Contains(body, `"off"`) {
		t.Errorf("after awaitLimit: %s", body)
	}
}
