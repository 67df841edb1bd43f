package pages

import (
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/server/store"
)

func (s *Site) adminSettingRoutes() {
	s.auditor("GET /admin/settings", s.settingsPage)
	s.admin("POST /admin/settings", s.changeSettings)
}

// Kinds of setting, as the form shows them.
const (
	kindDays  = "days"  // empty: for ever
	kindLines = "lines" // empty: any number
	kindYes   = "yes"   // yes unless "no" is stored
	kindText  = "text"
)

// settingFields are the settings of the panel, in the order of the page. The texts are admin.setting.NAME and .hint.
var settingFields = []struct{ name, kind string }{
	{store.SettingKeepHistory, kindDays},
	{store.SettingHistoryLines, kindLines},
	{store.SettingKeepAudit, kindDays},
	{store.SettingTOTPEnrol, kindYes},
	{store.SettingTOTPRemove, kindYes},
	{store.SettingTOTPDays, kindDays},
	{store.SettingTOTPIssuer, kindText},
	{store.SettingTOTPLabel, kindText},
}

type settingField struct {
	Name, Kind, Value string
	On                bool
}

func (s *Site) settingsPage(x *exchange) error {
	var fields []settingField
	for _, f := range settingFields {
		value, err := s.store.Setting(f.name)
		if err != nil {
			return err
		}
		if (f.kind == kindDays || f.kind == kindLines) && value == "0" {
			value = ""
		}
		fields = append(fields, settingField{Name: f.name, Kind: f.kind, Value: value, On: value != "no"})
	}
	address, err := s.store.Setting(store.SettingURL)
	if err != nil {
		return err
	}
	return x.page("admin_settings", struct {
		Fields  []settingField
		Address string
	}{fields, address})
}

func (s *Site) changeSettings(x *exchange) error {
	values := map[string]string{}
	for _, f := range settingFields {
		value := strings.TrimSpace(x.r.PostFormValue(f.name))
		switch f.kind {
		case kindDays, kindLines:
			most := map[string]int{kindDays: store.MaxKeepDays, kindLines: store.MaxHistoryLines}[f.kind]
			n, err := strconv.Atoi(value)
			if value != "" && (err != nil || n < 0 || n > most) {
				x.flashBad("admin.refused."+f.kind, strconv.Itoa(most))
				return x.redirect("/admin/settings")
			}
			if n == 0 {
				value = ""
			}
		case kindYes:
			value = map[bool]string{true: "", false: "no"}[value == "yes"]
		case kindText:
			if len(value) > 64 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == ':' || r == 0x7f }) {
				x.flashBad("admin.refused.label")
				return x.redirect("/admin/settings")
			}
		}
		values[f.name] = value
	}
	return x.done(s.store.SetSettings(x.context(), values), "/admin/settings", "/admin/settings", "admin.settings.changed")
}
