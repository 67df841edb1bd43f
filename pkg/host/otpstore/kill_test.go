package otpstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/otp"
)

// actVariable makes this test binary a process that does one thing to a store and says "done", or what came of a code: DIR ACT CODE.
const actVariable = "OTPSTORE_TEST_ACT"

const (
	otherSeed  = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	oneOfTen   = "ABCDEFGHJK"
	otherOfTen = "ZZZZZZZZZZ"
)

// acts are what a process can be killed in the middle of.
var acts = map[string]func(s Store, code string) (told string, err error){
	"use": func(s Store, code string) (string, error) {
		used, err := s.Use(context.Background(), Try{User: "ana", UID: 1000, Typed: code})
		return map[Result]string{RightCode: "right", RightRecovery: "right"}[used.Result], err
	},
	"enrol": func(s Store, _ string) (string, error) {
		_, err := s.CreateKey(context.Background())
		a := totp()
		a.Secret = otherSeed
		return "done", errors.Join(err, s.Enrol(context.Background(), "ana", 1000, a))
	},
	"recovery": func(s Store, _ string) (string, error) {
		return "done", s.SetRecovery(context.Background(), "ana", 1000, []string{otherOfTen})
	},
	"resync": func(s Store, _ string) (string, error) {
		codes := [2]string{}
		for i := range codes {
			code, err := hotp().Code(seed, int64(500+i))
			if err != nil {
				return "", err
			}
			codes[i] = code
		}
		found, err := s.Resync(context.Background(), "ana", codes[0], codes[1])
		return map[bool]string{true: "right"}[found], err
	},
	"encrypt": func(s Store, _ string) (string, error) {
		_, err := s.Encrypt(context.Background(), "ana")
		return "done", err
	},
	"rekey": func(s Store, _ string) (string, error) {
		_, err := s.Rekey(context.Background())
		return "done", err
	},
}

// act is the process.
func act(args []string) int {
	told, err := acts[args[1]](at(args[0], start), args[2])
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println(told)
	return 0
}

// writes are the system calls by which the state changes.
var writes = []string{"mkdirat", "fchmod", "write", "fsync", "renameat", "unlinkat"}

// cut runs an act that is killed as it begins the n-th of these system calls, and tells what it said, and whether it was killed.
func (b *bed) cut(call string, n int, args ...string) (told string, killed bool) {
	b.Helper()
	cmd := exec.Command("strace", "-f", "-o", "/dev/null", "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n), os.Args[0])
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", actVariable+"="+strings.Join(append([]string{b.dir}, args...), " "))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err == nil && strings.Contains(out.String(), "error") || err != nil && cmd.ProcessState == nil {
		b.Fatalf("%s %q: %v, %s", call, args, err, &out)
	}
	return strings.TrimSpace(out.String()), err != nil
}

