package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"
)

// StepSecond is the purpose of a step of somebody whose password was right, and who owes the second factor.
const StepSecond = "second"

// Step is what one browser is in the middle of. Data is sealed at rest.
type Step struct {
	Purpose string
	User    int64 // 0 = not known yet
	Data    []byte
}

func stepAD(digest []byte) []byte { return append([]byte("steps:"), digest...) }

// BeginStep keeps a step and returns what the browser's cookie carries.
func (s *Store) BeginStep(ctx context.Context, p Step, life time.Duration) (ticket string, err error) {
	ticket, digest := newTicket()
	return ticket, s.write(ctx, func(t *tx) error {
		now := s.millis()
		return t.exec(`INSERT INTO steps (digest, purpose, user, sealed, created, expires) VALUES (?, ?, ?, ?, ?, ?)`,
			digest, p.Purpose, p.User, s.box.Seal(p.Data, stepAD(digest)), now, now+life.Milliseconds())
	})
}

// Step looks at a step without ending it. One of another purpose, one that is over and one whose person was shut out are
// ErrStepOver.
func (s *Store) Step(ticket, purpose string) (Step, error) {
	return s.findStep(s.reads, ticket, purpose)
}

func (s *Store) findStep(q source, ticket, purpose string) (Step, error) {
	p := Step{Purpose: purpose}
	digest := ticketDigest(ticket)
	var sealed []byte
	var created, expires int64
	err := q.get([]any{&p.User, &sealed, &created, &expires}, `SELECT p.user, p.sealed, p.created, p.expires
		FROM steps p LEFT JOIN users u ON u.id = p.user
		WHERE p.digest = ? AND p.purpose = ? AND u.disabled IS NULL AND u.removed IS NULL`, digest, purpose)
	if isNoRows(err) || err == nil && !s.lives(created, expires) {
		return Step{}, ErrStepOver
	}
	if err != nil {
		return Step{}, err
	}
	p.Data, err = s.box.Open(sealed, stepAD(digest))
	return p, err
}

// EndStep ends a step and returns it. Of two who try at once one gets ErrStepOver.
func (s *Store) EndStep(ctx context.Context, ticket, purpose string) (p Step, err error) {
	err = s.write(ctx, func(t *tx) error {
		if p, err = s.findStep(t, ticket, purpose); err != nil {
			return err
		}
		return t.exec(`DELETE FROM steps WHERE digest = ?`, ticketDigest(ticket))
	})
	return p, err
}

// sealedStep is a step that only its browser keeps.
type sealedStep struct {
	Step    Step
	Created int64
	Expires int64
}

var sealedStepAD = []byte("sealed step")

// SealStep makes a step that lives in the browser's cookie alone, sealed: what any stranger may begin must not fill the database.
func (s *Store) SealStep(p Step, life time.Duration) (ticket string, err error) {
	now := s.millis()
	plain, err := json.Marshal(sealedStep{p, now, now + life.Milliseconds()})
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.box.Seal(plain, sealedStepAD)), nil
}

// OpenStep opens what SealStep made. A forged one, one of another purpose, one that is over and one that was spent are ErrStepOver.
func (s *Store) OpenStep(ticket, purpose string) (Step, error) {
	p, digest, err := s.openSealed(ticket, purpose)
	if err != nil {
		return Step{}, err
	}
	var spent int
	err = s.reads.get([]any{&spent}, `SELECT count(*) FROM steps WHERE digest = ?`, digest)
	if err == nil && spent > 0 {
		err = ErrStepOver
	}
	return p.Step, err
}

// SpendStep makes a step that was right useless. Of two who try at once one gets ErrStepOver.
func (s *Store) SpendStep(ctx context.Context, ticket, purpose string) error {
	p, digest, err := s.openSealed(ticket, purpose)
	if err != nil {
		return err
	}
	// The digest stays until the step would be over anyway.
	return s.write(ctx, func(t *tx) error {
		n, err := t.change(`INSERT INTO steps (digest, purpose, user, sealed, created, expires) VALUES (?, 'spent', 0, x'', ?, ?)
			ON CONFLICT DO NOTHING`, digest, p.Created, p.Expires)
		if err == nil && n == 0 {
			err = ErrStepOver
		}
		return err
	})
}

func (s *Store) openSealed(ticket, purpose string) (p sealedStep, digest []byte, err error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(ticket)
	if err != nil {
		return p, nil, ErrStepOver
	}
	plain, err := s.box.Open(sealed, sealedStepAD)
	if err != nil {
		return p, nil, ErrStepOver
	}
	if err := json.Unmarshal(plain, &p); err != nil {
		return p, nil, err
	}
	if p.Step.Purpose != purpose || !s.lives(p.Created, p.Expires) {
		return p, nil, ErrStepOver
	}
	return p, ticketDigest(ticket), nil
}
