package notify

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/store"
)

// browser is the receiving end of Web Push.
type browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	auth := make([]byte, 16)
	rand.Read(auth)
	return &browser{key, auth}
}

func (w *browser) subscription(url string) store.ChannelSettings {
	return store.ChannelSettings{URL: url, Key: w.key.PublicKey().Bytes(), Auth: w.auth, Language: "es"}
}

// read decrypts a body as RFC 8291 says, from the receiving side.
func (w *browser) read(t *testing.T, body []byte) []byte {
	t.Helper()
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(body) < 86 || binary.BigEndian.Uint32(body[16:20]) != 4096 || body[20] != 65 {
		t.Fatalf("the body's head is %x", body[:min(len(body), 21)])
	}
	salt, sender := body[:16], body[21:86]
	public, err := ecdh.P256().NewPublicKey(sender)
	fail(err)
	shared, err := w.key.ECDH(public)
	fail(err)
	input, err := hkdf.Key(sha256.New, shared, w.auth, "WebPush: info\x00"+string(w.key.PublicKey().Bytes())+string(sender), 32)
	fail(err)
	key, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: aes128gcm\x00", 16)
	fail(err)
	nonce, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: nonce\x00", 12)
	fail(err)
	block, err := aes.NewCipher(key)
	fail(err)
	gcm, err := cipher.NewGCM(block)
	fail(err)
	plain, err := gcm.Open(nil, nonce, body[86:], nil)
	fail(err)
	text := strings.TrimRight(string(plain), "\x00")
	if !strings.HasSuffix(text, "\x02") {
		t.Fatal("the last record has no delimiter")
	}
	return []byte(strings.TrimSuffix(text, "\x02"))
}

func TestPushReachesTheBrowserAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.receive(status(http.StatusCreated))
	w := newBrowser(t)
	row := b.channel(store.ChannelPush, w.subscription(r.URL+"/send/1"))
	b.set(false)
	b.attempt()
	b.run()
	first, second := r.next(t), r.next(t)
	var change, refused pushPayload
	for q, to := range map[*received]*pushPayload{&first: &change, &second: &refused} {
		if err := json.Unmarshal(w.read(t, q.body), to); err != nil {
			t.Fatal(err)
		}
		if q.Method != "POST" || q.URL.Path != "/send/1" || q.Header.Get("Content-Encoding") != "aes128gcm" || q.Header.Get("TTL") != "86400" ||
			q.Header.Get("Topic") != to.Tag || !strings.HasPrefix(q.Header.Get("Authorization"), "vapid t=") {
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
	eventually(t, "the channel is well", func() bool { return b.state(row).LastOK != 0 })
}

func TestPushSubscriptionsThatEnd(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusNotFound, http.StatusGone} {
		b := newBed(t)
		row := b.channel(store.ChannelPush, newBrowser(t).subscription(b.receive(status(code)).URL))
		b.tested(row, ProblemGone)
		if c := b.state(row); !c.GivenUp || c.Problem != ProblemGone {
			t.Errorf("after %d the channel is %+v", code, c)
		}
	}
	b := newBed(t)
	s := newBrowser(t).subscription(b.receive(nil).URL)
	s.Key[5] ^= 1
	b.tested(b.channel(store.ChannelPush, s), ProblemSettings)
}
