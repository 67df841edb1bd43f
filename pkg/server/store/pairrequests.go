package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// RequestLife is how long the link of a pairing request can be confirmed, and how long a host can fetch what came of it.
const RequestLife = 5 * time.Minute

// Limits of pairing requests.
const (
	maxWaiting     = 10 // of one secret at a time
	pairingLinkLen = 24 // characters in a link
	checkLength    = 4  // of them that host and page both show
)

// ErrNoRequest means that a pairing request is unknown, expired, withdrawn, or was decided before.
var ErrNoRequest = errors.New("no such pairing request, or it has expired")

// PairingState is what became of a pairing request.
type PairingState int8

// The states.
const (
	RequestWaiting PairingState = iota
	RequestConfirmed
	RequestRefused
)

// PairingRequest is a host's wish to pair one of its users with whoever opens a link.
type PairingRequest struct {
	ID      string // what the host asks by
	Link    string // what the link holds; only RequestPairing knows it
	Check   string // what host and page both show, so that a person sees that they belong together
	App     Application
	Host    string // as the host calls itself
	User    string // of the host
	Attempt Attempt
	Created int64
	Expires int64

	State     PairingState
	Person    string // who decided, by name
	AccountID string // with RequestConfirmed
	Known     bool   // with RequestConfirmed: the person was paired with the application before

	row, user int64
}

// CommonName is how the pairing that comes of it is called: host and user.
func (r PairingRequest) CommonName() string { return r.Host + ", " + r.User }

func (s *Store) pairingDigest(link string) []byte {
	return s.box.Digest([]byte("pairing link:" + link))
}

// RequestPairing keeps a host's request for RequestLife. subject is whose requests are counted: more than ten that wait are a
// *TooManyError.
func (s *Store) RequestPairing(ctx context.Context, r PairingRequest, subject string) (PairingRequest, error) {
	r.ID, r.Link = random(idLen), random(pairingLinkLen)
	r.Check = r.Link[:checkLength]
	err := s.write(ctx, func(t *tx) error {
		r.Created = s.millis()
		r.Expires = r.Created + RequestLife.Milliseconds()
		if err := t.exec(`DELETE FROM pair_requests WHERE expires <= ? OR expires > ?`,
			r.Created, r.Expires+RequestLife.Milliseconds()); err != nil {
			return err
		}
		var waiting, first int64
		err := t.get([]any{&waiting, &first}, `SELECT count(*), coalesce(min(expires), 0) FROM pair_requests WHERE subject = ? AND state = ?`,
			subject, RequestWaiting)
		if err != nil {
			return err
		}
		if waiting >= maxWaiting {
			return &TooManyError{After: time.Duration(first-r.Created) * time.Millisecond}
		}
		return t.exec(`INSERT INTO pair_requests (request_id, digest, app, subject, host, host_user, ip, user_agent, created, expires)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.ID, s.pairingDigest(r.Link), r.App.Row, subject, r.Host, r.User, r.Attempt.IP, r.Attempt.UserAgent, r.Created, r.Expires)
	})
	return r, err
}

// PairingByID is for the host that made the request.
func (s *Store) PairingByID(app Application, id string) (PairingRequest, error) {
	return s.findRequest(s.reads, `q.request_id = ? AND q.app = ?`, id, app.Row)
}

// PairingByLink is for the person who opened the link, also when somebody has decided already.
func (s *Store) PairingByLink(link string) (PairingRequest, error) {
	r, err := s.findRequest(s.reads, `q.digest = ?`, s.pairingDigest(link))
	if err == nil {
		r.Link, r.Check = link, link[:checkLength]
	}
	return r, err
}

func (s *Store) findRequest(q source, where string, args ...any) (PairingRequest, error) {
	var r PairingRequest
	err := q.get(append(r.App.fields(), &r.row, &r.ID, &r.Host, &r.User, &r.Attempt.IP, &r.Attempt.UserAgent, &r.Created, &r.Expires,
		&r.State, &r.user, &r.Person, &r.AccountID, &r.Known),
		`SELECT `+applicationColumns+`, q.id, q.request_id, q.host, q.host_user, q.ip, q.user_agent, q.created, q.expires,
			q.state, coalesce(q.user, 0), coalesce(u.name, ''), q.account_id, q.known
		FROM pair_requests q JOIN applications a ON a.id = q.app LEFT JOIN users u ON u.id = q.user
		WHERE a.removed IS NULL AND `+where, args...)
	if isNoRows(err) {
		return PairingRequest{}, ErrNoRequest
	}
	// A clock that was set back, by more than a little, must not prolong a request's life by as much.
	if left := r.Expires - s.millis(); err == nil && (left <= 0 || left > 2*RequestLife.Milliseconds()) {
		return PairingRequest{}, ErrNoRequest
	}
	return r, err
}

// ConfirmPairing pairs the person with the application that asked, once. Who is paired with it already gives the host that
// account. A request that was decided before is ErrNoRequest, whoever decided.
func (s *Store) ConfirmPairing(ctx context.Context, link, person string) (PairingRequest, error) {
	var done PairingRequest
	err := s.decide(ctx, link, person, func(t *tx, r PairingRequest, u User) error {
		if u.Disabled {
			return fmt.Errorf("%q: %w", person, ErrUserDisabled)
		}
		id, answer, err := s.pairUser(t, PairRequest{App: r.App, CommonName: r.CommonName(), Attempt: r.from()}, u.Row)
		if err != nil {
			return err
		}
		r.State, r.Person, r.AccountID, r.Known = RequestConfirmed, u.Name, id, answer != nil
		done = r
		return t.exec(`UPDATE pair_requests SET state = ?, user = ?, account_id = ?, known = ? WHERE id = ?`,
			r.State, u.Row, r.AccountID, r.Known, r.row)
	})
	return done, err
}

// from is the host's attempt with what it told about itself, for the history.
func (r PairingRequest) from() Attempt {
	r.Attempt.Context = map[string]string{"host": r.Host, "user": r.User}
	return r.Attempt
}

// RefusePairing ends a request without a pairing. The host is told so.
func (s *Store) RefusePairing(ctx context.Context, link, person string) error {
	return s.decide(ctx, link, person, func(t *tx, r PairingRequest, u User) error {
		return t.exec(`UPDATE pair_requests SET state = ?, user = ? WHERE id = ?`, RequestRefused, u.Row, r.row)
	})
}

func (s *Store) decide(ctx context.Context, link, person string, do func(*tx, PairingRequest, User) error) error {
	return s.write(ctx, func(t *tx) error {
		u, err := findUser(t, person)
		if err != nil {
			return err
		}
		r, err := s.findRequest(t, `q.digest = ?`, s.pairingDigest(link))
		if err == nil && r.State != RequestWaiting {
			err = ErrNoRequest
		}
		if err != nil {
			return err
		}
		return do(t, r, u)
	})
}

// WithdrawPairing ends a request that its host does not wait for any more, and returns what had become of it: a pairing that
// was confirmed stays.
func (s *Store) WithdrawPairing(ctx context.Context, app Application, id string) (PairingRequest, error) {
	var r PairingRequest
	err := s.write(ctx, func(t *tx) error {
		var err error
		if r, err = s.findRequest(t, `q.request_id = ? AND q.app = ?`, id, app.Row); err != nil || r.State != RequestWaiting {
			return err
		}
		return t.exec(`DELETE FROM pair_requests WHERE id = ?`, r.row)
	})
	return r, err
}
