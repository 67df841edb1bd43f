package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Kinds of channel. All are a person's but the webhook, which is an application's.
const (
	ChannelPush    = "push"
	ChannelNtfy    = "ntfy"
	ChannelMail    = "mail"
	ChannelWebhook = "webhook"
)

// maxChannels bounds how many places one person's notices go to, maxBacklog what waits for one of them.
const (
	maxChannels = 10
	maxBacklog  = 200
)

// ChannelSettings is what delivering needs to know; it is kept sealed. Which fields count depends on the kind.
type ChannelSettings struct {
	URL      string `json:"url,omitempty"`      // push: endpoint, ntfy: topic, webhook
	Token    string `json:"token,omitempty"`    // ntfy: access token, "" for none
	Address  string `json:"address,omitempty"`  // mail
	Key      []byte `json:"key,omitempty"`      // push: the browser's public key
	Auth     []byte `json:"auth,omitempty"`     // push: its authentication secret
	Secret   string `json:"secret,omitempty"`   // webhook: name of the application's secret that signs
	Language string `json:"language,omitempty"` // of the page on which it was added
}

// identity is what tells two channels of one kind apart.
func (c ChannelSettings) identity() []byte {
	sum := sha256.Sum256([]byte(c.URL + "\x00" + c.Address))
	return sum[:]
}

// Channel is a place that notices go to, with how it fares.
type Channel struct {
	Row, User, App  int64
	Kind, Label     string
	Settings        ChannelSettings
	Created, LastOK int64  // LastOK 0: nothing has arrived yet
	Failing         int64  // since when nothing arrives, 0 = all is well
	Failures        int    // on end
	Problem         string // what went wrong last: a word that the pages translate, see package notify
	GivenUp         bool   // nothing is sent any more until a test arrives
}

const channelColumns = `c.id, c.user, c.app, c.kind, c.label, c.sealed, c.created, c.last_ok, c.failing, c.failures, c.problem,
	c.given_up IS NOT NULL`

func channelAD(row int64) []byte { return []byte("notice_channels:" + strconv.FormatInt(row, 10)) }

func (s *Store) scanChannel(scan func(...any) error) (Channel, error) {
	var c Channel
	var sealed []byte
	err := scan(&c.Row, &c.User, &c.App, &c.Kind, &c.Label, &sealed, &c.Created, &c.LastOK, &c.Failing, &c.Failures,
		&c.Problem, &c.GivenUp)
	if err != nil {
		return c, err
	}
	plain, err := s.box.Open(sealed, channelAD(c.Row))
	if err != nil {
		return c, fmt.Errorf("notice channel %d: %w", c.Row, err)
	}
	return c, json.Unmarshal(plain, &c.Settings)
}

func (s *Store) channels(q source, which string, args ...any) ([]Channel, error) {
	var list []Channel
	err := q.each(func(scan func(...any) error) error {
		c, err := s.scanChannel(scan)
		list = append(list, c)
		return err
	}, `SELECT `+channelColumns+` FROM notice_channels c WHERE `+which+` ORDER BY c.id`, args...)
	return list, err
}

// Channels lists where a person's notices go.
func (s *Store) Channels(user int64) ([]Channel, error) {
	return s.channels(s.reads, `c.user = ? AND c.app = 0`, user)
}

// Webhooks lists where an application's changes are told.
func (s *Store) Webhooks(app int64) ([]Channel, error) {
	return s.channels(s.reads, `c.app = ? AND c.app != 0`, app)
}

// ChannelOf returns one channel of a person (app 0) or an application (user 0), or ErrNoChannel.
func (s *Store) ChannelOf(user, app, row int64) (Channel, error) {
	list, err := s.channels(s.reads, `c.id = ? AND c.user = ? AND c.app = ?`, row, user, app)
	if err == nil && len(list) == 0 {
		err = ErrNoChannel
	}
	if err != nil {
		return Channel{}, err
	}
	return list[0], nil
}

// SaveChannel adds a channel and returns its row. One that is there already, by its address, gets the new settings and
// is tried again. More than a handful of a person's, or of an application's, is ErrTooMany.
func (s *Store) SaveChannel(ctx context.Context, c Channel) (row int64, err error) {
	plain, err := json.Marshal(c.Settings)
	if err != nil {
		return 0, err
	}
	err = s.write(ctx, func(t *tx) error {
		var count int
		err := t.get([]any{&count}, `SELECT count(*) FROM notice_channels WHERE user = ? AND app = ?`, c.User, c.App)
		if err != nil {
			return err
		}
		digest := c.Settings.identity()
		err = t.get([]any{&row}, `SELECT id FROM notice_channels WHERE user = ? AND app = ? AND kind = ? AND digest = ?`,
			c.User, c.App, c.Kind, digest)
		switch {
		case isNoRows(err) && count >= maxChannels:
			return fmt.Errorf("notice channels: %w", ErrTooMany)
		case isNoRows(err):
			row, err = t.insert(`INSERT INTO notice_channels (user, app, kind, label, sealed, digest, created) VALUES (?, ?, ?, '', x'', ?, ?)`,
				c.User, c.App, c.Kind, digest, s.millis())
		}
		if err != nil {
			return err
		}
		err = t.exec(`UPDATE notice_channels SET label = ?, sealed = ?, failing = 0, failures = 0, problem = '', next_try = 0,
			given_up = NULL WHERE id = ?`, c.Label, s.box.Seal(plain, channelAD(row)), row)
		if err != nil {
			return err
		}
		return s.auditChannel(ctx, t, "channel.add", c.User, c.App, c.Kind, row)
	})
	return row, err
}

