package browser

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/latch-linux/latch/pkg/server/store"
)

// TestLatches switches latches on the first screen, and looks at how they are shown.
func TestLatches(t *testing.T) {
	t.Parallel()
	person := newPerson(t, store.RolePerson)
	app, account := paired(t, person.Name, "servers")
	ssh, err := data.AddOperation(t.Context(), app, app.ID, store.Operation{Name: "ssh"})
	must(t, err)
	made, err := data.AddInstances(t.Context(), app, account, ssh.ID, []string{"web1"})
	must(t, err)
	reads := func(to store.Target) bool {
		t.Helper()
		s, err := data.Status(t.Context(), store.StatusRequest{App: app, AccountID: account, Target: to})
		must(t, err)
		return s.Open
	}
	b := open(t, phone)
	b.signIn(person)
	b.visit("/")
	b.check()
	b.click("#close-" + ssh.ID)
	b.read(app.Name + " / ssh: closed.")
	b.read("Closed because ssh is closed")
	b.check()
	b.shot("latches")
	if reads(store.Target{OperationID: ssh.ID}) || reads(store.Target{OperationID: ssh.ID, InstanceID: made[0].ID}) || !reads(store.Target{}) {
		t.Error("closing ssh did something else")
	}
	b.click("#open-" + ssh.ID + " summary")
	b.see("#open-" + ssh.ID + " .lengths button")
	b.check()
	b.shot("open-for")
	if first := b.text("#open-" + ssh.ID + " .lengths button"); first != "10 minutes" {
		t.Errorf("opening offers %q first", first)
	}
	b.click("#open-" + ssh.ID + ` .lengths button[value="10"]`)
	b.read(app.Name + " / ssh: open until")
	b.read("Closes ")
	if !reads(store.Target{OperationID: ssh.ID}) {
		t.Error("ssh was not opened")
	}
	b.click("#close-all")
	b.read("Everything is closed")
	if reads(store.Target{}) {
		t.Error("not everything is closed")
	}
	b.press("button", "Undo")
	b.read("It is as it was before.")
	_, err = data.Switch(t.Context(), store.Switch{User: person.Row, App: app.ID})
	must(t, err)
	b.see("#latch-" + app.ID + ".closed") // by itself
	b.see("#open-" + app.ID)
}

// TestSchedulePage gives a latch a schedule on the page, with and without JavaScript.
func TestSchedulePage(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]look{"phone": phone, "desk, in Spanish, dark": desktop.in("es").inDark(), "no script": phone.withoutScript()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			person := newPerson(t, store.RolePerson)
			app, _ := paired(t, person.Name, "servers")
			b := open(t, l)
			b.signIn(person)
			b.visit("/schedule?app=" + app.ID)
			if !l.noScript {
				b.wait(`document.querySelector("#zone").value !== ""`)
				b.check()
			}
			days := []string{"0", "1", "2", "3", "4", "5", "6"}
			for _, day := range days {
				b.click(`input[name="day.0"][value="` + day + `"]`)
			}
			b.run(chromedp.SetValue("#zone", "Europe/Madrid", chromedp.ByQuery),
				chromedp.SetValue(`input[name="from.0"]`, "00:00", chromedp.ByQuery), chromedp.SetValue(`input[name="to.0"]`, "23:59", chromedp.ByQuery))
			b.click(".week button.block")
			b.see(".flash")
			if !l.noScript {
				b.check()
				b.shot("schedule-" + name)
			}
			n := tree(t, person.Row)
			madrid, err := time.LoadLocation("Europe/Madrid")
			must(t, err)
			if n.Schedule != "Europe/Madrid; daily 00:00-23:59" || time.UnixMilli(n.Next.At).In(madrid).Minute()%59 != 0 {
				t.Errorf("the latch is %+v", n)
			}
			b.click(`button[name="hold"]`)
			b.see(".note.warn")
			if n := tree(t, person.Row); !n.Held {
				t.Errorf("the latch is %+v, want its schedule held", n)
			}
		})
	}
}

// tree is a person's only application as the page shows it.
func tree(t *testing.T, user int64) store.NodeState {
	t.Helper()
	apps, err := data.LatchTree(user)
	must(t, err)
	if len(apps) != 1 {
		t.Fatalf("%d applications", len(apps))
	}
	return apps[0].Status
}
