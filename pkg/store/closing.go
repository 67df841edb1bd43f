package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// CloseByLink uses a link up and closes what it is for, as its person would.
func (s *Store) CloseByLink(ctx context.Context, ticket string, a Attempt) (Closing, error) {
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
			if err := s.setNode(t, n.owned.pairing, n.target, false, ActionUser, a); err != nil {
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
	target
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
	all, err := pairingsOf(q, u.Name, "")
	if err != nil && !errors.Is(err, ErrNotPaired) {
		return c, nil, err
	}
	var nodes []ownedNode
	for _, o := range all {
		if c.Pairing != 0 && o.pairing.row != c.Pairing {
			continue
		}
		n, err := s.nodeByID(q, o, c.Node)
		switch {
		case err == nil:
			nodes = append(nodes, ownedNode{o, n})
		case !errors.Is(err, ErrNoInstance):
			return c, nil, err
		}
	}
	if c.Pairing != 0 && len(nodes) == 0 {
		return c, nil, ErrLinkSpent
	}
	return c, nodes, nil
}

// nodeByID finds a latch of an account by its public id; "" is the application's.
func (s *Store) nodeByID(q source, o owned, id string) (target, error) {
	tr, err := loadTree(q, o.app, o.pairing)
	if err != nil {
		return target{}, err
	}
	if id == "" {
		return tr.find(q, Target{})
	}
	if n, err := tr.find(q, Target{OperationID: id}); !errors.Is(err, ErrNoOperation) {
		return n, err
	}
	var over string
	err = q.get([]any{&over}, `SELECT coalesce(o.op_id, '') FROM instances i LEFT JOIN operations o ON o.id = i.operation
		WHERE i.instance_id = ? AND i.pairing = ?`, id, o.pairing.row)
	if isNoRows(err) {
		return target{}, fmt.Errorf("%w: %q", ErrNoInstance, id)
	}
	if err != nil {
		return target{}, err
	}
	return tr.find(q, Target{OperationID: over, InstanceID: id})
}
