package cloudimport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/server/store"
)

// Cloud is what is asked of the other server. *client.Client is one.
type Cloud interface {
	Operations(ctx context.Context, parent string) (map[string]api.Operation, error)
	Status(ctx context.Context, q client.Query) (client.Status, error)
	History(ctx context.Context, accountID string, from, to time.Time) (api.History, error)
}

// callLimit bounds one call, with the pauses that the other server asks for.
const callLimit = time.Minute

// progressStep is after how many accounts a line of progress comes.
const progressStep = 50

// Present is what this server has of an application.
type Present struct {
	Application bool
	SecretKnown bool            // the hosts' secret is one of the application's
	Operations  map[string]bool // by id
	Owners      map[string]string
}

// Plan is what an import will do with one application, and what it could not find out.
type Plan struct {
	App         App
	Present     Present
	Import      store.ApplicationImport
	Unreachable error    // the other server gave no answer at all, or was not asked
	Stopped     error    // it stopped answering: the accounts of Missing wait for another run
	Missing     []string // accounts, by their users
	Gone        []string // accounts that the other server no longer has, by their users
	Unknown     []string // people of new accounts whose latches are closed for lack of an answer
	NoHistory   int      // accounts without a history
	Warnings    []string
	Notes       map[string]string // comments for the mapping, by account id
}

// errStop ends the questions about accounts: those that are left wait for another run.
var errStop = errors.New("the server stopped answering")

// planner collects one Plan.
type planner struct {
	Plan
	cloud Cloud
	say   func(format string, args ...any)
	now   func() time.Time
	ops   []store.OperationImport // all that the hosts may query
	heard bool                    // the other server has answered something
}

// Prepare asks the other server about an application; nil for cloud does not ask. It changes nothing here or there: the
// queries make no token and no notice.
func Prepare(ctx context.Context, app App, cloud Cloud, people Mapping, have Present, say func(string, ...any)) (Plan, error) {
	p := &planner{Plan: Plan{App: app, Present: have, Notes: map[string]string{}}, cloud: cloud, say: say, now: time.Now}
	p.Import.ID, p.Import.Secret, p.Import.Name = app.Credentials.ID, app.Credentials.Secret, app.Credentials.ID
	if err := p.operations(ctx); err != nil {
		return p.Plan, err
	}
	if have.Application && !have.SecretKnown {
		p.warn("application %s is here with other secrets, and keeps them: hosts with the secret_key of %s will be refused", app.Credentials.ID, app.Config)
	}
	for i, a := range app.Accounts {
		if err := ctx.Err(); err != nil {
			return p.Plan, err
		}
		if i%progressStep == 0 {
			p.say("application %s: account %d of %d", app.Credentials.ID, i+1, len(app.Accounts))
		}
		if people[a.ID].Person == LeaveOut {
			continue
		}
		if err := p.account(ctx, a, people[a.ID].Person); errors.Is(err, errStop) {
			p.Stopped = err
			p.postponeOperations()
			for _, rest := range app.Accounts[i:] {
				if _, known := have.Owners[rest.ID]; !known && people[rest.ID].Person != LeaveOut {
					p.Missing = append(p.Missing, rest.label())
				}
			}
			break
		} else if err != nil {
			return p.Plan, fmt.Errorf("application %s, account of %s: %w", app.Credentials.ID, a.label(), err)
		}
	}
	return p.Plan, nil
}

// postponeOperations leaves new operations to another run where accounts that are here were not asked about: they would be open.
func (p *planner) postponeOperations() {
	if len(p.Present.Owners) > 0 {
		p.Import.Operations = slices.DeleteFunc(slices.Clone(p.ops), func(o store.OperationImport) bool { return !p.Present.Operations[o.ID] })
		p.warn("application %s: new operations wait for another run", p.App.Credentials.ID)
	}
}

func (p *planner) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(p.Warnings, text) {
		p.Warnings = append(p.Warnings, text)
	}
}

// verdict is what an error of the other server means for the import.
type verdict int

const (
	answered verdict = iota
	silent           // no answer, or none of a Latch server
	later            // HTTP 429
	gone             // the account is not paired
	declined         // an error about this one thing
	fatal            // the credentials are refused, or this machine failed
)

