package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// ErrNoPicture is what an address gives that no picture has.
var ErrNoPicture = errors.New("no such picture")

// PicturePath is where the pages serve pictures: an application's ImageURL begins with it when its picture was uploaded, and
// is then no address by itself.
const PicturePath = "/picture/"

// SetPicture keeps a picture (PNG) for an application, and makes its ImageURL the path where the pages serve it.
func (s *Store) SetPicture(ctx context.Context, app Application, png []byte) error {
	sum := sha256.Sum256(png)
	digest := hex.EncodeToString(sum[:16])
	return s.write(ctx, func(t *tx) error {
		name, err := applicationName(t, app.Row)
		if err != nil {
			return err
		}
		err = t.exec(`INSERT INTO pictures (app, digest, png) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET digest = excluded.digest, png = excluded.png`, app.Row, digest, png)
		if err != nil {
			return err
		}
		if err := t.exec(`UPDATE applications SET image_url = ? WHERE id = ?`, PicturePath+app.ID+"/"+digest+".png", app.Row); err != nil {
			return err
		}
		if err := touch(t, Everybody); err != nil {
			return err
		}
		return s.audit(ctx, t, "application.picture", name, nil)
	})
}

// RemovePicture removes an application's picture, and its ImageURL whatever it is.
func (s *Store) RemovePicture(ctx context.Context, app Application) error {
	return s.write(ctx, func(t *tx) error {
		name, err := applicationName(t, app.Row)
		if err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM pictures WHERE app = ?`, app.Row); err != nil {
			return err
		}
		if err := t.exec(`UPDATE applications SET image_url = '' WHERE id = ?`, app.Row); err != nil {
			return err
		}
		if err := touch(t, Everybody); err != nil {
			return err
		}
		return s.audit(ctx, t, "application.picture", name, map[string]string{"picture": ""})
	})
}

// Picture returns what is served below PicturePath as APPLICATION/DIGEST.png.
func (s *Store) Picture(appID, file string) (png []byte, err error) {
	digest, ok := strings.CutSuffix(file, ".png")
	if !ok {
		return nil, ErrNoPicture
	}
	err = s.reads.get([]any{&png}, `SELECT p.png FROM pictures p JOIN applications a ON a.id = p.app
		WHERE a.app_id = ? AND a.removed IS NULL AND p.digest = ?`, appID, digest)
	if isNoRows(err) {
		err = ErrNoPicture
	}
	return png, err
}
