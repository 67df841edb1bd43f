package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// Target is a node of an account: the application's latch (both empty), an operation's or an
// instance's.
type Target struct {
	OperationID string // also the application's id, which means the application
	InstanceID  string
}

// StatusRequest is one question whether somebody may enter.
type StatusRequest struct {
	App       Application
	AccountID string
	Target    Target
	NoOTP     bool
	Subject   string // of the secret that signed, for the limit of answers under way
	Token     string // use this one-time token instead of a new one
	Message   string // shown with the token
	Attempt   Attempt
}

// Status is the answer for one node. A child of a closed node is closed.
type Status struct {
	ID       string
	Open     bool
	Token    string // one-time token, "" when none was made
	Made     int64  // when the token was made
	Children []Status
}

// latch is a node as stored, with the account's choices.
type latch struct {
	row, parent int64
	id, name    string
	setting
	own                 moment // what the setting means now
	twoFactor, lock     Mode
	chose2FA, choseLock bool
	inside              bool // whether everything above it is open
}

func (l latch) open() bool { return l.inside && l.own.open }

// Account is the state of one account, for history and listings.
type Account struct {
	AccountID  string
	Paired     int64
	Changed    int64
	Status     NodeState
	CommonName string // as the host that paired first calls the pairing
	OwnName    string // the person's, "" for none
}

// NodeState is one node with what the application and the person set for it.
type NodeState struct {
	Kind      string // KindApplication, KindOperation or KindInstance
	ID        string
	Name      string
	App       string // the application's id; with Target it says which latch this is
	Target    Target
	Open      bool   // as a host would read it
	ByParent  bool   // closed only because something above it is
	OwnOpen   bool   // as it would read if everything above it were open
	Since     int64  // when OwnOpen became so
	By        string // why: ByHand, ByTimer or BySchedule
	Next      Change // what OwnOpen will become by itself
	Schedule  string // the weekly windows, for schedule.Parse; "" = none
	Held      bool   // the windows are suspended
	TwoFactor Mode
	LockOnUse Mode
	Chose2FA  bool // the person's choice, in force where TwoFactor is OptIn
	ChoseLock bool // the same for LockOnUse
	Children  []NodeState

	unsettled bool // it changed by itself, and nobody has written that down
}

// Kinds of node.
const (
	KindApplication = "application"
	KindOperation   = "operation"
	KindInstance    = "instance"
)

// Status answers a query: what the latches say, a one-time token where one is due, the latch closed again where it closes after
// use, and a line of history. When it returns that a latch is open, all of it is on disk; "closed" waits for nothing but a read.
// A secret with too many queries under way gets a *TooManyError, unless the answer is "closed".
func (s *Store) Status(ctx context.Context, r StatusRequest) (Status, error) {
	answer, err := s.peek(s.hosts, r)
	switch {
	case err == nil && !answer.Open:
		s.refused.add(r, answer.ID, s.millis())
		return answer, nil
	case errors.Is(err, ErrNotPaired), errors.Is(err, ErrNoOperation), errors.Is(err, ErrNoInstance):
		return Status{}, err
	}
	leave, err := s.refused.enter(r.Subject)
	if err != nil {
		return Status{}, err
	}
	defer leave()
	err = s.write(ctx, func(t *tx) error {
		p, err := findPairing(t, r.App.Row, r.AccountID)
		if err != nil {
			return err
		}
		answer, err = s.status(t, r, p)
		return err
	})
	if err != nil {
		return Status{}, err
	}
	return answer, nil
}

func (s *Store) status(t *tx, r StatusRequest, p pairing) (Status, error) {
	tree, err := loadTree(t, r.App, p, s.millis())
	if err != nil {
		return Status{}, err
	}
	node, err := tree.find(t, r.Target)
	if err != nil {
		return Status{}, err
	}
	if err := s.settlePath(t, tree, &node); err != nil {
		return Status{}, err
	}
	answer := tree.answer(node)
	if answer.Open && !r.NoOTP && node.twoFactor.applies(node.chose2FA) {
		answer.Made = s.millis()
		if answer.Token, err = s.makeToken(t, p, node.id, r, answer.Made); err != nil {
			return Status{}, err
		}
	}
	err = s.record(t, event{
		pairing: p, action: ActionGet, what: "status", value: onOff(answer.Open), was: "-",
		name: node.name, node: node.id, attempt: r.Attempt,
	})
	if err == nil && answer.Open && !r.Attempt.Silent && node.lock.applies(node.choseLock) {
		use := r.Attempt
		use.Way = WayUse
		err = s.setNode(t, p, node, false, ActionDeveloper, use)
	}
	return answer, err
}

