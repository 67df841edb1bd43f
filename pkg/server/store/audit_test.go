package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// lastAct is the last line of the audit log.
func (b *bed) lastAct() Act {
	b.t.Helper()
	list, err := b.Acts(AuditQuery{Limit: 1})
	b.must(err)
	if len(list) != 1 {
		b.t.Fatal("the audit log is empty")
	}
	return list[0]
}

// TestEveryActIsAudited goes through what an administrator can do, by whichever way.
func TestEveryActIsAudited(t *testing.T) {
	b := newBed(t)
	ctx := WithActor(b.ctx, Actor{Via: ViaWeb, Name: "root", IP: "203.0.113.7"})
	name, yes, mandatory := "servers of ours", true, Mandatory
	var op Operation
	var control Control
	for _, step := range []struct {
		act, target string
		detail      map[string]string
		do          func() error
	}{
		{"application.change", "servers", map[string]string{"name": name, "open_by_api": "yes", "two_factor": "MANDATORY"}, func() error {
			return b.ChangeApplication(ctx, b.app.Row, ApplicationChange{Name: &name, OpenByAPI: &yes, TwoFactor: &mandatory})
		}},
		{"secret.add", "web1", map[string]string{"application": name}, func() error { _, err := b.AddSecret(ctx, b.app.Row, "web1"); return err }},
		{"secret.rotate", "web1", map[string]string{"application": name, "old_one_ends": "2026-03-01T12:00:00Z"},
			func() error { _, err := b.RotateSecret(ctx, b.app.Row, "web1", 0); return err }},
		{"secret.revoke", "web1", map[string]string{"application": name}, func() error { return b.RevokeSecret(ctx, b.app.Row, "web1") }},
		{"operation.add", "ssh", nil, func() (err error) { op, err = b.AddOperation(ctx, b.app, b.app.ID, Operation{Name: "ssh"}); return err }},
		{"operation.change", "ssh", map[string]string{"lock_on_request": "MANDATORY"},
			func() error { return b.ChangeOperation(ctx, b.app.Row, op.ID, OperationChange{LockOnUse: &mandatory}) }},
		{"operation.remove", "ssh", nil, func() error { return b.RemoveOperation(ctx, b.app.Row, op.ID) }},
		{"control.add", "door", nil, func() (err error) { control, err = b.AddControl(ctx, b.app, "door"); return err }},
		{"control.close", "", nil, func() error { return b.SetControl(ctx, b.app, control.ID, false) }},
		{"control.remove", "", nil, func() error { return b.RemoveControl(ctx, b.app, control.ID) }},
		{"person.add", "ana", nil, func() error { _, err := b.AddUser(ctx, "ana"); return err }},
		{"person.disable", "ana", nil, func() error { return b.SetUserDisabled(ctx, "ana", true) }},
		{"person.enable", "ana", nil, func() error { return b.SetUserDisabled(ctx, "ana", false) }},
		{"person.remove", "ana", nil, func() error { return b.RemoveUser(ctx, "ana") }},
		{"people.import", b.app.Name, map[string]string{"people": "2"}, func() error { _, err := b.Import(ctx, b.app, []string{"bob", "eve"}); return err }},
		{"api-user.add", "tool", nil, func() error { _, _, err := b.AddAPIUser(ctx, "tool"); return err }},
		{"api-user.remove", "tool", nil, func() error { return b.RemoveAPIUser(ctx, "tool") }},
		{"setting.change", "url", map[string]string{"value": "https://latch.example.org"}, func() error { return b.SetSetting(ctx, SettingURL, "https://latch.example.org") }},
		{"setting.change", "a password", map[string]string{}, func() error { return b.SetSetting(ctx, "a password", "hunter2") }},
		{"export", "audit", nil, func() error { return b.Note(ctx, "export", "audit", nil) }},
		{"application.remove", name, nil, func() error { return b.RemoveApplication(ctx, b.app.Row) }},
	} {
		b.must(step.do())
		a := b.lastAct()
		if a.Name != step.act || step.target != "" && a.Target != step.target || a.Actor != (Actor{ViaWeb, "root", "203.0.113.7"}) || a.T != b.millis() {
			t.Errorf("%s %q left %+v", step.act, step.target, a)
		}
		if step.detail != nil && !maps.Equal(a.Detail, step.detail) {
			t.Errorf("%s has detail %v, want %v", step.act, a.Detail, step.detail)
		}
	}
}

// TestWhatFailsIsNoAct: the line is written in the transaction of the act, or not at all.
func TestWhatFailsIsNoAct(t *testing.T) {
	b := newBed(t)
	before := b.lastAct()
	_, err := b.AddSecret(b.ctx, b.app.Row, defaultSecret)
	b.refused("a secret's name twice", err, ErrExists)
	b.refused("a person who is not there", b.RemoveUser(b.ctx, "ana"), ErrNoUser)
	b.refused("an operation that is not there", b.RemoveOperation(b.ctx, b.app.Row, "x"), ErrNoOperation)
	_, err = b.RotateSecret(b.ctx, b.app.Row, "web1", 0)
	b.refused("a secret that is not there", err, ErrNoSecret)
	if a := b.lastAct(); a.ID != before.ID {
		t.Errorf("left %+v", a)
	}
}

