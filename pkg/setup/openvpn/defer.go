package openvpn

import (
	"fmt"
	"path"
	"slices"
)

// synchronous are plugins that check no password, or answer about it at once.
var synchronous = append([]string{"openvpn-plugin-down-root.so", "openvpn-down-root.so", "openvpn-auth-ldap.so"}, PluginFiles...)

// deferred finds the variable that makes the plugin work beside OpenVPN. Its mere presence does, whatever its value.
func deferred(d directive) bool {
	return d.name() == "setenv" && len(d.words) > 1 && d.words[1] == "deferred_auth_pam"
}

// mayDefer finds plugins that may answer about a password later. OpenVPN ends by itself when two plugins do so about one
// login, so a plugin that nobody knows counts as one.
func mayDefer(d directive) bool {
	return d.name() == "plugin" && len(d.words) > 1 && !slices.Contains(synchronous, path.Base(d.words[1]))
}

// first returns the first directive of a kind, nil for none.
func (f file) first(kind func(directive) bool) *directive {
	if i := slices.IndexFunc(f.directives, kind); i >= 0 {
		return &f.directives[i]
	}
	return nil
}

// twice returns an error where the PAM plugin and another one may both answer later, and whether our line makes it so, which
// an installation takes away.
func (f file) twice() (ours bool, err error) {
	own, other := f.first(deferred), f.first(mayDefer)
	if own == nil || other == nil {
		return false, nil
	}
	return f.ours(own.line), fmt.Errorf("line %d: the plugin %s may answer later, and so does the PAM plugin (deferred_auth_pam, line %d): "+
		"OpenVPN ends at the first login, with any password; take deferred_auth_pam away", other.line+1, other.words[1], own.line+1)
}

// instead says why the PAM plugin cannot answer later, "" where it can, and what could be done about it.
func (f file) instead() string {
	if f.jailed() {
		return jailNote
	}
	if other := f.first(mayDefer); other != nil {
		return fmt.Sprintf("line %d: the plugin %s may answer later, and OpenVPN ends when two plugins do so (deferred_auth_pam): without it the traffic "+
			"of all clients stands still while one login is asked about", other.line+1, other.words[1])
	}
	return ""
}