func (tr *tree) answer(node target) Status {
	a := Status{ID: node.id, Open: node.open()}
	if node.kind != KindInstance {
		a.Children = tr.statuses(node.row)
	}
	return a
}

type target struct {
	latch
	kind string
}

// tree is an account's latches: the application's and its operations'.
type tree struct {
	app       Application
	pairing   pairing
	now       int64
	root      latch
	nodes     []latch // parents before children
	instances []latch // only where they were asked for
}

func loadTree(q source, app Application, p pairing, now int64) (*tree, error) {
	p.setting.unwind(now)
	tr := &tree{app: app, pairing: p, now: now, root: latch{
		id: app.ID, name: app.Name, setting: p.setting, own: p.setting.at(now), inside: !p.blocked,
		twoFactor: app.TwoFactor, lock: app.LockOnUse, chose2FA: p.chose2FA, choseLock: p.choseLock,
	}}
	err := q.each(func(scan func(...any) error) error {
		var l latch
		err := scan(append(l.setting.fields(), &l.row, &l.parent, &l.id, &l.name, &l.twoFactor, &l.lock, &l.chose2FA, &l.choseLock)...)
		l.setting.unwind(now)
		l.own = l.setting.at(now)
		l.inside = tr.byRow(l.parent).open()
		tr.nodes = append(tr.nodes, l)
		return err
	}, `SELECT coalesce(l.status, 1), coalesce(l.changed, 0), coalesce(l.cause, 'hand'), coalesce(l.until, 0), coalesce(l.switched, 0),
			coalesce(l.schedule, ''), coalesce(l.scheduled, 0), coalesce(l.held, 0),
			o.id, coalesce(o.parent, 0), o.op_id, o.name, o.two_factor, o.lock_on_request,
			coalesce(l.two_factor, 0), coalesce(l.lock_on_request, 0)
		FROM operations o LEFT JOIN latches l ON l.pairing = ? AND l.operation = o.id
		WHERE o.app = ? ORDER BY o.id`, p.row, app.Row)
	return tr, err
}

// byRow finds an operation's latch; row 0 is the application's. A parent that is gone is closed.
func (tr *tree) byRow(row int64) latch {
	if row == 0 {
		return tr.root
	}
	for _, l := range tr.nodes {
		if l.row == row {
			return l
		}
	}
	return latch{}
}

func (tr *tree) find(q source, t Target) (target, error) {
	over := target{tr.root, KindApplication}
	if t.OperationID != "" && t.OperationID != tr.app.ID {
		found := false
		for _, l := range tr.nodes {
			if l.id == t.OperationID {
				over, found = target{l, KindOperation}, true
				break
			}
		}
		if !found {
			return target{}, fmt.Errorf("%w: %q", ErrNoOperation, t.OperationID)
		}
	}
	if t.InstanceID == "" {
		return over, nil
	}
	return tr.findInstance(q, over, t.InstanceID)
}

func (tr *tree) findInstance(q source, over target, id string) (target, error) {
	l := latch{id: id, inside: over.open(), chose2FA: over.chose2FA, choseLock: over.choseLock}
	err := q.get(append(l.setting.fields(), &l.row, &l.name, &l.twoFactor, &l.lock),
		`SELECT status, changed, cause, until, switched, schedule, scheduled, held, id, name, two_factor, lock_on_request FROM instances
		WHERE instance_id = ? AND pairing = ? AND operation = ?`, id, tr.pairing.row, over.row)
	if isNoRows(err) {
		err = fmt.Errorf("%w: %q", ErrNoInstance, id)
	}
	l.setting.unwind(tr.now)
	l.own = l.setting.at(tr.now)
	return target{l, KindInstance}, err
}

