package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Settings of notices that are the server's. The last two are sealed.
const (
	SettingPrivateReceivers = "notice_private_receivers" // "yes": receivers may have addresses of this machine and its networks
	SettingPushContact      = "notice_push_contact"      // mailto: or https: address that push services may write to
	settingMail             = "notice_mail"
	settingPushKey          = "notice_push_key"
)

// MailServer is where notices are handed in as e-mail.
type MailServer struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	TLS      string `json:"tls"`      // MailTLS, MailStartTLS or MailPlain
	User     string `json:"user"`     // "" = without signing in
	Password string `json:"password"` // in no log and no answer
	From     string `json:"from"`     // address that notices come from
}

// How the connection to a mail server is protected.
const (
	MailTLS      = "tls"      // from its start
	MailStartTLS = "starttls" // before anything is said; a server that does not offer it gets no mail
	MailPlain    = "none"     // for a server on this machine
)

// MailServer returns the mail server's settings; ok is false where there are none.
func (s *Store) MailServer() (m MailServer, ok bool, err error) {
	plain, err := s.sealedSetting(s.reads, settingMail)
	if err != nil || plain == nil {
		return m, false, err
	}
	return m, true, json.Unmarshal(plain, &m)
}

// SetMailServer keeps the mail server's settings, sealed; nil forgets them.
func (s *Store) SetMailServer(ctx context.Context, m *MailServer) error {
	return s.write(ctx, func(t *tx) error {
		if err := s.audit(ctx, t, "setting.change", settingMail, nil); err != nil {
			return err
		}
		if m == nil {
			return t.exec(`DELETE FROM settings WHERE name = ?`, settingMail)
		}
		plain, err := json.Marshal(m)
		if err != nil {
			return err
		}
		return s.sealSetting(t, settingMail, plain)
	})
}

// PushKey returns the private key that push services know this server by; fresh makes one where there is none yet. Whoever
// calls first makes it, and every process then has the same.
func (s *Store) PushKey(ctx context.Context, fresh func() ([]byte, error)) (key []byte, err error) {
	if key, err = s.sealedSetting(s.reads, settingPushKey); err != nil || key != nil {
		return key, err
	}
	err = s.write(ctx, func(t *tx) error {
		if key, err = s.sealedSetting(t, settingPushKey); err != nil || key != nil {
			return err
		}
		if key, err = fresh(); err != nil {
			return err
		}
		return s.sealSetting(t, settingPushKey, key)
	})
	return key, err
}

func (s *Store) sealSetting(t *tx, name string, plain []byte) error {
	sealed := base64.StdEncoding.EncodeToString(s.box.Seal(plain, []byte(name)))
	return t.exec(`INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, name, sealed)
}

func (s *Store) sealedSetting(q source, name string) ([]byte, error) {
	var text string
	err := q.get([]any{&text}, `SELECT value FROM settings WHERE name = ?`, name)
	if isNoRows(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("setting %q is damaged", name)
	}
	plain, err := s.box.Open(sealed, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("setting %q: %w", name, err)
	}
	return plain, nil
}
