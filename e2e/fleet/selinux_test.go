package fleet

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPolicyModule compiles and packages the SELinux policy module. Nothing here can tell what an enforcing kernel would do.
func TestPolicyModule(t *testing.T) {
	dir := t.TempDir()
	source, contexts := filepath.Join(bed.root, "conf/selinux/latch.te"), filepath.Join(bed.root, "conf/selinux/latch.fc")
	for _, args := range [][]string{
		{"checkmodule", "-M", "-m", "-o", "latch.mod", source},
		{"semodule_package", "-o", "latch.pp", "-m", "latch.mod", "-f", contexts},
		{"semodule_unpackage", "latch.pp", "unpacked.mod", "unpacked.fc"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	want, err := os.ReadFile(contexts)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "unpacked.fc")); err != nil || string(got) != string(want) {
		t.Errorf("the package holds other file contexts than %s: %v", contexts, err)
	}
	policy, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	for path, label := range map[string]string{
		"/usr/local/libexec/latch/latch-auth":  "latch_auth_exec_t", // make install
		"/usr/libexec/latch/latch-auth":        "latch_auth_exec_t", // the packages
		"/etc/latch/latch.conf":                "latch_etc_t",
		"/var/lib/latch/last":                  "latch_var_lib_t",
		"/run/latch":                           "latch_runtime_t",
		"/usr/local/libexec/latch/latch-probe": "",
		"/etc/latch.conf":                      "",
	} {
		if got := labelOf(t, string(want), path); got != label {
			t.Errorf("%s is %q, want %q", path, got, label)
		}
		if label != "" && !strings.Contains(string(policy), "\ntype "+label+",") {
			t.Errorf("%s is not a type of the policy", label)
		}
	}
}

// labelOf is the type that file contexts give to a regular file, "" for none. Each line is an expression that the whole
// path must match, perhaps a kind of file, and a context.
func labelOf(t *testing.T, contexts, path string) (label string) {
	t.Helper()
	for _, line := range strings.Split(contexts, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		matched, err := regexp.MatchString("^(?:"+fields[0]+")$", path)
		if err != nil {
			t.Fatal(err)
		}
		if matched {
			label = strings.Split(fields[len(fields)-1], ":")[2]
		}
	}
	return label
}