func judge(err error) verdict {
	var e *client.Error
	switch {
	case err == nil:
		return answered
	case !errors.As(err, &e) || e.Kind == client.KindLocal:
		return fatal
	case e.Kind == client.KindNotPaired:
		return gone
	case e.HTTP == http.StatusTooManyRequests:
		return later
	case e.Code >= 100 && e.Code < 200:
		return fatal
	case e.Kind == client.KindErrorAnswer && e.HTTP == 0:
		return declined
	}
	return silent
}

// judge is the package's judge, with one more case: a server of which nothing was ever heard is not asked again.
func (p *planner) judge(err error) verdict {
	v := judge(err)
	if v == answered || v == gone || v == declined {
		p.heard = true
	}
	if v == silent && !p.heard {
		p.Unreachable, p.cloud = err, nil
	}
	return v
}

// operations finds the application's operations: the other server's, or without an answer those that latch.conf names.
func (p *planner) operations(ctx context.Context) error {
	id, named := p.App.Credentials.ID, p.App.Operations
	if p.cloud == nil {
		p.Unreachable = errors.New("it was not asked")
		p.useNamed(named)
		return nil
	}
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	tree, err := p.cloud.Operations(call, "")
	if client.KindOf(err) == client.KindBadAnswer { // perhaps of a server that leaves out an empty list
		p.warn("application %s: the operations are those of %s: %v", id, p.App.Config, err)
		p.useNamed(named)
		return nil
	}
	switch p.judge(err) {
	case answered:
		p.flatten(id, tree)
		p.findUnknown(named)
		p.Import.Operations = p.ops
	case silent:
		p.useNamed(named)
	case later:
		return fmt.Errorf("application %s: the server accepts no more requests for now; run the same command again later: %w", id, err)
	default:
		return fmt.Errorf("application %s, with the credentials of %s: %w", id, p.App.Config, err)
	}
	return nil
}

// useNamed takes the operations of latch.conf.
func (p *planner) useNamed(named map[string]string) {
	for _, id := range slices.SortedFunc(maps.Keys(named), func(a, b string) int { return strings.Compare(named[a], named[b]) }) {
		p.ops = append(p.ops, store.OperationImport{Operation: store.Operation{ID: id, Name: named[id]}, ParentID: p.App.Credentials.ID})
	}
	p.Import.Operations = p.ops
}

// nameOf makes a name that this server takes.
func nameOf(text, otherwise string) string {
	if name := strings.TrimSpace(strings.ReplaceAll(store.OneLine(text), "\ufffd", "")); name != "" {
		return name
	}
	return otherwise
}

// flatten puts parents before children.
func (p *planner) flatten(parent string, tree map[string]api.Operation) {
	ids := slices.SortedFunc(maps.Keys(tree), func(a, b string) int {
		return strings.Compare(tree[a].Name+" "+a, tree[b].Name+" "+b)
	})
	for _, id := range ids {
		o := tree[id]
		op := store.Operation{ID: id, Name: nameOf(o.Name, id)}
		op.TwoFactor = p.mode("two_factor of operation "+o.Name, o.TwoFactor)
		op.LockOnUse = p.mode("lock_on_request of operation "+o.Name, o.LockOnRequest)
		p.ops = append(p.ops, store.OperationImport{Operation: op, ParentID: parent})
		p.flatten(id, o.Operations)
	}
}

func (p *planner) mode(what, word string) store.Mode {
	m, err := store.ParseMode(word)
	if err != nil && word != "off" { // how old versions write DISABLED
		p.warn("%s: %v; it is off here", what, err)
	}
	return m
}

// findUnknown warns of operations in latch.conf that the other server does not have: hosts get an error for them there, and here.
func (p *planner) findUnknown(named map[string]string) {
	for _, id := range slices.Sorted(maps.Keys(named)) {
		if !slices.ContainsFunc(p.ops, func(o store.OperationImport) bool { return o.ID == id }) {
			p.warn("operation %q (%s) of %s does not exist at the other server and is not made", named[id], id, p.App.Config)
		}
	}
}

