package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client/latchtest"
)

// TestSecretIsNeverShown fails every command in many ways, as text and as JSON. run and bare look for the secret in
// what comes out.
func TestSecretIsNeverShown(t *testing.T) {
	w := newWorld(t)
	w.pair("ana")
	w.env["EDITOR"] = "true"
	every := func(what string) {
		t.Helper()
		failed := 0
		for _, args := range [][]string{{"status"}, {"status", "--operation", "sudo"}, {"open"}, {"close"}, {"history"}, {"unpair"},
			{"pair", "AbC7xY"}, {"list"}, {"operation", "list"}, {"operation", "add", "sudo"}, {"operation", "rename", "sudo", "x"},
			{"operation", "rm", "sudo"}, {"config", "check"}, {"config", "edit"}, {"pair", "--import", w.conf}} {
			user := "ana"
			if args[0] == "pair" {
				user = "bob"
			}
			if !strings.Contains(strings.Join(args, " "), "--import") {
				args = append(args, "--user", user)
			}
			if w.run(args...).status != cli.ExitOK {
				failed++
			}
			w.run(append(args, "--json")...)
		}
		if failed < 5 {
			t.Errorf("%s: only %d commands failed", what, failed)
		}
	}
	for _, lines := range [][]string{
		{"latch_host = " + nowhere}, {"secret_key = " + w.secret + "x"}, {"secret_key = \"" + w.secret + "\""}, {"secret_key = " + w.secret, "secret_key = " + w.secret},
		{"secretkey = " + w.secret}, {"secret_key: " + w.secret}, {"secret_key " + w.secret}, {w.secret}, {"app_id = " + w.secret},
		{"latch_host = " + w.secret + "@127.0.0.1:1"}, {"proxy = http://x:" + w.secret + "@127.0.0.1:1"}, {"ca_file = "}, {"action = " + w.secret}, {"timeout = " + w.secret},
		{"retries = " + w.secret}, {"otp = " + w.secret}, {"run_dir = " + w.secret}, {w.secret + " = x"}, {"[" + w.secret + "]"}, {w.secret + "\" = x"},
		{"[operations]", "sudo = " + w.secret},
	} {
		w.configure(lines...)
		every(strings.ReplaceAll(strings.Join(lines, "; "), w.secret, "SECRET"))
	}
	for _, fault := range []string{"error 102", "error 101 beside on", "error as text", "body: not JSON", "301 to elsewhere", "500"} {
		fake, err := latchtest.New(fault)
		w.must(err)
		ca := filepath.Join(filepath.Dir(w.conf), "fake.pem")
		w.write(ca, string(fake.CA))
		w.configure("latch_host = "+fake.URL.String(), "ca_file = "+ca)
		every(fault)
		w.input = w.secret
		for _, extra := range [][]string{nil, {"--json"}} {
			args := []string{"setup", fake.URL.String(), "--app-id", w.app.ID, "--secret-file", "-", "--ca-file", ca, "--yes"}
			if o := w.run(append(args, extra...)...); o.status == cli.ExitOK {
				t.Errorf("%s: setup: %v", fault, o)
			}
		}
		fake.Close()
	}
	w.configure()
	w.must(os.Chmod(w.conf, 0o666))
	every("a configuration that others can write")
}

// TestNoCoreDump: the kernel shows by the owner of its files in /proc that a process makes none.
func TestNoCoreDump(t *testing.T) {
	cmd := command("latch", "pair", "--import", "-")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 7001, Gid: 7001}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	eventually(t, "it cannot dump core", func() bool {
		info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid == 0
	})
}