func TestSearchInTheAuditLog(t *testing.T) {
	b := newBed(t)
	ana := WithActor(b.ctx, Actor{Via: ViaWeb, Name: "ana", IP: "203.0.113.7"})
	b.must(b.Note(ana, "export", "history", map[string]string{"format": "csv"}))
	b.clock.pass(time.Hour)
	b.must(b.Note(ana, "export", "audit", map[string]string{"format": "100%"}))
	targets := func(q AuditQuery) string {
		list, err := b.Acts(q)
		b.must(err)
		var all []string
		for _, a := range list {
			all = append(all, a.Target)
		}
		return strings.Join(all, " ")
	}
	hour := b.millis()
	for want, q := range map[string]AuditQuery{
		"audit history servers": {},
		"audit history":         {Text: "ANA"},
		"history":               {Text: "Csv"},
		"audit":                 {Text: "100%"}, // no wildcard
		"servers":               {Act: "application.add"},
		"":                      {Text: "a_a"}, // nor here
		"audit ":                {From: hour},
		"history servers":       {To: hour - 1},
		" audit":                {Limit: 1},
	} {
		if got := targets(q); got != strings.TrimSpace(want) {
			t.Errorf("%+v found %q, want %q", q, got, want)
		}
	}
	first, err := b.Acts(AuditQuery{Limit: 1})
	b.must(err)
	if got := targets(AuditQuery{Before: first[0].ID}); got != "history servers" {
		t.Errorf("the next page is %q", got)
	}
	names, err := b.ActNames()
	if b.must(err); !slices.Equal(names, []string{"application.add", "export"}) {
		t.Errorf("the names are %q", names)
	}
}

// TestARotatedSecretEndsWhenItWasSaid: the host is told the new one while the old one still works.
func TestARotatedSecretEndsWhenItWasSaid(t *testing.T) {
	b := newBed(t)
	old, err := b.AddSecret(b.ctx, b.app.Row, "web1")
	b.must(err)
	fresh, err := b.RotateSecret(b.ctx, b.app.Row, "web1", b.millis()+time.Hour.Milliseconds())
	b.must(err)
	usable := func(secret string) bool {
		_, list, err := b.Credentials(b.app.ID)
		b.must(err)
		return slices.ContainsFunc(list, func(c Credential) bool { return c.Secret == secret })
	}
	if !usable(old) || !usable(fresh) {
		t.Error("one of the two does not work during the overlap")
	}
	list, err := b.Secrets(b.app.Row)
	if b.must(err); len(list) != 3 || list[1].Revoked || list[1].Ends != b.millis()+time.Hour.Milliseconds() || list[2].Ends != 0 {
		t.Errorf("%+v", list)
	}
	b.clock.pass(time.Hour)
	if usable(old) || !usable(fresh) {
		t.Error("after the overlap the new one alone works")
	}
	if list, err = b.Secrets(b.app.Row); err != nil || !list[1].Revoked {
		t.Errorf("%+v, %v", list, err)
	}
	// Revoking a name ends the one that was to end later, too.
	if _, err = b.RotateSecret(b.ctx, b.app.Row, "web1", b.millis()+time.Hour.Milliseconds()); err != nil {
		t.Fatal(err)
	}
	b.must(b.RevokeSecret(b.ctx, b.app.Row, "web1"))
	if usable(fresh) {
		t.Error("a revoked secret works")
	}
}

func TestTallies(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.reads(id, true)
	b.reads(id, true)
	b.clock.pass(24 * time.Hour)
	_, err := b.SetByUser(b.ctx, "ana", "", "", false)
	b.must(err)
	b.reads(id, false)
	for range 2 { // counting twice counts once
		b.must(b.Tally(b.ctx))
	}
	b.must(b.sqlite().tallySpan(b.ctx, 0, 3)) // as a process that was overtaken would
	days, err := b.Tallies(0, 3)
	b.must(err)
	want := []DayTally{{Day: b.clock.now().Truncate(24*time.Hour).AddDate(0, 0, -2)}, {Opened: 2}, {Refused: 1}}
	for i := range want {
		want[i].Day = want[0].Day.AddDate(0, 0, i)
	}
	if !slices.Equal(days, want) {
		t.Errorf("%+v, want %+v", days, want)
	}
	if days, err = b.Tallies(b.app.Row+1, 3); err != nil || days[2].Refused != 0 {
		t.Errorf("another application has %+v, %v", days, err)
	}
	refused, err := b.Refused(10)
	if b.must(err); len(refused) != 1 || refused[0].User != "ana" {
		t.Errorf("%+v", refused)
	}
	c, err := b.Census()
	if b.must(err); c != (Census{People: 1, Paired: 1, Pairings: 1, Applications: 1}) {
		t.Errorf("%+v", c)
	}
	// What was counted outlives what it was counted from.
	b.clock.pass(24 * time.Hour)
	_, err = b.Prune(b.ctx, b.millis())
	b.must(err)
	if days, err = b.Tallies(0, 3); err != nil || days[0].Opened != 2 || days[1].Refused != 1 {
		t.Errorf("after pruning %+v, %v", days, err)
	}
}

