package store

import (
	"context"
	"maps"
	"slices"
)

// SettingURL is the address that people and hosts use; the only source of links.
const SettingURL = "url"

// plainSettings are those whose value the audit log shows: nothing in them is secret.
var plainSettings = []string{SettingURL, SettingKeepHistory, SettingKeepAudit, SettingHistoryLines,
	SettingTOTPEnrol, SettingTOTPRemove, SettingTOTPDays, SettingTOTPIssuer, SettingTOTPLabel}

// SetSettings keeps several settings at once, those that changed: none of them or all.
func (s *Store) SetSettings(ctx context.Context, values map[string]string) error {
	return s.write(ctx, func(t *tx) error {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			var was string
			err := t.get([]any{&was}, `SELECT value FROM settings WHERE name = ?`, name)
			if err != nil && !isNoRows(err) {
				return err
			}
			if was == values[name] {
				continue
			}
			if err := s.setSetting(ctx, t, name, values[name]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Setting returns a setting, "" when it was never set.
func (s *Store) Setting(name string) (string, error) {
	var value string
	err := s.reads.get([]any{&value}, `SELECT value FROM settings WHERE name = ?`, name)
	if isNoRows(err) {
		return "", nil
	}
	return value, err
}

// SetSetting keeps a setting.
func (s *Store) SetSetting(ctx context.Context, name, value string) error {
	return s.write(ctx, func(t *tx) error { return s.setSetting(ctx, t, name, value) })
}

func (s *Store) setSetting(ctx context.Context, t *tx, name, value string) error {
	err := t.exec(`INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`, name, value)
	if err != nil {
		return err
	}
	if err := touch(t, Everybody); err != nil {
		return err
	}
	var detail map[string]string
	if slices.Contains(plainSettings, name) {
		detail = map[string]string{"value": value}
	}
	return s.audit(ctx, t, "setting.change", name, detail)
}
