package client

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client/latchtest"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// recorder is a server with nothing wrong that keeps the last request, body included.
type recorder struct {
	*httptest.Server
	answer   string
	request  *http.Request
	body     string
	problems []string
}

func record(t *testing.T, answer string) *recorder {
	t.Helper()
	r := &recorder{answer: answer}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.request, r.body = req, string(body)
		r.judge()
		fmt.Fprint(w, r.answer)
	}))
	t.Cleanup(r.Close)
	return r
}

// judge checks what every request owes.
func (r *recorder) judge() {
	fields := strings.Fields(r.request.Header.Get(api.HeaderAuthorization))
	signed := api.SignedRequest{Method: r.request.Method, Path: r.request.RequestURI, Date: r.request.Header.Get(api.HeaderDate),
		Header: r.request.Header, Body: r.body}
	if len(fields) == 3 {
		signed.Signature = fields[2]
	}
	if len(fields) != 3 || fields[1] != latchtest.AppID || !signed.Verify(latchtest.Secret) {
		r.problems = append(r.problems, "the signature is wrong")
	}
	if !r.request.Close {
		r.problems = append(r.problems, "the connection was kept: net/http repeats by itself what is sent on a kept one")
	}
	if len(r.request.TransferEncoding) > 0 || r.request.ContentLength != int64(len(r.body)) {
		r.problems = append(r.problems, fmt.Sprintf("sent as %v of length %d", r.request.TransferEncoding, r.request.ContentLength))
	}
}

func (r *recorder) client(t *testing.T, change func(*Options)) *Client {
	t.Helper()
	host, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
	o := Options{Host: host, Credentials: credentials(), APIVersion: "1.3", CAFile: caFile(t, ca), ReadCAFile: securefile.Read}
	if change != nil {
		change(&o)
	}
	return clientOf(t, o)
}

// TestRequests: each call's method, path and body are those of the API, and every one is signed.
func TestRequests(t *testing.T) {
	const acc, op = latchtest.AccountID, latchtest.OperationID
	pairing := `{"data":{"accountId":"` + acc + `"}}`
	for line, c := range map[string]struct {
		answer string
		call   func(*Client) error
	}{
		"GET /api/1.3/pair/aB2cD3":                     {pairing, func(c *Client) error { _, err := c.Pair(t.Context(), "aB2cD3", ""); return err }},
		"POST /api/1.3/pair/aB2cD3 commonName=a+b%26c": {pairing, func(c *Client) error { _, err := c.Pair(t.Context(), "aB2cD3", "a b&c"); return err }},
		"GET /api/1.3/unpair/" + acc:                   {"{}", func(c *Client) error { return c.Unpair(t.Context(), acc) }},
		"POST /api/1.3/lock/" + acc:                    {"{}", func(c *Client) error { return c.Lock(t.Context(), acc, "") }},
		"POST /api/1.3/unlock/" + acc + "/op/" + op:    {"{}", func(c *Client) error { return c.Unlock(t.Context(), acc, op) }},
		"POST /api/1.3/operation/" + op:                {"{}", func(c *Client) error { return c.UpdateOperation(t.Context(), op, "", "", "") }},
		"POST /api/1.3/operation/" + op + " name=x&two_factor=MANDATORY": {"{}", func(c *Client) error {
			return c.UpdateOperation(t.Context(), op, "x", api.ModeMandatory, "")
		}},
		"POST /api/1.3/totps commonName=ana&userId=ana%40web1": {`{"data":{"totpId":"t-1"}}`, func(c *Client) error {
			_, err := c.CreateTOTP(t.Context(), "ana@web1", "ana")
			return err
		}},
		"POST /api/1.3/totps/t-1/validate code=123456": {"{}", func(c *Client) error { return validate(c, t, true) }},
		"POST /api/1.3/totps/t-1/validate code=654321": {`{"error":{"code":306,"message":"Invalid totp code"}}`, func(c *Client) error { return validate(c, t, false) }},
		"DELETE /api/1.3/totps/t-1":                    {"{}", func(c *Client) error { return c.DeleteTOTP(t.Context(), "t-1") }},
		"DELETE /api/1.3/operation/" + op:              {"{}", func(c *Client) error { return c.DeleteOperation(t.Context(), op) }},
		"PUT /api/1.3/operation name=x&parentId=" + latchtest.AppID: {`{"data":{"operationId":"` + op + `"}}`, func(c *Client) error {
			_, err := c.CreateOperation(t.Context(), "", "x", "", "")
			return err
		}},
		"GET /api/1.3/status/" + acc + "/op/" + op + "/i/x-1/nootp/silent": {`{"data":{"operations":{"x-1":{"status":"on"}}}}`, func(c *Client) error {
			_, err := c.Status(t.Context(), Query{AccountID: acc, OperationID: op, InstanceID: "x-1", NoOTP: true, Silent: true})
			return err
		}},
	} {
		t.Run(line, func(t *testing.T) {
			r := record(t, c.answer)
			if err := c.call(r.client(t, nil)); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(r.request.Method + " " + r.request.RequestURI + " " + r.body); got != line {
				t.Errorf("sent %q", got)
			}
			if len(r.problems) > 0 {
				t.Error(r.problems)
			}
		})
	}
}