// TestKilledAtEveryWrite kills an act at each system call by which it writes, one after the other. Whatever was left, no code is
// right twice, no enrolment is lost, and the same act goes through when it is called again. Of the writes of each act a third is
// tried, and all of them for `make test-all`.
func TestKilledAtEveryWrite(t *testing.T) {
	standing := func(b *bed) { b.enrol(totp()); b.must(b.SetRecovery(b.Context(), "ana", 1000, []string{oneOfTen})) }
	for name, c := range map[string]struct {
		act    []string
		before func(b *bed)
		after  func(b *bed, told string)
	}{
		"code": {[]string{"use", mustCode(t, 0)}, standing, func(b *bed, told string) { b.onceAtMost(b.code(0), told) }},
		"recovery code": {[]string{"use", oneOfTen}, standing, func(b *bed, told string) {
			b.onceAtMost(oneOfTen, told)
		}},
		"counter": {[]string{"resync", "-"}, func(b *bed) { b.enrol(hotp()) }, func(b *bed, told string) {
			r, err := b.Load("ana")
			if err != nil || told == "right" && r.Authenticator.Next != 502 || r.Authenticator.Next != 0 && r.Authenticator.Next != 502 {
				b.Errorf("it said %q, and the counter is at %+v, %v", told, r, err)
			}
		}},
		"first enrolment": {[]string{"enrol", "-"}, func(b *bed) { b.must(os.Remove(b.KeyFile)); b.must(os.RemoveAll(b.Dir)) }, func(b *bed, told string) {
			if r, err := b.Load("ana"); told == "done" && err != nil || err == nil && r.Authenticator.Secret != otherSeed {
				b.Errorf("it said %q, and there is %+v, %v", told, r, err)
			}
		}},
		"another enrolment": {[]string{"enrol", "-"}, standing, func(b *bed, told string) {
			r, err := b.Load("ana")
			if err != nil || r.RecoveryLeft() != 1 || told == "done" && r.Authenticator.Secret != otherSeed || r.Authenticator.Secret != seed && r.Authenticator.Secret != otherSeed {
				b.Errorf("it said %q, and there is %+v, %v", told, r, err)
			}
		}},
		"recovery codes": {[]string{"recovery", "-"}, standing, func(b *bed, told string) {
			b.uses("", b.code(0), RightCode)
			old, err := b.Use(b.Context(), Try{User: "ana", UID: 1000, Typed: oneOfTen})
			b.must(err)
			next, err := b.Use(b.Context(), Try{User: "ana", UID: 1000, Typed: otherOfTen})
			b.must(err)
			if (old.Result == RightRecovery) == (next.Result == RightRecovery) || told == "done" && next.Result != RightRecovery {
				b.Errorf("it said %q; those of before: %v, new ones: %v", told, old, next)
			}
		}},
		"encrypt": {[]string{"encrypt", "-"}, func(b *bed) { b.Clear = true; standing(b); b.Clear = false }, func(b *bed, told string) {
			if r, err := b.Load("ana"); err != nil || r.RecoveryLeft() != 1 || told == "done" && r.IsClear() {
				b.Errorf("it said %q, and there is %+v, %v", told, r, err)
			}
		}},
		"rekey": {[]string{"rekey", "-"}, func(b *bed) { standing(b); b.must(b.Enrol(b.Context(), "bob", 1001, totp())) }, func(b *bed, _ string) {
			for _, user := range []string{"ana", "bob"} {
				if _, err := b.Load(user); err != nil {
					b.Error(err)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kills, step := 0, sample(1, 3)
			for i, call := range writes {
				killed := true
				for n := 1 + i%step; killed; n += step {
					b := newBed(t)
					c.before(b)
					var told string
					told, killed = b.cut(call, n, c.act...)
					c.after(b, told)
					if killed {
						kills++
						if _, err := acts[c.act[0]](at(b.dir, start), c.act[1]); err != nil {
							t.Errorf("again: %v", err)
						}
					}
					if t.Failed() || n >= 30 {
						t.Fatalf("killed at %s %d: %v", call, n, killed)
					}
				}
			}
			if kills < sample(5, 1) {
				t.Errorf("killed %d times: this says little", kills)
			}
		})
	}
}

// onceAtMost tries a code that a killed process may have used up.
func (b *bed) onceAtMost(code, told string) {
	b.Helper()
	used, err := b.Use(b.Context(), Try{User: "ana", UID: 1000, Typed: code})
	b.must(err)
	right := used.Result == RightCode || used.Result == RightRecovery
	if told == "right" && right {
		b.Error("the code was right twice")
	}
	used, err = b.Use(b.Context(), Try{User: "ana", UID: 1000, Typed: code})
	if err != nil || used.Result == RightCode || used.Result == RightRecovery {
		b.Errorf("once more: %v, %v", used, err)
	}
}

// mustCode is what the phone shows some steps from start.
func mustCode(t *testing.T, steps int64) string {
	t.Helper()
	code, err := otp.Code(seed, start.Unix()/30+steps)
	if err != nil {
		t.Fatal(err)
	}
	return code
}
