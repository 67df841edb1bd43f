package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// PeopleQuery says which people are wanted, by name. The zero value of a field does not limit.
type PeopleQuery struct {
	Text   string // contained in the name, the display name or the e-mail address, in any case of A to Z
	Which  string // one of the Which… constants
	After  string // only names behind it: the next page
	Before string // only names before it, the nearest: the page before
	Limit  int    // 0 means MaxHistory
}

// What PeopleQuery.Which can be.
const (
	WhichDisabled = "disabled"
	WhichStaff    = "staff" // auditors and admins
	WhichUnpaired = "unpaired"
	WhichLost     = "lost" // lost their phone and have not come back
)

// People lists people by name, with the number of their pairings.
func (s *Store) People(q PeopleQuery) ([]User, error) {
	if q.Limit <= 0 || q.Limit > MaxHistory {
		q.Limit = MaxHistory
	}
	order := "u.name"
	if q.Before != "" {
		order = "u.name DESC"
	}
	var list []User
	err := s.reads.each(func(scan func(...any) error) error {
		var u User
		err := scan(append(u.fields(), &u.Pairings)...)
		list = append(list, u)
		return err
	}, `SELECT `+userColumns+`, `+pairingsOfUser+` FROM users u
		WHERE u.removed IS NULL AND (?1 = '' OR u.name > ?1) AND (?2 = '' OR u.name < ?2)
		AND (?3 = '' OR instr(lower(u.name || char(10) || u.display_name || char(10) || u.email), ?3) > 0)
		AND (?4 != 'disabled' OR u.disabled IS NOT NULL) AND (?4 != 'staff' OR u.role > 0)
		AND (?4 != 'lost' OR u.lost IS NOT NULL) AND (?4 != 'unpaired' OR NOT EXISTS (SELECT 1 FROM pairings p INDEXED BY pairings_live WHERE p.user = u.id AND p.unpaired IS NULL))
		ORDER BY `+order+` LIMIT ?5`, q.After, q.Before, asciiLower(strings.TrimSpace(q.Text)), q.Which, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	if q.Before != "" {
		slices.Reverse(list)
	}
	return list, nil
}

// PairedPeople counts the people of each application, by its row.
func (s *Store) PairedPeople() (map[int64]int64, error) {
	counts := map[int64]int64{}
	for _, step := range []struct {
		sign  int64
		query string
	}{
		{1, `SELECT app, count(*) FROM pairings INDEXED BY pairings_live WHERE unpaired IS NULL GROUP BY app`},
		{-1, `SELECT p.app, count(*) FROM users u INDEXED BY users_removed CROSS JOIN pairings p INDEXED BY pairings_live
			ON p.user = u.id AND p.unpaired IS NULL WHERE u.removed IS NOT NULL GROUP BY p.app`},
	} {
		err := s.reads.each(func(scan func(...any) error) error {
			var app, n int64
			err := scan(&app, &n)
			counts[app] += step.sign * n
			return err
		}, step.query)
		if err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// Invitation returns when a person's open link for a purpose ends, 0 where there is none.
func (s *Store) Invitation(user int64, purpose string) (expires int64, err error) {
	err = s.reads.get([]any{&expires}, `SELECT coalesce(max(expires), 0) FROM links WHERE user = ? AND purpose = ? AND expires > ?`,
		user, purpose, s.millis())
	return expires, err
}

// VoidLinks makes a person's open invitations and links for a new password useless.
func (s *Store) VoidLinks(ctx context.Context, user int64) error {
	return s.write(ctx, func(t *tx) error {
		if err := t.exec(`DELETE FROM links WHERE user = ? AND purpose IN (?, ?)`, user, LinkInvite, LinkReset); err != nil {
			return err
		}
		return s.auditPerson(ctx, t, "link.void", user, nil)
	})
}

// UnpairPerson ends a person's pairing with an application (its id), as an administrator does.
func (s *Store) UnpairPerson(ctx context.Context, user int64, app string, a Attempt) error {
	a.Way = WayAdmin
	a = a.by(ctx)
	return s.write(ctx, func(t *tx) error {
		u, err := userByRow(t, user)
		if err != nil {
			return err
		}
		if app == "" {
			return fmt.Errorf("%w: %q", ErrNoApplication, app)
		}
		all, err := owns(t, u, app)
		if err != nil {
			return err
		}
		if err := s.unpair(t, all[0].pairing, all[0].app, ActionDeveloper, a); err != nil {
			return err
		}
		return s.audit(ctx, t, "person.unpair", u.Name, map[string]string{"application": all[0].app.Name})
	})
}
