package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/latch-linux/latch/pkg/api"
)

// ContextImported marks the entries of another server's history that an import brought: they are shown, and nobody is notified
// of them again.
const ContextImported = "imported"

// notImported leaves such entries out of what reports news; h is the history.
const notImported = `coalesce(h.context, '') NOT LIKE '%"` + ContextImported + `":"yes"%'`

// ApplicationImport is an application of another Latch server with all that its hosts rely on.
type ApplicationImport struct {
	Application                   // ID, Name and what people are shown
	Secret      string            // the one that the hosts sign with
	Operations  []OperationImport // parents before children
	Accounts    []AccountImport
}

// OperationImport is an operation with the id that hosts have in latch.conf.
type OperationImport struct {
	Operation
	ParentID string // the application's or an operation's
}

// AccountImport is one account and the person that it is given to.
type AccountImport struct {
	ID, Person, CommonName string
	Paired                 int64 // 0 is now
	State                  StateImport
	Operations             map[string]StateImport // by operation id; one that is missing is open
	Entries                []Entry                // T, Action, What, Value, Was, Name, UserAgent and IP
}

// StateImport is the state of one latch. One that the other server gave no answer for is closed.
type StateImport struct {
	Open, Unknown bool
}

// Imported counts what an import added. What was there already is not counted, and was not changed.
type Imported struct {
	Applications, Operations, People, Accounts, Entries int
	Unpaired                                            []string // account ids that were unpaired on this server, and stay so
}

// Any reports whether anything was added.
func (d Imported) Any() bool { return d.Applications+d.Operations+d.People+d.Accounts+d.Entries > 0 }

// Add sums up the parts of one import.
func (d *Imported) Add(part Imported) {
	d.Applications += part.Applications
	d.Operations += part.Operations
	d.People += part.People
	d.Accounts += part.Accounts
	d.Entries += part.Entries
	d.Unpaired = append(d.Unpaired, part.Unpaired...)
}

// AccountOwners returns the accounts of an application and the names of their people, also of people who were removed.
func (s *Store) AccountOwners(app int64) (map[string]string, error) {
	owners := map[string]string{}
	err := s.reads.each(func(scan func(...any) error) error {
		var id, name string
		err := scan(&id, &name)
		owners[id] = name
		return err
	}, `SELECT p.account_id, u.name FROM pairings p JOIN users u ON u.id = p.user WHERE p.app = ?`, app)
	return owners, err
}

// ImportApplication adds what is missing of an application, in one transaction: all of it or, with an error, nothing. An
// application, an operation or an account that is there already stays as it is, so a second import changes nothing.
func (s *Store) ImportApplication(ctx context.Context, in ApplicationImport) (Imported, error) {
	var done Imported
	if err := in.check(); err != nil {
		return done, err
	}
	err := s.write(ctx, func(t *tx) error {
		done = Imported{}
		r := importing{s: s, t: t, ctx: ctx, done: &done, added: map[string]int64{}}
		return r.run(in)
	})
	if err != nil {
		return Imported{}, err
	}
	return done, nil
}

// check judges the form of ids and secrets; their texts are in no error.
func (in ApplicationImport) check() error {
	switch {
	case !api.ValidAppID(in.ID):
		return fmt.Errorf("%w: an application id has %d letters and digits", ErrBadName, api.AppIDLength)
	case !api.ValidSecret(in.Secret):
		return fmt.Errorf("%w: a secret has %d printable characters", ErrBadName, api.SecretLength)
	case len(in.Operations) > maxOperations:
		return fmt.Errorf("operations of application %q: %w", in.ID, ErrTooMany)
	}
	for _, o := range in.Operations {
		if !api.ValidAppID(o.ID) {
			return fmt.Errorf("%w: the id of operation %q does not have %d letters and digits", ErrBadName, o.Name, api.OperationLength)
		}
	}
	for _, a := range in.Accounts {
		if !api.ValidAccountID(a.ID) {
			return fmt.Errorf("%w: the account id of %q does not have %d letters and digits", ErrBadName, a.CommonName, api.AccountIDLength)
		}
	}
	return nil
}

