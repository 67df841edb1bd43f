package browser

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/serviceworker"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/server/store"
	"github.com/latch-linux/latch/pkg/server/webpush/webpushtest"
)

// pushing is a tab whose browser shows notifications. No push service can be reached from here, so the subscription is put in and
// the messages are carried by the test, decrypted as the browser would.
type pushing struct {
	*tab
	keys     *webpushtest.Browser
	messages chan []byte

	mu           sync.Mutex
	registration serviceworker.RegistrationID
}

func newPushing(t *testing.T, u store.User) *pushing {
	t.Helper()
	keys, err := webpushtest.New()
	must(t, err)
	p := &pushing{tab: open(t, phone), keys: keys, messages: make(chan []byte, 20)}
	chromedp.ListenTarget(p.ctx, func(event any) {
		if e, ok := event.(*serviceworker.EventWorkerRegistrationUpdated); ok {
			p.mu.Lock()
			defer p.mu.Unlock()
			for _, r := range e.Registrations {
				p.registration = r.RegistrationID
			}
		}
	})
	p.run(serviceworker.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		info, err := target.GetTargetInfo().WithTargetID(chromedp.FromContext(ctx).Target.TargetID).Do(ctx)
		if err != nil {
			return err
		}
		return browser.SetPermission(&browser.PermissionDescriptor{Name: "notifications"}, browser.PermissionSettingGranted).
			WithOrigin(address("")).WithBrowserContextID(info.BrowserContextID).Do(cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser))
	}))
	p.signIn(u)
	return p
}

// service is the push service that the subscription names.
func (p *pushing) service() string {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Header.Get("Content-Encoding") == "aes128gcm" {
			p.messages <- body
		}
		w.WriteHeader(http.StatusCreated)
	}))
	p.t.Cleanup(service.Close)
	return service.URL
}

// subscribe has the page's own button subscribe; the browser's answer is put in.
func (p *pushing) subscribe(endpoint string) {
	p.t.Helper()
	key, auth := p.keys.Keys()
	enc := base64.RawURLEncoding
	answer, err := json.Marshal(map[string]any{"endpoint": endpoint, "keys": map[string]string{"p256dh": enc.EncodeToString(key), "auth": enc.EncodeToString(auth)}})
	must(p.t, err)
	p.visit("/notices/channels")
	p.wait(`navigator.serviceWorker.controller`)
	eval[bool](p.tab, `PushManager.prototype.subscribe = async (options) => {
		if (!options.userVisibleOnly || options.applicationServerKey.length !== 87) throw new Error("subscribed otherwise");
		return { toJSON: () => (`+string(answer)+`) };
	}, true`)
	p.press("button", "Show notices on this device")
}

// carry takes the next message whose title begins so to the service worker and returns the notification. DevTools loses a message that
// meets a worker on its way to rest, so it is carried until it is shown. One that was not lost but late replaces nothing, because
// each has a tag of its own.
func (p *pushing) carry(title string) shown {
	p.t.Helper()
	for over := time.After(fixture.Patience); ; {
		select {
		case body := <-p.messages:
			plain, err := p.keys.Read(body)
			must(p.t, err)
			var m map[string]any
			must(p.t, json.Unmarshal(plain, &m))
			if !strings.HasPrefix(fmt.Sprint(m["title"]), title) {
				continue
			}
			tag := m["tag"]
			p.mu.Lock()
			id := p.registration
			p.mu.Unlock()
			for end := time.Now().Add(fixture.Patience); time.Now().Before(end); {
				m["tag"] = unique(fmt.Sprint(tag, "/"))
				plain, err = json.Marshal(m)
				must(p.t, err)
				p.run(serviceworker.DeliverPushMessage(address(""), id, string(plain)))
				if n, ok := p.notification(title, 2*time.Second); ok {
					return n
				}
			}
			p.t.Fatalf("%q is not shown", title)
		case <-over:
			p.t.Fatalf("no message %q comes", title)
		}
	}
}

// shown is a notification.
type shown struct {
	Title, Body, Tag string
	Silent           bool
	Actions          []string
}

