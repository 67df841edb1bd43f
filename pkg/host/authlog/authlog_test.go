package authlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/host/authlog"
)

// refused is the line that the fail2ban filter knows.
var refused = authlog.Entry{Outcome: "refused", User: "ana", Service: "sshd", Phase: "auth", Rhost: "203.0.113.7", Reason: "closed", Took: 12 * time.Millisecond}

func TestLine(t *testing.T) {
	opened := refused
	opened.Outcome, opened.Reason, opened.Detail = "opened", "open", "this machine's clock is off by -5m0s"
	for want, e := range map[string]authlog.Entry{
		`refused user="ana" service="sshd" phase="auth" rhost="203.0.113.7" reason="closed" ms=12`:                                            refused,
		`opened user="ana" service="sshd" phase="auth" rhost="203.0.113.7" reason="open" ms=12 detail="this machine's clock is off by -5m0s"`: opened,
	} {
		if got := e.Line(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

// TestNothingForged: whatever a user is called, the line stays one line with the same fields.
func TestNothingForged(t *testing.T) {
	for _, hostile := range []string{
		"ana\nrefused user=\"root\"", "ana\r\x1b[2J", `ana" rhost="198.51.100.9`, `ana\" rhost=\"198.51.100.9`, "ana\x00", "\xff\xfe", "\u2028\u202e\u0085", "a\u00a0b\u3000c",
		strings.Repeat("x", 100000), strings.Repeat("ñ", 10000), strings.Repeat(`"`, 1000), "",
	} {
		e := refused
		e.User = hostile
		line := e.Line()
		if strings.ContainsAny(line, "\n\r\x00\x1b\u2028\u202e\u0085\u00a0\u3000") || strings.Contains(line, `user="root"`) {
			t.Errorf("%.40q gives %.200q", hostile, line)
		}
		if unescaped := strings.ReplaceAll(strings.ReplaceAll(line, `\\`, ""), `\"`, ""); strings.Count(unescaped, `"`) != 10 {
			t.Errorf("%.40q breaks the quotes of %.200q", hostile, line)
		}
		if len(line) > 700 {
			t.Errorf("%.40q makes a line of %d bytes", hostile, len(line))
		}
	}
}

func listen(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestJournalComesFirst(t *testing.T) {
	dir := t.TempDir()
	log := authlog.Log{Journal: filepath.Join(dir, "journal"), Syslog: filepath.Join(dir, "log")}
	journal := listen(t, log.Journal)
	listen(t, log.Syslog)
	e := refused
	e.User = "a\nPRIORITY=0"
	log.Verdict(e)
	got := receive(t, journal)
	for _, want := range []string{"PRIORITY=5\n", "SYSLOG_FACILITY=10\n", "SYSLOG_IDENTIFIER=latch-auth\n", "LATCH_USER=a?PRIORITY=0\n", "LATCH_SERVICE=sshd\n",
		"LATCH_RHOST=203.0.113.7\n", "LATCH_VERDICT=refused\n", "LATCH_REASON=closed\n", "MESSAGE=" + e.Line() + "\n"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("no single %q in %q", want, got)
		}
	}
	for line := range strings.Lines(got) {
		if name, _, ok := strings.Cut(line, "="); !ok || strings.ToUpper(name) != name {
			t.Errorf("a line without a field: %q", line)
		}
	}
}

// TestLongestLineIsWhole: names that grow when they are escaped push nothing out of the line that fail2ban reads.
func TestLongestLineIsWhole(t *testing.T) {
	dir := t.TempDir()
	log := authlog.Log{Journal: filepath.Join(dir, "journal"), Syslog: filepath.Join(dir, "log")}
	journal := listen(t, log.Journal)
	long := strings.Repeat(`"`, 300)
	e := authlog.Entry{Outcome: "refused", User: long, Service: long, Phase: "auth", Rhost: long, Reason: "closed", Detail: long}
	log.Verdict(e)
	if got := receive(t, journal); !strings.Contains(got, "MESSAGE="+e.Line()+"\n") || !strings.Contains(got, `reason="closed"`) {
		t.Errorf("%q", got)
	}
}

func TestSyslogWithoutJournal(t *testing.T) {
	dir := t.TempDir()
	log := authlog.Log{Journal: filepath.Join(dir, "journal"), Syslog: filepath.Join(dir, "log")}
	syslog := listen(t, log.Syslog)
	log.Verdict(refused)
	if got := receive(t, syslog); !strings.HasPrefix(got, "<85>") || !strings.HasSuffix(got, "]: "+refused.Line()) || !strings.Contains(got, " latch-auth[") {
		t.Errorf("%q", got)
	}
	log.Warn("line\nbreak")
	if got := receive(t, syslog); !strings.HasPrefix(got, "<84>") || !strings.HasSuffix(got, `]: warning text="line?break"`) {
		t.Errorf("%q", got)
	}
}

// TestFullQueueHoldsNothingUp fills sockets that nobody reads. Writing that blocks hangs this test.
func TestFullQueueHoldsNothingUp(t *testing.T) {
	dir := t.TempDir()
	log := authlog.Log{Journal: filepath.Join(dir, "journal"), Syslog: filepath.Join(dir, "log")}
	listen(t, log.Journal)
	listen(t, log.Syslog)
	text, err := os.ReadFile("/proc/sys/net/unix/max_dgram_qlen")
	if err != nil {
		t.Fatal(err)
	}
	length, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * (length + 10) {
		log.Verdict(refused)
	}
}

func because(reason string) authlog.Entry {
	e := refused
	e.Reason = reason
	return e
}

// TestFail2banFilter runs Debian's own fail2ban-regex on lines as they reach a log file.
func TestFail2banFilter(t *testing.T) {
	t.Parallel()
	const filter = "../../../conf/fail2ban/filter.d/latch.conf"
	spoofed, code, away, local := refused, refused, refused, refused
	spoofed.User, spoofed.Rhost = `x" service="sshd" phase="auth" rhost="198.51.100.9" reason="closed" ms=1`, ""
	code.Reason, code.Detail = "otp-wrong", "x"
	away.Reason = "no-answer-close"
	local.Rhost = ""
	opened := refused
	opened.Outcome, opened.Reason = "opened", "open"
	var text strings.Builder
	var want []string
	for i, c := range []struct {
		entry   authlog.Entry
		counted bool
	}{
		{refused, true}, {code, true}, {away, false}, {because("otp-used"), true}, {because("otp-paused"), true},
		{because("otp-expired"), false}, {because("otp-cannot-ask"), false}, {because("otp-not-enrolled"), false},
		{because("otp-failure"), false}, {local, false}, {opened, false}, {spoofed, false},
	} {
		if address := fmt.Sprint("203.0.113.", i+1); c.entry.Rhost != "" {
			c.entry.Rhost = address
			if c.counted {
				want = append(want, address)
			}
		}
		text.WriteString(time.Now().Format(time.Stamp) + " web1 latch-auth[4711]: " + c.entry.Line() + "\n")
	}
	log := filepath.Join(t.TempDir(), "auth.log")
	if err := os.WriteFile(log, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("fail2ban-regex", "--out", "ip", log, filter).CombinedOutput()
	if err != nil {
		t.Fatalf("fail2ban-regex: %v: %s", err, out)
	}
	if got := strings.Fields(string(out)); !slices.Equal(got, want) {
		t.Errorf("of the lines\n%sfail2ban counts %q, want %q", &text, got, want)
	}
}

// TestFail2banJail has Debian's own fail2ban read the jail, which must shut out UDP too: most OpenVPN servers use it.
func TestFail2banJail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("/etc/fail2ban")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "jail.d")); err != nil { // this machine's own jails
		t.Fatal(err)
	}
	for _, file := range []string{"jail.d/latch.conf", "filter.d/latch.conf"} {
		text, err := os.ReadFile("../../../conf/fail2ban/" + file)
		if err != nil {
			t.Fatal(err)
		}
		log := filepath.Join(dir, "auth.log")
		text = bytes.ReplaceAll(text, []byte("/var/log/auth.log"), []byte(log))
		if err := errors.Join(os.WriteFile(log, nil, 0o600), os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755),
			os.WriteFile(filepath.Join(dir, file), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, banaction := range []string{"iptables-allports", "nftables-allports"} {
		local := "[DEFAULT]\nbanaction_allports = " + banaction + "\n"
		if err := os.WriteFile(filepath.Join(dir, "jail.local"), []byte(local), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("fail2ban-client", "-c", dir, "-d").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, protocol := range []string{"tcp", "udp"} {
			if !bytes.Contains(out, []byte("['set', 'latch', 'addaction', 'latch-"+protocol+"']")) || !bytes.Contains(out, []byte("['protocol', '"+protocol+"']")) {
				t.Errorf("%s: %s is not shut out\n%s", banaction, protocol, out)
			}
		}
	}
}

// TestChange writes who changed which services, with values that cannot forge another line.
func TestChange(t *testing.T) {
	c := authlog.Change{Action: "install", By: "ana\nrefused user=\"eva\"", Services: []string{"sshd", "su"}, Detail: "until 12:00"}
	if got, want := c.Line(), `changed action="install" by="ana?refused user=\"eva\"" services="sshd,su" detail="until 12:00"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := (authlog.Change{Action: "confirm", By: "root"}).Line(), `changed action="confirm" by="root" services=""`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
