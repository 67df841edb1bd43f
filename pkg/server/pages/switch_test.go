package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

func TestSwitchOnTheFirstScreen(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, _ := b.join("ana")
	optIn := store.OptIn
	app, _, err := b.store.AddApplication(b.ctx, store.Application{Name: "servers", LockOnUse: optIn})
	b.must(err)
	ssh, err := b.store.AddOperation(b.ctx, app, app.ID, store.Operation{Name: "ssh"})
	b.must(err)
	ids, err := b.store.Import(b.ctx, app, []string{"ana"})
	b.must(err)
	ask := func(operation string) bool {
		t.Helper()
		s, err := b.store.Status(b.ctx, store.StatusRequest{App: app, AccountID: ids[0], Target: store.Target{OperationID: operation}})
		b.must(err)
		return s.Open
	}
	undo := func() {
		t.Helper()
		page := c.get("/")
		_, rest, found := strings.Cut(page, `name="switch" value="`)
		id, _, _ := strings.Cut(rest, `"`)
		if !found {
			t.Fatalf("no undo is offered:\n%s", page)
		}
		c.post("/latch/undo", url.Values{"switch": {id}})
	}
	set := url.Values{"app": {app.ID}, "operation": {ssh.ID}, "open": {"no"}}
	c.post("/latch", set)
	if ask(ssh.ID) || !ask("") {
		t.Error("closing ssh did something else")
	}
	if page := c.get("/"); !strings.Contains(page, "refused") && !strings.Contains(page, "let in") {
		t.Error("the last attempt is not shown")
	}
	c.post("/latch", url.Values{"app": {app.ID}, "operation": {ssh.ID}, "open": {"yes"}, "minutes": {"10"}})
	if !ask(ssh.ID) {
		t.Error("ssh was not opened")
	}
	b.offset.Add(int64(10 * time.Minute))
	if ask(ssh.ID) {
		t.Error("ssh is open after ten minutes")
	}
	c.post("/latch/close", nil)
	if ask("") {
		t.Error("not everything is closed")
	}
	if page := c.get("/"); !strings.Contains(page, "Closed") {
		t.Error("the page does not say closed")
	}
	c.post("/latch", url.Values{"app": {app.ID}, "open": {"yes"}, "minutes": {""}})
	undo()
	if ask("") {
		t.Error("undo did not close again")
	}
	c.post("/latch/choose", url.Values{"app": {app.ID}, "lock": {"yes"}})
	c.post("/latch", url.Values{"app": {app.ID}, "open": {"yes"}})
	if !ask("") || ask("") {
		t.Error("it does not close after use")
	}
	for _, minutes := range []string{"0", "-1", "x", "10081"} {
		if resp := c.do("POST", "/latch", url.Values{"app": {app.ID}, "open": {"yes"}, "minutes": {minutes}}); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q minutes: %s", minutes, resp.Status)
		}
	}
	if resp := c.do("POST", "/latch", url.Values{"open": {"yes"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no application: %s", resp.Status)
	}
	if eva, _ := b.join("eva"); eva.do("POST", "/latch", set).StatusCode != http.StatusNotFound {
		t.Error("somebody else's latch can be set")
	}
}
