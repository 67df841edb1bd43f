package httpapi

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
)

func TestRefusedRequests(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	path := "/api/1.3/status/" + id
	for name, c := range map[string]struct {
		spoil func(*http.Request)
		code  int
	}{
		"no authorization":     {func(r *http.Request) { r.Header.Del("Authorization") }, 103},
		"another scheme":       {func(r *http.Request) { r.Header.Set("Authorization", "Basic YTpi") }, 101},
		"two fields":           {func(r *http.Request) { r.Header.Set("Authorization", "11PATHS x") }, 101},
		"two spaces":           {func(r *http.Request) { r.Header.Set("Authorization", "11PATHS  x y") }, 101},
		"no date":              {func(r *http.Request) { r.Header.Del(api.HeaderDate) }, 104},
		"another date form":    {func(r *http.Request) { r.Header.Set(api.HeaderDate, "2026-11-23T08:00:00Z") }, 108},
		"another date":         {func(r *http.Request) { r.Header.Set(api.HeaderDate, "2020-01-01 00:00:00") }, 102},
		"another signature":    {func(r *http.Request) { r.Header.Set("Authorization", "11PATHS "+b.app.ID+" AAAA") }, 102},
		"unknown application":  {func(r *http.Request) { r.Header.Set("Authorization", "11PATHS aaaaaaaaaaaaaaaaaaaa AAAA") }, 102},
		"another path":         {func(r *http.Request) { r.URL.Path += "/nootp" }, 102},
		"a query not signed":   {func(r *http.Request) { r.URL.RawQuery = "x=1" }, 102},
		"a header not signed":  {func(r *http.Request) { r.Header.Set(api.HeaderHost, "web1") }, 102},
		"another method":       {func(r *http.Request) { r.Method = "POST" }, 102},
		"two dates":            {func(r *http.Request) { r.Header.Add(api.HeaderDate, "2026-11-23 08:00:00") }, 108},
		"a part of a second":   {func(r *http.Request) { r.Header.Set(api.HeaderDate, "2026-11-23 08:00:00.5") }, 108},
		"two authorizations":   {func(r *http.Request) { r.Header.Add("Authorization", "11PATHS x y") }, 101},
		"authorization before": {func(r *http.Request) { r.Header = http.Header{} }, 103},
	} {
		r := b.request(b.app, "GET", path, nil, nil)
		c.spoil(r)
		status, header, body := b.send(r)
		if status != 200 || header.Get("Content-Type") != "application/json" || !strings.Contains(body, fmt.Sprintf(`{"error":{"code":%d,`, c.code)) || strings.Contains(body, "data") {
			t.Errorf("%s: HTTP %d %s, want error %d", name, status, body, c.code)
		}
	}
	if log, err := b.store.Log("ana", 10); err != nil || len(log) != 1 {
		t.Errorf("refused requests left a trace in the history: %+v, %v", log, err)
	}
}

func TestDateWindow(t *testing.T) {
	b := newBed(t)
	path := "/api/1.3/operation"
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b.start = now
	for off, code := range map[time.Duration]int{
		0: 0, 300 * time.Second: 0, -300 * time.Second: 0,
		301 * time.Second: 109, -301 * time.Second: 109, 24 * time.Hour: 109, -24 * time.Hour: 109,
	} {
		for _, suffix := range []string{"", " UTC"} {
			date := now.Add(off).Format(api.DateLayout) + suffix
			r := b.request(b.app, "GET", path, nil, nil)
			r.Header.Set(api.HeaderDate, date)
			r.Header.Set("Authorization", api.Sign(b.app, "GET", path, nil, nil, date))
			_, _, body := b.send(r)
			if code == 0 && body != `{"data":{"operations":{}}}` || code != 0 && !strings.Contains(body, fmt.Sprint(`"code":`, code)) {
				t.Errorf("%v off, %q: %s, want code %d", off, suffix, body, code)
			}
			r.Header.Set("Authorization", "11PATHS "+b.app.ID+" AAAA")
			if _, _, body := b.send(r); !strings.Contains(body, `"code":102`) {
				t.Errorf("%v off with a wrong signature: %s; the date must not be judged first", off, body)
			}
		}
	}
}

