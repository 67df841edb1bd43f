package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/server/webpush"
)

// pushPayload is what the service worker gets. Links are paths of this site, so that no push service can point elsewhere.
type pushPayload struct {
	Title      string `json:"title"`
	Body       string `json:"body"`
	Tag        string `json:"tag"` // of two notices with the same one the later replaces the earlier
	Lang       string `json:"lang"`
	Quiet      bool   `json:"quiet"`
	Page       string `json:"page"`
	Close      string `json:"close,omitempty"`
	CloseLabel string `json:"closeLabel,omitempty"`
	Closed     string `json:"closed,omitempty"`   // what to say after it
	Unclosed   string `json:"unclosed,omitempty"` // and when that failed
	Open       string `json:"open,omitempty"`
	OpenLabel  string `json:"openLabel,omitempty"`
}

// push sends a notice to a browser, so that only the browser can read it. A push service that finds the body too large gets a
// shorter text.
func (s *Sender) push(ctx context.Context, d store.Delivery) store.Result {
	m := s.write(d)
	result, tooLarge := s.pushText(ctx, d, m, m.text(), webpush.Usual, webpush.Long)
	if tooLarge {
		brief := m.Title // the first line has the user's name
		if len(m.Lines) > 0 {
			brief = m.Lines[0]
		}
		m.Title = cut(m.Title, maxBrief)
		result, _ = s.pushText(ctx, d, m, cut(brief, maxBrief), webpush.Short)
	}
	return result
}

// pushText sends a notice with this text in a body of the first of the lengths that holds it. It also reports whether the
// notice is too large, for all lengths or for the push service.
func (s *Sender) pushText(ctx context.Context, d store.Delivery, m Message, text string, lengths ...int) (result store.Result, tooLarge bool) {
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false) // six bytes for one
	if err := encoder.Encode(pushPayload{Title: m.Title, Body: text, Tag: m.Tag, Lang: d.Language, Quiet: m.Quiet, Page: m.page,
		Close: m.close, CloseLabel: m.CloseLabel, Closed: m.closed, Unclosed: m.unclosed, Open: m.open, OpenLabel: m.OpenLabel}); err != nil {
		return store.Result{Problem: ProblemSettings, Drop: true}, false
	}
	to := d.Channel.Settings
	var body []byte
	err := webpush.ErrTooLong
	for i := 0; i < len(lengths) && errors.Is(err, webpush.ErrTooLong); i++ {
		body, err = webpush.Encrypt(plain.Bytes(), to.Key, to.Auth, lengths[i])
	}
	if errors.Is(err, webpush.ErrTooLong) {
		return store.Result{Problem: ProblemSettings, Drop: true}, true
	}
	if err != nil {
		return store.Result{Problem: ProblemSettings, Gone: true}, false
	}
	status, retry, problem := s.postPush(ctx, to.URL, m, body)
	switch {
	case problem != "":
		return store.Result{Problem: problem}, false
	case status == http.StatusNotFound || status == http.StatusGone:
		return store.Result{Problem: ProblemGone, Gone: true}, false
	}
	return judge(status, retry), status == http.StatusRequestEntityTooLarge
}

// postPush gives a message to a push service (RFC 8030, section 5).
func (s *Sender) postPush(ctx context.Context, endpoint string, m Message, body []byte) (status int, retry time.Duration, problem string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, 0, ProblemSettings
	}
	authorization, err := s.authorize(ctx, endpoint)
	if err != nil {
		s.log.Warn("push key", "error", err)
		return 0, 0, ProblemSettings
	}
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Encoding", "aes128gcm")
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("TTL", strconv.Itoa(int(store.NoticeLife.Seconds())))
	r.Header.Set("Urgency", m.urgency())
	r.Header.Set("Topic", pushTopic(m.Tag)) // one that was not fetched yet is replaced, should it be sent twice
	status, _, retry, problem = s.post(r)
	return status, retry, problem
}

