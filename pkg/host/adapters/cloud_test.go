package adapters_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/server/httpapi"
)

// fakes is a server that passes for any of names, behind a proxy that leads to it whatever name is asked for.
type fakes struct {
	proxy *url.URL
	ca    string
	came  chan http.Header
}

func newFakes(t *testing.T, names ...string) fakes {
	t.Helper()
	dir := t.TempDir()
	conf, err := httpapi.SelfSigned(dir, names, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	f := fakes{ca: filepath.Join(dir, httpapi.CAFile), came: make(chan http.Header, 10)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.came <- r.Header
		fmt.Fprintf(w, `{"data":{"operations":{%q:{"status":"on"}}}}`, strings.Repeat("a", api.AppIDLength))
	})}
	go srv.Serve(tls.NewListener(l, conf))
	t.Cleanup(func() { srv.Close() })
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { io.Copy(there, here); there.Close() }()
		io.Copy(here, there)
		here.Close()
	}))
	t.Cleanup(proxy.Close)
	if f.proxy, err = url.Parse(proxy.URL); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestTheCloudIsToldNothing whatever latch.conf says; a server of one's own is.
func TestTheCloudIsToldNothing(t *testing.T) {
	clouds := []string{"latch.tu.com", "latch.telefonica.com", "latch.elevenpaths.com"}
	own := "latch.example.org"
	f := newFakes(t, append(clouds, own)...)
	for _, name := range append(clouds, own) {
		c := config.Defaults()
		c.AppID, c.SecretKey = strings.Repeat("a", api.AppIDLength), config.NewSecret(strings.Repeat("s", api.SecretLength))
		c.Host, c.Proxy, c.CAFile, c.HostContext = &url.URL{Scheme: "https", Host: strings.ToUpper(name[:1]) + name[1:]}, f.proxy, f.ca, true
		client, err := adapters.NewClient(c, map[string]string{api.HeaderHost: "web1", api.HeaderUser: "ana"})
		if err != nil {
			t.Fatal(err)
		}
		a := adapters.Server{Client: client}.Ask(t.Context(), login.Question{AccountID: strings.Repeat("b", api.AccountIDLength)})
		if a.Kind != policy.On {
			t.Fatalf("%s: %+v", name, a)
		}
		h := <-f.came
		if told := h.Get(api.HeaderHost) == "web1" && h.Get(api.HeaderUser) == "ana"; told == slices.Contains(clouds, name) {
			t.Errorf("%s: told = %v: %v", name, told, h)
		}
	}
}