func TestEverySecretSigns(t *testing.T) {
	b := newBed(t)
	app, err := b.store.Application(b.app.ID)
	b.must(err)
	secret, err := b.store.AddSecret(b.ctx, app.Row, "web1")
	b.must(err)
	web1 := api.Credentials{ID: b.app.ID, Secret: secret}
	empty := `{"data":{"operations":{}}}`
	b.is(b.callAs(web1, "GET", "operation", nil), empty)
	b.is(b.call("GET", "operation", nil), empty)
	b.must(b.store.RevokeSecret(b.ctx, app.Row, "web1"))
	b.code(b.callAs(web1, "GET", "operation", nil), 102)
	b.is(b.call("GET", "operation", nil), empty)
	b.must(b.store.RevokeSecret(b.ctx, app.Row, "default"))
	b.code(b.call("GET", "operation", nil), 102)
}

func TestEveryVersion(t *testing.T) {
	b := newBed(t)
	for _, b.version = range []string{"0.6", "0.7", "0.9", "1.0", "1.1", "1.3", "1.6", "2.0", "3.0"} {
		b.is(b.call("GET", "operation", nil), `{"data":{"operations":{}}}`)
	}
}

func TestUnknownPaths(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	for _, path := range []string{
		"/", "/api", "/api/1.3", "/api/1.3/", "/api/1.3/nothing", "/api/9.9/operation", "/api/1.3/status", "/api/1.3/totps",
		"/api/1.3//operation", "/api/1.3/../1.3/operation", "/api/1.3/status/" + id + "/", "/api/1.3/status/" + id + "/op",
		"/api/1.3/status/" + id + "/nootp/nootp", "/api/1.3/status/" + id + "/i/x/op/y", "/api/1.3/history/" + id + "/1/2/3",
		"/api/1.3/lock/" + id + "/nootp", "/api/1.3/instance/" + id + "/i/x/y",
	} {
		status, header, body := b.send(b.request(b.app, "GET", path, nil, nil))
		if status != http.StatusNotFound || body != "{}" || header.Get("Location") != "" {
			t.Errorf("%s: HTTP %d %s", path, status, body)
		}
	}
	for _, verb := range []string{"DELETE", "HEAD", "OPTIONS", "TRACE", "get"} {
		if status, _, _ := b.send(b.request(b.app, verb, "/api/1.3/status/"+id, nil, nil)); status != http.StatusNotFound {
			t.Errorf("%s: HTTP %d", verb, status)
		}
	}
	if log, err := b.store.Log("ana", 10); err != nil || len(log) != 1 {
		t.Errorf("unknown paths left a trace in the history: %+v, %v", log, err)
	}
}

func TestAbsoluteFormIsSignedFromThePath(t *testing.T) {
	b := newBed(t)
	proxy, err := url.Parse(b.url)
	b.must(err)
	b.client.Transport = &http.Transport{Proxy: http.ProxyURL(proxy)}
	b.url = "http://latch.example.org"
	b.is(b.call("GET", "operation", nil), `{"data":{"operations":{}}}`)
}

func TestEscapedPathIsVerifiedAsSent(t *testing.T) {
	b := newBed(t)
	date := b.now().UTC().Format(api.DateLayout)
	for _, raw := range []string{"/api/1.3/pairWithId/a%40b.c", "/api/1.3/pairWithId/a%20b", "/api/1.3/pairWithId/a+b"} {
		r, err := http.NewRequest("GET", b.url+raw, nil)
		b.must(err)
		r.Header.Set(api.HeaderDate, date)
		r.Header.Set("Authorization", api.Sign(b.app, "GET", raw, nil, nil, date))
		_, _, body := b.send(r)
		b.code(body, 110) // the signature was right, the application may not
	}
}

// TestEncodings signs one creation the way each SDK does, over the same name.
func TestEncodings(t *testing.T) {
	b := newBed(t)
	for name, c := range map[string]struct{ signed, body string }{
		"go":              {`name=a+b~%2A%21%28é%29&parentId=P`, ""},
		"java":            {`name=a+b%7E*%21%28%C3%A9%29&parentId=P`, ""},
		"node":            {`name=a%20b~*!(%C3%A9)&parentId=P`, ""},
		"net":             {`name=a+b%7e*!(%c3%a9)&parentId=P`, ""},
		"php":             {`name=a+b%7E%2A%21%28%C3%A9%29&parentId=P`, ""},
		"body turned":     {`name=a+b&parentId=P`, `parentId=P&name=a+b`},
		"body of %20":     {`name=a+b&parentId=P`, `parentId=P&name=a%20b`},
		"node, body of +": {`name=a%20b&parentId=P`, `parentId=P&name=a+b`},
	} {
		signed := strings.ReplaceAll(strings.ReplaceAll(c.signed, "P", b.app.ID), "é", "%C3%A9")
		body := strings.ReplaceAll(c.body, "P", b.app.ID)
		if body == "" {
			body = signed
		}
		got := b.sendSigned("PUT", "/api/1.3/operation", signed, body)
		if !strings.HasPrefix(got, `{"data":{"operationId":"`) {
			t.Errorf("%s: %s", name, got)
		}
	}
	b.code(b.sendSigned("PUT", "/api/1.3/operation", "name=x&parentId="+b.app.ID, "name=y&parentId="+b.app.ID), 102)
	b.code(b.sendSigned("PUT", "/api/1.3/operation", "", "name=y&parentId="+b.app.ID), 102)
}

