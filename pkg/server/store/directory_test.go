package store

import (
	"strings"
	"testing"
)

func TestPeopleAreFoundPageByPage(t *testing.T) {
	b := newBed(t)
	for _, name := range []string{"ana", "bob", "carla", "dora", "eve"} {
		_, err := b.AddUser(b.ctx, name)
		b.must(err)
	}
	b.pairAgain("bob")
	label, role := "Ana 100% O'Hara", RoleAuditor
	ana, err := b.User("ana")
	b.must(err)
	b.must(b.ChangeProfile(b.ctx, ana.Row, ProfileChange{DisplayName: &label, Role: &role}))
	b.must(b.SetUserDisabled(b.ctx, "eve", true))
	for want, q := range map[string]PeopleQuery{
		"ana bob carla dora eve": {},
		"ana bob":                {Limit: 2},
		"carla dora":             {Limit: 2, After: "bob"},
		"bob carla":              {Limit: 2, Before: "dora"},
		"ana carla dora":         {Text: " A", Before: "eve"},
		"ana":                    {Text: "o'hara"},
		"ana ":                   {Text: "0%"},
		"":                       {Text: "a_a"},
		"eve":                    {Which: WhichDisabled},
		"ana  ":                  {Which: WhichStaff},
		"ana carla dora eve":     {Which: WhichUnpaired},
	} {
		list, err := b.People(q)
		b.must(err)
		var names []string
		for _, u := range list {
			names = append(names, u.Name)
			if (u.Name == "bob") != (u.Pairings == 1) {
				t.Errorf("%s has %d pairings", u.Name, u.Pairings)
			}
		}
		if got := strings.Join(names, " "); got != strings.TrimSpace(want) {
			t.Errorf("%+v found %q, want %q", q, got, want)
		}
	}
	counts, err := b.PairedPeople()
	if b.must(err); counts[b.app.Row] != 1 || len(counts) != 1 {
		t.Errorf("%v", counts)
	}
	b.must(b.RemoveUser(b.ctx, "bob"))
	if counts, err = b.PairedPeople(); err != nil || counts[b.app.Row] != 0 {
		t.Errorf("with the only one removed %v, %v", counts, err)
	}
	if c, err := b.Census(); err != nil || c.Paired != 0 || c.Pairings != 0 || c.People != 4 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAnAdminUnpairsAndVoidsLinks(t *testing.T) {
	b := newBed(t)
	account := b.pair("ana")
	ana, err := b.User("ana")
	b.must(err)
	b.refused("unpairing from nothing", b.UnpairPerson(b.ctx, ana.Row, "", Attempt{}), ErrNoApplication)
	b.must(b.UnpairPerson(b.ctx, ana.Row, b.app.ID, Attempt{IP: "192.0.2.1"}))
	if a := b.lastAct(); a.Name != "person.unpair" || a.Target != "ana" || a.Detail["application"] != "servers" {
		t.Errorf("%+v", a)
	}
	_, err = b.ask(account)
	b.refused("the account", err, ErrNotPaired)
	b.refused("a second time", b.UnpairPerson(b.ctx, ana.Row, b.app.ID, Attempt{}), ErrNotPaired)

	ticket, expires, err := b.NewLink(b.ctx, Link{Purpose: LinkInvite, User: ana.Row}, InviteLife)
	b.must(err)
	if at, err := b.Invitation(ana.Row, LinkInvite); err != nil || at != expires.UnixMilli() {
		t.Errorf("%d, %v", at, err)
	}
	b.must(b.VoidLinks(b.ctx, ana.Row))
	_, err = b.Link(ticket)
	b.refused("a link that was voided", err, ErrLinkSpent)
	if at, err := b.Invitation(ana.Row, LinkInvite); err != nil || at != 0 {
		t.Errorf("%d, %v", at, err)
	}
}

func TestPictures(t *testing.T) {
	b := newBed(t)
	b.must(b.SetPicture(b.ctx, b.app, []byte("a picture")))
	b.reload()
	file, ok := strings.CutPrefix(b.app.ImageURL, PicturePath+b.app.ID+"/")
	if !ok {
		t.Fatalf("its address is %q", b.app.ImageURL)
	}
	if png, err := b.Picture(b.app.ID, file); err != nil || string(png) != "a picture" {
		t.Errorf("%q, %v", png, err)
	}
	for _, other := range []string{"", ".png", "x.png", strings.TrimSuffix(file, ".png")} {
		_, err := b.Picture(b.app.ID, other)
		b.refused(other, err, ErrNoPicture)
	}
	b.must(b.RemovePicture(b.ctx, b.app))
	_, err := b.Picture(b.app.ID, file)
	b.refused("a removed one", err, ErrNoPicture)
	if b.reload(); b.app.ImageURL != "" {
		t.Errorf("its address stays %q", b.app.ImageURL)
	}
}

func TestSettingsGoTogether(t *testing.T) {
	b := newBed(t)
	b.must(b.SetSetting(b.ctx, SettingKeepAudit, "9"))
	before := b.lastAct().ID
	b.must(b.SetSettings(b.ctx, map[string]string{SettingKeepHistory: "30", SettingKeepAudit: "9"}))
	if a := b.lastAct(); a.ID != before+1 || a.Target != SettingKeepHistory || a.Detail["value"] != "30" {
		t.Errorf("what did not change is an act: %+v", a)
	}
}
