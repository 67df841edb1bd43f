package store

import (
	"context"
	"fmt"
	"strings"
)

// Application is what a host signs its requests as. Row is internal to the database.
type Application struct {
	Row          int64
	ID           string // 20 characters
	Name         string
	ImageURL     string
	ContactEmail string
	ContactPhone string
	TwoFactor    Mode
	LockOnUse    Mode // lock_on_request
	OpenByAPI    bool // whether the application itself may open latches
	PairByName   bool // whether it may pair people without their code
	Created      int64
	Owner        int64 // row of the API user who made it, 0 for the command line
}

// ApplicationChange holds what to change; nil keeps.
type ApplicationChange struct {
	Name, ImageURL, ContactEmail, ContactPhone *string
	TwoFactor, LockOnUse                       *Mode
	OpenByAPI, PairByName                      *bool
	Owner                                      *int64 // row of the API user, 0 for none
}

const applicationColumns = `a.id, a.app_id, a.name, a.image_url, a.contact_email, a.contact_phone,
	a.two_factor, a.lock_on_request, a.open_by_api, a.pair_by_name, a.created, coalesce(a.owner, 0)`

func (a *Application) fields() []any {
	return []any{&a.Row, &a.ID, &a.Name, &a.ImageURL, &a.ContactEmail, &a.ContactPhone,
		&a.TwoFactor, &a.LockOnUse, &a.OpenByAPI, &a.PairByName, &a.Created, &a.Owner}
}

// AddApplication makes an application and its first secret, named "default", which is returned once
// and kept sealed. A name in use among the same owner's applications is ErrExists.
func (s *Store) AddApplication(ctx context.Context, a Application) (Application, string, error) {
	a.ID = random(idLen)
	a.Created = s.millis()
	secret := random(secretLen)
	err := s.write(ctx, func(t *tx) error {
		if err := checkApplicationName(t, a.Name, 0); err != nil {
			return err
		}
		var err error
		if a.Row, err = insertApplication(t, a); err != nil {
			return err
		}
		if err := s.insertSecret(t, a.Row, defaultSecret, secret); err != nil {
			return err
		}
		return s.audit(ctx, t, "application.add", a.Name, map[string]string{"app_id": a.ID})
	})
	if err != nil {
		return Application{}, "", err
	}
	return a, secret, nil
}