// RemoveChannel forgets a channel of a person (app 0) or an application (user 0), with what waits for it.
func (s *Store) RemoveChannel(ctx context.Context, user, app, row int64) error {
	return s.write(ctx, func(t *tx) error {
		var kind string
		err := t.get([]any{&kind}, `SELECT kind FROM notice_channels WHERE id = ? AND user = ? AND app = ?`, row, user, app)
		if isNoRows(err) {
			return ErrNoChannel
		}
		if err != nil {
			return err
		}
		for _, statement := range []string{`DELETE FROM notice_channels WHERE id = ?`, `DELETE FROM outbox WHERE channel = ?`} {
			if err := t.exec(statement, row); err != nil {
				return err
			}
		}
		return s.auditChannel(ctx, t, "channel.remove", user, app, kind, row)
	})
}

// auditChannel notes a change of where a person's notices, or an application's, go: its kind alone, since an address may be
// all that it takes to read them.
func (s *Store) auditChannel(ctx context.Context, t *tx, act string, user, app int64, kind string, row int64) error {
	detail := map[string]string{"kind": kind}
	if user != 0 {
		if err := touch(t, user); err != nil {
			return err
		}
		u, err := userByRow(t, user)
		if err != nil {
			return err
		}
		return errors.Join(s.noticeAccess(ctx, t, u, act, row), s.audit(ctx, t, act, u.Name, detail))
	}
	name, err := applicationName(t, app)
	if err != nil {
		return err
	}
	return s.audit(ctx, t, act, name, detail)
}

// Rule is what a person wants to be told of one latch.
type Rule struct {
	Refused bool // attempts that were refused
	LetIn   bool // attempts that were let in
	Changes bool // the latch opened, closed, paired or unpaired
	Quiet   bool // tell it without a sound
}

// everything is the rule of a latch that nobody made one for.
var everything = Rule{Refused: true, LetIn: true, Changes: true}

func (r Rule) wants(kind string) bool {
	switch kind {
	case NoticeRefused:
		return r.Refused
	case NoticeLetIn:
		return r.LetIn
	}
	return r.Changes
}

// Rules returns what a person set for the latches of one account, by the latch's public id. A latch without one has the rule
// of its application, and that one's rule is to tell everything.
func (s *Store) Rules(accountID string) (map[string]Rule, error) {
	return rulesOf(s.reads, pairingKey(accountID))
}

func rulesOf(q source, pairing int64) (map[string]Rule, error) {
	rules := map[string]Rule{}
	err := q.each(func(scan func(...any) error) error {
		var node string
		var r Rule
		err := scan(&node, &r.Refused, &r.LetIn, &r.Changes, &r.Quiet)
		rules[node] = r
		return err
	}, `SELECT node, refused, let_in, changes, quiet FROM notice_rules WHERE pairing = ?`, pairing)
	return rules, err
}

// RuleFor returns the rule of a latch among rules: its own, or its application's, or that everything is told.
func RuleFor(rules map[string]Rule, node, app string) Rule {
	if r, ok := rules[node]; ok {
		return r
	}
	if r, ok := rules[app]; ok {
		return r
	}
	return everything
}

// SetRules keeps the rules of the latches of one of a person's accounts, in the place of all that were there.
func (s *Store) SetRules(ctx context.Context, user int64, accountID string, rules map[string]Rule) error {
	return s.write(ctx, func(t *tx) error {
		row := pairingKey(accountID)
		var owner int64
		err := t.get([]any{&owner}, `SELECT user FROM pairings WHERE id = ? AND account_id = ?`, row, accountID)
		if isNoRows(err) || err == nil && owner != user {
			return ErrNotPaired
		}
		if err == nil {
			err = t.exec(`DELETE FROM notice_rules WHERE pairing = ?`, row)
		}
		for node, r := range rules {
			if err == nil {
				err = t.exec(`INSERT INTO notice_rules (pairing, node, refused, let_in, changes, quiet) VALUES (?, ?, ?, ?, ?, ?)`,
					row, node, r.Refused, r.LetIn, r.Changes, r.Quiet)
			}
		}
		return err
	})
}
