package client

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// tokenServer makes a token at each status call, and notes what else is said and over which connection.
type tokenServer struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string
	said  chan string
}

func newTokenServer(t *testing.T, header string) *tokenServer {
	t.Helper()
	s := &tokenServer{said: make(chan string, 10)}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.calls = append(s.calls, r.RemoteAddr)
		s.mu.Unlock()
		if header != "" {
			w.Header().Set(api.HeaderServer, header)
		}
		if strings.Contains(r.URL.Path, "/host/") {
			s.said <- r.RemoteAddr + " " + r.URL.Path + " " + string(body)
			<-r.Context().Done() // the client waits for no answer
			return
		}
		fmt.Fprintf(w, `{"data":{"operations":{%q:{"status":"on","two_factor":{"token":"g4K9wz","generated":%d}}}}}`, latchtest.AppID, time.Now().UnixMilli())
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) client(t *testing.T) *Client {
	t.Helper()
	address, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return clientOf(t, Options{Host: address, Credentials: credentials(), APIVersion: "1.3", CAFile: caFile(t, ca), ReadCAFile: securefile.Read, Spends: true})
}

func askForToken(t *testing.T, c *Client) {
	t.Helper()
	if s, err := c.Status(t.Context(), Query{AccountID: latchtest.AccountID}); err != nil || s.Token != "g4K9wz" {
		t.Fatalf("%+v, %v", s, err)
	}
}

// TestSpendToken says it over the connection that the token came by, once.
func TestSpendToken(t *testing.T) {
	t.Parallel()
	s := newTokenServer(t, api.ServerHeader("1"))
	c := s.client(t)
	c.SpendToken(t.Context(), latchtest.AccountID, "g4K9wz", true) // before there was any answer: not at all
	askForToken(t, c)
	c.SpendToken(t.Context(), latchtest.AccountID, "g4K9wz", true)
	if got, want := <-s.said, s.calls[0]+" /api/1.3/host/token/"+latchtest.AccountID+" right=yes&token=g4K9wz"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	c.SpendToken(t.Context(), latchtest.AccountID, "g4K9wz", true)
	if n := len(s.said); n != 0 {
		t.Errorf("said %d times more", n)
	}
}

// TestTokensAreSpentAtLatchServerAlone: nothing of ours is said to a server that is not ours.
func TestTokensAreSpentAtLatchServerAlone(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"", "1.2 something-else", api.CanSpendTokens} {
		s := newTokenServer(t, header)
		c := s.client(t)
		askForToken(t, c)
		c.SpendToken(t.Context(), latchtest.AccountID, "g4K9wz", true)
		s.Close() // waits for every request
		if len(s.said) != 0 || len(s.calls) != 1 {
			t.Errorf("%q: said %d times in %d calls", header, len(s.said), len(s.calls))
		}
	}
}

// TestSpendTokenConnectsNowhere: a connection that is gone is not made again.
func TestSpendTokenConnectsNowhere(t *testing.T) {
	t.Parallel()
	s := newTokenServer(t, api.ServerHeader("1"))
	c := s.client(t)
	askForToken(t, c)
	s.CloseClientConnections()
	c.SpendToken(t.Context(), latchtest.AccountID, "g4K9wz", true)
	s.Close()
	if len(s.calls) != 1 {
		t.Errorf("%d calls", len(s.calls))
	}
}
