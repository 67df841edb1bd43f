package openvpn

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// plugin finds where Debian has the plugin for this kind of machine.
func plugin(t *testing.T) string {
	t.Helper()
	paths, err := filepath.Glob("/usr/lib/*-linux-gnu*/openvpn/plugins/openvpn-plugin-auth-pam.so")
	if err != nil || len(paths) != 1 {
		t.Fatalf("%v %v", paths, err)
	}
	return paths[0]
}

// places lists every file in which latch install openvpn may write, with its mode, its owner and a digest.
func places(t *testing.T) string {
	t.Helper()
	const script = `find /etc/pam.d /etc/openvpn /etc/systemd -printf '%p %y %m %U:%G\n' | sort; find /etc/pam.d /etc/openvpn /etc/systemd -type f -exec sha256sum {} + | sort`
	out, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// planned is what latch install --json says without changing anything.
type planned struct {
	WouldChange bool `json:"would_change"`
	Services    []struct {
		Path, Diff string
		Changed    bool
		Notes      []string
	}
}

func plan(t *testing.T, args ...string) planned {
	t.Helper()
	out := must(t, append([]string{"install", "openvpn", "--dry-run", "--json"}, args...)...)
	var p planned
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return p
}

// writeConfig writes a server's configuration for the time of a test.
func writeConfig(t *testing.T, path, text string) {
	t.Helper()
	t.Cleanup(func() { os.Remove(path) })
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// handmade is a configuration as people have them: line ends of two systems, comments that look like options, files
// within, no line end at its end.
func handmade(t *testing.T, port int) string {
	t.Helper()
	text := "# plugin openvpn-plugin-auth-pam.so login\r\n; auth-gen-token\n" + serverText("127.0.0.1", port)
	authority, err := os.ReadFile(keys + "/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	text = strings.Replace(text, "ca "+keys+"/ca.crt\n", "<ca>\n"+string(authority)+"</ca>\n", 1)
	return strings.Replace(text, "dev tun\n", "dev tun\r\n", 1) + "push \"route 10.9.0.0 255.255.0.0\" # to the office"
}

// TestFromNothing starts with a server that has never heard of PAM, and a person who has just been added.
func TestFromNothing(t *testing.T) {
	const newcomer, conf = "carla", "/etc/openvpn/office.conf"
	port := freePort(t)
	writeConfig(t, conf, handmade(t, port))
	before := places(t)
	p := plan(t)
	var shown []string
	for _, s := range p.Services {
		shown = append(shown, s.Path)
		if !s.Changed || !strings.Contains(s.Diff, "+++ "+s.Path+"\n") || len(s.Notes) == 0 && s.Path != pamFile {
			t.Errorf("%+v", s)
		}
	}
	if want := strings.Join([]string{pamFile, conf, dropIn}, " "); !p.WouldChange || strings.Join(shown, " ") != want {
		t.Fatalf("shown: %v, want %s", shown, want)
	}
	if !strings.Contains(p.Services[1].Diff, `+plugin `+plugin(t)+` "openvpn login USERNAME password PASSWORD"`) {
		t.Errorf("the plugin is not there:\n%s", p.Services[1].Diff)
	}
	if out, status := latch(t, "install", "openvpn", "--check"); status != 3 {
		t.Errorf("--check: %d\n%s", status, out)
	}
	if places(t) != before {
		t.Fatal("showing changed something")
	}
	must(t, "install", "openvpn", "--yes")
	written := places(t)
	if !strings.Contains(written, conf+" f 640 0:0\n") {
		t.Errorf("another mode:\n%s", written)
	}
	if out := must(t, "install", "openvpn", "--yes"); !strings.Contains(out, "nothing to change") || places(t) != written {
		t.Errorf("installing twice:\n%s", out)
	}
	if _, err := fixture.AddUser(newcomer, 7211); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	v := &vpn{address: "127.0.0.1", port: port, config: string(text)}
	v.run(t, setting{})
	pairOVPN(t, newcomer)
	v.expect(t, map[string]bool{newcomer: true, ana: true})
	closeLatch(t, newcomer)
	v.expect(t, map[string]bool{newcomer: false, ana: true})
	must(t, "uninstall", "openvpn", "--yes")
	if after := places(t); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}

// pairOVPN makes a person with a phone and pairs the user of that name.
func pairOVPN(t *testing.T, user string) {
	t.Helper()
	if err := bed.server.AddUser(user); err != nil {
		t.Fatal(err)
	}
	code, err := bed.server.Code(user)
	if err != nil {
		t.Fatal(err)
	}
	if err := run("/usr/local/bin/pairOVPN", code, "--user", user); err != nil {
		t.Fatal(err)
	}
}

// TestSeveralServers has two servers, of which each must be named, and one command that takes both back.
func TestSeveralServers(t *testing.T) {
	const first, second = "/etc/openvpn/server/first.conf", "/etc/openvpn/server/second.conf"
	writeConfig(t, first, serverText("127.0.0.1", 1194))
	writeConfig(t, second, serverText("127.0.0.1", 1195))
	writeConfig(t, "/etc/openvpn/client.conf", "client\nremote vpn.example.org\n")
	before := places(t)
	if out, status := latch(t, "install", "openvpn", "--yes"); status == 0 || !strings.Contains(out, first+", "+second) || strings.Contains(out, "client.conf") {
		t.Errorf("no server was named: %d\n%s", status, out)
	}
	if out, status := latch(t, "install", "openvpn", "--yes", "--server-config", "/etc/openvpn/server/third.conf"); status == 0 || !strings.Contains(out, "third.conf") {
		t.Errorf("a server that is not there: %d\n%s", status, out)
	}
	if out, status := latch(t, "install", "openvpn", "--yes", "--server-config", "/etc/openvpn/client.conf"); status == 0 || !strings.Contains(out, "makes a client") {
		t.Errorf("a client: %d\n%s", status, out)
	}
	if places(t) != before {
		t.Fatal("a refused command changed something")
	}
	must(t, "install", "openvpn", "--yes", "--server-config", first)
	must(t, "install", "openvpn", "--yes", "--server-config", second)
	for _, conf := range []string{first, second} {
		if text, err := os.ReadFile(conf); err != nil || !bytes.Contains(text, []byte("\nplugin ")) {
			t.Errorf("%v\n%s", err, text)
		}
	}
	must(t, "uninstall", "openvpn", "--yes")
	if after := places(t); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
	must(t, "install", "openvpn", "--yes", "--server-config", first, "--rollback-after", "1h")
	must(t, "rollback")
	if after := places(t); after != before {
		t.Errorf("not rolled back:\n%s\nbefore:\n%s", after, before)
	}
}

// TestUninstallWithoutRecords loses what latch install kept, and takes out what can be told for its own by looking.
func TestUninstallWithoutRecords(t *testing.T) {
	const conf = "/etc/openvpn/office.conf"
	text := handmade(t, 1194)
	writeConfig(t, conf, text)
	must(t, "install", "openvpn", "--yes")
	t.Cleanup(func() { os.Remove(pamFile) })
	if err := os.RemoveAll("/var/lib/latch/install"); err != nil {
		t.Fatal(err)
	}
	must(t, "uninstall", "openvpn", "--yes")
	if after, err := os.ReadFile(conf); err != nil || string(after) != text {
		t.Errorf("%v\n%q\nwant\n%q", err, after, text)
	}
	if _, err := os.Stat(dropIn); !os.IsNotExist(err) {
		t.Errorf("the drop-in is there still: %v", err)
	}
	if after, err := os.ReadFile(pamFile); err == nil && bytes.Contains(after, []byte("pam_latch")) {
		t.Errorf("the service asks still:\n%s", after)
	}
}

// TestPlaces looks for the plugin where distributions have it, beside one for another kind of machine.
func TestPlaces(t *testing.T) {
	writeConfig(t, vpnConf, serverText("127.0.0.1", 1194))
	debian := plugin(t)
	code, err := os.ReadFile(debian)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { put(t, debian, code) })
	if err := os.Remove(debian); err != nil {
		t.Fatal(err)
	}
	if out, status := latch(t, "install", "openvpn", "--dry-run"); status == 0 || !strings.Contains(out, "install OpenVPN's plugins") {
		t.Errorf("without a plugin: %d\n%s", status, out)
	}
	foreign := bytes.Clone(code)
	foreign[18] ^= 0xff // e_machine
	const another = "/usr/lib/aa-linux-gnu/openvpn/plugins/openvpn-plugin-auth-pam.so"
	put(t, another, foreign)
	t.Cleanup(func() { os.Remove(another) })
	for _, path := range []string{
		debian,
		"/usr/lib64/openvpn/plugins/openvpn-plugin-auth-pam.so", // Fedora, RHEL, openSUSE
		"/usr/lib/openvpn/plugins/openvpn-plugin-auth-pam.so",   // Arch
		"/usr/lib/openvpn/openvpn-auth-pam.so",                  // Debian's before 2.4
	} {
		put(t, path, code)
		if diff := plan(t).Services[1].Diff; !strings.Contains(diff, "+plugin "+path+" ") {
			t.Errorf("%s was not found:\n%s", path, diff)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestEarlierPluginLines has servers that asked PAM before, in forms that OpenVPN takes, and logs in with each.
func TestEarlierPluginLines(t *testing.T) {
	for name, line := range map[string]string{
		"no list":          "plugin " + plugin(t) + " login",
		"relative, quoted": `plugin "openvpn-plugin-auth-pam.so" 'openvpn password PASSWORD'` + "\r",
	} {
		t.Run(name, func(t *testing.T) {
			v := startVPN(t, setting{before: line + "\n"})
			closeLatch(t, ana)
			v.expect(t, map[string]bool{ana: false, bob: true})
		})
	}
}

// TestDropInsOfOthers has an administrator's own limits beside the unit's, and a unit that does not run as root.
func TestDropInsOfOthers(t *testing.T) {
	const office, server = "/etc/openvpn/office.conf", "/etc/openvpn/server/office.conf"
	const serverDropIn = "/etc/systemd/system/openvpn-server@.service.d/latch.conf"
	for _, c := range []struct{ conf, path, text, drops, says string }{
		{office, "/etc/systemd/system/openvpn@.service.d/10-more.conf", "TasksMax=infinity", "", ""},
		{office, "/run/systemd/system/openvpn@office.service.d/10-more.conf", "TasksMax=600", "", ""},
		{office, "/etc/systemd/system/openvpn@.service.d/10-more.conf", "TasksMax=20", dropIn, "+TasksMax=512"},
		{office, "/etc/systemd/system/openvpn@.service.d/override.conf", "TasksMax=20", "", "raise it there to 512"},
		{server, "/etc/systemd/system/openvpn-server@.service.d/10-root.conf", "User=root", "", ""}, // whom LimitNPROC does not hold
		{server, "/etc/systemd/system/openvpn-server@.service.d/10-user.conf", "User=openvpn", serverDropIn, "+LimitNPROC=512"},
	} {
		writeConfig(t, c.conf, serverText("127.0.0.1", 1194))
		put(t, c.path, []byte("[Service]\n"+c.text+"\n"))
		out := must(t, "install", "openvpn", "--dry-run", "--server-config", c.conf)
		if !strings.Contains(out, c.says) || strings.Contains(out, "/latch.conf") != (c.drops != "") || !strings.Contains(out, c.drops) {
			t.Errorf("%+v:\n%s", c, out)
		}
		if err := os.RemoveAll(filepath.Dir(c.path)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDoctorWhereOnlyOpenVPNAsks leaves latch.conf as it was installed, without credentials: no line works on it.
func TestDoctorWhereOnlyOpenVPNAsks(t *testing.T) {
	writeConfig(t, vpnConf, serverText("127.0.0.1", 1194))
	if err := os.Remove(confFile); err != nil {
		t.Fatal(err)
	}
	out, status := latch(t, "install", "openvpn", "--yes")
	configure(t, bed.conf)
	if status == 0 || !strings.Contains(out, "latch setup --profile openvpn") {
		t.Errorf("without a configuration: %d\n%s", status, out)
	}
	must(t, "install", "openvpn", "--yes")
	t.Cleanup(func() { must(t, "uninstall", "openvpn", "--yes") })
	out, status = latch(t, "doctor")
	text := strings.Join(strings.Fields(out), " ")
	if status != 1 || !strings.Contains(text, "ok openvpn profile "+confFile+" for openvpn") || !strings.Contains(text, "ok openvpn credentials") {
		t.Errorf("%d\n%s", status, out)
	}
	configure(t, bed.conf.With("secret_key", strings.Repeat("z", 40)))
	if out, status := latch(t, "doctor"); status != 2 || !strings.Contains(strings.Join(strings.Fields(out), " "), "latch setup --profile openvpn") {
		t.Errorf("a wrong secret: %d\n%s", status, out)
	}
}
