package browser

import (
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// TestAnasDay is what docs/self-hosting.md shows: somebody with a few services, some of them open, after a day with attempts.
// Its pictures are docs/images.
func TestAnasDay(t *testing.T) {
	t.Parallel()
	u, err := data.AddUser(t.Context(), "ana")
	must(t, err)
	must(t, data.SetWelcomed(t.Context(), u.Row))
	servers := service(t, u, "servers", "ssh", "sudo")
	service(t, u, "vpn")
	_, err = data.Switch(t.Context(), store.Switch{User: u.Row, App: servers.App.ID, Target: store.Target{OperationID: servers.operations[0]}})
	must(t, err)
	servers.ask(t, servers.operations[0], "sshd", "203.0.113.7")
	_, err = data.Switch(t.Context(), store.Switch{User: u.Row, App: servers.App.ID, Target: store.Target{OperationID: servers.operations[0]}, Open: true, For: 10 * time.Minute})
	must(t, err)
	servers.ask(t, servers.operations[0], "sshd", "192.0.2.10")
	_, err = data.Switch(t.Context(), store.Switch{User: u.Row, App: servers.App.ID, Target: store.Target{OperationID: servers.operations[1]}})
	must(t, err)
	b := open(t, phone)
	b.signIn(u)
	for name, path := range map[string]string{"latches": "/", "history": "/history", "settings": "/settings", "welcome": "/welcome/try?latch=closed"} {
		b.visit(path)
		b.see("h1")
		b.check()
		b.shot("docs-" + name)
	}
	b.visit("/")
	b.click("#open-" + servers.operations[1] + " summary")
	b.see("#open-" + servers.operations[1] + " .lengths button")
	b.check()
	b.shot("docs-open-for")
}

// guarded is an application that somebody is paired with, and its operations' ids.
type guarded struct {
	App        store.Application
	account    string
	operations []string
}

func service(t *testing.T, u store.User, name string, operations ...string) guarded {
	t.Helper()
	app, _, err := data.AddApplication(t.Context(), store.Application{Name: name})
	must(t, err)
	g := guarded{App: app, account: pair(t, u.Name, app)}
	for _, operation := range operations {
		op, err := data.AddOperation(t.Context(), app, app.ID, store.Operation{Name: operation})
		must(t, err)
		g.operations = append(g.operations, op.ID)
	}
	return g
}

// ask has web1 ask about a login.
func (g guarded) ask(t *testing.T, operation, service, from string) {
	t.Helper()
	_, err := data.Status(t.Context(), store.StatusRequest{App: g.App, AccountID: g.account, Target: store.Target{OperationID: operation},
		Attempt: store.Attempt{IP: "198.51.100.4", Context: map[string]string{"host": "web1", "service": service, "rhost": from, "user": "ana"}}})
	must(t, err)
}
