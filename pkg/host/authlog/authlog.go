// Package authlog writes one line per verdict to the system's log, facility authpriv: the outcome first, then who,
// where and why. What came from a user or the network is quoted, escaped and cut, so that no line can be forged.
// Writing never blocks and its failure changes no verdict.
package authlog

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// Places of the system's log.
const (
	JournalSocket = "/run/systemd/journal/socket" // native protocol of systemd-journald
	SyslogSocket  = "/dev/log"                    // RFC 3164
)

const (
	identifier = "latch-auth"
	authpriv   = 10  // RFC 5424, section 6.2.1
	maxValue   = 256 // bytes of one quoted value, before its quotes are escaped
	maxLine    = 16 * maxValue
)

// severity as in RFC 5424, section 6.2.1.
type severity int

const (
	warning severity = 4
	notice  severity = 5
	info    severity = 6
)

// Entry is one verdict.
type Entry struct {
	Outcome string // opened, refused or ignored
	User    string
	Service string
	Phase   string
	Rhost   string
	Reason  string
	Took    time.Duration
	Detail  string // what else an administrator needs, without secrets; may be empty
	Warn    bool   // a warning, although nobody was refused
}

// Line returns the entry's text: outcome user= service= phase= rhost= reason= ms= and, where there is one, detail=.
func (e Entry) Line() string {
	line := fmt.Sprintf("%s user=%s service=%s phase=%s rhost=%s reason=%s ms=%d", e.Outcome,
		quote(e.User), quote(e.Service), quote(e.Phase), quote(e.Rhost), quote(e.Reason), e.Took.Milliseconds())
	if e.Detail != "" {
		line += " detail=" + quote(e.Detail)
	}
	return line
}

func (e Entry) severity() severity {
	switch {
	case e.Warn:
		return warning
	case e.Outcome == "refused":
		return notice
	}
	return info
}

// fields are the same for the journal.
func (e Entry) fields() [][2]string {
	return [][2]string{
		{"LATCH_USER", e.User}, {"LATCH_SERVICE", e.Service}, {"LATCH_RHOST", e.Rhost},
		{"LATCH_VERDICT", e.Outcome}, {"LATCH_REASON", e.Reason},
	}
}

// Log knows where to write. The zero value is the system's log.
type Log struct {
	Journal, Syslog string // sockets, "" for the usual places
}

// Verdict writes an entry.
func (l Log) Verdict(e Entry) { l.write(e.severity(), e.Line(), e.fields()) }

// Change is a change of what PAM services do, made by an administrator or by the clock.
type Change struct {
	Action   string // install, uninstall, confirm, rollback, automatic-rollback
	By       string // the person behind root
	Services []string
	Detail   string // may be empty
}

// Line returns the change's text: changed action= by= services= and, where there is one, detail=.
func (c Change) Line() string {
	line := fmt.Sprintf("changed action=%s by=%s services=%s", quote(c.Action), quote(c.By), quote(strings.Join(c.Services, ",")))
	if c.Detail != "" {
		line += " detail=" + quote(c.Detail)
	}
	return line
}

// Changed writes a change.
func (l Log) Changed(c Change) {
	l.write(notice, c.Line(), [][2]string{{"LATCH_ACTION", c.Action}, {"LATCH_BY", c.By}, {"LATCH_SERVICES", strings.Join(c.Services, ",")}})
}

// Warn writes a line about something that no verdict tells.
func (l Log) Warn(text string) { l.write(warning, "warning text="+quote(text), nil) }

// write tries the journal first: where there is one, the syslog socket leads to it as well.
func (l Log) write(s severity, line string, fields [][2]string) {
	if send(or(l.Journal, JournalSocket), journalMessage(s, line, fields)) == nil {
		return
	}
	stamp := time.Now().Format(time.Stamp)
	text := fmt.Sprintf("<%d>%s %s[%d]: %s", authpriv<<3|int(s), stamp, identifier, os.Getpid(), line)
	_ = send(or(l.Syslog, SyslogSocket), []byte(text)) // there is nowhere left to say that it failed
}

func or(path, usual string) string {
	if path == "" {
		return usual
	}
	return path
}

// journalMessage is the native protocol's datagram; no value holds a newline, so each is one line.
func journalMessage(s severity, line string, fields [][2]string) []byte {
	var b strings.Builder
	all := append([][2]string{
		{"MESSAGE", line}, {"PRIORITY", strconv.Itoa(int(s))}, {"SYSLOG_FACILITY", strconv.Itoa(authpriv)},
		{"SYSLOG_IDENTIFIER", identifier}, {"SYSLOG_PID", strconv.Itoa(os.Getpid())},
	}, fields...)
	for _, f := range all {
		b.WriteString(f[0] + "=" + clean(f[1], maxLine) + "\n")
	}
	return []byte(b.String())
}

// send sends one datagram or gives up at once: a full queue must not hold up a login.
func send(path string, message []byte) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Sendto(fd, message, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, &syscall.SockaddrUnix{Name: path})
}

// quote returns a value between double quotes, with quotes and backslashes escaped.
func quote(s string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(s, maxValue))
	return `"` + escaped + `"`
}

// clean cuts a value and replaces what is not printable: control characters, line and direction marks, bytes that
// are no UTF-8.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || (r != ' ' && !unicode.IsGraphic(r)) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Zs) && r != ' ' {
			return '?'
		}
		return r
	}, s)
}
