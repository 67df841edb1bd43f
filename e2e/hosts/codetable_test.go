package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// codeTable is what every host does with every kind of code: the reason in the log, which for a way in begins with "open".
const codeTable = `
kind         right     replayed   wrong      overlong   null            expired
token        open-otp  otp-wrong  otp-wrong  otp-wrong  otp-cannot-ask  otp-expired
totp         open-otp  otp-used   otp-wrong  otp-wrong  otp-cannot-ask  otp-expired
hotp         open-otp  otp-used   otp-wrong  otp-wrong  otp-cannot-ask  otp-expired
server-totp  open-otp  otp-used   otp-wrong  otp-wrong  otp-cannot-ask  otp-wrong
recovery     open-otp  otp-wrong  otp-wrong  otp-wrong  otp-cannot-ask  otp-wrong
`

// terminals are the hosts as somebody at a terminal meets them: the command to log in as a user. Each has a user of its own.
var terminals = map[string]func(user string) []string{
	"su":    func(user string) []string { return []string{"su", user, "-c", proveIt} },
	"sudo":  func(string) []string { return []string{"sudo", "-k", "/bin/sh", "-c", proveIt} },
	"login": func(user string) []string { return []string{"login", user} },
	"sshd": func(user string) []string {
		return append(append([]string{"ssh"}, sshOptions("keyboard-interactive")...), user+"@127.0.0.1", proveIt)
	},
}

// coder is the user of a host in this table.
func coder(host string) string { return "coder-" + host }

// atTerminal logs in, types the password and, at our prompt, what reply returns; nothing but the end of what is typed where ok is
// false. It returns what was shown.
func atTerminal(host, user string, reply func() (text string, ok bool)) (shown string, in bool) {
	argv := terminals[host](user)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "TERM=dumb", "LC_ALL=C"}, "/"
	attributes := &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if as := map[string]string{"su": unpaired, "sudo": user}[host]; as != "" {
		attributes.Credential = bed.users[as].Process().Credential
	}
	terminal, err := pty.StartWithAttrs(cmd, nil, attributes)
	if err != nil {
		return err.Error(), false
	}
	defer func() {
		_ = cmd.Process.Kill()
		terminal.Close()
		_ = cmd.Wait()
	}()
	s := &screen{terminal: terminal}
	go s.read()
	refused := []string{"failure", "Sorry", "incorrect", "denied", "required"}
	if s.await("assword") != "" {
		_, _ = io.WriteString(terminal, fixture.Password+"\n")
	}
	inside := []string{proof(user), proof("root"), "$ "}
	got := s.await(slices.Concat(refused, inside, []string{"Latch "})...)
	if got == "Latch " {
		s.await(": ")
		text, ok := reply()
		if ok {
			text += "\n"
		} else {
			text = "\x04" // end of file
		}
		_, _ = io.WriteString(terminal, text)
		got = s.await(slices.Concat(refused, inside)...)
	}
	if slices.Contains(refused, got) {
		return s.text(), false
	}
	if host == "sudo" {
		user = "root"
	}
	if got == "$ " {
		_, _ = io.WriteString(terminal, proveIt+"\n")
		got = s.await(proof(user))
	}
	return s.text(), got == proof(user)
}

var generated = regexp.MustCompile(`"generated":(\d+)`)

// stale makes the server's tokens six minutes old.
func stale(answer *http.Response) error {
	text, err := io.ReadAll(answer.Body)
	text = generated.ReplaceAllFunc(text, func(found []byte) []byte {
		made, _ := strconv.ParseInt(string(generated.FindSubmatch(found)[1]), 10, 64)
		return fmt.Appendf(nil, `"generated":%d`, made-6*time.Minute.Milliseconds())
	})
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	answer.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return err
}

// kindOfCode says how a user comes by codes of one kind.
type kindOfCode struct {
	conf       fixture.Conf
	enrol      func(user string) error
	age        func(user string) error // makes what "old" returns too old
	right, old func(user string) string
	wrong      string
}

func uidOf(user string) int64 { return int64(bed.users[user].ID) }

// anew gives a user an authenticator with the parameters in place of whatever there was.
func anew(user string, p otp.Parameters, enrolled time.Time, lifetime int64) error {
	ctx := context.Background()
	if err := codeStore.Remove(ctx, user); err != nil && !errors.Is(err, otpstore.ErrNotEnrolled) {
		return err
	}
	if _, err := codeStore.CreateKey(ctx); err != nil {
		return err
	}
	return codeStore.Enrol(ctx, user, uidOf(user), otpstore.Authenticator{Parameters: p, Secret: fixture.Seed, Window: fixture.Window,
		Enrolled: enrolled.Unix(), Lifetime: lifetime})
}

// of is the code of a seed some steps of 30 s from now.
func of(seed string, steps int64) string {
	c, _ := otp.Code(seed, time.Now().Unix()/30+steps)
	return c
}

var counting = otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6}

// appCodes are those of an authenticator of this machine's, which expires.
func appCodes(p otp.Parameters, right func(string) string) kindOfCode {
	return kindOfCode{conf: bed.conf.With("otp", "totp"), right: right, old: right, wrong: "999999",
		enrol: func(user string) error { return anew(user, p, time.Now(), otpstore.ForEver) },
		age:   func(user string) error { return anew(user, p, time.Now().Add(-time.Hour), 60) }}
}

