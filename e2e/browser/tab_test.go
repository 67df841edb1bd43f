package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/server/store"
)

// tab is one page of one browser context: nothing that another test does is seen in it.
type tab struct {
	t     *testing.T
	ctx   context.Context
	shown look

	mu       sync.Mutex
	trouble  []string // what the browser complained about: scripts that failed, what the content policy stopped
	expected []string // parts of complaints that a test provokes
}

// look is how a browser shows pages.
type look struct {
	width, height int64
	mobile        bool
	dark          bool
	lang          string
	noScript      bool
}

var (
	phone   = look{width: 360, height: 740, mobile: true, lang: "en"}
	desktop = look{width: 1280, height: 900, lang: "en"}
)

func (l look) inDark() look        { l.dark = true; return l }
func (l look) in(lang string) look { l.lang = lang; return l }
func (l look) withoutScript() look { l.noScript = true; return l }

// open opens a tab with a look. At the end of the test the browser must have had nothing to complain about.
func open(t *testing.T, l look) *tab {
	t.Helper()
	id, err := newWindow()
	must(t, err)
	ctx, cancel := chromedp.NewContext(chrome, chromedp.WithTargetID(id))
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, expected: []string{"favicon.ico"}} // browsers ask for one wherever a page names no icon
	chromedp.ListenTarget(ctx, b.listen)
	must(t, chromedp.Run(ctx)) // the tab lives as long as the context of its first run, so not only until that run's patience ends
	b.run(runtime.Enable(), log.Enable(), network.Enable())
	b.look(l)
	t.Cleanup(b.reportTrouble)
	return b
}

// newWindow opens a window of a browser context of its own. Chromium opens no mere tab where the context has no window yet.
func newWindow() (target.ID, error) {
	browser := cdp.WithExecutor(chrome, chromedp.FromContext(chrome).Browser)
	own, err := target.CreateBrowserContext().WithDisposeOnDetach(true).Do(browser)
	if err != nil {
		return "", err
	}
	return target.CreateTarget("about:blank").WithBrowserContextID(own).WithNewWindow(true).Do(browser)
}

func (l look) metrics() chromedp.Action {
	scale := 1.0
	if l.mobile {
		scale = 2
	}
	return emulation.SetDeviceMetricsOverride(l.width, l.height, scale, l.mobile)
}

func (b *tab) look(l look) {
	b.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.shown = l
	b.run(
		l.metrics(),
		emulation.SetTouchEmulationEnabled(l.mobile),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
		network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": l.lang}),
		emulation.SetScriptExecutionDisabled(l.noScript),
	)
}

func (b *tab) listen(event any) {
	var text string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Error()
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError {
			text = e.Entry.Text + " " + e.Entry.URL
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError {
			text = fmt.Sprintf("console: %v", e.Args)
		}
	}
	if text == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trouble = append(b.trouble, text)
}

// expect says that a complaint with this text in it is part of the test.
func (b *tab) expect(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, part)
}

func (b *tab) reportTrouble() {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, text := range b.trouble {
		for _, part := range b.expected {
			if strings.Contains(text, part) {
				continue next
			}
		}
		b.t.Errorf("the browser complains: %s", text)
	}
}

// run does things in the tab; what does not come to an end within fixture.Patience fails the test, with what the page shows.
func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := b.try(actions...); err != nil {
		var place, shown string
		b.try(chromedp.Location(&place), chromedp.Evaluate(`document.body ? document.body.innerText : ""`, &shown))
		b.t.Fatalf("%v at %s:\n%s", err, place, shown)
	}
}

func (b *tab) try(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(b.ctx, fixture.Patience)
	defer cancel()
	return chromedp.Run(ctx, actions...)
}

// signIn gives the tab the cookie of a session of the person.
func (b *tab) signIn(u store.User) {
	b.t.Helper()
	ticket, err := data.StartSession(b.t.Context(), store.SignIn{User: u.Row, UserAgent: "Chromium"})
	must(b.t, err)
	b.session(address(""), ticket)
}

// session gives the tab the cookie of a session at a server, which is named by its https://NAME:PORT.
func (b *tab) session(server, ticket string) {
	b.t.Helper()
	b.run(network.SetCookie("__Host-session", ticket).WithURL(server + "/").WithPath("/").WithSecure(true).WithHTTPOnly(true))
}

// visit goes to a path of the server.
func (b *tab) visit(path string) {
	b.t.Helper()
	navigate := chromedp.Navigate(address(path))
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		err := navigate.Do(ctx)
		// A page whose session has just ended goes to the sign-in by itself, and that may cut this off.
		for tries := 1; err != nil && strings.Contains(err.Error(), "net::ERR_ABORTED") && tries < 3; tries++ {
			err = navigate.Do(ctx)
		}
		return err
	}))
}

// press clicks what has a role and a name, as a screen reader announces them: button, link, checkbox … It also proves that
// whoever does not see the page finds it.
func (b *tab) press(role, name string) {
	b.t.Helper()
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			node, err := announced(ctx, role, name)
			if err == nil && node != nil {
				_, thrown, err := runtime.CallFunctionOn(`function() { this.scrollIntoView({block: "center"}); this.click(); }`).WithObjectID(node.ObjectID).Do(ctx)
				if err == nil && thrown != nil {
					err = thrown
				}
				return err
			}
			select { // the page may be on its way
			case <-ctx.Done():
				return fmt.Errorf("no %s %q: %w", role, name, ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}))
}

