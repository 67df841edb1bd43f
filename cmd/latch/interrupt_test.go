package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// answering is a server whose every answer is made while something else happens on this machine.
func (w *world) answering(meanwhile func() string) (url, ca string) {
	w.t.Helper()
	return w.serving(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, meanwhile()) })
}

// serving is a server of a test's own.
func (w *world) serving(h http.HandlerFunc) (url, ca string) {
	w.t.Helper()
	fake := httptest.NewTLSServer(h)
	w.t.Cleanup(fake.Close)
	ca = filepath.Join(w.t.TempDir(), "ca.pem")
	w.write(ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: fake.Certificate().Raw})))
	return fake.URL, ca
}

// TestInterruptAfterTheAnswer: a pairing that the server has made is stored, whatever is typed meanwhile.
func TestInterruptAfterTheAnswer(t *testing.T) {
	w := newWorld(t)
	id := strings.Repeat("a", 64)
	locked, release, released := make(chan struct{}), make(chan struct{}), make(chan struct{})
	url, ca := w.answering(func() string {
		go func() {
			defer close(released)
			_ = securefile.WithLock(context.Background(), w.accounts, func() error { close(locked); <-release; return nil })
		}()
		<-locked // what comes now waits to be stored
		return fmt.Sprintf(`{"data":{"accountId":"%s"}}`, id)
	})
	w.configure("latch_host = "+url, "ca_file = "+ca)
	cmd := command("latch", "pair", "AbC7xY", "--user", "ana", "--config", w.conf, "--accounts", w.accounts)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	w.must(cmd.Start())
	select {
	case <-locked:
	case <-time.After(patience):
		t.Fatal("the server was never asked")
	}
	lock := filepath.Join(filepath.Dir(w.accounts), ".lock", filepath.Base(w.accounts))
	eventually(t, "the answer is stored", func() bool { return holdsOpen(cmd.Process.Pid, lock) })
	w.must(cmd.Process.Signal(syscall.SIGTERM))
	eventually(t, "the signal has reached it", func() bool { return !pending(t, cmd.Process.Pid) })
	close(release)
	<-released
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v, %s", err, errOut.String())
	}
	if p, ok := w.pairing("ana"); !ok || p.AccountID != id {
		t.Errorf("stored %+v, %v", p, ok)
	}
}

// pending reports whether a signal has not reached the process yet.
func pending(t *testing.T, pid int) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	return !strings.Contains(string(text), "\nShdPnd:\t0000000000000000\n")
}

// holdsOpen tells whether a process has a file open.
func holdsOpen(pid int, path string) bool {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == path {
			return true
		}
	}
	return false
}

// TestConfigurationChangedDuringSetup: what somebody else wrote meanwhile is not overwritten.
func TestConfigurationChangedDuringSetup(t *testing.T) {
	w, secretFile := newHost(t)
	theirs := "action = close\n"
	url, ca := w.answering(func() string {
		w.write(w.conf, theirs)
		return `{"error":{"code":201,"message":"Account not paired"}}`
	})
	o := w.run("setup", url, "--app-id", w.app.ID, "--secret-file", secretFile, "--ca-file", ca, "--yes")
	if o.status != cli.ExitError || !strings.Contains(o.err, "was changed by somebody else meanwhile; nothing was written") {
		t.Errorf("%v", o)
	}
	if got := w.read(w.conf); got != theirs {
		t.Errorf("the configuration is %q, want %q", got, theirs)
	}
}
