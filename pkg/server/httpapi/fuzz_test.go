package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/api"
)

// FuzzSignedRequest sends what an application with a right secret could send. Whatever it is, the
// answer is JSON, and never says that the server is to blame.
func FuzzSignedRequest(f *testing.F) {
	b := newBed(f)
	id := b.pair("ana")
	s := New(Options{Store: b.store, Now: b.now})
	for _, seed := range [][2]string{
		{"GET status/" + id, ""}, {"GET status/" + id + "/op/x/i/y/nootp/silent", ""}, {"POST status/" + id, "otp=1&msg=x"},
		{"GET history/" + id + "/0/9999999999999", ""}, {"PUT operation", "parentId=" + b.app.ID + "&name=x&two_factor=OPT_IN"},
		{"PUT instance/" + id, "instances=a&instances=b"}, {"POST totps", "userId=u&commonName=n"}, {"GET pair/aaaaaa", ""},
		{"POST lock/" + id, ""}, {"GET pairWithId/a%40b", ""}, {"DELETE totps/x", ""}, {"GET control-status/%00", ""},
	} {
		method, path, _ := strings.Cut(seed[0], " ")
		f.Add(method, path, seed[1], "curl/8")
	}
	f.Fuzz(func(t *testing.T, method, path, body, agent string) {
		u, err := url.ParseRequestURI("/api/1.3/" + path)
		if err != nil || method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL, r.RequestURI = method, u, "/api/1.3/"+path
		date := b.now().UTC().Format(api.DateLayout)
		r.Header.Set(api.HeaderDate, date)
		r.Header.Set("User-Agent", agent)
		r.Header.Set(api.HeaderHost, agent)
		values, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		if method != http.MethodPost && method != http.MethodPut {
			values = nil
		}
		r.Header.Set("Authorization", api.Sign(b.app, method, r.RequestURI, map[string]string{api.HeaderHost: agent}, values, date))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code != http.StatusNoContent && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q %q: HTTP %d %s", method, path, body, w.Code, w.Body)
		}
	})
}
