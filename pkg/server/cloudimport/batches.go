package cloudimport

import "github.com/latch-linux/latch/pkg/server/store"

// batchLines bounds the lines that one transaction writes: while it lasts, a serving server cannot record that it let somebody in.
const batchLines = 5000

// Batches divides a large import into several, each a transaction. An account comes with its history, or not at all; accounts
// that are here are in the first one, with the operations whose states they get.
func (p Plan) Batches() []store.ApplicationImport {
	var first, rest []store.AccountImport
	for _, a := range p.Import.Accounts {
		if _, known := p.Present.Owners[a.ID]; known {
			first = append(first, a)
		} else {
			rest = append(rest, a)
		}
	}
	batch := p.Import
	batch.Accounts = first
	var all []store.ApplicationImport
	lines := 0
	for _, a := range rest {
		n := 2 + len(a.Operations) + len(a.Entries)
		if lines > 0 && lines+n > batchLines {
			all = append(all, batch)
			batch.Accounts, lines = nil, 0
		}
		batch.Accounts = append(batch.Accounts, a)
		lines += n
	}
	return append(all, batch)
}