// importing is one import in its transaction.
type importing struct {
	s     *Store
	t     *tx
	ctx   context.Context
	app   Application
	added map[string]int64 // rows of the operations that this import made, by id
	done  *Imported
}

func (r *importing) run(in ApplicationImport) error {
	if err := r.application(in); err != nil {
		return err
	}
	for _, o := range in.Operations {
		if err := r.operation(o); err != nil {
			return err
		}
	}
	for _, a := range in.Accounts {
		if err := r.account(a); err != nil {
			return fmt.Errorf("%s: %w", a.CommonName, err)
		}
	}
	if !r.done.Any() {
		return nil
	}
	if err := touch(r.t, Everybody); err != nil {
		return err
	}
	return r.s.audit(r.ctx, r.t, "people.import", r.app.Name, map[string]string{
		"app_id": r.app.ID, "people": strconv.Itoa(r.done.Accounts), "operations": strconv.Itoa(r.done.Operations),
	})
}

// application finds the application, or makes it with its secret. One that is there keeps its secrets: one of them may have been
// revoked for a reason.
func (r *importing) application(in ApplicationImport) error {
	a := in.Application
	var removed bool
	err := r.t.get([]any{&removed}, `SELECT removed IS NOT NULL FROM applications WHERE app_id = ?`, a.ID)
	if err == nil && removed {
		return fmt.Errorf("application %q was removed on this server: %w", a.ID, ErrExists)
	}
	if err == nil {
		r.app, err = findApplication(r.t, a.ID)
		return err
	}
	if !isNoRows(err) {
		return err
	}
	if err := checkApplicationName(r.t, a.Name, 0); errors.Is(err, ErrExists) {
		a.Name += " " + a.ID
		if err := checkApplicationName(r.t, a.Name, 0); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	a.Created = r.s.millis()
	if a.Row, err = insertApplication(r.t, a); err != nil {
		return err
	}
	if err := r.s.insertSecret(r.t, a.Row, defaultSecret, in.Secret); err != nil {
		return err
	}
	r.app = a
	r.done.Applications++
	return r.s.audit(r.ctx, r.t, "application.add", a.Name, map[string]string{"app_id": a.ID})
}

func (r *importing) operation(o OperationImport) error {
	var app int64
	err := r.t.get([]any{&app}, `SELECT app FROM operations WHERE op_id = ?`, o.ID)
	if err == nil && app != r.app.Row {
		return fmt.Errorf("operation %q is another application's here: %w", o.ID, ErrExists)
	}
	if err == nil || !isNoRows(err) {
		return err
	}
	made, err := insertOperation(r.t, r.app, o.ParentID, o.Operation)
	if err != nil {
		return err
	}
	r.added[o.ID] = made.Row
	r.done.Operations++
	return r.s.audit(r.ctx, r.t, "operation.add", made.Name, map[string]string{"application": r.app.Name, "operation_id": made.ID})
}

// account adds one account. One that is there gets nothing but the state of operations that this import made.
func (r *importing) account(a AccountImport) error {
	p := pairing{row: pairingKey(a.ID), app: r.app.Row, accountID: a.ID}
	var accountID, owner string
	var app int64
	err := r.t.get([]any{&accountID, &app, &p.user, &owner},
		`SELECT p.account_id, p.app, p.user, u.name FROM pairings p JOIN users u ON u.id = p.user WHERE p.id = ?`, p.row)
	switch {
	case err == nil && (accountID != a.ID || app != p.app):
		return fmt.Errorf("the account is another application's here: %w", ErrExists)
	case err == nil && owner != a.Person:
		return fmt.Errorf("the account is %q's here, not %q's: %w", owner, a.Person, ErrExists)
	case err == nil:
		return r.operationStates(p, a, false)
	case !isNoRows(err):
		return err
	}
	if p.user, err = r.person(a.Person); err != nil {
		return err
	}
	if skip, err := r.unpairedHere(p); err != nil || skip {
		return err
	}
	return r.pair(p, a)
}

// person finds or makes the person, who must not have another account of the application.
func (r *importing) person(name string) (int64, error) {
	u, err := findUser(r.t, name)
	if errors.Is(err, ErrNoUser) {
		u, err = r.s.insertUser(r.ctx, r.t, name)
		r.done.People++
		return u.Row, err
	}
	if err != nil {
		return 0, err
	}
	if u.Disabled {
		return 0, fmt.Errorf("%q: %w", name, ErrUserDisabled)
	}
	var others int
	err = r.t.get([]any{&others}, `SELECT count(*) FROM pairings WHERE user = ? AND app = ?`, u.Row, r.app.Row)
	if err == nil && others > 0 {
		err = fmt.Errorf("%q has another account of this application, and can have one: %w", name, ErrAlreadyPaired)
	}
	return u.Row, err
}

// unpairedHere finds an account that an earlier import brought and that was unpaired since: it must not come back.
func (r *importing) unpairedHere(p pairing) (bool, error) {
	var unpaired int
	err := r.t.get([]any{&unpaired}, `SELECT count(*) FROM history h WHERE h.user = ? AND h.pairing = ?
		AND h.what = 'pairing' AND h.value = 'unpaired' AND `+notImported, p.user, p.row)
	if err == nil && unpaired > 0 {
		r.done.Unpaired = append(r.done.Unpaired, p.accountID)
	}
	return unpaired > 0, err
}

func (r *importing) pair(p pairing, a AccountImport) error {
	now := r.s.millis()
	if a.Paired <= 0 || a.Paired > now {
		a.Paired = now
	}
	err := r.t.exec(`INSERT INTO pairings (id, account_id, app, user, common_name, paired, changed, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		p.row, a.ID, p.app, p.user, OneLine(a.CommonName), a.Paired, now, a.State.Open)
	if err != nil {
		return err
	}
	r.done.Accounts++
	for _, e := range a.Entries {
		if err := r.entry(p, e); err != nil {
			return err
		}
	}
	by := Attempt{Way: WayCommand, Context: map[string]string{ContextName: OneLine(a.CommonName)}}.by(r.ctx)
	err = r.s.record(r.t, event{pairing: p, action: ActionDeveloper, what: "pairing", value: "paired", was: "-",
		name: r.app.Name, node: r.app.ID, attempt: by})
	if err != nil {
		return err
	}
	if a.State.Unknown {
		if err := r.recordUnknown(p, r.app.Name, r.app.ID); err != nil {
			return err
		}
	}
	return r.operationStates(p, a, true)
}

// entry copies a line of the other server's history. One of a future instant, or of an action that this server does not know, is
// left out.
func (r *importing) entry(p pairing, e Entry) error {
	known := e.Action == ActionGet || e.Action == ActionUser || e.Action == ActionDeveloper
	if !known || e.T <= 0 || e.T > r.s.millis() {
		return nil
	}
	r.done.Entries++
	return r.s.record(r.t, event{
		pairing: p, action: e.Action, what: OneLine(e.What), value: OneLine(e.Value), was: OneLine(e.Was), name: OneLine(e.Name), at: e.T,
		attempt: Attempt{UserAgent: OneLine(e.UserAgent), IP: OneLine(e.IP), Context: map[string]string{ContextImported: "yes"}},
	})
}

// operationStates closes what is closed of the operations that this import made, and for a new account of the others too.
func (r *importing) operationStates(p pairing, a AccountImport, isNew bool) error {
	list, err := listOperations(r.t, r.app.Row)
	if err != nil {
		return err
	}
	for _, o := range list {
		state, given := a.Operations[o.ID]
		if _, made := r.added[o.ID]; !given || state.Open || !made && !isNew {
			continue
		}
		n := target{latch{row: o.Row, setting: setting{changed: r.s.millis(), cause: ByHand}}, KindOperation}
		if err := writeSetting(r.t, p, n); err != nil {
			return err
		}
		if state.Unknown {
			if err := r.recordUnknown(p, o.Name, o.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// recordUnknown says in the history why a latch that nobody closed is closed.
func (r *importing) recordUnknown(p pairing, name, id string) error {
	return r.s.record(r.t, event{pairing: p, action: ActionDeveloper, what: "status", value: "off", was: "-", name: name, node: id,
		attempt: Attempt{Way: WayCommand}.by(r.ctx)})
}
