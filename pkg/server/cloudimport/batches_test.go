package cloudimport

import (
	"fmt"
	"testing"

	"github.com/latch-linux/latch/pkg/server/store"
)

func TestBatches(t *testing.T) {
	p := Plan{Present: Present{Owners: map[string]string{}}}
	for i := range 100 {
		a := store.AccountImport{ID: fmt.Sprint(i), Entries: make([]store.Entry, 998)}
		if i == 99 {
			a.Entries, p.Present.Owners[a.ID] = nil, "ana"
		}
		p.Import.Accounts = append(p.Import.Accounts, a)
	}
	p.Import.ID, p.Import.Operations = "app", make([]store.OperationImport, 3)
	seen := map[string]bool{}
	for i, b := range p.Batches() {
		lines := 0
		for _, a := range b.Accounts {
			if seen[a.ID] {
				t.Errorf("%s comes twice", a.ID)
			}
			seen[a.ID] = true
			lines += len(a.Entries)
		}
		if i == 0 != (b.Accounts[0].ID == "99") || b.ID != "app" || len(b.Operations) != 3 || lines > batchLines {
			t.Errorf("batch %d has %d lines of %d accounts, the first %s", i, lines, len(b.Accounts), b.Accounts[0].ID)
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 accounts are in a batch", len(seen))
	}
	// One account with a long history still is one batch, and an application without accounts is imported too.
	p.Import.Accounts = []store.AccountImport{{ID: "x", Entries: make([]store.Entry, 2*batchLines)}}
	if got := p.Batches(); len(got) != 1 || len(got[0].Accounts) != 1 {
		t.Errorf("a long history makes %d batches", len(got))
	}
	p.Import.Accounts = nil
	if got := p.Batches(); len(got) != 1 || len(got[0].Operations) != 3 {
		t.Errorf("no account makes %d batches", len(got))
	}
}