// loadInstances reads all instances of the account.
func (tr *tree) loadInstances(q source) error {
	return q.each(func(scan func(...any) error) error {
		var l latch
		err := scan(append(l.setting.fields(), &l.row, &l.parent, &l.id, &l.name, &l.twoFactor, &l.lock)...)
		over := tr.byRow(l.parent)
		l.setting.unwind(tr.now)
		l.own, l.inside, l.chose2FA, l.choseLock = l.setting.at(tr.now), over.open(), over.chose2FA, over.choseLock
		tr.instances = append(tr.instances, l)
		return err
	}, `SELECT status, changed, cause, until, switched, schedule, scheduled, held, id, operation, instance_id, name, two_factor, lock_on_request
		FROM instances WHERE pairing = ? ORDER BY id`, tr.pairing.row)
}

func (tr *tree) statuses(parent int64) []Status {
	var list []Status
	for _, l := range tr.nodes {
		if l.parent == parent {
			list = append(list, Status{ID: l.id, Open: l.open(), Children: tr.statuses(l.row)})
		}
	}
	return list
}

func (tr *tree) state(l latch, kind string) NodeState {
	n := NodeState{Kind: kind, ID: l.id, Name: l.name, App: tr.app.ID, Open: l.open(), ByParent: l.own.open && !l.inside,
		OwnOpen: l.own.open, Since: l.own.since, By: l.own.by, Next: l.own.next, Schedule: l.schedule, Held: l.held, unsettled: l.own.since != l.changed,
		TwoFactor: l.twoFactor, LockOnUse: l.lock, Chose2FA: l.chose2FA, ChoseLock: l.choseLock}
	switch kind {
	case KindOperation:
		n.Target.OperationID = l.id
	case KindInstance:
		n.Target.InstanceID = l.id
	}
	return n
}

func (tr *tree) states(parent int64) []NodeState {
	var list []NodeState
	for _, l := range tr.nodes {
		if l.parent == parent {
			n := tr.state(l, KindOperation)
			n.Children = tr.states(l.row)
			list = append(list, n)
		}
	}
	for _, l := range tr.instances {
		if l.parent == parent {
			n := tr.state(l, KindInstance)
			n.Target.OperationID = tr.byRow(parent).id
			list = append(list, n)
		}
	}
	return list
}

func loadAccount(q source, app Application, p pairing, now int64) (Account, error) {
	tr, err := loadTree(q, app, p, now)
	if err != nil {
		return Account{}, err
	}
	return tr.account(), nil
}

func (tr *tree) account() Account {
	root := tr.state(tr.root, KindApplication)
	root.Children = tr.states(0)
	p := tr.pairing
	return Account{AccountID: p.accountID, Paired: p.paired, Changed: root.Since, Status: root, CommonName: p.name, OwnName: p.ownName}
}

func tokenAD(row int64) []byte { return []byte("tokens:" + strconv.FormatInt(row, 10)) }

// makeToken keeps the one-time token, sealed, for the person to see.
func (s *Store) makeToken(t *tx, p pairing, node string, r StatusRequest, now int64) (string, error) {
	token := r.Token
	if token == "" {
		token = random(tokenLen)
	}
	if err := t.exec(`DELETE FROM tokens WHERE pairing = ? AND (made <= ? OR made > ?)`,
		p.row, now-TokenLife.Milliseconds(), now+TokenLife.Milliseconds()); err != nil {
		return "", err
	}
	context, err := r.Attempt.context()
	if err != nil {
		return "", err
	}
	row, err := t.insert(`INSERT INTO tokens (pairing, node, sealed, message, made, ip, context) VALUES (?, ?, x'', ?, ?, ?, ?)`,
		p.row, node, r.Message, now, r.Attempt.IP, context)
	if err != nil {
		return "", err
	}
	return token, t.exec(`UPDATE tokens SET sealed = ? WHERE id = ?`, s.box.Seal([]byte(token), tokenAD(row)), row)
}
