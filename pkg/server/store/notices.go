package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// What a notice can be about.
const (
	NoticeRefused = "refused" // an attempt was refused
	NoticeLetIn   = "let_in"  // an attempt was let in
	NoticeChange  = "change"  // a latch was opened or closed, or a service paired or unpaired
	NoticeSummary = "summary" // more of one of these than were told one by one
	NoticeAccess  = "access"  // the person's access changed: What says how
	NoticeTest    = "test"    // the person wants to see whether a channel works
)

// How long things of notices live.
const (
	NoticeLife    = 24 * time.Hour      // how long delivery is tried, and its link closes
	noticesKept   = 30 * 24 * time.Hour // how long the page lists them
	settingCursor = "notice_cursor"
)

// Notice is what one person is told of. Texts come from the database and are not translated. Times are in milliseconds.
type Notice struct {
	Row  int64 `json:"-"`
	User int64 `json:"-"`

	Kind string `json:"kind"`
	Of   string `json:"of,omitempty"` // summary: which kind it counts
	T    int64  `json:"t"`            // when it happened; of a summary, when its span ended

	App    string `json:"app,omitempty"`    // name of the application
	AppID  string `json:"appId,omitempty"`  // "" in a summary of several applications
	Name   string `json:"name,omitempty"`   // of the latch: the application's, operation's or instance's
	NodeID string `json:"nodeId,omitempty"` // its public id
	Action string `json:"action,omitempty"` // one of the history's
	Way    string `json:"way,omitempty"`    // one of the Way… constants
	By     string `json:"by,omitempty"`     // the admin that made the change, or the user of a command
	What   string `json:"what,omitempty"`   // status, pairing; the act of an access notice
	Value  string `json:"value,omitempty"`  // what it has become

	Login   string `json:"login,omitempty"`   // user on the host, if the host told
	Host    string `json:"host,omitempty"`    // its name, if it told
	Service string `json:"service,omitempty"` // PAM service, if it told
	Address string `json:"address,omitempty"` // where the person came from, if it told
	Asker   string `json:"asker,omitempty"`   // address of the host that asked

	Count     int   `json:"count,omitempty"` // summary: how many
	Addresses int   `json:"addresses,omitempty"`
	Latches   int   `json:"latches,omitempty"` // summary over several latches: how many
	Since     int64 `json:"since,omitempty"`   // summary: when its span began

	ContactEmail string `json:"email,omitempty"`
	ContactPhone string `json:"phone,omitempty"`
	Quiet        bool   `json:"quiet,omitempty"`
	Ticket       string `json:"ticket,omitempty"` // of the link that closes, "" where there is nothing to close

	Account string `json:"account,omitempty"` // webhook: the account id
	Pairing int64  `json:"pairing,omitempty"` // row of the pairing
}

func noticeAD(row int64) []byte { return []byte("notices:" + strconv.FormatInt(row, 10)) }

// addNotice keeps a notice and puts it into the outbox of channels.
func (s *Store) addNotice(t *tx, n Notice, channels []int64) error {
	if n.User != 0 {
		if err := touch(t, n.User); err != nil {
			return err
		}
		var err error
		if n.Ticket, err = s.closingLink(t, n); err != nil {
			return err
		}
	}
	plain, err := json.Marshal(n)
	if err != nil {
		return err
	}
	row, err := t.insert(`INSERT INTO notices (user, t, sealed) VALUES (?, ?, x'')`, n.User, n.T)
	if err != nil {
		return err
	}
	if err := t.exec(`UPDATE notices SET sealed = ? WHERE id = ?`, s.box.Seal(plain, noticeAD(row)), row); err != nil {
		return err
	}
	expires := s.now().Add(NoticeLife).UnixMilli()
	for _, channel := range channels {
		if err := t.exec(`INSERT INTO outbox (channel, notice, expires) VALUES (?, ?, ?)`, channel, row, expires); err != nil {
			return err
		}
		// What a receiver that is away misses is the oldest.
		err := t.exec(`DELETE FROM outbox WHERE channel = ?1 AND id <= (SELECT id FROM outbox WHERE channel = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`,
			channel, maxBacklog)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) scanNotice(scan func(...any) error, before ...any) (Notice, error) {
	var n Notice
	var row, user int64
	var sealed []byte
	if err := scan(append(before, &row, &user, &sealed)...); err != nil {
		return n, err
	}
	plain, err := s.box.Open(sealed, noticeAD(row))
	if err != nil {
		return n, fmt.Errorf("notice %d: %w", row, err)
	}
	err = json.Unmarshal(plain, &n)
	n.Row, n.User = row, user
	return n, err
}

// Notices lists the newest limit notices of a person, newest first.
func (s *Store) Notices(user int64, limit int) ([]Notice, error) {
	var list []Notice
	err := s.reads.each(func(scan func(...any) error) error {
		n, err := s.scanNotice(scan)
		list = append(list, n)
		return err
	}, `SELECT id, user, sealed FROM notices WHERE user = ? AND user != 0 ORDER BY id DESC LIMIT ?`, user, limit)
	return list, err
}

// Notice returns one notice of a person, or ErrNoNotice.
func (s *Store) Notice(user, row int64) (Notice, error) {
	var n Notice
	found := false
	err := s.reads.each(func(scan func(...any) error) (err error) {
		found = true
		n, err = s.scanNotice(scan)
		return err
	}, `SELECT id, user, sealed FROM notices WHERE id = ? AND user = ? AND user != 0`, row, user)
	if err == nil && !found {
		err = ErrNoNotice
	}
	return n, err
}

// forgetNotices forgets what a person was told and where.
func forgetNotices(t *tx, user int64) error {
	for _, statement := range []string{
		`DELETE FROM notice_channels WHERE user = ?`, `DELETE FROM notice_windows WHERE user = ?`, `DELETE FROM notices WHERE user = ?`,
	} {
		if err := t.exec(statement, user); err != nil {
			return err
		}
	}
	return nil
}

// TidyNotices removes what nobody can use any more.
func (s *Store) TidyNotices(ctx context.Context) error {
	return s.write(ctx, func(t *tx) error {
		now := s.now()
		if err := t.exec(`DELETE FROM outbox WHERE expires <= ? OR channel NOT IN (SELECT id FROM notice_channels)`, now.UnixMilli()); err != nil {
			return err
		}
		return t.exec(`DELETE FROM notices WHERE t <= ? AND id NOT IN (SELECT notice FROM outbox)`, now.Add(-noticesKept).UnixMilli())
	})
}