// TestRetention: what the settings say goes, and nothing else.
func TestRetention(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.reads(id, true)
	b.clock.pass(10 * 24 * time.Hour)
	b.reads(id, true)
	b.must(b.Note(b.ctx, "export", "audit", nil))
	entries := func() (history, audit int) {
		list, err := b.Log("", 100)
		b.must(err)
		acts, err := b.Acts(AuditQuery{})
		b.must(err)
		return len(list), len(acts)
	}
	b.must(b.Retain(b.ctx))
	if h, a := entries(); h != 3 || a != 3 {
		t.Fatalf("without a setting %d and %d are left", h, a)
	}
	b.must(b.SetSetting(b.ctx, SettingKeepHistory, "9"))
	b.must(b.Retain(b.ctx))
	if h, a := entries(); h != 1 || a != 5 { // the setting and the pruning are acts
		t.Errorf("%d and %d are left", h, a)
	}
	b.must(b.SetSetting(b.ctx, SettingKeepAudit, "9"))
	b.must(b.Retain(b.ctx))
	if h, a := entries(); h != 1 || a != 5 { // two went, two came
		t.Errorf("%d and %d are left", h, a)
	}
	if a := b.lastAct(); a.Name != "audit.prune" || a.Detail["removed"] != "2" || a.Actor.Via != ViaServer {
		t.Errorf("%+v", a)
	}
	b.must(b.SetSetting(b.ctx, SettingKeepHistory, "many"))
	if err := b.Retain(b.ctx); err == nil {
		t.Error("a setting that is no number is taken")
	}
}

// TestTheJournalMissesNothing: what is logged is read in order, and goes on where it was left.
func TestTheJournalMissesNothing(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	at, err := b.Logged()
	if b.must(err); at != (Position{}) {
		t.Fatalf("it begins at %+v", at)
	}
	j, err := b.JournalAfter(at, 10)
	if b.must(err); len(j.Entries) != 1 || len(j.Acts) != 2 || j.Acts[0].Name != "application.add" || j.Entries[0].App != "servers" {
		t.Fatalf("%+v", j)
	}
	at = Position{j.Entries[0].ID, j.Acts[1].ID}
	b.must(b.KeepLogged(b.ctx, at))
	b.reads(id, true)
	b.reopen()
	if at, err = b.Logged(); err != nil {
		t.Fatal(err)
	}
	if j, err = b.JournalAfter(at, 10); err != nil || len(j.Entries) != 1 || j.Entries[0].Value != "on" || len(j.Acts) != 0 {
		t.Errorf("%+v, %v", j, err)
	}
}

func TestAnActorIsTheServerUnlessSaid(t *testing.T) {
	if a := actorOf(context.Background()); a != (Actor{Via: ViaServer}) {
		t.Errorf("%+v", a)
	}
}

// TestCommandsInAPersonsPlaceAreAudited: what people do themselves is in their history alone.
func TestCommandsInAPersonsPlaceAreAudited(t *testing.T) {
	b := newBed(t)
	b.pair("ana")
	ana, err := b.User("ana")
	b.must(err)
	yes := true
	command := WithActor(b.ctx, Actor{Via: ViaCommand, Name: "root"})
	self := WithActor(b.ctx, Actor{Via: ViaWeb, Name: "ana"})
	for act, do := range map[string]func(context.Context) error{
		"latch.close":  func(ctx context.Context) error { _, err := b.SetByUser(ctx, "ana", "", "", false); return err },
		"latch.choose": func(ctx context.Context) error { return b.SetChoice(ctx, "ana", "", "", &yes, nil) },
		"person.code":  func(ctx context.Context) error { _, _, err := b.NewCode(ctx, "ana"); return err },
	} {
		before := b.lastAct().ID
		b.must(do(self))
		if a := b.lastAct(); a.ID != before {
			t.Errorf("her own act left %+v", a)
		}
		b.must(do(command))
		if a := b.lastAct(); a.Name != act || a.Target != "ana" || a.Actor.Name != "root" {
			t.Errorf("%s left %+v", act, a)
		}
	}
	row, err := b.SaveChannel(self, Channel{User: ana.Row, Kind: ChannelNtfy, Settings: ChannelSettings{URL: "https://ntfy.example.org/secret-topic"}})
	b.must(err)
	b.must(b.RemoveChannel(self, ana.Row, 0, row))
	acts, err := b.Acts(AuditQuery{Text: "channel."})
	if b.must(err); len(acts) != 2 || acts[1].Target != "ana" || len(acts[1].Detail) != 1 {
		t.Errorf("%+v", acts)
	}
}
