package openvpn

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// People of the directory alone: NSS knows none of them. All have fixture.Password; zoe and yan are paired, una is not.
const zoe, yan, una = "zoe", "yan", "una"

// directory is a real slapd with these people, until the test ends.
func directory(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	conf, data := filepath.Join(dir, "slapd.conf"), filepath.Join(dir, "data")
	text := fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "dc=ex,dc=org"
directory %s
maxsize 10485760
`, data)
	entries := "dn: dc=ex,dc=org\nobjectClass: dcObject\nobjectClass: organization\ndc: ex\no: Example\n"
	for _, name := range []string{zoe, yan, una} {
		entries += fmt.Sprintf("\ndn: uid=%[1]s,dc=ex,dc=org\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\nmail: %[1]s@ex.org\nuserPassword: %[2]s\n", name, fixture.Password)
	}
	ldif := filepath.Join(dir, "people.ldif")
	for path, text := range map[string]string{conf: text, ldif: entries} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run("/usr/sbin/slapadd", "-f", conf, "-l", ldif); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url = "ldap://" + free.Addr().String()
	free.Close()
	cmd := exec.Command("/usr/sbin/slapd", "-f", conf, "-h", url, "-d", "stats")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if slapd := watch(t, cmd); slapd.await("slapd starting") == "" {
		t.Fatalf("slapd did not start:\n%s", slapd.text())
	}
	return url
}

// startWithLDAP starts a server whose passwords openvpn-auth-ldap checks, and whose PAM service only asks the latch.
func startWithLDAP(t *testing.T, url string) *vpn {
	t.Helper()
	ldap := filepath.Join(t.TempDir(), "auth-ldap.conf")
	text := fmt.Sprintf("<LDAP>\nURL %s\nTimeout 60\nTLSEnable no\n</LDAP>\n<Authorization>\nBaseDN \"dc=ex,dc=org\"\n"+
		"SearchFilter \"(|(uid=%%u)(mail=%%u))\"\nRequireGroup false\n</Authorization>\n", url)
	if err := os.WriteFile(ldap, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(pamFile) })
	err := fixture.WriteService(filepath.Dir(pamFile), filepath.Base(pamFile), "auth required pam_permit.so", "auth required pam_latch.so profile=openvpn",
		"account required pam_permit.so", "account required pam_latch.so profile=openvpn")
	if err != nil {
		t.Fatal(err)
	}
	v := &vpn{address: "127.0.0.1", port: freePort(t)}
	v.config = serverText(v.address, v.port) + fmt.Sprintf("plugin /usr/lib/openvpn/openvpn-auth-ldap.so %s\n"+
		"plugin %s \"openvpn login USERNAME password PASSWORD\"\n", ldap, plugin(t))
	v.run(t, setting{})
	return v
}

// spellings are names that slapd takes for the same person.
func spellings(name string) []string {
	wide, circled := "", ""
	for _, r := range name {
		wide += string(r - 'a' + 'ａ')
		circled += string(r - 'a' + 'ⓐ')
	}
	return []string{name, strings.ToUpper(name), name + "@ex.org", strings.ToUpper(name) + "@EX.ORG", wide, strings.ToUpper(wide), circled}
}

// TestSpellingsOfADirectory: a closed latch refuses every spelling under which the directory lets its user in.
func TestSpellingsOfADirectory(t *testing.T) {
	for _, name := range []string{zoe, yan} {
		pairOVPN(t, name)
		t.Cleanup(func() { must(t, "unpair", "--profile", "openvpn", "--user", name) })
	}
	const advice = "paired users whom the name service does not know: 2"
	writeConfig(t, vpnConf, serverText("127.0.0.1", 1194))
	if out := must(t, "install", "openvpn", "--dry-run", "--json"); !strings.Contains(out, advice) {
		t.Errorf("install does not recommend unpaired = close:\n%s", out)
	}
	v := startWithLDAP(t, directory(t))
	closeLatch(t, zoe)
	want := map[string]bool{spellings(una)[4]: true}
	for i, spelling := range spellings(yan) {
		want[spelling], want[spellings(zoe)[i]] = true, false
	}
	v.expect(t, want)
	if v.isIn(t, yan, "a wrong password") {
		t.Error("the directory is not asked")
	}
	for reason, users := range map[string][]string{"open": spellings(yan), "closed": spellings(zoe), "unpaired-open": spellings(una)[4:5]} {
		if lines := bed.log.Lines("latch-auth", fmt.Sprintf("reason=%q", reason), `service="openvpn"`); len(lines) < len(users) {
			t.Errorf("%d lines with the reason %s, want %d for %q", len(lines), reason, len(users), users)
		}
	}
	if out, _ := latch(t, "doctor", "--json"); !strings.Contains(out, advice) || !strings.Contains(out, "latch config edit --profile openvpn") {
		t.Errorf("the doctor does not recommend unpaired = close:\n%s", out)
	}
	configure(t, bed.conf.With("unpaired", "close"))
	if out, _ := latch(t, "doctor", "--json"); strings.Contains(out, advice) {
		t.Errorf("the doctor recommends what is configured:\n%s", out)
	}
	v.expect(t, map[string]bool{una: false, spellings(una)[4]: false, yan: true})
}
