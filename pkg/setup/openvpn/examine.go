package openvpn

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Finding is something that an administrator should know of a server.
type Finding struct {
	Grave bool   // nobody gets in, or tunnels end by themselves
	Text  string // what is wrong
	Fix   string // what to do; "" for installing, which mends it
}

// Examine looks at the configuration of a server that should ask PAM, and hand over codes where the latch asks for them,
// and returns what is wrong with it: nothing for one that Install made. What OpenVPN itself would refuse is an error.
func Examine(text []byte, codes bool) ([]Finding, error) {
	f, err := parse(text)
	if err != nil {
		return nil, err
	}
	if ours, err := f.twice(); ours {
		return []Finding{{Grave: true, Text: err.Error()}}, nil
	}
	if err := f.broken(); err != nil {
		return []Finding{{true, err.Error(), "edit that line and restart the server"}}, nil
	}
	found := f.plugins()
	if len(found) == 0 {
		return []Finding{f.unasked()}, nil
	}
	all, err := f.listed(found[0], codes)
	if err != nil {
		return nil, err
	}
	if f.first(deferred) == nil {
		finding := Finding{Text: "the traffic of all clients stands still while one login is asked about (no deferred_auth_pam)"}
		if note := f.instead(); note != "" {
			finding = Finding{Text: note, Fix: "see docs/openvpn.md"}
		}
		all = append(all, finding)
	}
	for _, weakness := range f.weaknesses() {
		all = append(all, Finding{Text: weakness, Fix: "take the option away, or accept it"})
	}
	if at := f.find("local"); at != nil && len(at.words) > 1 {
		if ip, err := netip.ParseAddr(at.words[1]); err == nil && ip.IsLoopback() {
			all = append(all, Finding{Text: fmt.Sprintf("it listens on %s alone, so whatever forwards to it makes all clients come from one address", ip),
				Fix: "let nothing block that address (fail2ban: ignoreip), and forward so that addresses stay"})
		}
	}
	return all, nil
}

// checksLogins finds what checks passwords beside the PAM plugin.
func checksLogins(d directive) bool {
	if d.name() != "plugin" || len(d.words) < 2 {
		return slices.Contains([]string{"auth-user-pass-verify", "management-client-auth"}, d.name())
	}
	file := path.Base(d.words[1])
	return !slices.Contains(PluginFiles, file) && slices.ContainsFunc([]string{"auth", "ldap", "radius"}, func(part string) bool { return strings.Contains(file, part) })
}

// unasked tells of a server without the plugin.
func (f file) unasked() Finding {
	if slices.ContainsFunc(f.directives, checksLogins) {
		return Finding{Text: "never asks PAM: something else checks its passwords"}
	}
	return Finding{Text: "never asks PAM: certificates alone open it"}
}

// listed examines what the plugin asks, and answers.
func (f file) listed(d directive, codes bool) ([]Finding, error) {
	list, err := d.list()
	if err != nil {
		return nil, err
	}
	_, otp := answer(list, codePrompt)
	whole, _, err := adopt(list, otp || codes)
	switch {
	case err != nil:
		return []Finding{{Text: fmt.Sprintf("line %d: %v", d.line+1, err), Fix: "edit that line and restart the server"}}, nil
	case list[0] != Service:
		return []Finding{{Text: fmt.Sprintf("line %d: the plugin asks the PAM service %s, not %s", d.line+1, list[0], Service)}}, nil
	case !slices.Equal(whole, list):
		return []Finding{{Text: fmt.Sprintf("line %d: the plugin's list lacks %s", d.line+1, join(whole[len(list):]))}}, nil
	case otp && f.find("auth-gen-token") == nil:
		return []Finding{{true, "codes are asked for, but without auth-gen-token the same code is sent at every renegotiation, which ends the tunnel",
			fmt.Sprintf("add auth-gen-token %d", TokenLifetime)}}, nil
	}
	return nil, nil
}
