package browser

import (
	"testing"

	"github.com/latch-linux/latch/pkg/server/store"
)

// TestTheShell shows the frame that every page has, to nobody and to somebody, in every look.
func TestTheShell(t *testing.T) {
	t.Parallel()
	u := newPerson(t, store.RolePerson)
	app, _ := paired(t, u.Name, "servers")
	for name, l := range map[string]look{"phone": phone, "desktop-dark-es": desktop.inDark().in("es"), "phone-noscript": phone.withoutScript()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, l)
			b.signIn(u)
			b.visit("/")
			if !l.noScript {
				b.read(app.Name)
				b.check()
			}
			b.shot("latches-" + name)
		})
	}
}
