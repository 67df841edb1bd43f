package doctor

import (
	"os"
	"path/filepath"
	"strings"
)

// left is what plugins that came before may have left: a pattern, and what to do about each file that it finds.
var left = []struct{ pattern, fix string }{
	{"/usr/lib/latch", "rm -r %s, after the lines in /etc/pam.d that name files in it"},
	{"/etc/openvpn-latch.conf", "move app_id and secret_key with latch setup --profile openvpn, then rm %s"},
	{"/etc/*-latch.conf", "move app_id and secret_key with latch setup, then rm %s"},
	{"/usr/*bin/latch-ssh-cmd", "take the ForceCommand or command= lines that name it away, then rm %s"},
	{"/usr/lib/pam_latch.so", "rm %s once no line in /etc/pam.d names it"},
	{"/usr/local/lib/latch.conf", "rm %s"},
}

// leftovers of the plugins that came before, with the way to take them over or away.
func (e *examination) leftovers() {
	told := map[string]bool{}
	for _, l := range left {
		paths, _ := filepath.Glob(e.Root + l.pattern) // patterns without errors
		for _, path := range paths {
			if name := strings.TrimPrefix(path, e.Root); !told[name] {
				told[name] = true
				e.warn("leftovers", strings.ReplaceAll(l.fix, "%s", name), "%s belongs to an earlier plugin", name)
			}
		}
	}
	var wrappers []string
	for _, pattern := range []string{"/usr/*bin/*pair*", "/usr/bin/latch-shell*", "/usr/local/bin/latch-shell*"} {
		paths, _ := filepath.Glob(e.Root + pattern) // patterns without errors
		wrappers = append(wrappers, paths...)
	}
	for _, path := range wrappers {
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSetuid != 0 {
			name := strings.TrimPrefix(path, e.Root)
			told[name] = true
			e.fail("leftovers", "rm "+name, "%s is set-uid root", name)
		}
	}
	configs, _ := filepath.Glob(e.Root + "/etc/ssh/sshd_config.d/*.conf")
	for _, path := range append(configs, e.Root+"/etc/ssh/sshd_config") {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), "latch-ssh-cmd") {
			name := strings.TrimPrefix(path, e.Root)
			told[name] = true
			e.warn("leftovers", "remove the line of "+name+" that names it, then latch install sshd", "%s runs latch-ssh-cmd of an earlier plugin", name)
		}
	}
	if len(told) == 0 {
		e.ok("leftovers", "nothing of earlier plugins")
	}
}
