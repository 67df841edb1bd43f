package latch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/latch/fakeserver"
)

func start(t testing.TB, fault string) *fakeserver.Server {
	t.Helper()
	s, err := fakeserver.New(fault)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// caFile writes a PEM file that securefile trusts: not below a directory that others may write.
func caFile(t testing.TB, pem []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func optionsFor(t testing.TB, s *fakeserver.Server) Options {
	t.Helper()
	return Options{Host: s.URL, Credentials: api.Credentials{ID: fakeserver.AppID, Secret: fakeserver.Secret},
		APIVersion: "1.3", Retries: 2, CAFile: caFile(t, s.CA)}
}

func clientFor(t testing.TB, s *fakeserver.Server) *Client {
	t.Helper()
	c, err := New(optionsFor(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(c *Client, timeout time.Duration) (Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return c.Status(ctx, Query{AccountID: fakeserver.AccountID, NoOTP: true})
}

func TestPrintFaults(t *testing.T) {
	for _, name := range fakeserver.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, name)
			c := clientFor(t, s)
			begin := time.Now()
			st, err := ask(c, 2*time.Second)
			what := fmt.Sprintf("open=%v", st.Open)
			if err != nil {
				what = KindOf(err).String()
			}
			var e *Error
			errors.As(err, &e)
			fmt.Printf("%-32s %-14s req=%d conn=%d trap=%d %4d ms %.150v\n", name, what, s.Requests(), s.Connections(), s.Trapped(), time.Since(begin).Milliseconds(), err)
		})
	}
}