// sendSigned sends body with a signature over signed.
func (b *bed) sendSigned(method, path, signed, body string) string {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	b.must(err)
	date := b.now().UTC().Format(api.DateLayout)
	mac := hmac.New(sha1.New, []byte(b.app.Secret))
	io.WriteString(mac, strings.TrimSuffix(method+"\n"+date+"\n\n"+path+"\n"+signed, "\n"))
	r.Header.Set(api.HeaderDate, date)
	r.Header.Set("Authorization", "11PATHS "+b.app.ID+" "+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, _, answer := b.send(r)
	return answer
}

func TestBounds(t *testing.T) {
	b := newBed(t)
	path := "/api/1.3/operation"
	huge := b.request(b.app, "PUT", path, url.Values{"name": {strings.Repeat("x", maxBody)}}, nil)
	if status, _, _ := b.send(huge); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body above the limit: HTTP %d", status)
	}
	typed := b.request(b.app, "PUT", path, url.Values{"name": {"x"}}, nil)
	typed.Header.Set("Content-Type", "application/json")
	if status, _, _ := b.send(typed); status != http.StatusUnsupportedMediaType {
		t.Errorf("a body of another type: HTTP %d", status)
	}
}

// TestRepeatedParameters: the signature covers the values sorted, so it does not say which of two was meant.
func TestRepeatedParameters(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.code(b.call("POST", "status/"+id, url.Values{"msg": {"a", "b"}}), 402)
	b.code(b.call("POST", "totps", url.Values{"userId": {"ana", "root"}}), 402)
	made := b.call("PUT", "instance/"+id, url.Values{"instances": {"web1", "web2"}})
	if !strings.Contains(made, `"web1"`) || !strings.Contains(made, `"web2"`) {
		t.Errorf("two instances at once: %s", made)
	}
}

func TestTheServersOwnFaults(t *testing.T) {
	b := newBed(t)
	b.must(b.store.Close())
	status, header, body := b.send(b.request(b.app, "GET", "/api/1.3/operation", nil, nil))
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || body != "{}" {
		t.Errorf("without a database: HTTP %d %s", status, body)
	}
}

func TestAPanicReachesNobody(t *testing.T) {
	b := newBed(t)
	s := New(Options{Store: b.store, Now: b.now})
	s.handle("GET panic", s.guard(s.applicationSigner, func(*request) (any, error) { panic("secret detail") }))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	srv := &http.Server{Handler: s}
	go srv.Serve(l)
	defer srv.Close()
	b.url = "http://" + l.Addr().String()
	status, _, body := b.send(b.request(b.app, "GET", "/api/1.3/panic", nil, nil))
	if status != http.StatusInternalServerError || body != "{}" {
		t.Errorf("HTTP %d %s", status, body)
	}
}

func TestTheLogHoldsNoSecrets(t *testing.T) {
	b := newBed(t)
	_, err := b.store.AddUser(b.ctx, "ana")
	b.must(err)
	code := b.newCode("ana")
	id := b.field(b.call("GET", "pair/"+code, nil), "accountId")
	made := b.call("POST", "totps", url.Values{"userId": {"u"}})
	b.call("POST", "totps/"+b.field(made, "totpId")+"/validate", url.Values{"code": {"123456"}})
	b.call("GET", "pair/bbbbbb", nil)
	r := b.request(b.app, "GET", "/api/1.3/operation", nil, nil)
	r.Header.Set("Authorization", "11PATHS x\"y AAAA")
	b.send(r)
	text := b.log.String()
	for what, secret := range map[string]string{
		"application's secret": b.app.Secret, "pairing code": code, "guessed code": "bbbbbb", "account id": id,
		"totp seed": b.field(made, "secret"), "totp code": "123456", "signature": "11PATHS",
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds the %s", what)
		}
	}
	if !strings.Contains(text, "pair/{code}") || !strings.Contains(text, "code=206") {
		t.Errorf("the log does not tell of the wrong code:\n%s", text)
	}
}
