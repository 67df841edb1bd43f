package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"
)

// defaultSecret is the name of an application's first secret.
const defaultSecret = "default"

// lastUseStep is how coarse a secret's last use is: a write per request would double the work.
const lastUseStep = time.Hour

// SecretInfo describes a secret without telling it.
type SecretInfo struct {
	Name    string
	Created int64
	LastUse int64 // 0 = never; up to an hour behind
	Ends    int64 // 0 = it does not; else when it was revoked, or when a rotated one will end
	Revoked bool  // useless now
}

// Credential is one usable secret of an application or an API user.
type Credential struct {
	Row     int64
	Name    string
	Secret  string
	lastUse int64
}

// Subject names whose guesses are counted: one host's secret, so that a host that guesses does not
// stop the others.
func (c Credential) Subject() string { return strconv.FormatInt(c.Row, 10) }

func secretAD(row int64) []byte { return []byte("secrets:" + strconv.FormatInt(row, 10)) }

func (s *Store) insertSecret(t *tx, app int64, name, secret string) error {
	row, err := t.insert(`INSERT INTO secrets (app, name, sealed, created) VALUES (?, ?, x'', ?)`, app, name, s.millis())
	if err != nil {
		return err
	}
	return t.exec(`UPDATE secrets SET sealed = ? WHERE id = ?`, s.box.Seal([]byte(secret), secretAD(row)), row)
}

// AddSecret gives an application one more secret, for one host, and returns it.
func (s *Store) AddSecret(ctx context.Context, app int64, name string) (string, error) {
	secret := random(secretLen)
	return secret, s.write(ctx, func(t *tx) error {
		if err := checkName("secret", name); err != nil {
			return err
		}
		var taken int
		err := t.get([]any{&taken}, `SELECT count(*) FROM secrets WHERE app = ? AND name = ? AND revoked IS NULL`, app, name)
		if err != nil {
			return err
		}
		if taken > 0 {
			return fmt.Errorf("secret %q: %w", name, ErrExists)
		}
		if err := s.insertSecret(t, app, name, secret); err != nil {
			return err
		}
		return s.auditSecret(ctx, t, "secret.add", app, name, nil)
	})
}

func (s *Store) auditSecret(ctx context.Context, t *tx, act string, app int64, name string, detail map[string]string) error {
	of, err := applicationName(t, app)
	if err != nil {
		return err
	}
	if detail == nil {
		detail = map[string]string{}
	}
	detail["application"] = of
	return s.audit(ctx, t, act, name, detail)
}

// RotateSecret gives a secret's host a new one under the same name and returns it. The old one goes on until ends
// (milliseconds since 1970 UTC), so that the host can be told the new one meanwhile; a time that has passed ends it at once.
func (s *Store) RotateSecret(ctx context.Context, app int64, name string, ends int64) (string, error) {
	secret := random(secretLen)
	return secret, s.write(ctx, func(t *tx) error {
		n, err := t.change(`UPDATE secrets SET revoked = ? WHERE app = ? AND name = ? AND revoked IS NULL`, max(ends, s.millis()), app, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %q", ErrNoSecret, name)
		}
		if err := s.insertSecret(t, app, name, secret); err != nil {
			return err
		}
		return s.auditSecret(ctx, t, "secret.rotate", app, name,
			map[string]string{"old_one_ends": time.UnixMilli(max(ends, s.millis())).UTC().Format(time.RFC3339)})
	})
}

// RevokeSecret makes a secret useless for every request that comes after it, and with it an older one of the same name that
// was to end later.
func (s *Store) RevokeSecret(ctx context.Context, app int64, name string) error {
	return s.write(ctx, func(t *tx) error {
		n, err := t.change(`UPDATE secrets SET revoked = ?1 WHERE app = ?2 AND name = ?3 AND (revoked IS NULL OR revoked > ?1)`,
			s.millis(), app, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %q", ErrNoSecret, name)
		}
		return s.auditSecret(ctx, t, "secret.revoke", app, name, nil)
	})
}

// Secrets lists an application's secrets, revoked ones too.
func (s *Store) Secrets(app int64) ([]SecretInfo, error) {
	var list []SecretInfo
	now := s.millis()
	err := s.reads.each(func(scan func(...any) error) error {
		var i SecretInfo
		err := scan(&i.Name, &i.Created, &i.LastUse, &i.Ends)
		i.Revoked = i.Ends > 0 && i.Ends <= now
		list = append(list, i)
		return err
	}, `SELECT name, created, last_use, coalesce(revoked, 0) FROM secrets WHERE app = ? ORDER BY id`, app)
	return list, err
}

// Credentials finds an application and its usable secrets, oldest first. It is on the path of every
// request: one statement.
func (s *Store) Credentials(appID string) (Application, []Credential, error) {
	var a Application
	var list []Credential
	err := s.reads.each(func(scan func(...any) error) error {
		var c Credential
		var sealed []byte
		if err := scan(append(a.fields(), &c.Row, &c.Name, &sealed, &c.lastUse)...); err != nil {
			return err
		}
		plain, err := s.box.Open(sealed, secretAD(c.Row))
		if err != nil {
			return fmt.Errorf("secret %q of application %q: %w", c.Name, a.ID, err)
		}
		c.Secret = string(plain)
		list = append(list, c)
		return nil
	}, `SELECT `+applicationColumns+`, s.id, s.name, s.sealed, s.last_use FROM applications a
		JOIN secrets s ON s.app = a.id AND (s.revoked IS NULL OR s.revoked > ?)
		WHERE a.app_id = ? AND a.removed IS NULL ORDER BY s.id`, s.millis(), appID)
	if err != nil {
		return Application{}, nil, err
	}
	if len(list) == 0 {
		return Application{}, nil, ErrNoApplication
	}
	return a, list, nil
}

// Used notes that a secret was used. It costs a write only when the last one is old, and nobody
// waits for it.
func (s *Store) Used(c Credential) {
	now := s.millis()
	// A last use in the future was noted by a clock that was wrong.
	if since := now - c.lastUse; since >= 0 && since < lastUseStep.Milliseconds() {
		return
	}
	j := &job{ctx: context.Background(), done: make(chan struct{}), run: func(t *tx) error {
		return t.exec(`UPDATE secrets SET last_use = ? WHERE id = ?`, now, c.Row)
	}}
	select {
	case s.jobs <- j:
	default: // the queue is full; a later request notes it
	}
}

// DummySecret returns a secret that signs nothing, for verifying a request of an unknown application:
// it takes the same time as a wrong signature of a known one.
func (s *Store) DummySecret(id string) string {
	sum := sha256.Sum256(s.box.Digest([]byte("stranger:" + id)))
	return fmt.Sprintf("%x", sum[:secretLen/2])
}