// kinds are the kinds of codes, by the first column of the table.
func kinds() map[string]kindOfCode {
	var seeds sync.Map // that the server made, by user
	made := func(user string, steps int64) string {
		seed, _ := seeds.Load(user)
		text, _ := seed.(string)
		return of(text, steps)
	}
	onPhone := func(user string) string { token, _ := bed.server.Token(user); return token }
	typing := func(text string) func(string) string { return func(string) string { return text } }
	return map[string]kindOfCode{
		"totp": appCodes(otp.Standard(), func(string) string { return of(fixture.Seed, 0) }),
		"hotp": appCodes(counting, func(string) string { c, _ := counting.Code(fixture.Seed, 0); return c }),
		"token": {conf: bed.conf.With("otp", "yes"), right: onPhone, old: onPhone, wrong: "999999",
			enrol: func(string) error { return bed.server.DemandTokens("hosts", true) },
			age:   func(string) error { bed.tap.Edit = stale; return nil }},
		"server-totp": {conf: bed.conf.With("otp", "server-totp"), wrong: "999999",
			enrol: func(user string) error {
				seed, err := fixture.EnrolAtServer(confFile, codeStore, user, uidOf(user))
				seeds.Store(user, seed)
				return err
			},
			age:   func(string) error { return nil },
			right: func(user string) string { return made(user, 0) }, old: func(user string) string { return made(user, -20) }},
		"recovery": {conf: bed.conf.With("otp", "totp"), right: typing(fixture.RecoveryCode), old: typing("QQQQQ-QQQQQ"), wrong: "99999-99999",
			enrol: func(user string) error {
				return errors.Join(anew(user, otp.Standard(), time.Now(), otpstore.ForEver), setRecovery(user, fixture.RecoveryCode))
			},
			// A new set ends the one before.
			age: func(user string) error {
				return errors.Join(setRecovery(user, "QQQQQ-QQQQQ"), setRecovery(user, "ZZZZZ-ZZZZZ"))
			}},
	}
}

func setRecovery(user, code string) error {
	normal, _ := otp.NormalRecovery(code)
	return codeStore.SetRecovery(context.Background(), user, uidOf(user), []string{normal})
}

// TestEveryHostAndKind holds real hosts to the table, with real logins at a terminal. A sample has every kind and every
// column at two hosts, and every host with two kinds or more.
func TestEveryHostAndKind(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(codeTable), "\n")
	columns := strings.Fields(lines[0])[1:]
	t.Cleanup(func() {
		bed.tap.Edit = nil
		if err := bed.server.DemandTokens("hosts", false); err != nil {
			t.Error(err)
		}
	})
	all := kinds()
	for i, line := range lines[1:] {
		kind, reasons, _ := strings.Cut(line, " ")
		hosts := fixture.Sample(fixture.Rotated(slices.Sorted(maps.Keys(terminals)), i), 2)
		t.Run(kind, func(t *testing.T) {
			k := all[kind]
			configure(t, k.conf)
			onEvery(t, hosts, k.enrol)
			last := map[string]string{}
			for _, host := range hosts {
				last[host] = ""
			}
			var mu sync.Mutex
			for i, column := range columns {
				want := strings.Fields(reasons)[i]
				if column == "expired" {
					onEvery(t, hosts, k.age)
				}
				var logins sync.WaitGroup
				for _, host := range hosts {
					logins.Go(func() {
						typesAt(t, host, column, want, func() (string, bool) {
							mu.Lock()
							defer mu.Unlock()
							user := coder(host)
							switch column {
							case "right":
								last[host] = k.right(user)
								return last[host], true
							case "replayed":
								return last[host], true
							case "wrong":
								return k.wrong, true
							case "overlong":
								return strings.Repeat("9", 400), true
							case "expired":
								return k.old(user), true
							}
							return "", false
						})
					})
				}
				logins.Wait()
			}
			for _, secret := range []string{fixture.Seed, fixture.RecoveryCode, "ABCDEFGHJK", k.wrong} {
				if lines := bed.log.Lines(secret); len(lines) > 0 {
					t.Errorf("a secret in the log: %q", lines)
				}
			}
		})
	}
}

// onEvery does something for the users of hosts.
func onEvery(t *testing.T, hosts []string, do func(user string) error) {
	t.Helper()
	for _, host := range hosts {
		if err := do(coder(host)); err != nil {
			t.Fatal(err)
		}
	}
}

// typesAt logs in at a host and wants a reason in the log, and the user in where that begins with "open".
func typesAt(t *testing.T, host, column, want string, reply func() (string, bool)) {
	user := coder(host)
	line := []string{`user="` + user + `"`, `phase="auth"`, `reason="` + want + `"`}
	before := len(bed.log.Lines(line...))
	shown, in := atTerminal(host, user, reply)
	if wanted := strings.HasPrefix(want, "open"); in != wanted {
		t.Errorf("%s, %s: in is %v\n%s", host, column, in, shown)
	}
	if !fixture.Await(func() bool { return len(bed.log.Lines(line...)) > before }) {
		t.Errorf("%s, %s: no line with %q\n%s\n%q", host, column, line, shown, bed.log.Lines(line[0]))
	}
}
