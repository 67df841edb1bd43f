package doctor

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
)

// firstPerson is where the uids of people begin, as login.defs(5) has it in all distributions that we know.
const firstPerson = 1000

// account is a line of passwd(5).
type account struct {
	name, home string
	uid        int
	shell      string
}

// accounts lists the users of the machine; none where the name service lists nobody.
func (e *examination) accounts() (all []account) {
	out, err := e.Run(e.ctx, "getent", "passwd")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 7 {
			continue
		}
		if uid, err := strconv.Atoi(fields[2]); err == nil {
			all = append(all, account{fields[0], fields[5], uid, fields[6]})
		}
	}
	return all
}

// people names users who can log in and are neither paired nor exempt. An exemption is a decision on record.
func (e *examination) people(paired *pairings.File) {
	var without []string
	sshd := e.sshdSettings()
	for _, a := range e.accounts() {
		if a.uid < firstPerson || a.name == "nobody" || strings.HasSuffix(a.shell, "nologin") || strings.HasSuffix(a.shell, "false") {
			continue
		}
		if _, ok := paired.Find(a.name); !ok && !e.exempted(a.name) && len(e.ways(a.name, a.home, sshd)) > 0 {
			without = append(without, a.name)
		}
	}
	const shown = 5
	names := strings.Join(without[:min(shown, len(without))], ", ")
	if len(without) > shown {
		names = fmt.Sprintf("%d users, such as %s", len(without), names)
	}
	switch {
	case len(without) == 0:
	case e.config != nil && e.config.Unpaired == config.Close:
		e.ok("people", "not paired, and refused (unpaired = close): %s", names)
	default:
		e.warn("people", e.latch("pair --user NAME CODE")+", or add NAME to exempt_users in "+e.profile.Config,
			"not paired, so their logins query no latch: %s", names)
	}
}

// exempted reports whether the configuration exempts a user, by name or group.
func (e *examination) exempted(user string) bool {
	if e.config == nil {
		return false
	}
	if slices.Contains(e.config.ExemptUsers, user) || len(e.config.ExemptGroups) == 0 {
		return slices.Contains(e.config.ExemptUsers, user)
	}
	out, err := e.Run(e.ctx, "id", "-Gn", "--", user)
	return err == nil && slices.ContainsFunc(strings.Fields(string(out)), func(group string) bool { return slices.Contains(e.config.ExemptGroups, group) })
}

// root wants root's logins to query a latch, unless there can be none or the configuration says otherwise.
func (e *examination) root(paired *pairings.File) {
	for _, p := range paired.All() {
		if uid, known, err := e.Find(p.User); err == nil && known && uid == 0 {
			return
		}
	}
	ways := e.ways("root", "/root", e.sshdSettings())
	switch {
	case e.exempted("root"):
		e.ok("root", "root is exempt (exempt_users, exempt_groups)")
	case e.config != nil && e.config.Unpaired == config.Close:
		e.ok("root", "root is not paired, and refused (unpaired = close)")
	case len(ways) == 0:
		e.ok("root", "root is not paired, and has no password and no SSH key to log in with")
	default:
		e.warn("root", e.latch("pair --user root CODE")+", or passwd -l root and no key, or exempt_users = root in "+e.profile.Config,
			"root is not paired and can log in by %s, which queries no latch", strings.Join(ways, " and "))
	}
}

// sshdSettings are the lines of sshd -T, none where there is no sshd.
func (e *examination) sshdSettings() []string {
	out, err := e.Run(e.ctx, "/usr/sbin/sshd", "-T")
	if err != nil {
		return nil
	}
	return strings.Split(string(out), "\n")
}

// ways names what a user could log in with: a password, keys that sshd takes. What cannot be read is taken for a way.
func (e *examination) ways(user, home string, sshd []string) (ways []string) {
	if !e.locked(user) {
		ways = append(ways, "password")
	}
	if len(sshd) == 0 || user == "root" && slices.Contains(sshd, "permitrootlogin no") {
		return ways
	}
	key := slices.ContainsFunc(sshd, func(s string) bool {
		return strings.HasPrefix(s, "authorizedkeyscommand ") && s != "authorizedkeyscommand none"
	})
	for _, name := range []string{"authorized_keys", "authorized_keys2"} {
		text, err := os.ReadFile(e.Root + home + "/.ssh/" + name)
		key = key || err == nil && strings.TrimSpace(string(text)) != ""
	}
	if key {
		ways = append(ways, "SSH key")
	}
	return ways
}

// locked reports whether shadow(5) has no password for a user that could be right.
func (e *examination) locked(user string) bool {
	shadow, err := os.ReadFile(e.Root + "/etc/shadow")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(shadow)) {
		if rest, found := strings.CutPrefix(line, user+":"); found {
			return strings.HasPrefix(rest, "!") || strings.HasPrefix(rest, "*")
		}
	}
	return false
}
