package pam_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/msteinert/pam/v2"

	"github.com/latch-linux/latch/e2e/fixture"
)

// refused tells whether err is the one code that a refusal has in its phase.
func refused(err error, account bool) bool {
	if account {
		return errors.Is(err, pam.ErrPermDenied)
	}
	return errors.Is(err, pam.ErrAuth)
}

// TestEveryDeviationRefuses holds both phases to docs/relay.md: what is not a verdict in due form and time refuses.
func TestEveryDeviationRefuses(t *testing.T) {
	for name, script := range map[string][]string{
		"a verdict to refuse":             {"read", send(hold(100), refuse)},
		"a refusal before HOLD":           {"read", send(refuse)},
		"success before HOLD":             {"read", send(success)},
		"ignore before HOLD":              {"read", send(ignore)},
		"no verdict":                      {"read", send(hold(100)), "close"},
		"exit 0":                          {"read", "exit 0"},
		"exit 0 before HELLO":             {"exit 0"},
		"a crash":                         {"read", send(hold(100)), "crash"},
		"verdict 0":                       {"read", send(hold(100), frame(0x86, "\x00"))},
		"verdict 4":                       {"read", send(hold(100), frame(0x86, "\x04"))},
		"a verdict of two bytes":          {"read", send(hold(100), frame(0x86, "\x01\x01"))},
		"a verdict of none":               {"read", send(hold(100), frame(0x86, ""))},
		"half a verdict":                  {"read", send(hold(100), success[:len(success)-2]), "close"},
		"two verdicts":                    {"read", send(hold(100), success, success)},
		"bytes after the verdict":         {"read", send(hold(100), success, "00")},
		"a second HOLD":                   {"read", send(hold(100), hold(100), success)},
		"HOLD of 0 s":                     {"read", send(hold(0), success)},
		"HOLD of 101 s":                   {"read", send(hold(101), success)},
		"an empty frame":                  {"read", send(hold(100), "00000000", success)},
		"an oversize frame":               {"read", send(hold(100), "00010001"+strings.Repeat("86", 70000))},
		"an unknown type":                 {"read", send(hold(100), frame(0x87, "\x01"), success)},
		"a frame of the module":           {"read", send(hold(100), frame(0x03, "\x01"), success)},
		"garbage":                         {"read", "send 474554202f20485454502f312e310d0a0d0a"},
		"garbage before HELLO is read":    {"send ffffffffffffffff"},
		"a text of 513 bytes":             {"read", send(hold(100), frame(0x84, strings.Repeat("x", 513)), success)},
		"a text with NUL":                 {"read", send(hold(100), frame(0x84, "a\x00b"), success)},
		"a prompt with echo 2":            {"read", send(hold(100), frame(0x83, "\x02Code: ")), "read", send(success)},
		"a group without a name":          {"read", send(hold(100), frame(0x82, "")), "read", send(success)},
		"a flood of frames":               {"read", send(hold(100), strings.Repeat(frame(0x84, "x"), 63), success)},
		"silence after HOLD":              {"read", send(hold(1)), "sleep 60000", send(success)},
		"a stopped authenticator":         {"read", send(hold(1)), "stop"},
		"a byte now and then, never done": append([]string{"read", send(hold(1))}, slowly(frame(0x84, strings.Repeat("x", 40))+success)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, script...)
			if err := b.begin(nil).Authenticate(0); !refused(err, false) {
				t.Errorf("auth: %v", err)
			}
			if err := b.begin(nil).AcctMgmt(0); !refused(err, true) {
				t.Errorf("account: %v", err)
			}
		})
	}
}

// slowly sends a text in hexadecimal byte by byte. It takes far longer than HOLD says where that is a second.
func slowly(text string) (script []string) {
	for ; text != ""; text = text[2:] {
		script = append(script, "send "+text[:2], "sleep 600")
	}
	return script
}

// TestStartsInTime: an authenticator that starts on a slow disk has 20 s to send HOLD, which gives it more.
func TestStartsInTime(t *testing.T) {
	for name, c := range map[string]struct {
		script []string
		in     bool
	}{
		"silence without HOLD": {[]string{"read", "sleep 60000", send(hold(100), success)}, false},
		"silence before HELLO": {[]string{"sleep 60000", "read", send(hold(100), success)}, false},
		"HOLD prolongs":        {[]string{"read", send(hold(100)), "sleep 3100", send(success)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, c.script...)
			b.impatientService()
			if err := b.begin(nil).Authenticate(0); c.in && err != nil || !c.in && !refused(err, false) {
				t.Errorf("auth: %v, want in = %v", err, c.in)
			}
			if err := b.begin(nil).AcctMgmt(0); c.in && err != nil || !c.in && !refused(err, true) {
				t.Errorf("account: %v, want in = %v", err, c.in)
			}
		})
	}
}

