package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// printer returns a printer and its two streams.
func printer(json bool) (p *Printer, out, errOut *bytes.Buffer) {
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	return &Printer{Program: "prog", JSON: json, Out: out, Err: errOut}, out, errOut
}

// object reads what was printed as the one JSON object that it must be, with its version.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	var o map[string]any
	if err := dec.Decode(&o); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Errorf("more than one object: %q", text)
	}
	if o["version"] != 1.0 {
		t.Errorf("version is %v in %q", o["version"], text)
	}
	return o
}

func TestExitStatusesAreWhatScriptsRelyOn(t *testing.T) {
	want := map[Exit]struct {
		number int
		name   string
	}{
		ExitOK: {0, "ok"}, ExitError: {1, "error"}, ExitUsage: {2, "usage"},
		ExitClosed: {3, "closed"}, ExitNoAnswer: {4, "no-answer"}, ExitNotPaired: {5, "not-paired"},
	}
	for e, w := range want {
		if int(e) != w.number || e.String() != w.name {
			t.Errorf("%v is %d, want %v", e, int(e), w)
		}
		if !strings.Contains(ExitHelp, fmt.Sprint(w.number, " ")) {
			t.Errorf("the help does not tell %d", w.number)
		}
	}
	if got := Exit(-1).String() + Exit(6).String(); got != "Exit(-1)Exit(6)" {
		t.Errorf("unknown statuses are %q", got)
	}
}

func TestStatusOf(t *testing.T) {
	cause := errors.New("cause")
	inner := WithHint(ExitNoAnswer, cause, "wait")
	for _, c := range []struct {
		err  error
		want Exit
	}{
		{nil, ExitOK}, {cause, ExitError}, {Usage("no %s", "verb"), ExitUsage}, {inner, ExitNoAnswer},
		{fmt.Errorf("more: %w", inner), ExitNoAnswer}, {WithHint(ExitNotPaired, inner, ""), ExitNotPaired},
	} {
		if got := StatusOf(c.err); got != c.want {
			t.Errorf("%v has status %v, want %v", c.err, got, c.want)
		}
	}
	if !errors.Is(inner, cause) || inner.Error() != "cause" {
		t.Errorf("the cause is lost in %v", inner)
	}
}

func TestFail(t *testing.T) {
	err := fmt.Errorf("pairing:\n%w", WithHint(ExitNoAnswer, errors.New("\x1b[2J"), "try\tlater"))
	p, out, errOut := printer(false)
	if status := p.Fail(err); status != ExitNoAnswer {
		t.Errorf("status %v", status)
	}
	if want := "prog: error: pairing: ?[2J\nprog: hint: try later\n"; errOut.String() != want || out.Len() != 0 {
		t.Errorf("stderr %q, want %q; stdout %q", errOut, want, out)
	}
	p, out, errOut = printer(true)
	if status := p.Fail(err); status != ExitNoAnswer {
		t.Errorf("status %v", status)
	}
	told := object(t, out.String())["error"].(map[string]any)
	if told["kind"] != "no-answer" || told["hint"] != "try\tlater" || errOut.Len() != 0 {
		t.Errorf("told %v, stderr %q", told, errOut)
	}
	p, out, _ = printer(true)
	p.Fail(errors.New("plain"))
	if _, hinted := object(t, out.String())["error"].(map[string]any)["hint"]; hinted {
		t.Errorf("a hint from nowhere: %q", out)
	}
}

// closedPipe is a standard output that nobody reads.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestNothingIsLostWhereStdoutIsClosed(t *testing.T) {
	p, _, errOut := printer(true)
	p.Out = closedPipe{}
	if p.Fail(errors.New("cause")) != ExitError || errOut.String() != "prog: error: cause\n" {
		t.Errorf("stderr %q", errOut)
	}
	for _, asJSON := range []bool{true, false} {
		p.JSON = asJSON
		if p.Report(map[string]any{}, "text") == nil || p.Table("rows", []Row{{{"a", 1}}}) == nil {
			t.Error("a result that could not be written is taken for one that was")
		}
	}
}

func TestReport(t *testing.T) {
	p, out, errOut := printer(false)
	if err := p.Report(map[string]any{"name": "a"}, "name is %s", "a\nb\x07"); err != nil || out.String() != "name is a b?\n" {
		t.Errorf("printed %q, %v", out, err)
	}
	p.Hint("say %s", "more")
	if errOut.String() != "prog: hint: say more\n" {
		t.Errorf("stderr %q", errOut)
	}
	p, out, _ = printer(true)
	if err := p.Report(map[string]any{"name": "<a&b>"}, "text"); err != nil || object(t, out.String())["name"] != "<a&b>" {
		t.Errorf("printed %q, %v", out, err)
	}
	if strings.Contains(out.String(), `\u003c`) {
		t.Errorf("escaped for a web page: %q", out)
	}
}

func TestTable(t *testing.T) {
	rows := []Row{
		{{"user", "ana"}, {"two_factor", true}, {"uid", int64(1000)}},
		{{"user", "b\x1bo\tb"}, {"two_factor", false}, {"uid", nil}},
		{{"user", ""}, {"two_factor", false}, {"uid", nil}},
	}
	p, out, _ := printer(false)
	want := "USER   TWO FACTOR  UID\nana    yes         1000\nb?o b  no          -\n-      no          -\n"
	if err := p.Table("users", rows); err != nil || out.String() != want {
		t.Errorf("printed %q, want %q, %v", out, want, err)
	}
	p, out, _ = printer(true)
	if err := p.Table("users", rows); err != nil {
		t.Fatal(err)
	}
	list := object(t, out.String())["users"].([]any)
	second := list[1].(map[string]any)
	if len(list) != 3 || second["uid"] != nil || second["two_factor"] != false || second["user"] != "b\x1bo\tb" {
		t.Errorf("printed %v", list)
	}
	p, out, errOut := printer(false)
	if err := p.Table("users", nil); err != nil || out.Len() != 0 || errOut.String() != "prog: no users\n" {
		t.Errorf("an empty table prints %q and %q, %v", out, errOut, err)
	}
	p, out, _ = printer(true)
	if err := p.Table("users", nil); err != nil || len(object(t, out.String())["users"].([]any)) != 0 {
		t.Errorf("an empty table prints %q, %v", out, err)
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                   "plain",
		"España 東京 ñ":             "España 東京 ñ",
		"a\r\nb\tc\u00a0d\u2028e": "a  b c d e",
		"\x1b]0;title\x07\x7f":    "?]0;title??",
		"\u202egnp.exe\u200b":     "?gnp.exe?",
		"bad \xff\xfe bytes":      "bad ?? bytes",
		"\ufffd\x00\u009b31m":     "???31m",
		"":                        "",
	} {
		if got := Clean(text); got != want {
			t.Errorf("Clean(%q) = %q, want %q", text, got, want)
		}
	}
}