// account finds out what is to be known of one account, if it is not here yet, or else about operations that are not.
func (p *planner) account(ctx context.Context, a Account, person string) error {
	owner, known := p.Present.Owners[a.ID]
	in := store.AccountImport{ID: a.ID, Person: person, CommonName: a.Users[0].Host + ", " + a.Users[0].User, Operations: map[string]store.StateImport{}}
	var past *api.History
	if known {
		in.Person = owner
	} else {
		var err error
		if past, err = p.newAccount(ctx, &in); errors.Is(err, store.ErrNotPaired) {
			p.Gone = append(p.Gone, a.label())
			p.Notes[a.ID] = "no longer paired at the other server:"
			return nil
		} else if err != nil {
			return err
		}
	}
	unknown := in.State.Unknown
	for _, o := range p.ops {
		if known && p.Present.Operations[o.ID] {
			continue
		}
		s, err := p.state(ctx, a.ID, o.ID)
		if err != nil && !errors.Is(err, store.ErrNotPaired) {
			return err
		}
		if closed := !in.State.Open && !in.State.Unknown; closed && past != nil && !s.Unknown {
			s.Open = s.Open || ownState(past.Application.Operations, o.ID) == api.StatusOn
		}
		in.Operations[o.ID] = s
		unknown = unknown || s.Unknown
	}
	if known && len(in.Operations) == 0 {
		return nil
	}
	if unknown {
		p.Unknown = append(p.Unknown, in.Person)
	}
	p.Import.Accounts = append(p.Import.Accounts, in)
	return nil
}

// newAccount asks for the history, nil for none, and for the application's latch.
func (p *planner) newAccount(ctx context.Context, in *store.AccountImport) (past *api.History, err error) {
	if past, err = p.history(ctx, in.ID); err != nil {
		return nil, err
	}
	if past != nil {
		in.Paired, in.Entries = past.Application.PairedOn, entries(past.Entries)
		p.describe(past.Application)
	}
	in.State, err = p.state(ctx, in.ID, "")
	return past, err
}

// ownState is what an operation is set to below a closed application, whose answer is "off" for all that is below it. A history
// has what was set.
func ownState(tree map[string]api.HistoryOperation, id string) string {
	if o, ok := tree[id]; ok {
		return o.Status
	}
	for _, o := range tree {
		if s := ownState(o.Operations, id); s != "" {
			return s
		}
	}
	return ""
}

// state asks for one latch. Without an answer about it, it is closed.
func (p *planner) state(ctx context.Context, account, operation string) (store.StateImport, error) {
	closed := store.StateImport{Unknown: true}
	if p.cloud == nil {
		return closed, nil
	}
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	s, err := p.cloud.Status(call, client.Query{AccountID: account, OperationID: operation, NoOTP: true, Silent: true})
	switch p.judge(err) {
	case answered:
		return store.StateImport{Open: s.Open}, nil
	case gone:
		return closed, store.ErrNotPaired
	case declined:
		return closed, nil
	case fatal:
		return closed, err
	}
	if p.cloud == nil {
		return closed, nil // not a word from it so far
	}
	return closed, fmt.Errorf("%w: %w", errStop, err)
}

// history asks for what happened so far; nil where the other server does not say, which may be a matter of the plan there.
func (p *planner) history(ctx context.Context, account string) (*api.History, error) {
	if p.cloud == nil {
		p.NoHistory++
		return nil, nil
	}
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	h, err := p.cloud.History(call, account, time.UnixMilli(0), p.now())
	switch p.judge(err) {
	case answered:
		if h.AppID == p.App.Credentials.ID {
			return &h, nil
		}
	case gone:
		return nil, nil // the status call says so too
	case later:
		return nil, fmt.Errorf("%w: %w", errStop, err)
	case fatal:
		if client.KindOf(err) == client.KindLocal {
			return nil, err
		}
	}
	p.NoHistory++
	return nil, nil
}

func entries(list []api.HistoryEntry) []store.Entry {
	out := make([]store.Entry, 0, len(list))
	for _, e := range list {
		out = append(out, store.Entry{T: e.Time, Action: e.Action, What: e.What, Value: e.Value, Was: e.Was, Name: e.Name, UserAgent: e.UserAgent, IP: e.IP})
	}
	slices.SortStableFunc(out, func(a, b store.Entry) int { return int(min(max(a.T-b.T, -1), 1)) })
	return out
}

// describe takes what people are shown from a history. The strictest mode of all accounts counts: one person's choice must not
// weaken the others' protection.
func (p *planner) describe(h api.HistoryApplication) {
	app := &p.Import.Application
	app.Name = nameOf(h.Name, app.Name)
	app.ImageURL, app.ContactEmail, app.ContactPhone = store.OneLine(h.ImageURL), store.OneLine(h.ContactEmail), store.OneLine(h.ContactPhone)
	app.TwoFactor = max(app.TwoFactor, p.mode("two_factor of the application", h.TwoFactor))
	app.LockOnUse = max(app.LockOnUse, p.mode("lock_on_request of the application", h.LockOnRequest))
}