// TestVerdictsInDueForm is the other half: what may pass does.
func TestVerdictsInDueForm(t *testing.T) {
	for name, c := range map[string]struct {
		script []string
		want   error
	}{
		"success":               {[]string{"read", send(hold(100), success)}, nil},
		"success, byte by byte": {[]string{"read", "send 00", "send 0000", "send 0281", "send 05", send(success)}, nil},
		"63 frames before it":   {[]string{"read", send(hold(100), strings.Repeat(frame(0x84, "x"), 62), success)}, nil},
		"a text of 512 bytes":   {[]string{"read", send(hold(100), frame(0x84, strings.Repeat("x", 512)), success)}, nil},
		"ignore":                {[]string{"read", send(hold(100), ignore)}, pam.ErrPermDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// libpam turns PAM_IGNORE from every module of a stack into PAM_PERM_DENIED.
			if err := newBed(t, c.script...).begin(nil).Authenticate(0); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestIgnoreLeavesTheDecisionToOthers tells PAM_IGNORE from a refusal, which the line above cannot.
func TestIgnoreLeavesTheDecisionToOthers(t *testing.T) {
	for script, want := range map[string]error{send(hold(100), ignore): nil, send(hold(100), refuse): pam.ErrAuth} {
		b := newBed(t, "read", script)
		must(t, os.WriteFile(filepath.Join(b.dir, "latch"),
			[]byte("auth required pam_permit.so\nauth required "+module+" authenticator="+b.auth+"\n"), 0o644))
		if err := b.begin(nil).Authenticate(0); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", script, err, want)
		}
	}
}

func TestSetcredSucceeds(t *testing.T) {
	if err := newBed(t, "exit 1").begin(nil).SetCred(0); err != nil {
		t.Error(err)
	}
}

// TestUntrustedAuthenticatorRefuses changes one thing at a time about an authenticator that would open.
func TestUntrustedAuthenticatorRefuses(t *testing.T) {
	for name, spoil := range map[string]func(b *bed) error{
		"missing":         func(b *bed) error { return os.Remove(b.auth) },
		"not executable":  func(b *bed) error { return os.Chmod(b.auth, 0o644) },
		"world-writable":  func(b *bed) error { return os.Chmod(b.auth, 0o757) },
		"group-writable":  func(b *bed) error { return os.Chmod(b.auth, 0o775) },
		"another owner's": func(b *bed) error { return os.Chown(b.auth, 4242, 4242) },
		"no program":      func(b *bed) error { return os.WriteFile(b.auth, []byte("hello\n"), 0o755) },
		"empty":           func(b *bed) error { return os.WriteFile(b.auth, nil, 0o755) },
		"a link": func(b *bed) error {
			return errors.Join(os.Rename(b.auth, b.auth+".real"), os.Symlink(b.auth+".real", b.auth))
		},
		"a directory":                   func(b *bed) error { return errors.Join(os.Remove(b.auth), os.Mkdir(b.auth, 0o755)) },
		"in a world-writable directory": func(b *bed) error { return os.Chmod(b.dir, 0o777) },
		"in another's directory":        func(b *bed) error { return os.Chown(b.dir, 4242, 4242) },
		"in another's sticky directory": func(b *bed) error {
			return errors.Join(os.Chown(b.dir, 4242, 4242), os.Chmod(b.dir, 0o777|os.ModeSticky))
		},
		"behind a linked directory": func(b *bed) error {
			link := b.dir + ".link"
			b.t.Cleanup(func() { _ = os.Remove(link) })
			b.service("latch", module, filepath.Join(link, "latch-auth"))
			return os.Symlink(b.dir, link)
		},
		"a relative path":   func(b *bed) error { b.service("latch", module, "latch-auth"); return nil },
		"no path":           func(b *bed) error { b.service("latch", module, ""); return nil },
		"a path to nowhere": func(b *bed) error { b.service("latch", module, "/"); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "another") {
				fixture.NeedsRoot(t)
			}
			b := newBed(t, "read", send(hold(100), success))
			if err := b.begin(nil).Authenticate(0); err != nil {
				t.Fatalf("unspoilt: %v", err)
			}
			must(t, spoil(b))
			if err := b.begin(nil).Authenticate(0); !refused(err, false) {
				t.Errorf("auth: %v", err)
			}
			if err := b.begin(nil).AcctMgmt(0); !refused(err, true) {
				t.Errorf("account: %v", err)
			}
		})
	}
}
