package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/latch-linux/latch/pkg/server/schedule"
)

// ErrBadSchedule is that of a schedule that schedule.New would not make.
var ErrBadSchedule = errors.New("not a usable schedule")

// SetSchedule gives one latch of a person a week of windows, from now on, or takes it away: the zero Week, and then the latch
// stays as it is.
func (s *Store) SetSchedule(ctx context.Context, user int64, app string, to Target, w schedule.Week, a Attempt) error {
	text := w.String()
	if text != "" {
		if _, err := schedule.Parse(text); err != nil {
			return fmt.Errorf("%w: %w", ErrBadSchedule, err)
		}
	}
	return s.reschedule(ctx, user, app, to, a, func(n *setting) { n.schedule, n.held = text, false })
}

// HoldSchedule suspends the windows of one latch of a person, and the latch stays as it is, or takes them up again from now on.
func (s *Store) HoldSchedule(ctx context.Context, user int64, app string, to Target, hold bool, a Attempt) error {
	return s.reschedule(ctx, user, app, to, a, func(n *setting) { n.held = hold && n.schedule != "" })
}

// reschedule changes what a latch's schedule is, with a line of history if that changes.
func (s *Store) reschedule(ctx context.Context, user int64, app string, to Target, a Attempt, change func(*setting)) error {
	a = a.by(ctx)
	return s.write(ctx, func(t *tx) error {
		u, o, n, err := s.ownNode(t, user, app, to)
		if err != nil {
			return err
		}
		now, was := s.millis(), n.setting
		if change(&n.setting); n.schedule == was.schedule && n.held == was.held {
			return nil
		}
		n.setting = was
		if err := s.settle(t, o.pairing, &n, now); err != nil {
			return err
		}
		change(&n.setting)
		n.scheduled, n.switched = now, 0
		if err := writeSetting(t, o.pairing, n); err != nil {
			return err
		}
		if err := s.auditByCommand(ctx, t, "latch.schedule", u.Name, map[string]string{"name": n.name, "schedule": was.said(n.setting)}); err != nil {
			return err
		}
		return s.record(t, event{pairing: o.pairing, action: ActionUser, what: "schedule", value: was.said(n.setting), was: "-",
			name: n.name, node: n.id, attempt: a})
	})
}

// said is what the history calls the change from one schedule to another.
func (s setting) said(to setting) string {
	switch {
	case to.schedule == "":
		return "removed"
	case to.held:
		return "held"
	case s.held && s.schedule == to.schedule:
		return "resumed"
	}
	return "set"
}

// Settle writes down what latches of a person did by themselves, so that the history shows it. It writes only if there is
// something.
func (s *Store) Settle(ctx context.Context, user int64) error {
	if due, err := s.unsettled(user); err != nil || !due {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		u, err := userByRow(t, user)
		if err != nil {
			return err
		}
		owned, err := owns(t, u, "")
		if err != nil {
			return err
		}
		for _, o := range owned {
			tr, err := loadTree(t, o.app, o.pairing, s.millis())
			if err == nil {
				err = tr.loadInstances(t)
			}
			if err != nil {
				return err
			}
			for _, l := range tr.instances {
				if err := s.settle(t, o.pairing, &target{l, KindInstance}, tr.now); err != nil {
					return err
				}
			}
			if err := s.settlePath(t, tr, &target{tr.root, KindApplication}); err != nil {
				return err
			}
		}
		return nil
	})
}

// timedOut selects the people whose timed openings have ended and are still written as open.
const timedOut = `SELECT user FROM pairings WHERE until > 0 AND until <= ?1 AND status = 1 AND unpaired IS NULL
	UNION SELECT p.user FROM latches l JOIN pairings p ON p.id = l.pairing WHERE l.until > 0 AND l.until <= ?1 AND l.status = 1 AND p.unpaired IS NULL
	UNION SELECT p.user FROM instances i JOIN pairings p ON p.id = i.pairing WHERE i.until > 0 AND i.until <= ?1 AND i.status = 1 AND p.unpaired IS NULL`

// onSchedule selects the people who have a schedule.
const onSchedule = `SELECT user FROM pairings WHERE schedule <> '' AND unpaired IS NULL AND ?1 > 0
	UNION SELECT p.user FROM latches l JOIN pairings p ON p.id = l.pairing WHERE l.schedule <> '' AND p.unpaired IS NULL
	UNION SELECT p.user FROM instances i JOIN pairings p ON p.id = i.pairing WHERE i.schedule <> '' AND p.unpaired IS NULL`

// RecordTimers writes down the timed openings that have ended, so that history, log and webhooks have them in time.
func (s *Store) RecordTimers(ctx context.Context) error { return s.settleAll(ctx, timedOut) }

// RecordSchedules writes down what schedules have opened and closed. It looks at everybody who has one.
func (s *Store) RecordSchedules(ctx context.Context) error { return s.settleAll(ctx, onSchedule) }

func (s *Store) settleAll(ctx context.Context, which string) error {
	var users []int64
	err := s.reads.each(func(scan func(...any) error) error {
		users = append(users, 0)
		return scan(&users[len(users)-1])
	}, which, s.millis())
	for _, user := range users {
		if err != nil || ctx.Err() != nil {
			return err
		}
		if err = s.Settle(ctx, user); errors.Is(err, ErrNoUser) { // removed meanwhile
			err = nil
		}
	}
	return err
}

func (s *Store) unsettled(user int64) (due bool, err error) {
	apps, err := s.LatchTree(user)
	for _, a := range apps {
		a.Status.each(func(n NodeState) { due = due || n.unsettled })
	}
	return due, err
}
