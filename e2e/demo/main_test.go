package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// ours are the directories that an installed product writes to.
var ours = []string{"/etc/latch", "/var/lib/latch", "/run/latch"}

// here lists what lies in those directories, with the times of the last change.
func here(t *testing.T) (list []string) {
	t.Helper()
	for _, dir := range ours {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Lstat(path)
			if err == nil {
				list = append(list, path+" "+info.ModTime().String())
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return list
}

// TestDemo runs all of it: every login ends as the table says, and the machine is as it was.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	before := here(t)
	if err := run(); err != nil {
		t.Error(err)
	}
	if after := here(t); !slices.Equal(before, after) {
		t.Errorf("before %q, after %q", before, after)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestTheDemoStays with DEMO_KEEP: the page answers at the address that is printed, the sign-in leads to a form, and a login
// can be tried.
func TestTheDemoStays(t *testing.T) {
	printed := &shared{}
	s := &stage{dir: t.TempDir(), out: &output{w: printed}}
	defer func() {
		if err := s.clear(); err != nil {
			t.Error(err)
		}
	}()
	if err := s.build(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.keep(ctx, strings.NewReader("\n")) }()
	for !strings.Contains(printed.String(), "login as") {
		select {
		case err := <-ended:
			t.Fatalf("ended with %v after %s", err, printed)
		case <-time.After(20 * time.Millisecond):
		}
	}
	text := printed.String()
	found := regexp.MustCompile(`sign in   (https://localhost:\d+/\S+)`).FindStringSubmatch(text)
	if found == nil || !strings.Contains(text, "address   "+s.server.Public+"/") {
		t.Fatalf("printed %s", text)
	}
	if body := fetch(t, s.server.CA, found[1]); !strings.Contains(body, "<form") {
		t.Errorf("the sign-in leads to %s", body)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// shared is what the demo prints, read while it does.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func fetch(t *testing.T, ca, address string) string {
	t.Helper()
	authority, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return string(body)
}
