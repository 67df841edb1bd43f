// Package fleet proves what an administrator of many hosts uses: the Ansible role in contrib/ansible, run by
// ansible-playbook on a machine of the tests' own (fixture.Isolate), and the SELinux policy module in conf/selinux.
// Everything here needs root.
package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

const (
	accounts = "/etc/latch/latch.accounts"
	confFile = "/etc/latch/latch.conf"
	pamDir   = "/etc/pam.d"
	user     = "ana"
	userID   = 7301
)

// bed is what all tests share: a work tree, a Latch server, and what the hosts are told.
var bed struct {
	root, scratch string
	server        *fixture.Server
	app           fixture.App
	account       string // the account id of the user
}

func TestMain(m *testing.M) {
	os.Exit(fixture.Main(m, func() { _ = bed.server.Stop() }, setUp))
}

func setUp() (err error) {
	if bed.root, err = fixture.Root(); err != nil {
		return err
	}
	if bed.scratch, err = os.MkdirTemp("/run", "fleet-"); err != nil {
		return err
	}
	if err := fixture.MakeInstall("DESTDIR=" + tree()); err != nil {
		return err
	}
	if err := os.WriteFile("/etc/default/su", []byte("FAIL_DELAY 0\n"), 0o644); err != nil {
		return err
	}
	if bed.server, err = fixture.StartServer(tree()+"/usr/local/bin/latch-server", bed.scratch+"/data"); err != nil {
		return err
	}
	if bed.app, err = bed.server.AddApp("fleet"); err != nil {
		return err
	}
	if _, err = fixture.AddUser(user, userID); err != nil {
		return err
	}
	if err := bed.server.AddUser(user); err != nil {
		return err
	}
	bed.account, err = pairElsewhere()
	return err
}

// tree is what `make install DESTDIR=` fills for the role to copy from.
func tree() string { return bed.scratch + "/tree" }

// pairElsewhere pairs the user as another host of the application would, and returns the account id.
func pairElsewhere() (string, error) {
	cli, conf, file := tree()+"/usr/local/bin/latch", bed.scratch+"/latch.conf", bed.scratch+"/latch.accounts"
	if _, err := fixture.NewConf(bed.server, bed.app).Write(conf); err != nil {
		return "", err
	}
	if err := fixture.Pair(bed.server, cli, conf, file, user); err != nil {
		return "", err
	}
	out, err := exec.Command(cli, "list", "--export", "--json", "--accounts", file).Output()
	if err != nil {
		return "", err
	}
	var answer struct {
		Pairings []struct {
			AccountID string `json:"account_id"`
		}
	}
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Pairings) != 1 {
		return "", fmt.Errorf("latch list: %v in %s", err, out)
	}
	return answer.Pairings[0].AccountID, nil
}

// secret makes one more secret of the application, as for one more host.
func secret(t *testing.T, name string) string {
	t.Helper()
	out, err := bed.server.Run("app", "secret", "add", "fleet", name, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Secret string `json:"secret_key"`
	}
	if err := json.Unmarshal(out, &answer); err != nil || len(answer.Secret) != 40 {
		t.Fatalf("%v in %s", err, out)
	}
	return answer.Secret
}

// recap is Ansible's count of what it did to the host, and all that it wrote.
type recap struct {
	changed, failed int
	text            string
}

var recapLine = regexp.MustCompile(`(?m)^web1 +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=(\d+) `)

// hostVars are the variables of the host, as its host_vars file would have them.
func hostVars(secret string) map[string]any {
	return map[string]any{
		"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "ansible_become": false,
		"latch_url": bed.server.URL, "latch_app_id": bed.app.ID, "latch_secret_key": secret, "latch_ca_file": bed.server.CA,
		"latch_tree": tree(), "latch_settings": map[string]any{"action": "close", "otp": false},
		"latch_services": []map[string]any{{"names": []string{"sshd", "su"}, "where_present": []string{"sudo-i", "nosuchservice"}}, {"names": []string{"sudo"}, "options": []string{"--every-use"}}},
		"latch_pairings": []map[string]any{{"user": user, "uid": userID, "account": bed.account}},
	}
}

// play runs one of the playbooks of contrib/ansible against this machine.
func play(t *testing.T, playbook string, vars map[string]any, args ...string) recap {
	t.Helper()
	inventory := map[string]any{"latch": map[string]any{"hosts": map[string]any{"web1": vars}}}
	data, err := json.Marshal(inventory)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(bed.scratch, "inventory.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ansible-playbook", append([]string{"-i", file, filepath.Join(bed.root, "contrib/ansible", playbook)}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=" + bed.scratch, "ANSIBLE_PIPELINING=1",
		"ANSIBLE_NOCOLOR=1"}
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	counts := recapLine.FindSubmatch(out)
	if counts == nil {
		t.Fatalf("ansible-playbook: %v\n%s", err, out)
	}
	r := recap{text: string(out)}
	r.changed, _ = strconv.Atoi(string(counts[1]))
	r.failed, _ = strconv.Atoi(string(counts[2]))
	return r
}

// services is the text of every file of /etc/pam.d.
func services(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(pamDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, what string, before map[string]string) {
	t.Helper()
	after := services(t)
	for path, text := range before {
		if after[path] != text {
			t.Errorf("%s: %s is not as it was", what, path)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%s: %d files, before %d", what, len(after), len(before))
	}
}
