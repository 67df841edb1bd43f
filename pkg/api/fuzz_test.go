package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzVerify: whatever the body, what this package signs and sends verifies, and neither another secret nor
// another signature does.
func FuzzVerify(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Method, v.Path, v.SignedParams, v.Date)
	}
	f.Add("POST", "/api/1.3/totps", "a=%zz&b;c", "x\ny")
	f.Add("PUT", "", "=&&=;&a=1&a=%00", "")
	secret := strings.Repeat("k", SecretLength)
	f.Fuzz(func(t *testing.T, method, path, body, date string) {
		method = strings.ToUpper(method)
		r := SignedRequest{Method: method, Path: path, Date: date, Body: body, Signature: "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
		if r.Verify(secret) {
			t.Fatal("a made-up signature verifies")
		}
		values, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		sent := EncodeParams(values)
		if method != http.MethodPost && method != http.MethodPut {
			values, sent = nil, ""
		}
		r.Body = sent
		r.Signature = strings.TrimPrefix(Sign(Credentials{"id", secret}, method, path, nil, values, date), "11PATHS id ")
		if !r.Verify(secret) {
			t.Fatalf("what was signed as %q does not verify", sent)
		}
		if r.Verify(secret + "x") {
			t.Fatal("another secret verifies")
		}
		r.Path += "x"
		if r.Verify(secret) {
			t.Fatal("another path verifies")
		}
	})
}
