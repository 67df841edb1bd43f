package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// LinkClose is the purpose of a link that closes the latch that a notice told of, or all of a person's, and can do nothing else.
const LinkClose = "close"

// closing is the data of such a link. The link itself is nobody's, so that a person may have many at a time.
type closing struct {
	User    int64  `json:"user"`
	Pairing int64  `json:"pairing,omitempty"` // 0: all latches
	Node    string `json:"node,omitempty"`
}

func (s *Store) closingLink(t *tx, n Notice) (ticket string, err error) {
	data, err := json.Marshal(closing{n.User, n.Pairing, n.NodeID})
	if err != nil {
		return "", err
	}
	ticket, _, err = s.newLink(t, Link{Purpose: LinkClose, Data: string(data)}, NoticeLife)
	return ticket, err
}

// Closing is what a link closes: one latch, or with no names all of them.
type Closing struct{ App, Name string }

// ClosingOf looks at a link that closes without using it up. One that is used, expired or of another purpose is ErrLinkSpent.
func (s *Store) ClosingOf(ticket string) (Closing, error) {
	l, err := s.Link(ticket)
	if err == nil && l.Purpose != LinkClose {
		err = ErrLinkSpent
	}
	if err != nil {
		return Closing{}, err
	}
	c, nodes, err := s.closingNodes(s.reads, l)
	if err != nil || c.Pairing == 0 {
		return Closing{}, err
	}
	return Closing{nodes[0].owned.app.Name, nodes[0].name}, nil
}

// CloseByLink uses a link up and closes what it is for, as its person would; schedules are suspended, so that nothing opens it
// again by itself, and it cannot be taken back.
func (s *Store) CloseByLink(ctx context.Context, ticket string, a Attempt) (Closing, error) {
	a.Way = WayLink
	var closed Closing
	err := s.write(ctx, func(t *tx) error {
		l, err := s.takeLink(t, ticket, LinkClose)
		if err != nil {
			return err
		}
		c, nodes, err := s.closingNodes(t, l)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			d, err := s.turn(t, []owned{n.owned}, Switch{User: c.User, Target: n.to, Hold: true, Attempt: a})
			if err != nil {
				return err
			}
			if err := forgetSwitch(t, d.ID); err != nil {
				return err
			}
		}
		closed = Closing{}
		if c.Pairing != 0 {
			closed = Closing{nodes[0].owned.app.Name, nodes[0].name}
		}
		return nil
	})
	return closed, err
}

// ownedNode is a latch with whose it is.
type ownedNode struct {
	owned owned
	to    Target
	name  string
}

// closingNodes finds what a link closes. A latch that is gone, or has passed to somebody else, makes the link useless.
func (s *Store) closingNodes(q source, l Link) (closing, []ownedNode, error) {
	var c closing
	if err := json.Unmarshal([]byte(l.Data), &c); err != nil {
		return c, nil, fmt.Errorf("link %d: %w", l.Row, err)
	}
	u, err := userByRow(q, c.User)
	if errors.Is(err, ErrNoUser) {
		return c, nil, ErrLinkSpent
	}
	if err != nil {
		return c, nil, err
	}
	all, err := owns(q, u, "")
	if err != nil && !errors.Is(err, ErrNotPaired) {
		return c, nil, err
	}
	var nodes []ownedNode
	for _, o := range all {
		if c.Pairing != 0 && o.pairing.row != c.Pairing {
			continue
		}
		n := ownedNode{owned: o}
		if n.to, n.name, err = s.findNode(q, o, c.Node); err != nil && !errors.Is(err, ErrNoInstance) {
			return c, nil, err
		} else if err == nil {
			nodes = append(nodes, n)
		}
	}
	if c.Pairing != 0 && len(nodes) == 0 {
		return c, nil, ErrLinkSpent
	}
	return c, nodes, nil
}

// findNode finds a latch of an account by its public id alone; "" is the application's.
func (s *Store) findNode(q source, o owned, id string) (Target, string, error) {
	to := Target{OperationID: id}
	n, err := nodeOf(q, o, to, s.millis())
	if !errors.Is(err, ErrNoOperation) {
		return to, n.name, err
	}
	to = Target{InstanceID: id}
	err = q.get([]any{&to.OperationID}, `SELECT coalesce(o.op_id, '') FROM instances i LEFT JOIN operations o ON o.id = i.operation
		WHERE i.instance_id = ? AND i.pairing = ?`, id, o.pairing.row)
	if isNoRows(err) {
		return to, "", fmt.Errorf("%w: %q", ErrNoInstance, id)
	}
	if err != nil {
		return to, "", err
	}
	n, err = nodeOf(q, o, to, s.millis())
	return to, n.name, err
}

// OpenByNotice opens the latch that a notice told of for a while, as its person does at the page, and with it what is closed
// above it: the login that waits asks about all of them. A disabled person can open nothing (ErrUserDisabled).
func (s *Store) OpenByNotice(ctx context.Context, user, notice int64, length time.Duration, a Attempt) (until int64, err error) {
	a.Way = WayNotice
	n, err := s.Notice(user, notice)
	if err != nil {
		return 0, err
	}
	if n.AppID == "" {
		return 0, ErrNoApplication
	}
	err = s.write(ctx, func(t *tx) error {
		u, err := userByRow(t, user)
		if err != nil {
			return err
		}
		if u.Disabled || u.Lost {
			return fmt.Errorf("%q: %w", u.Name, ErrUserDisabled)
		}
		all, err := owns(t, u, n.AppID)
		if err != nil {
			return err
		}
		path, err := s.pathOf(t, all[0], n.NodeID)
		for _, to := range path {
			var d Switched
			if d, err = s.turn(t, all, Switch{User: user, Target: to, Open: true, For: length, Attempt: a}); err != nil {
				return err
			}
			until = d.Until
		}
		return err
	})
	return until, err
}

// pathOf lists the latch with this public id and the closed ones above it, the application's first. A latch above that is open
// is left as it is: to open it for a while would close it afterwards.
func (s *Store) pathOf(q source, o owned, id string) ([]Target, error) {
	to, _, err := s.findNode(q, o, id)
	if err != nil {
		return nil, err
	}
	tr, err := loadTree(q, o.app, o.pairing, s.millis())
	if err != nil {
		return nil, err
	}
	path := []Target{to}
	over := Target{OperationID: to.OperationID}
	if to.InstanceID == "" {
		over.OperationID = tr.above(over.OperationID)
	}
	for to.InstanceID != "" || to.OperationID != "" && to.OperationID != o.app.ID {
		n, err := tr.find(q, over)
		if err != nil {
			return nil, err
		}
		if !n.own.open {
			path = append([]Target{over}, path...)
		}
		if n.kind == KindApplication {
			break
		}
		over.OperationID = tr.above(over.OperationID)
	}
	return path, nil
}

// above is the public id of the operation that an operation hangs on, "" for the application.
func (tr *tree) above(id string) string {
	for _, l := range tr.nodes {
		if l.id == id {
			return tr.byRow(l.parent).id
		}
	}
	return ""
}
