package install

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// ourLines are the arguments of our lines in a service file.
func ourLines(t *testing.T, service string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(pamDir + "/" + service)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if before, args, found := strings.Cut(line, "pam_latch.so"); found {
			all = append(all, strings.Fields(before)[0]+" "+strings.TrimSpace(args))
		}
	}
	return all
}

// TestSecondInstallationKeepsProtection: an operation that is closed stays closed, whatever is installed again.
func TestSecondInstallationKeepsProtection(t *testing.T) {
	before := tree(t)
	shipped, err := os.ReadFile(pamDir + "/su")
	if err != nil {
		t.Fatal(err)
	}
	must(t, "operation", "add", "front", "--save")
	defer func() {
		must(t, "uninstall", "--all", "--yes")
		if err := os.WriteFile(pamDir+"/su", shipped, 0o644); err != nil { // which was written by hand meanwhile
			t.Error(err)
		}
		same(t, "uninstalling", before)
		if _, err := bed.conf.Write(confFile); err != nil {
			t.Error(err)
		}
	}()
	must(t, "install", "su", "--operation", "front", "--yes")
	operation := []string{ana, "--app", "machine", "--operation", "front"}
	if _, err := bed.server.Run(append([]string{"close"}, operation...)...); err != nil {
		t.Fatal(err)
	}
	refused := func(when string) {
		t.Helper()
		if fixture.Su(ana, fixture.Password) {
			t.Errorf("%s: a closed operation lets in", when)
		}
		if got := ourLines(t, "su"); !slices.Equal(got, []string{"auth operation=front"}) {
			t.Errorf("%s: %q", when, got)
		}
	}
	refused("installed")
	if _, errs, status := latch(t, nil, "install", "su", "--yes"); status != 0 || !strings.Contains(errs, "the auth line keeps operation=front") {
		t.Errorf("%d %s", status, errs)
	}
	refused("installed again")
	if err := os.WriteFile(pamDir+"/su", []byte("auth requisite pam_unix.so\nauth optional pam_latch.so operation=front\naccount required pam_unix.so\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	followFix(t, "service su")
	refused("repaired")
	if _, errs, status := latch(t, nil, "install", "su", "--operation", "none", "--yes"); status != 0 || !strings.Contains(errs, "the auth line loses operation=front") {
		t.Errorf("%d %s", status, errs)
	}
	if !fixture.Su(ana, fixture.Password) {
		t.Error("the application is open, and su refuses")
	}
	if _, err := bed.server.Run(append([]string{"open"}, operation...)...); err != nil {
		t.Fatal(err)
	}
}

// followFix runs the commands that the doctor prints for a check, as printed, and expects nothing more of that check.
func followFix(t *testing.T, check string) {
	t.Helper()
	bad := func() (fixes []string) {
		out, _, _ := latch(t, nil, "doctor", "--json")
		var answer struct {
			Findings []struct{ State, Check, Found, Fix string }
		}
		if err := json.Unmarshal([]byte(out), &answer); err != nil {
			t.Fatal(err)
		}
		for _, f := range answer.Findings {
			if f.Check == check && f.State != "ok" {
				fixes = append(fixes, f.Fix)
			}
		}
		return fixes
	}
	fixes := bad()
	if len(fixes) == 0 {
		t.Errorf("the doctor finds nothing wrong with %s", check)
	}
	for _, fix := range slices.Compact(fixes) {
		if out, err := exec.Command("sh", "-c", "PATH=/usr/local/bin:$PATH "+fix+" --yes").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", fix, err, out)
		}
	}
	if fixes := bad(); len(fixes) > 0 {
		t.Errorf("still to be done for %s: %q", check, fixes)
	}
}
