package store

import (
	"strings"
	"testing"
)

const (
	importedApp    = "ImportedAppImported2"
	importedSecret = "ImportedSecretImportedSecretImported2345"
	importedOp     = "ImportedOperationNr2"
)

func importedAccount(name string) string {
	return (name + strings.Repeat("7", accountIDLen))[:accountIDLen]
}

// anImport is an application with one operation, Ana's account, open with a closed operation, and Bob's, closed for lack of an answer.
func anImport(b *bed) ApplicationImport {
	past := []Entry{{T: b.millis() - 1000, Action: ActionGet, What: "status", Value: "off", Was: "-", Name: "cloud", IP: "192.0.2.1"},
		{T: b.millis() + 1000, Action: ActionGet, What: "status", Value: "off"}, {T: 1, Action: "UNHEARD_OF", What: "status"}}
	return ApplicationImport{
		Application: Application{ID: importedApp, Name: "cloud"}, Secret: importedSecret,
		Operations: []OperationImport{{Operation{ID: importedOp, Name: "ssh"}, importedApp}},
		Accounts: []AccountImport{
			{ID: importedAccount("Ana"), Person: "ana", CommonName: "web1, ana", Paired: 7, State: StateImport{Open: true},
				Operations: map[string]StateImport{importedOp: {}}, Entries: past},
			{ID: importedAccount("Bob"), Person: "bob", CommonName: "web1, bob", State: StateImport{Unknown: true},
				Operations: map[string]StateImport{importedOp: {Unknown: true}}},
		},
	}
}

func TestImportApplication(t *testing.T) {
	b := newBed(t)
	in := anImport(b)
	done, err := b.ImportApplication(b.ctx, in)
	b.must(err)
	if done.Applications != 1 || done.Operations != 1 || done.People != 2 || done.Accounts != 2 || done.Entries != 1 {
		t.Errorf("imported %+v", done)
	}
	app, secrets, err := b.Credentials(importedApp)
	if err != nil || len(secrets) != 1 || secrets[0].Secret != importedSecret {
		t.Fatalf("the credentials are %+v, %v", secrets, err)
	}
	for name, want := range map[string]bool{"Ana": true, "Bob": false} {
		got, err := b.Status(b.ctx, StatusRequest{App: app, AccountID: importedAccount(name)})
		if err != nil || got.Open != want {
			t.Errorf("%s's latch is %+v, %v", name, got, err)
		}
		op, err := b.Status(b.ctx, StatusRequest{App: app, AccountID: importedAccount(name), Target: Target{OperationID: importedOp}})
		if err != nil || op.Open {
			t.Errorf("%s's operation is %+v, %v", name, op, err)
		}
	}
	again, err := b.ImportApplication(b.ctx, in)
	if err != nil || again.Any() || len(again.Unpaired) != 0 {
		t.Errorf("the second import did %+v, %v", again, err)
	}
	owners, err := b.AccountOwners(app.Row)
	if err != nil || len(owners) != 2 || owners[importedAccount("Ana")] != "ana" {
		t.Errorf("owners are %v, %v", owners, err)
	}
}

// TestImportBringsAnOperationLater: accounts that are here get its state, and an operation that is here keeps what they set.
func TestImportBringsAnOperationLater(t *testing.T) {
	b := newBed(t)
	in := anImport(b)
	without := in
	without.Operations = nil
	_, err := b.ImportApplication(b.ctx, without)
	b.must(err)
	done, err := b.ImportApplication(b.ctx, in)
	if err != nil || done.Operations != 1 || done.Accounts != 0 || done.Entries != 0 {
		t.Fatalf("imported %+v, %v", done, err)
	}
	app, err := b.Application(importedApp)
	b.must(err)
	ana := StatusRequest{App: app, AccountID: importedAccount("Ana"), Target: Target{OperationID: importedOp}}
	if got, err := b.Status(b.ctx, ana); err != nil || got.Open {
		t.Errorf("the new operation is %+v, %v", got, err)
	}
	_, err = b.SetByUser(b.ctx, "ana", importedApp, "ssh", true)
	b.must(err)
	_, err = b.ImportApplication(b.ctx, in)
	b.must(err)
	if got, err := b.Status(b.ctx, ana); err != nil || !got.Open {
		t.Errorf("an operation that was opened here is %+v, %v", got, err)
	}
}

// TestImportIsAllOrNothing, whatever is wrong with its last account.
func TestImportIsAllOrNothing(t *testing.T) {
	b := newBed(t)
	for name, spoil := range map[string]func(*ApplicationImport){
		"one person with two accounts": func(in *ApplicationImport) { in.Accounts[1].Person = "ana" },
		"a bad name":                   func(in *ApplicationImport) { in.Accounts[1].Person = "b\nob" },
		"a short account id":           func(in *ApplicationImport) { in.Accounts[1].ID = "short" },
		"a short secret":               func(in *ApplicationImport) { in.Secret = "short" },
		"a short application id":       func(in *ApplicationImport) { in.ID = "short" },
		"a short operation id":         func(in *ApplicationImport) { in.Operations[0].ID = "short" },
		"an unknown parent":            func(in *ApplicationImport) { in.Operations[0].ParentID = importedOp },
	} {
		in := anImport(b)
		spoil(&in)
		if done, err := b.ImportApplication(b.ctx, in); err == nil || done.Any() || strings.Contains(err.Error(), importedSecret) {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
		if people, err := b.Users(); err != nil || len(people) != 0 {
			t.Errorf("%s left %+v, %v", name, people, err)
		}
		_, err := b.Application(importedApp)
		b.refused(name, err, ErrNoApplication)
	}
}

// TestImportedHistoryIsNoNews: it is shown, and neither logged, nor notified, nor among the latest refusals.
func TestImportedHistoryIsNoNews(t *testing.T) {
	b := newBed(t)
	_, err := b.AddUser(b.ctx, "ana")
	b.must(err)
	ana, err := b.User("ana")
	b.must(err)
	in := anImport(b)
	in.Accounts[0].Entries[0].T = b.millis()
	_, err = b.SaveChannel(b.ctx, Channel{User: ana.Row, Kind: "ntfy", Label: "phone"})
	b.must(err)
	_, err = b.ImportApplication(b.ctx, in)
	b.must(err)
	_, _, err = b.Fanout(b.ctx, 0)
	b.must(err)
	notices, err := b.Notices(ana.Row, 100)
	b.must(err)
	for _, n := range notices {
		if n.Kind == NoticeRefused {
			t.Errorf("notified of %+v", n)
		}
	}
	refused, err := b.Refused(10)
	if err != nil || len(refused) != 0 {
		t.Errorf("latest refusals are %+v, %v", refused, err)
	}
	j, err := b.JournalAfter(Position{}, 100)
	b.must(err)
	for _, e := range j.Entries {
		if e.Action == ActionGet {
			t.Errorf("logged %+v", e)
		}
	}
	shown, err := b.Log("ana", 100)
	if err != nil || len(shown) == 0 || shown[0].IP != "192.0.2.1" {
		t.Errorf("shown is %+v, %v", shown, err)
	}
}
