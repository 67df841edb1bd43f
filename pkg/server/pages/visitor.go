package pages

import (
	"errors"
	"net/http"
	"time"

	"github.com/latch-linux/latch/pkg/server/schedule"
	"github.com/latch-linux/latch/pkg/server/store"
)

// visitor is who is signed in.
type visitor struct {
	User    store.User
	Session store.Session
	Zone    *time.Location // of the person's clock; nil means UTC
}

// An auditor sees what an admin sees and changes nothing.
func (v *visitor) isPerson() bool  { return v != nil }
func (v *visitor) isAuditor() bool { return v != nil && v.User.Role >= store.RoleAuditor }
func (v *visitor) isAdmin() bool   { return v != nil && v.User.Role == store.RoleAdmin }

// CanAdmin tells the templates whether the panel is worth a link.
func (v *visitor) CanAdmin() bool { return v.isAuditor() }

// zoneCookie holds the name of the zone that the browser's clock is in; app.js keeps it.
const zoneCookie = "__Host-zone"

// zoneOf is the zone of the browser's clock, nil where it has told none.
func zoneOf(r *http.Request) *time.Location {
	c, err := r.Cookie(zoneCookie)
	if err != nil {
		return nil
	}
	loc, err := schedule.Location(c.Value)
	if err != nil {
		return nil
	}
	return loc
}

// identify finds out who sent a request; nil without an error is nobody.
func (s *Site) identify(r *http.Request) (*visitor, error) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil, nil // no cookie is the only error
	}
	e, u, err := s.store.Session(c.Value)
	if errors.Is(err, store.ErrNoSession) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.store.Seen(r.Context(), e, address(r)); err != nil {
		return nil, err
	}
	zone := zoneOf(r)
	if zone == nil && u.TimeZone != "" {
		zone, _ = time.LoadLocation(u.TimeZone) // nil for a name that this server's database has lost
	}
	return &visitor{User: u, Session: e, Zone: zone}, nil
}