// announced finds what a screen reader calls by a role and a name, nil where there is nothing.
func announced(ctx context.Context, role, name string) (*runtime.RemoteObject, error) {
	root, thrown, err := runtime.Evaluate("document").Do(ctx) // asking for it by DOM.getDocument would void the nodes that chromedp knows
	if err == nil && thrown != nil {
		err = thrown
	}
	if err != nil {
		return nil, err
	}
	found, err := accessibility.QueryAXTree().WithObjectID(root.ObjectID).WithAccessibleName(name).WithRole(role).Do(ctx)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return dom.ResolveNode().WithBackendNodeID(found[0].BackendDOMNodeID).Do(ctx)
}

// click clicks the first element that a CSS selector finds, once it can be seen and nothing lies over it. All of that is one
// step for the page, which may replace and move its parts at any other time.
func (b *tab) click(selector string) {
	b.t.Helper()
	quoted, err := json.Marshal(selector)
	must(b.t, err)
	b.wait(`(() => {
		const e = document.querySelector(` + string(quoted) + `);
		if (!e || e.disabled || !e.checkVisibility({ visibilityProperty: true })) return false;
		e.scrollIntoView({ block: "center" });
		const box = e.getBoundingClientRect(), top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
		if (!top || !(e.contains(top) || top.contains(e) || [...(e.labels || [])].some((l) => l.contains(top)))) return false;
		e.click();
		return true;
	})()`)
}

// fill types into a field as a person does.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	quoted, err := json.Marshal(selector)
	must(b.t, err)
	b.run(chromedp.WaitVisible(selector, chromedp.ByQuery), chromedp.Evaluate(`document.querySelector(`+string(quoted)+`).value = ""`, nil),
		chromedp.SendKeys(selector, text, chromedp.ByQuery))
}

// see waits until an element is visible.
func (b *tab) see(selector string) {
	b.t.Helper()
	b.run(chromedp.WaitVisible(selector, chromedp.ByQuery))
}

// read waits until the page shows a text.
func (b *tab) read(text string) {
	b.t.Helper()
	quoted, err := json.Marshal(text)
	must(b.t, err)
	b.wait(`document.body.innerText.includes(` + string(quoted) + `)`)
}

// wait waits until a JavaScript expression is true, also across the next page.
func (b *tab) wait(expression string) {
	b.t.Helper()
	var last error
	for deadline := time.Now().Add(fixture.Patience); time.Now().Before(deadline) && b.ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		var yes bool
		if last = b.try(chromedp.Evaluate(`!!(`+expression+`)`, &yes)); last == nil && yes {
			return
		}
	}
	var place, shown string
	b.try(chromedp.Location(&place), chromedp.Evaluate(`document.body ? document.body.innerText : ""`, &shown))
	b.t.Fatalf("%s: never true (%v) at %s, which shows:\n%s", expression, last, place, shown)
}

// eval returns what a JavaScript expression gives.
func eval[T any](b *tab, expression string) (v T) {
	b.t.Helper()
	b.run(chromedp.Evaluate(expression, &v, awaitPromise))
	return v
}

// text returns what an element shows.
func (b *tab) text(selector string) string {
	b.t.Helper()
	var s string
	b.run(chromedp.Text(selector, &s, chromedp.ByQuery, chromedp.NodeVisible))
	return s
}

// check holds the page to what every page has to be: nothing that axe-core calls serious, nothing wider than the screen,
// targets large enough for a thumb.
func (b *tab) check() {
	b.t.Helper()
	place := eval[string](b, `location.pathname + location.search`)
	if wide := eval[string](b, overflowing); wide != "" {
		b.t.Errorf("%s is wider than the screen: %s", place, wide)
	}
	for _, v := range b.violations() {
		b.t.Errorf("%s: %s", place, v)
	}
}

// overflowing names what sticks out of the page.
const overflowing = `(() => {
	const width = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth <= width) return "";
	return [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > width + 1)
		.map((e) => e.tagName + "." + e.className).slice(0, 5).join(" ") || "?";
})()`

type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

func (v violation) String() string {
	text := fmt.Sprintf("axe: %s (%s): %s", v.ID, v.Impact, v.Help)
	for _, n := range v.Nodes {
		text += "\n\t" + n.HTML + "\n\t\t" + n.FailureSummary
	}
	return text
}

// violations are axe-core's findings that are serious or critical.
func (b *tab) violations() []violation {
	b.t.Helper()
	if !eval[bool](b, `typeof axe === "object"`) {
		b.run(chromedp.Evaluate(axe+";0", nil))
	}
	result := eval[struct{ Violations []violation }](b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => ({violations: r.violations.map((v) =>
		({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map((n) => ({html: n.html, failureSummary: n.failureSummary}))}))}))`)
	var serious []violation
	for _, v := range result.Violations {
		if v.Impact == "serious" || v.Impact == "critical" {
			serious = append(serious, v)
		}
	}
	return serious
}

// shot keeps a picture of the whole page, if LATCH_SHOTS names a directory. The screen is as high as the page for it, so that
// what stands at the bottom of the screen covers nothing.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("LATCH_SHOTS")
	if dir == "" {
		return
	}
	tall := b.shown
	tall.height = max(tall.height, eval[int64](b, `document.documentElement.scrollHeight`))
	b.run(tall.metrics())
	defer func() { b.run(b.shown.metrics()) }()
	var picture []byte
	b.run(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		picture, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).Do(ctx)
		return err
	}))
	must(b.t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644))
}

func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// before runs a script in every page that the tab opens from here on, before the page's own.
func (b *tab) before(script string) {
	b.t.Helper()
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(script).Do(ctx)
		return err
	}))
}
