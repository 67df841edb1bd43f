package login_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
)

// The columns of the table in docs/otp.md, and every value that one can have.
var columns = []struct {
	name   string
	values []string
}{
	{"phase", []string{"auth", "account", "account-ssh"}},
	{"paired", []string{"yes", "no"}},
	{"server", []string{"on", "on+token", "off", "none", "error", "certificate", "201", "local", "–"}},
	{"policy", []string{"open", "close", "otp", "last:open", "last:closed", "last:never"}},
	{"otp", []string{"no", "yes", "totp", "server-totp"}},
	{"otp_required", []string{"no", "yes"}},
	{"enrolled", []string{"no", "here", "server", "own", "spent", "expired", "excused", "unreadable"}},
}

// caseRow is one row: what each column allows, and the verdict.
type caseRow struct {
	allows  [][]string
	verdict string
	used    bool
}

// rows reads the table of docs/otp.md.
func rows(t *testing.T) []*caseRow {
	t.Helper()
	page, err := os.ReadFile("../../../docs/otp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "## Every case\n")
	if !found {
		t.Fatal("docs/otp.md has no table of every case")
	}
	var all []*caseRow
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != len(columns)+1 || strings.Contains(line, "---") || strings.HasPrefix(line, "| phase") {
			continue
		}
		row := &caseRow{verdict: strings.TrimSpace(cells[len(columns)])}
		for i, c := range columns {
			allowed := strings.Split(strings.TrimSpace(cells[i]), ", ")
			if slices.Contains(allowed, "any") {
				allowed = c.values
			}
			for _, v := range allowed {
				if !slices.Contains(c.values, v) {
					t.Fatalf("%s cannot be %q: %s", c.name, v, line)
				}
			}
			row.allows = append(row.allows, allowed)
		}
		all = append(all, row)
	}
	return all
}

// fits tells whether a row is about a case.
func (r *caseRow) fits(c []string) bool {
	for i, v := range c {
		if columns[i].name == "server" && v == "certificate" {
			v = "error" // of which it is a kind
		}
		if !slices.Contains(r.allows[i], v) {
			return false
		}
	}
	return true
}

// possible leaves out what cannot come together.
func possible(c []string) bool {
	paired, server, action := c[1] == "yes", c[2], c[3]
	switch server {
	case "–":
		return !paired && (action == "open" || action == "close")
	case "on", "on+token", "off", "local":
		return paired && action == "open" // which must not matter
	case "error", "certificate", "201":
		return paired && !strings.HasPrefix(action, "last")
	}
	return paired
}

// every calls fn with every case.
func every(head []string, fn func([]string)) {
	if len(head) == len(columns) {
		fn(head)
		return
	}
	for _, v := range columns[len(head)].values {
		every(append(slices.Clone(head), v), fn)
	}
}

// enact takes a login through a case.
func enact(t *testing.T, c []string, typed string) (*world, login.Outcome) {
	t.Helper()
	w, l := coded(map[string]policy.Code{"yes": policy.TokenCode, "totp": policy.LocalCode, "server-totp": policy.ServerCode}[c[4]])
	l.Request.Account, l.Request.SSH = c[0] != "auth", c[0] != "account"
	if c[1] == "no" {
		w.pairings = nil
	}
	w.answers = []login.Answer{{Kind: map[string]policy.Answer{"on": policy.On, "on+token": policy.On, "off": policy.Off, "none": policy.NoAnswer,
		"error": policy.ErrorAnswer, "certificate": policy.BadCertificate, "201": policy.NotPaired, "local": policy.LocalFailure}[c[2]]}}
	if c[2] == "on+token" {
		w.answers[0].Token, w.answers[0].Made = "g4K9wz", now
	}
	word, seen, _ := strings.Cut(c[3], ":")
	w.seen = map[string]policy.Seen{"open": policy.SeenOpen, "closed": policy.SeenClosed}[seen]
	p := map[string]policy.Policy{"open": policy.Open, "close": policy.Close, "otp": policy.OTP, "last": policy.Last}[word]
	s := &l.Settings.Policies
	s.Action, s.OnError, s.Unpaired, s.UnpairedByServer = p, p, p, p
	s.Required = c[5] == "yes"
	w.enrolled["ana"] = map[string]login.Enrolment{
		"here":    {User: "ana", Enrolled: true, Local: true},
		"server":  {User: "ana", Enrolled: true, Server: true},
		"spent":   {User: "ana", Enrolled: true},
		"expired": {User: "ana", Enrolled: true, Expired: true},
		"excused": {User: "ana", Bypassed: true},
	}[c[6]]
	w.keepsOwn = c[6] == "own"
	if c[6] == "unreadable" {
		w.noStore = errors.New("damaged")
	}
	w.reply = typed
	o, err := l.Run(t.Context())
	if err != nil {
		t.Fatalf("%q: %v", c, err)
	}
	return w, o
}

// way is the reason of a case without a code.
func way(c []string) string {
	word := map[string]string{"none": "no-answer", "error": "error", "certificate": "bad-certificate", "201": "unpaired-by-server", "–": "unpaired"}[c[2]]
	switch action, seen, _ := strings.Cut(c[3], ":"); {
	case word == "":
		return "open"
	case action == "otp":
		return word
	case action == "last":
		return word + "-last-" + seen
	default:
		return word + "-" + action
	}
}

// told is what a login did, in the table's words but for whose code it asked for.
func told(w *world, o login.Outcome) string {
	switch {
	case len(w.prompts) == 0:
		return map[policy.Verdict]string{policy.Success: "in", policy.Ignore: "aside", policy.Refuse: "refused"}[o.Verdict] + " `" + string(o.Reason) + "`"
	case strings.HasPrefix(w.prompts[0], "Latch one-time password"):
		return "the server's token"
	}
	return "code"
}

// TestEveryCase holds the sequence to the table in docs/otp.md, and the table to having no row that nothing fits.
func TestEveryCase(t *testing.T) {
	table, cases := rows(t), 0
	every(nil, func(c []string) {
		if !possible(c) {
			return
		}
		cases++
		at := slices.IndexFunc(table, func(r *caseRow) bool { return r.fits(c) })
		if at < 0 {
			t.Errorf("%q: the table says nothing", c)
			return
		}
		table[at].used = true
		want := strings.ReplaceAll(table[at].verdict, "…", way(c))
		if c[2] == "certificate" {
			want = strings.ReplaceAll(want, "`error-", "`bad-certificate-")
		}
		w, o := enact(t, c, "")
		got := told(w, o)
		switch {
		case want == "refused":
			got, _, _ = strings.Cut(got, " ")
		case got == "code":
			got = whose(t, c)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", c, got, want)
		}
	})
	for i, r := range table {
		if !r.used {
			t.Errorf("nothing fits row %d: %q %s", i+1, r.allows, r.verdict)
		}
	}
	if cases < 2000 || len(table) < 30 {
		t.Errorf("%d cases, %d rows", cases, len(table))
	}
}

// whose code it is that a case asks for shows when one is typed: the login checks it, and lets in by it.
func whose(t *testing.T, c []string) string {
	t.Helper()
	w, o := enact(t, c, "123456")
	if len(w.checked) != 1 || o.Verdict != policy.Success || string(o.Reason) != way(c)+"-otp" || len(w.prompts) != 1 {
		t.Errorf("%q: %v %s after %q and %q", c, o.Verdict, o.Reason, w.prompts, w.checked)
		return ""
	}
	if strings.HasPrefix(w.checked[0], "here") {
		return "this machine's code"
	}
	return "the server's code"
}
