package units

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var places = Places{Write: []string{"/var/lib/latch", "/run/latch"}, Read: []string{"/etc/latch"}}

// put writes files below a directory of the test's own.
func put(t *testing.T, files map[string]string) Files {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Files{root}
}

// lifted lists the lines of a drop-in that a unit needs, and the texts of what none can lift.
func lifted(u *Unit) (lines []string, rest string) {
	for _, o := range u.Obstacles(places) {
		if o.Line == "" {
			rest += o.Text + "\n"
		} else {
			lines = append(lines, o.Line)
		}
	}
	return lines, rest
}

// TestPolkit has Debian's unit of polkit 128: with our drop-in nothing is left.
func TestPolkit(t *testing.T) {
	f := Files{"testdata/polkit-128"}
	u, err := f.Load("polkit-agent-helper@.service", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	lines, rest := lifted(u)
	want := []string{"PrivateNetwork=no", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6", "ReadWritePaths=-/var/lib/latch -/run/latch"}
	if !slices.Equal(lines, want) || rest != "" {
		t.Errorf("%q %q", lines, rest)
	}
	text := Text(lines)
	if !IsOurs(text) || IsOurs(append(text, "PrivateTmp=no\n"...)) || !slices.Equal(Writable(text), places.Write) {
		t.Errorf("is it ours?\n%s", text)
	}
	u, err = f.Load("polkit-agent-helper@.service", "", text)
	if lines, rest := lifted(u); err != nil || lines != nil || rest != "" {
		t.Errorf("%v %q %q", err, lines, rest)
	}
	if u, err := f.Load("nosuch.service", "", text); u != nil || err != nil {
		t.Errorf("%v %v", u, err)
	}
}

// TestObstacles judges single settings of a unit.
func TestObstacles(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "",
		"PrivateNetwork=yes": network,
		"PrivateNetwork = On\n PrivateNetwork = no":                                          "",
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK":                        "",
		"RestrictAddressFamilies=AF_UNIX \\\n  AF_INET\nRestrictAddressFamilies=AF_INET6":    "",
		"RestrictAddressFamilies=AF_UNIX AF_INET":                                            families,
		"RestrictAddressFamilies=none":                                                       families,
		"RestrictAddressFamilies=~AF_PACKET AF_NETLINK":                                      "",
		"RestrictAddressFamilies=~AF_INET6":                                                  families,
		"RestrictAddressFamilies=~AF_INET6\nRestrictAddressFamilies=AF_INET6":                "",
		"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6\nRestrictAddressFamilies=~AF_INET": families,
		"RestrictAddressFamilies=AF_UNIX\nRestrictAddressFamilies=":                          "",
		"ProtectSystem=full":   "",
		"ProtectSystem=strict": "ReadWritePaths=-/var/lib/latch -/run/latch",
		"ProtectSystem=strict\nReadWritePaths=/run -/var/lib": "",
		"ProtectSystem=strict\nReadWritePaths=/run/lat":       "ReadWritePaths=-/var/lib/latch -/run/latch",
		"ReadOnlyPaths=/var":                                  "ReadWritePaths=-/var/lib/latch",
		"IPAddressDeny=any":                                   "! IPAddressDeny=any",
		"IPAddressDeny=any\nIPAddressAllow=any":               "",
		"InaccessiblePaths=-/etc":                             "! InaccessiblePaths=-/etc",
		"TemporaryFileSystem=/var:ro":                         "! TemporaryFileSystem=/var:ro",
		"NoExecPaths=/\nExecPaths=/usr /etc":                  "",
		"RootDirectory=/srv/jail":                             "! RootDirectory=/srv/jail",
		"RootDirectory=/":                                     "",
		"#PrivateNetwork=yes\n;PrivateNetwork=yes\n[Unit]\nPrivateNetwork=yes\n[Service]\n\t": "",
	} {
		u, err := put(t, map[string]string{"/usr/lib/systemd/system/x.service": "[Service]\n" + text + "\n"}).Load("x.service", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		lines, rest := lifted(u)
		reason, only := strings.CutPrefix(want, "! ")
		if only && (!strings.HasPrefix(rest, reason) || lines != nil) || !only && (rest != "" || strings.Join(lines, "; ") != want) {
			t.Errorf("%q: %q %q, want %q", text, lines, rest, want)
		}
	}
}

// TestDropIns follows systemd.unit(5): the order of names, hidden files, instances, and one for all services.
func TestDropIns(t *testing.T) {
	const unit, instance = "x@.service", "x@one.service"
	f := put(t, map[string]string{
		"/usr/lib/systemd/system/x@.service":                "[Service]\nA=unit\nB=unit\nC=unit\nD=unit\nE=unit\nF=unit\n",
		"/usr/lib/systemd/system/service.d/05-all.conf":     "[Service]\nA=all\nB=all\n",
		"/usr/lib/systemd/system/x@.service.d/10-b.conf":    "[Service]\nB=vendor\nC=vendor\n",
		"/etc/systemd/system/x@.service.d/10-b.conf":        "[Service]\nB=admin\n",
		"/run/systemd/system/x@.service.d/20-d.conf":        "[Service]\nD=run\n",
		"/etc/systemd/system/x@one.service.d/20-d.conf":     "[Service]\nD=instance\n",
		"/etc/systemd/system/x@.service.d/latch.conf":       "[Service]\nE=what stands there\n",
		"/etc/systemd/system/x@.service.d/z.conf":           "[Service]\nF=last\n",
		"/etc/systemd/system/x@.service.d/ignored.conf.bak": "[Service]\nA=no\n",
	})
	for ours, want := range map[string]string{"": "all admin unit instance unit last", "[Service]\nE=ours\nF=ours\n": "all admin unit instance ours last"} {
		u, err := f.Load(unit, instance, []byte(ours))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, key := range []string{"A", "B", "C", "D", "E", "F"} {
			got = append(got, u.Last(key).Text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", ours, got, want)
		}
	}
	if err := os.Remove(f.Root + "/etc/systemd/system/x@.service.d/latch.conf"); err != nil {
		t.Fatal(err)
	}
	u, err := f.Load(unit, instance, []byte("[Service]\nE=ours\nF=ours\n"))
	if err != nil || u.Last("E").Text != "ours" || u.Last("F").Text != "last" {
		t.Errorf("a file that is not there yet: %v %v", err, u)
	}
}
