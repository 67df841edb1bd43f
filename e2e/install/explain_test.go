package install

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// explained is what latch explain says of one phase.
type explained struct {
	Phase, Verdict string
	Steps          []string
}

func explain(t *testing.T, want int, args ...string) []explained {
	t.Helper()
	out, errs, status := latch(t, nil, append([]string{"explain", "--json"}, args...)...)
	var answer struct{ Phases []explained }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || status != want || errs != "" {
		t.Fatalf("explain %q: %d, want %d: %v\n%s%s", args, status, want, err, out, errs)
	}
	return answer.Phases
}

func TestExplain(t *testing.T) {
	must(t, "install", "sshd", "su", "--yes")
	questions := len(history(t))
	verdicts := func(phases []explained) (all []string) {
		for _, p := range phases {
			all = append(all, p.Verdict)
		}
		return all
	}
	if got := verdicts(explain(t, 0, "--user", ana)); !slices.Equal(got, []string{"let in", "let in"}) {
		t.Errorf("open: %q", got)
	}
	if got := verdicts(explain(t, 0, "--user", ana, "--service", "su")); !slices.Equal(got, []string{"let in", "not asked"}) {
		t.Errorf("su: %q", got)
	}
	if got := verdicts(explain(t, 0, "--user", "root", "--phase", "auth")); !slices.Equal(got, []string{"not asked about"}) {
		t.Errorf("not paired: %q", got)
	}
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	got := explain(t, 3, "--user", ana, "--phase", "auth")
	if got[0].Verdict != "refused" || !slices.Contains(got[0].Steps, "reason: closed") || !slices.Contains(got[0].Steps, "the server: closed") {
		t.Errorf("closed: %q", got)
	}
	if err := bed.server.Open(ana); err != nil {
		t.Fatal(err)
	}
	if err := bed.server.Stop(); err != nil {
		t.Fatal(err)
	}
	got = explain(t, 0, "--user", ana, "--phase", "auth")
	if err := bed.server.Start(); err != nil {
		t.Fatal(err)
	}
	if got[0].Verdict != "let in" || !slices.Contains(got[0].Steps, "reason: no-answer-open") {
		t.Errorf("server gone: %q", got)
	}
	for _, line := range history(t)[questions:] {
		if strings.Contains(line, "token") {
			t.Errorf("a question made a token: %s", line)
		}
	}
	must(t, "uninstall", "--all", "--yes")
	if got := verdicts(explain(t, 0, "--user", ana)); !slices.Equal(got, []string{"not asked", "not asked"}) {
		t.Errorf("not installed: %q", got)
	}
	if !fixture.Su(ana, fixture.Password) {
		t.Error("su is broken")
	}
}