// pushTopic derives a topic from a notice's tag: 32 characters of URL-safe Base64, the most that RFC 8030, section 5.4, allows.
// Apple decodes topics and refuses those whose length no Base64 text has.
func pushTopic(tag string) string {
	sum := sha256.Sum256([]byte(tag))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

func (s *Sender) authorize(ctx context.Context, endpoint string) (string, error) {
	key, err := s.PushKey(ctx)
	if err != nil {
		return "", err
	}
	contact, err := s.store.Setting(store.SettingPushContact)
	if err != nil {
		return "", err
	}
	if contact == "" {
		contact = s.url
	}
	return key.Authorization(endpoint, contact, s.now())
}

// PushKey returns the key that push services know this server by, and makes it at the first call.
func (s *Sender) PushKey(ctx context.Context) (webpush.Key, error) {
	der, err := s.store.PushKey(ctx, webpush.NewKey)
	if err != nil {
		return webpush.Key{}, err
	}
	return webpush.ParseKey(der)
}

// ntfyMessage is what an ntfy server takes as JSON at its root.
type ntfyMessage struct {
	Topic    string       `json:"topic"`
	Title    string       `json:"title"`
	Message  string       `json:"message"`
	Priority int          `json:"priority"`
	Tags     []string     `json:"tags,omitempty"`
	Click    string       `json:"click,omitempty"`
	Actions  []ntfyAction `json:"actions,omitempty"`
	Sequence string       `json:"sequence_id,omitempty"` // servers from 2.16 on replace a notice that comes twice
}

type ntfyAction struct {
	Action string `json:"action"`
	Label  string `json:"label"`
	URL    string `json:"url"`
	Method string `json:"method,omitempty"`
	Clear  bool   `json:"clear,omitempty"`
}

// ntfy publishes a notice. Its button closes at one touch; who wants to open has to sign in at the page.
func (s *Sender) ntfy(ctx context.Context, d store.Delivery) store.Result {
	to := d.Channel.Settings
	base, topic, ok := SplitTopic(to.URL)
	if !ok {
		return store.Result{Problem: ProblemSettings, Gone: true}
	}
	m := s.write(d)
	out := ntfyMessage{Topic: topic, Title: m.Title, Message: m.text(), Priority: m.priority(), Tags: m.tags(), Click: s.absolute(m.page), Sequence: m.Tag}
	if m.close != "" {
		out.Actions = append(out.Actions, ntfyAction{Action: "http", Label: m.CloseLabel, URL: s.absolute(m.close), Method: http.MethodPost, Clear: true})
	}
	if m.open != "" {
		out.Actions = append(out.Actions, ntfyAction{Action: "view", Label: m.OpenLabel, URL: s.absolute(m.open)})
	}
	body, err := json.Marshal(out)
	if err != nil {
		return store.Result{Problem: ProblemSettings, Drop: true}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base, bytes.NewReader(body))
	if err != nil {
		return store.Result{Problem: ProblemSettings, Gone: true}
	}
	r.Header.Set("Content-Type", "application/json")
	if to.Token != "" {
		r.Header.Set("Authorization", "Bearer "+to.Token)
	}
	status, _, retry, problem := s.post(r)
	if problem != "" {
		return store.Result{Problem: problem}
	}
	return judge(status, retry)
}

// SplitTopic takes the address of an ntfy topic, https://HOST/TOPIC, apart.
func SplitTopic(address string) (base, topic string, ok bool) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", false
	}
	topic = strings.Trim(u.Path, "/")
	if topic == "" || len(topic) > 64 || strings.Trim(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || u.RawQuery != "" {
		return "", "", false
	}
	return u.Scheme + "://" + u.Host + "/", topic, true
}

// The webhook's body, as section 10 of the API has it.
type hookBody struct {
	T        int64                   `json:"t"`
	Accounts map[string][]hookUpdate `json:"accounts"`
}

type hookUpdate struct {
	Type      string `json:"type"`
	Source    string `json:"source"`
	ID        string `json:"id"`
	NewStatus string `json:"new_status"`
}

// hookSignature is the header that carries the webhook's signature.
const hookSignature = "X-11Paths-Authorization"

// webhook tells an application of a change, signed with its secret. A test is the challenge that every receiver has to repeat.
func (s *Sender) webhook(ctx context.Context, d store.Delivery) store.Result {
	if d.Notice.Kind == store.NoticeTest {
		return s.challenge(ctx, d.Channel.Settings.URL)
	}
	source := store.ActionUser // also of what a timer or a schedule of the person's does
	if d.Notice.Action == store.ActionDeveloper {
		source = store.ActionDeveloper
	}
	body, err := json.Marshal(hookBody{d.Notice.T, map[string][]hookUpdate{
		d.Notice.Account: {{Type: "UPDATE", Source: source, ID: d.Notice.NodeID, NewStatus: d.Notice.Value}},
	}})
	if err != nil {
		return store.Result{Problem: ProblemSettings, Drop: true}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Channel.Settings.URL, bytes.NewReader(body))
	if err != nil {
		return store.Result{Problem: ProblemSettings, Gone: true}
	}
	secret, ok, err := s.secret(d.Notice.AppID, d.Channel.Settings.Secret)
	if err != nil || !ok {
		return store.Result{Problem: ProblemSettings}
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(hookSignature, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	status, _, retry, problem := s.post(r)
	if problem != "" {
		return store.Result{Problem: problem}
	}
	return judge(status, retry)
}

// secret finds the secret of an application that signs: the one of that name, or without a name the oldest that is in use.
func (s *Sender) secret(appID, name string) (string, bool, error) {
	_, list, err := s.store.Credentials(appID)
	for _, c := range list {
		if name == "" || c.Name == name {
			return c.Secret, true, nil
		}
	}
	return "", false, err
}

// challenge asks a webhook to repeat a text, which only one that wants these notices does.
func (s *Sender) challenge(ctx context.Context, address string) store.Result {
	u, err := url.Parse(address)
	if err != nil {
		return store.Result{Problem: ProblemSettings}
	}
	text := rand.Text()
	q := u.Query()
	q.Set("challenge", text)
	u.RawQuery = q.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return store.Result{Problem: ProblemSettings}
	}
	status, body, retry, problem := s.post(r)
	if problem != "" {
		return store.Result{Problem: problem}
	}
	result := judge(status, retry)
	if result.Problem == "" && strings.TrimSpace(string(body)) != text {
		result.Problem = ProblemAnswer
	}
	return result
}