// validate has a code checked that is right or not, by its first digit.
func validate(c *Client, t *testing.T, want bool) error {
	right, err := c.ValidateTOTP(t.Context(), "t-1", map[bool]string{true: "123456", false: "654321"}[want])
	if right != want {
		return fmt.Errorf("right: %v, %w", right, err)
	}
	return err
}

// TestValidateTOTPTakesNoErrorForRight: only an answer without an error is a right code.
func TestValidateTOTPTakesNoErrorForRight(t *testing.T) {
	for answer, want := range map[string]Kind{`{"error":{"code":305}}`: KindErrorAnswer, `{"error":{"code":201}}`: KindNotPaired,
		`{"error":"x"}`: KindErrorAnswer, `{"data":{},"error":{}}`: KindErrorAnswer, "[]": KindBadAnswer, "": KindBadAnswer, `{"error":null,"error":{"code":306}}`: KindBadAnswer} {
		r := record(t, answer)
		if right, err := r.client(t, nil).ValidateTOTP(t.Context(), "t-1", "123456"); right || KindOf(err) != want {
			t.Errorf("%q: %v, %v", answer, right, err)
		}
	}
}

// TestContextHeaders: what comes from a login cannot break out of a header, and is signed.
func TestContextHeaders(t *testing.T) {
	r := record(t, `{"data":{"operations":{"`+latchtest.AppID+`":{"status":"on"}}}}`)
	c := r.client(t, func(o *Options) {
		o.Context = map[string]string{api.HeaderUser: " ana\r\nX-Evil: 1\x00ñ ", api.HeaderRhost: strings.Repeat("a", 1000)}
	})
	if _, err := ask(c); err != nil {
		t.Fatal(err)
	}
	if got := r.request.Header.Get(api.HeaderUser); got != "ana??X-Evil: 1??" || r.request.Header.Get("X-Evil") != "" {
		t.Errorf("the user's header is %q", got)
	}
	if got := r.request.Header.Get(api.HeaderRhost); len(got) != 256 {
		t.Errorf("a header of %d bytes", len(got))
	}
	if len(r.problems) > 0 {
		t.Error(r.problems)
	}
}

// TestPairAlreadyPaired: error 205 with an account id gives both.
func TestPairAlreadyPaired(t *testing.T) {
	const refusal = `"error":{"code":205,"message":"Account and application already paired"}`
	for answer, want := range map[string]string{
		`{` + refusal + `}`: "",
		`{"data":{"accountId":"` + latchtest.AccountID + `"},` + refusal + `}`: latchtest.AccountID,
		`{"data":{"accountId":"short"},` + refusal + `}`:                       "",
	} {
		id, err := record(t, answer).client(t, nil).Pair(t.Context(), "aB2cD3", "")
		var e *Error
		if id != want || !errors.As(err, &e) || e.Code != api.ErrCodeAlreadyPaired {
			t.Errorf("%s: %q, %v", answer, id, err)
		}
	}
	for _, answer := range []string{"{}", `{"data":{}}`, `{"data":{"accountId":"short"}}`, `{"data":[]}`} {
		id, err := record(t, answer).client(t, nil).Pair(t.Context(), "aB2cD3", "")
		if id != "" || KindOf(err) != KindBadAnswer {
			t.Errorf("%s: %q, %v", answer, id, err)
		}
	}
}

// TestNewRefuses: a host that is not https is never asked.
func TestNewRefuses(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1", "https:///x", "//127.0.0.1", ""} {
		host, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Host: host, Credentials: credentials()}); KindOf(err) != KindLocal || err == nil {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("no host at all is no error")
	}
}

// TestRequestIsSignedAsSent: the same holds for every request of a retry.
func TestRequestIsSignedAsSent(t *testing.T) {
	s := start(t, "503 always")
	_, _ = ask(clientFor(t, s))
	for _, r := range s.Seen() {
		fields := strings.Fields(r.Header.Get(api.HeaderAuthorization))
		signed := api.SignedRequest{Method: r.Method, Path: r.RequestURI, Date: r.Header.Get(api.HeaderDate), Header: r.Header, Signature: fields[2]}
		if !signed.Verify(latchtest.Secret) || !strings.HasPrefix(r.Header.Get("User-Agent"), "latch-linux/") {
			t.Errorf("%s %s with %v", r.Method, r.RequestURI, r.Header)
		}
	}
}
