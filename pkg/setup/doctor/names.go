package doctor

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

// unknownName explains a server's name that latch-auth cannot look up. It knows /etc/hosts and DNS, whatever nsswitch.conf says, since
// modules of the name service read files and ask daemons in the middle of a query.
func (e *examination) unknownName(name *net.DNSError, err error) {
	address := e.addressByNSS(name.Name)
	modules := strings.Join(e.hostsModules(), ", ")
	if address == "" || modules == "" {
		e.fail("DNS", "look at latch_host in the configuration, and at /etc/resolv.conf", "%v", err)
		return
	}
	e.fail("DNS", fmt.Sprintf("echo '%s %s' >>/etc/hosts, or set latch_host to a name that DNS knows", address, name.Name),
		"only a module of the name service knows %s (hosts: in /etc/nsswitch.conf has %s), and logins ask /etc/hosts and DNS alone", name.Name, modules)
}

// addressByNSS returns the first address of a host by all that nsswitch.conf names, "" for none.
func (e *examination) addressByNSS(name string) string {
	out, err := e.Run(e.ctx, "getent", "ahosts", name)
	if fields := strings.Fields(string(out)); err == nil && len(fields) > 0 {
		return fields[0]
	}
	return ""
}

// hostsModules returns what nsswitch.conf names for hosts in addition to files and DNS, such as mdns4_minimal, resolve and myhostname.
func (e *examination) hostsModules() (modules []string) {
	text, err := os.ReadFile(e.Root + "/etc/nsswitch.conf")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		list, found := strings.CutPrefix(strings.TrimSpace(line), "hosts:")
		if !found {
			continue
		}
		for rest := list; rest != ""; { // [NOTFOUND=return] is an action, not a module
			var actions string
			list, actions, _ = strings.Cut(rest, "[")
			_, rest, _ = strings.Cut(actions, "]")
			modules = append(modules, strings.Fields(list)...)
		}
	}
	return slices.DeleteFunc(modules, func(m string) bool { return m == "files" || m == "dns" })
}