const notifications = `navigator.serviceWorker.ready.then((r) => r.getNotifications()).then((list) => list.map((n) =>
	({title: n.title, body: n.body, tag: n.tag, silent: Boolean(n.silent), actions: n.actions.map((a) => a.action)})))`

// notification waits a while for one whose title begins so.
func (p *pushing) notification(title string, while time.Duration) (shown, bool) {
	p.t.Helper()
	for end := time.Now().Add(while); ; time.Sleep(50 * time.Millisecond) {
		for _, n := range eval[[]shown](p.tab, notifications) {
			if strings.HasPrefix(n.Title, title) {
				return n, true
			}
		}
		if time.Now().After(end) {
			return shown{}, false
		}
	}
}

// touch touches a notification, or one of its buttons, and waits until the service worker is done with it.
func (p *pushing) touch(tag, action string) {
	p.t.Helper()
	p.run(chromedp.ActionFunc(func(ctx context.Context) error {
		targets, err := target.GetTargets().Do(cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser))
		if err != nil {
			return err
		}
		info, err := target.GetTargetInfo().WithTargetID(chromedp.FromContext(ctx).Target.TargetID).Do(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(targets, func(t *target.Info) bool {
			return t.Type == "service_worker" && t.BrowserContextID == info.BrowserContextID
		})
		if i < 0 {
			return fmt.Errorf("no service worker among %d targets", len(targets))
		}
		worker, cancel := chromedp.NewContext(p.ctx, chromedp.WithTargetID(targets[i].TargetID))
		defer cancel()
		// What a script dispatches may not prolong the worker's life by itself.
		return chromedp.Run(worker, chromedp.Evaluate(fmt.Sprintf(`self.registration.getNotifications({tag: %q}).then(([notification]) => {
			const event = new NotificationEvent("notificationclick", { notification, action: %q });
			let done;
			Object.defineProperty(event, "waitUntil", { value: (promise) => { done = promise; } });
			self.dispatchEvent(event);
			return Promise.resolve(done).then(() => true, () => true);
		})`, tag, action), nil, awaitPromise))
	}))
}

// TestPushedNotices: the page subscribes by itself, the worker shows what comes, its button closes without a page, and "it is me"
// leads to one.
func TestPushedNotices(t *testing.T) {
	t.Parallel()
	must(t, data.SetSetting(t.Context(), store.SettingPrivateReceivers, "yes"))
	u := newPerson(t, store.RolePerson)
	app, account := paired(t, u.Name, "servers")
	p := newPushing(t, u)
	p.subscribe(p.service())
	p.read("The test was sent")
	p.carry("A test of Latch")

	ask := func() {
		_, err := data.Status(t.Context(), store.StatusRequest{App: app, AccountID: account, Attempt: store.Attempt{IP: "192.0.2.1",
			Context: map[string]string{"host": "web1", "service": "sshd", "user": "ana", "rhost": "203.0.113.7"}}})
		must(t, err)
	}
	open := func() bool {
		list, err := data.LatchTree(u.Row)
		must(t, err)
		return list[0].Status.Open
	}
	ask()
	in := p.carry("Let in: " + app.Name)
	if !slices.Equal(in.Actions, []string{"close"}) || in.Silent || !strings.Contains(in.Body, "sshd on web1") || !strings.Contains(in.Body, "203.0.113.7") {
		t.Errorf("the notification is %+v", in)
	}
	p.touch(in.Tag, "close")
	if open() {
		t.Error("the notification's button closed nothing")
	}
	if _, ok := p.notification("It is closed", fixture.Patience); !ok {
		t.Error("the notification does not say that it is closed")
	}

	ask()
	refused := p.carry("Refused: " + app.Name)
	if !slices.Equal(refused.Actions, []string{"close", "open"}) {
		t.Errorf("the notification is %+v", refused)
	}
	p.touch(refused.Tag, "open")
	if open() {
		t.Error("a touch of the notification opened a latch, on a phone that may be locked")
	}
}
