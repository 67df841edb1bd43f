package store

import (
	"context"
	"fmt"
	"time"
)

// Delivering.
const (
	claimLife   = time.Minute          // how long a channel is one worker's; longer than one delivery takes
	giveUpAfter = 3 * 24 * time.Hour   // of nothing but failures …
	giveUpTries = 10                   // … and as many
	firstRetry  = 5 * time.Second      // doubled with every failure …
	lastRetry   = 30 * time.Minute     // … up to this
	maxWait     = 2 * 60 * time.Minute // what a receiver may ask for
)

// Delivery is one notice on its way to one channel.
type Delivery struct {
	Row      int64 // 0: a test, which is in no outbox
	Channel  Channel
	Notice   Notice
	Language string // of the person, "" where nothing is known
	TimeZone string // of the person, an IANA name; "" where nothing is known
}

// Claim hands up to limit channels that have something to deliver to this worker, each with the notice that has waited longest,
// for as long as delivering may take; those that work come first. A worker that dies loses them to the next one. Claim writes only
// when there is something.
func (s *Store) Claim(ctx context.Context, limit int) ([]Delivery, error) {
	const due = `FROM (SELECT DISTINCT channel FROM outbox WHERE expires > ?1) o JOIN notice_channels c ON c.id = o.channel
		WHERE c.given_up IS NULL AND (c.next_try <= ?1 OR c.next_try > ?1 + ?3) AND (c.lease <= ?1 OR c.lease > ?1 + ?3)
		ORDER BY c.failures, c.id LIMIT ?2`
	now, slack := s.millis(), maxWait.Milliseconds()
	var waiting int
	err := s.reads.get([]any{&waiting}, `SELECT count(*) FROM (SELECT 1 `+due+`)`, now, limit, slack)
	if err != nil || waiting == 0 {
		return nil, err
	}
	var list []Delivery
	err = s.write(ctx, func(t *tx) error {
		list = nil
		err := t.each(func(scan func(...any) error) error {
			var d Delivery
			err := scan(&d.Channel.Row)
			list = append(list, d)
			return err
		}, `SELECT c.id `+due, now, limit, slack)
		for i := 0; err == nil && i < len(list); i++ {
			if err = t.exec(`UPDATE notice_channels SET lease = ? WHERE id = ?`, now+claimLife.Milliseconds(), list[i].Channel.Row); err == nil {
				err = s.loadDelivery(t, &list[i])
			}
		}
		return err
	})
	return list, err
}

func (s *Store) loadDelivery(q source, d *Delivery) error {
	channels, err := s.channels(q, `c.id = ?`, d.Channel.Row)
	if err != nil {
		return err
	}
	d.Channel = channels[0]
	if err := s.speak(q, d); err != nil {
		return err
	}
	return q.each(func(scan func(...any) error) error {
		var err error
		d.Notice, err = s.scanNotice(scan, &d.Row)
		return err
	}, `SELECT o.id, n.id, n.user, n.sealed FROM outbox o JOIN notices n ON n.id = o.notice
		WHERE o.channel = ? AND o.expires > ? ORDER BY o.id LIMIT 1`, d.Channel.Row, s.millis())
}

// Release gives a channel back that nothing came of, so that the next worker need not wait until the claim is over.
func (s *Store) Release(ctx context.Context, d Delivery) error {
	return s.write(ctx, func(t *tx) error { return t.exec(`UPDATE notice_channels SET lease = 0 WHERE id = ?`, d.Channel.Row) })
}

// speak finds the language and the time zone of a delivery: the person's choice, or for the language that of the page on which
// the channel was added.
func (s *Store) speak(q source, d *Delivery) error {
	d.Language = d.Channel.Settings.Language
	var chosen string
	err := q.get([]any{&chosen, &d.TimeZone}, `SELECT language, time_zone FROM users WHERE id = ?`, d.Channel.User)
	if isNoRows(err) {
		return nil
	}
	if chosen != "" {
		d.Language = chosen
	}
	return err
}

// TestDelivery is a notice that only says that a channel works. A person who sends many within some minutes gets a *TooManyError.
func (s *Store) TestDelivery(ctx context.Context, user, app, channel int64) (Delivery, error) {
	d := Delivery{Notice: Notice{Kind: NoticeTest, User: user, T: s.millis()}}
	err := s.write(ctx, func(t *tx) error {
		list, err := s.channels(t, `c.id = ? AND c.user = ? AND c.app = ?`, channel, user, app)
		if err == nil && len(list) == 0 {
			err = ErrNoChannel
		}
		if err != nil {
			return err
		}
		d.Channel = list[0]
		subject := fmt.Sprintf("notice test:%d:%d", user, app)
		if err := s.mayGuess(t, testPace, subject); err != nil {
			return err
		}
		if err := s.countGuess(t, testPace, subject); err != nil {
			return err
		}
		return s.speak(t, &d)
	})
	return d, err
}

// Result says how a delivery ended. The zero value means that it arrived.
type Result struct {
	Problem string        // a word for what went wrong, "" if nothing did
	Gone    bool          // nothing will arrive there any more
	Drop    bool          // this notice will not be taken, another one may
	After   time.Duration // how long the receiver wants to be left alone; 0 = it did not say
}

// Delivered notes the end of a delivery. What failed is tried again later and later; a receiver that took nothing for days is
// given up.
func (s *Store) Delivered(ctx context.Context, d Delivery, r Result) error {
	return s.write(ctx, func(t *tx) error {
		if r.Problem == "" || r.Drop {
			if err := t.exec(`DELETE FROM outbox WHERE id = ?`, d.Row); err != nil {
				return err
			}
		}
		switch {
		case r.Drop: // the next notice may well be taken
			return t.exec(`UPDATE notice_channels SET problem = ?, lease = 0 WHERE id = ?`, r.Problem, d.Channel.Row)
		case r.Problem != "":
			return s.failed(t, d.Channel.Row, r)
		}
		return t.exec(`UPDATE notice_channels SET last_ok = ?, failing = 0, failures = 0, problem = '', next_try = 0, lease = 0,
			given_up = NULL WHERE id = ?`, s.millis(), d.Channel.Row)
	})
}

func (s *Store) failed(t *tx, channel int64, r Result) error {
	now := s.millis()
	var since, failures int64
	err := t.get([]any{&since, &failures}, `SELECT failing, failures FROM notice_channels WHERE id = ?`, channel)
	if isNoRows(err) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	if since == 0 || since > now {
		since = now
	}
	failures++
	err = t.exec(`UPDATE notice_channels SET failing = ?, failures = ?, problem = ?, next_try = ?, lease = 0 WHERE id = ?`,
		since, failures, r.Problem, now+retryAfter(r, failures).Milliseconds(), channel)
	if err != nil || !r.Gone && (failures < giveUpTries || now-since < giveUpAfter.Milliseconds()) {
		return err
	}
	if err := t.exec(`UPDATE notice_channels SET given_up = ? WHERE id = ?`, now, channel); err != nil {
		return err
	}
	return t.exec(`DELETE FROM outbox WHERE channel = ?`, channel)
}

func retryAfter(r Result, failures int64) time.Duration {
	wait := lastRetry
	if failures < 10 {
		wait = min(lastRetry, firstRetry<<(failures-1))
	}
	return min(max(wait, r.After), maxWait)
}