// TestIgnoredUserIsRefusedByOldFile has a file like those of Telefónica's plugin for CentOS: a paired user comes in, and
// libpam refuses the others because our module ignores them. explain, doctor, install and uninstall say so.
func TestIgnoredUserIsRefusedByOldFile(t *testing.T) {
	const service = pamDir + "/hatch"
	const text = "auth required pam_permit.so\nauth sufficient pam_latch.so otp=yes\nauth required pam_deny.so\naccount required pam_permit.so\n"
	if err := os.WriteFile(service, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(service)
	for user, want := range map[string]bool{ana: true, "root": false} {
		o, err := fixture.Transaction{Service: "hatch", User: user}.Run()
		if err != nil || o.In() != want {
			t.Errorf("%s: %v, %v", user, o, err)
		}
	}
	got := explain(t, 3, "--user", "root", "--service", "hatch", "--phase", "auth")
	steps := strings.Join(got[0].Steps, "\n")
	if got[0].Verdict != "refused" || !strings.Contains(steps, "no other rule of the phase lets anybody in") || !strings.Contains(steps, "repair: replace the line in hatch:2") {
		t.Errorf("explain: %q", got)
	}
	for _, args := range [][]string{{"install", "hatch", "--otp", "yes", "--yes"}, {"uninstall", "hatch", "--yes"}} {
		_, errs, status := latch(t, nil, args...)
		if now, err := os.ReadFile(service); status != 1 || !strings.Contains(errs, "replace the line in hatch:2") || err != nil || string(now) != text {
			t.Errorf("%q: %d %s, %q %v", args, status, errs, now, err)
		}
	}
	out, _, _ := latch(t, nil, "doctor")
	if !strings.Contains(out, "unpaired or exempt user is refused") {
		t.Errorf("doctor: %s", out)
	}
}

// TestExplainAsksBeforeThePhoneShowsIt meets a server whose plan has no silent questions.
func TestExplainAsksBeforeThePhoneShowsIt(t *testing.T) {
	tap := throughTap(t)
	must(t, "install", "su", "--yes")
	ask := []string{"explain", "--user", ana, "--service", "su", "--phase", "auth"}
	for _, c := range []struct {
		loud      bool
		more      string
		status    int
		says      string
		questions int
	}{
		{false, "--json", 0, `"verdict":"let in"`, 1},
		{true, "--json", 2, "say --yes", 1},
		{true, "--yes", 0, "let in", 2},
	} {
		tap.Loud = c.loud
		before := tap.Questions()
		out, errs, status := latch(t, nil, append(ask, c.more)...)
		if asked := tap.Questions() - before; status != c.status || !strings.Contains(out+errs, c.says) || asked != c.questions {
			t.Errorf("%+v: %d after %d questions: %s%s", c, status, asked, out, errs)
		}
		if c.more != "--yes" && c.loud && !strings.Contains(errs, "the phone would show an attempt") {
			t.Errorf("%+v: %s", c, errs)
		}
	}
	must(t, "uninstall", "su", "--yes")
}

// TestExplainNamesTheRepair: an error that a query with a notice would get as well is diagnosed by one silent query.
func TestExplainNamesTheRepair(t *testing.T) {
	tap := throughTap(t)
	must(t, "operation", "add", "explained", "--save")
	must(t, "install", "su", "--operation", "explained", "--yes")
	working, err := os.ReadFile(confFile)
	if err != nil {
		t.Fatal(err)
	}
	set := func(key, value string) func() error {
		return func() error {
			text, line := string(working), regexp.MustCompile("(?m)^"+key+" = .*$")
			return os.WriteFile(confFile, []byte(line.ReplaceAllString(text, key+" = "+value)), 0o600)
		}
	}
	answer := func(edit func(*http.Response) error) func() error {
		return func() error { tap.Edit = edit; return nil }
	}
	for _, c := range []struct {
		name      string
		spoil     func() error
		steps     []string
		questions int
	}{
		{"unknown operation", set("explained", strings.Repeat("u", 20)),
			[]string{"the server: an error answer", confFile + ":%d: the application has no operation " + strings.Repeat("u", 20), "latch operation add explained --save"}, 1},
		{"wrong secret", set("secret_key", strings.Repeat("z", 40)), []string{"102", "does not accept app_id (" + confFile + ":", "latch setup"}, 1},
		{"not paired", answer(refusal(201)), []string{"not paired (201)", "latch unpair --user ana, then latch pair CODE --user ana"}, 1},
		{"no Latch server", answer(func(r *http.Response) error { r.StatusCode = http.StatusMovedPermanently; return nil }),
			[]string{"HTTP status 301", "check that latch_host (" + confFile + ":"}, 1},
		{"a plan without silent queries", answer(refusal(701)), []string{"an error answer"}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.spoil(); err != nil {
				t.Fatal(err)
			}
			before := tap.Questions()
			out, errs, status := latch(t, nil, "explain", "--user", ana, "--service", "su", "--phase", "auth", "--yes")
			questions := tap.Questions() - before
			tap.Edit = nil
			if err := os.WriteFile(confFile, working, 0o600); err != nil {
				t.Fatal(err)
			}
			if status != 3 || errs != "" || questions != c.questions {
				t.Errorf("status %d after %d questions: %s", status, questions, errs)
			}
			for _, step := range c.steps {
				step = strings.Replace(step, "%d", strconv.Itoa(1+strings.Count(strings.Split(string(working), "explained = ")[0], "\n")), 1)
				if !strings.Contains(out, step) {
					t.Errorf("no %q in\n%s", step, out)
				}
			}
		})
	}
	must(t, "uninstall", "su", "--yes")
}

// refusal makes a tap answer with an error of the Latch API.
func refusal(code int) func(*http.Response) error {
	return func(r *http.Response) error {
		text := fmt.Sprintf(`{"error":{"code":%d,"message":"refused"}}`, code)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		r.Header.Set("Content-Length", strconv.Itoa(len(text)))
		return nil
	}
}

// TestExplainMakesNoToken asks where a login would be sent a one-time token.
func TestExplainMakesNoToken(t *testing.T) {
	must(t, "install", "su", "--yes")
	if _, err := bed.conf.With("otp", "yes").Write(confFile); err != nil {
		t.Fatal(err)
	}
	if err := bed.server.DemandTokens(bed.conf["app_id"], true); err != nil {
		t.Fatal(err)
	}
	explain(t, 0, "--user", ana, "--service", "su", "--phase", "auth")
	if token, err := bed.server.Token(ana); err == nil {
		t.Errorf("the phone shows %s", token)
	}
	if err := bed.server.DemandTokens(bed.conf["app_id"], false); err != nil {
		t.Fatal(err)
	}
	if _, err := bed.conf.Write(confFile); err != nil {
		t.Fatal(err)
	}
	must(t, "uninstall", "su", "--yes")
}

// TestExplainLeavesNoTrace compares what logins remember before and after.
func TestExplainLeavesNoTrace(t *testing.T) {
	must(t, "install", "su", "--yes")
	if _, err := bed.conf.With("action", "last").Write(confFile); err != nil {
		t.Fatal(err)
	}
	if err := bed.server.Close(ana); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/var/lib/latch", "/run/latch"} {
		if out, err := exec.Command("sh", "-c", "find "+dir+" -name '*ana*' -o -type f -newer "+confFile+" | grep -v /install").Output(); err == nil {
			t.Fatalf("before: %s", out)
		}
	}
	explain(t, 3, "--user", ana, "--service", "su", "--phase", "auth")
	for _, dir := range []string{"/var/lib/latch", "/run/latch"} {
		if out, err := exec.Command("sh", "-c", "find "+dir+" -type f -newer "+confFile+" | grep -v /install").Output(); err == nil {
			t.Errorf("explain left %s", out)
		}
	}
	if err := bed.server.Open(ana); err != nil {
		t.Fatal(err)
	}
	if _, err := bed.conf.Write(confFile); err != nil {
		t.Fatal(err)
	}
	must(t, "uninstall", "su", "--yes")
}

// history is what the server recorded about ana.
func history(t *testing.T) []string {
	t.Helper()
	out, err := bed.server.Run("history", ana)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
