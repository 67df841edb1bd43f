package installer

import (
	"os"
	"strings"
)

// LoadPolicy says how our policy module is loaded.
const LoadPolicy = "semodule -i latch.pp; the .rpm has it in /usr/share/selinux/packages, and make SELINUX=1 makes it in build/selinux"

// SELinux reports whether SELinux enforces on the system below root, and whether our policy module is loaded, without
// which sshd and login may not reach a Latch server.
func SELinux(root string, run func(name string, args ...string) ([]byte, error)) (enforces, loaded bool) {
	data, err := os.ReadFile(root + "/sys/fs/selinux/enforce")
	if err != nil || strings.TrimSpace(string(data)) != "1" {
		return false, false
	}
	out, err := run("semodule", "-l")
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) > 0 && words[0] == "latch" { // older releases print a version behind it
			loaded = err == nil
		}
	}
	return true, loaded
}
