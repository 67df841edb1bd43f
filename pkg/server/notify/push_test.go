package notify

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/server/webpush"
	"github.com/latch-linux/latch/pkg/server/webpush/webpushtest"
)

func newBrowser(t *testing.T) *webpushtest.Browser {
	t.Helper()
	w, err := webpushtest.New()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func subscription(w *webpushtest.Browser, url string) store.ChannelSettings {
	key, auth := w.Keys()
	return store.ChannelSettings{URL: url, Key: key, Auth: auth, Language: "es"}
}

func TestPushReachesTheBrowserAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.receive(status(http.StatusCreated))
	w := newBrowser(t)
	row := b.channel(store.ChannelPush, subscription(w, r.URL+"/send/1"))
	b.set(false)
	b.attempt()
	b.run()
	first, second := r.next(), r.next()
	var change, refused pushPayload
	for q, to := range map[*received]*pushPayload{&first: &change, &second: &refused} {
		plain, err := w.Read(q.body)
		if err == nil {
			err = json.Unmarshal(plain, to)
		}
		if err != nil {
			t.Fatal(err)
		}
		if q.Method != "POST" || q.URL.Path != "/send/1" || q.Header.Get("Content-Encoding") != "aes128gcm" || q.Header.Get("TTL") != "86400" ||
			len(q.Header.Get("Topic")) != 32 || !strings.HasPrefix(q.Header.Get("Authorization"), "vapid t=") {
			t.Errorf("the request is %s %s %v", q.Method, q.URL, q.Header)
		}
	}
	key, err := b.sender.PushKey(b.ctx)
	b.must(err)
	if !strings.HasSuffix(first.Header.Get("Authorization"), ", k="+key.Public()) {
		t.Error("the message is signed with another key")
	}
	if change.Title != "es:change.off servers" || change.OpenLabel != "" || first.Header.Get("Urgency") != "normal" {
		t.Errorf("the change says %+v", change)
	}
	if refused.Title != "es:refused servers" || second.Header.Get("Urgency") != "high" || !strings.HasPrefix(refused.Close, "/close/") ||
		len(refused.Close) != len("/close/")+43 || !strings.HasPrefix(refused.Open, "/notice/") || refused.Page != refused.Open || refused.Tag == change.Tag {
		t.Errorf("the refused attempt says %+v", refused)
	}
	for _, part := range []string{"es:who ana", "es:where.from es:where.on sshd web1 203.0.113.7", "es:result.refused", "es:contact it@example.org, +34 900"} {
		if !strings.Contains(refused.Body, part) {
			t.Errorf("%q is not in %q", part, refused.Body)
		}
	}
	eventually(func() bool { return b.state(row).LastOK != 0 })
}

func TestPushSubscriptionsThatEnd(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusNotFound, http.StatusGone} {
		b := newBed(t)
		row := b.channel(store.ChannelPush, subscription(newBrowser(t), b.receive(status(code)).URL))
		b.tested(row, ProblemGone)
		if c := b.state(row); !c.GivenUp || c.Problem != ProblemGone {
			t.Errorf("after %d the channel is %+v", code, c)
		}
	}
	b := newBed(t)
	s := subscription(newBrowser(t), b.receive(nil).URL)
	s.Key[5] ^= 1
	b.tested(b.channel(store.ChannelPush, s), ProblemSettings)
}

// Names that a host or whoever tries to log in there chose must not end a phone's subscription, and with it all notices.
func TestPushOfLongNames(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.receive(status(http.StatusCreated))
	w := newBrowser(t)
	row := b.channel(store.ChannelPush, subscription(w, r.URL))
	for _, name := range []string{strings.Repeat("<", 256), strings.Repeat(`\`, 256), strings.Repeat("\ufffd", 256), strings.Repeat("ñ", 128)} {
		_, err := b.store.Status(b.ctx, store.StatusRequest{App: b.app, AccountID: b.account, Attempt: store.Attempt{IP: "192.0.2.1",
			Context: map[string]string{"host": name, "service": name, "user": name, "rhost": name}}})
		b.must(err)
	}
	b.run()
	for range 3 { // what is beyond waits for a summary
		plain, err := w.Read(r.next().body)
		var got pushPayload
		if err == nil {
			err = json.Unmarshal(plain, &got)
		}
		if err != nil || got.Title != "es:let_in servers" || !strings.HasPrefix(got.Body, "es:who ") || !strings.Contains(got.Body, "es:result.let_in") {
			t.Errorf("%v: %+v", err, got)
		}
	}
	if c := b.state(row); c.GivenUp {
		t.Errorf("the channel is %+v", c)
	}
}

// TestPushTooLarge: Firefox for Android takes 3070 bytes; what it refuses comes again in fewer.
func TestPushTooLarge(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.receive(func(w http.ResponseWriter, q *http.Request) {
		if q.ContentLength > webpush.Short {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	w := newBrowser(t)
	row := b.channel(store.ChannelPush, subscription(w, r.URL))
	b.attempt()
	b.run()
	if first := r.next(); len(first.body) != webpush.Usual {
		t.Errorf("the first body has %d bytes, want %d", len(first.body), webpush.Usual)
	}
	second := r.next()
	plain, err := w.Read(second.body)
	b.must(err)
	var got pushPayload
	b.must(json.Unmarshal(plain, &got))
	if len(second.body) != webpush.Short || got.Title != "es:let_in servers" || got.Body != "es:who ana" || got.Close == "" {
		t.Errorf("the second body has %d bytes and says %+v", len(second.body), got)
	}
	b.tested(row, "")
}

// TestPushTopic: Apple's service answers 400 to a topic that is no Base64 text.
func TestPushTopic(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for n := range 2000 {
		topic := pushTopic("latch-" + strconv.Itoa(n))
		if text, err := base64.RawURLEncoding.DecodeString(topic); err != nil || len(text) != 24 || seen[topic] {
			t.Fatalf("the topic of notice %d is %q: %v", n, topic, err)
		}
		seen[topic] = true
	}
}