func insertApplication(t *tx, a Application) (row int64, err error) {
	return t.insert(`INSERT INTO applications (app_id, owner, name, image_url, contact_email, contact_phone,
			two_factor, lock_on_request, open_by_api, pair_by_name, created) VALUES (?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		a.ID, a.Owner, a.Name, a.ImageURL, a.ContactEmail, a.ContactPhone, a.TwoFactor, a.LockOnUse, a.OpenByAPI, a.PairByName, a.Created)
}

func checkApplicationName(t *tx, name string, except int64) error {
	if err := checkName("application", name); err != nil {
		return err
	}
	var taken int
	err := t.get([]any{&taken}, `SELECT count(*) FROM applications WHERE name = ? AND id != ? AND removed IS NULL`, name, except)
	if err == nil && taken > 0 {
		err = fmt.Errorf("application %q: %w", name, ErrExists)
	}
	return err
}

// checkName keeps names printable in one line; they stand in logs, tables and history.
func checkName(what, name string) error {
	if strings.TrimSpace(name) == "" || len(name) > maxName {
		return fmt.Errorf("%w: %s name must have 1 to %d bytes", ErrBadName, what, maxName)
	}
	for _, r := range name {
		if unseen(r) || r == '\ufffd' {
			return fmt.Errorf("%w: %s name %q holds a character that cannot be seen, or is not UTF-8", ErrBadName, what, name)
		}
	}
	return nil
}

// Applications lists all applications by name; owner limits it to one API user's, 0 means all.
func (s *Store) Applications(owner int64) ([]Application, error) {
	var list []Application
	err := s.reads.each(func(scan func(...any) error) error {
		var a Application
		err := scan(a.fields()...)
		list = append(list, a)
		return err
	}, `SELECT `+applicationColumns+` FROM applications a
		WHERE a.removed IS NULL AND (?1 = 0 OR a.owner = ?1) ORDER BY a.name, a.id`, owner)
	return list, err
}

// Application finds an application by its id or, failing that, by its name.
func (s *Store) Application(idOrName string) (Application, error) {
	return findApplication(s.reads, idOrName)
}

func findApplication(q source, idOrName string) (Application, error) {
	var found []Application
	err := q.each(func(scan func(...any) error) error {
		var a Application
		err := scan(a.fields()...)
		found = append(found, a)
		return err
	}, `SELECT `+applicationColumns+` FROM applications a
		WHERE a.removed IS NULL AND (a.app_id = ?1 OR a.name = ?1) ORDER BY a.app_id = ?1 DESC LIMIT 2`, idOrName)
	switch {
	case err != nil:
		return Application{}, err
	case len(found) == 0:
		return Application{}, fmt.Errorf("%w: %q", ErrNoApplication, idOrName)
	case len(found) > 1 && found[0].ID != idOrName:
		return Application{}, fmt.Errorf("application %q: %w", idOrName, ErrAmbiguous)
	}
	return found[0], nil
}

// ChangeApplication changes what c names.
func (s *Store) ChangeApplication(ctx context.Context, row int64, c ApplicationChange) error {
	return s.write(ctx, func(t *tx) error {
		name, err := applicationName(t, row)
		if err != nil {
			return err
		}
		if c.Name != nil {
			if err := checkApplicationName(t, *c.Name, row); err != nil {
				return err
			}
		}
		err = t.exec(`UPDATE applications SET name = coalesce(?, name), image_url = coalesce(?, image_url),
				contact_email = coalesce(?, contact_email), contact_phone = coalesce(?, contact_phone),
				two_factor = coalesce(?, two_factor), lock_on_request = coalesce(?, lock_on_request),
				open_by_api = coalesce(?, open_by_api), pair_by_name = coalesce(?, pair_by_name), owner = nullif(coalesce(?, owner), 0) WHERE id = ? AND removed IS NULL`,
			c.Name, c.ImageURL, c.ContactEmail, c.ContactPhone, c.TwoFactor, c.LockOnUse, c.OpenByAPI, c.PairByName, c.Owner, row)
		if err != nil {
			return err
		}
		if err := touch(t, Everybody); err != nil {
			return err
		}
		return s.audit(ctx, t, "application.change", name, changed(map[string]any{
			"name": c.Name, "image": c.ImageURL, "contact_email": c.ContactEmail, "contact_phone": c.ContactPhone,
			"two_factor": c.TwoFactor, "lock_on_request": c.LockOnUse, "open_by_api": c.OpenByAPI, "pair_by_name": c.PairByName,
		}))
	})
}

// applicationName is the name of a row, for the audit log; a removed application is ErrNoApplication.
func applicationName(q source, row int64) (name string, err error) {
	err = q.get([]any{&name}, `SELECT name FROM applications WHERE id = ? AND removed IS NULL`, row)
	if isNoRows(err) {
		err = ErrNoApplication
	}
	return name, err
}

// RemoveApplication makes the application's secrets useless at once. Its rows stay, for the history.
func (s *Store) RemoveApplication(ctx context.Context, row int64) error {
	return s.write(ctx, func(t *tx) error {
		name, err := applicationName(t, row)
		if err != nil {
			return err
		}
		now := s.millis()
		if err := t.exec(`UPDATE applications SET removed = ? WHERE id = ?`, now, row); err != nil {
			return err
		}
		if err := t.exec(`UPDATE secrets SET revoked = ?1 WHERE app = ?2 AND (revoked IS NULL OR revoked > ?1)`, now, row); err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM notice_channels WHERE app = ? AND app != 0`, row); err != nil {
			return err
		}
		if err := touch(t, Everybody); err != nil {
			return err
		}
		return s.audit(ctx, t, "application.remove", name, nil)
	})
}
