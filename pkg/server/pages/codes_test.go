package pages

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/server/store"
)

// send posts JSON to the vault and returns the status and the version.
func (c *client) send(body string) (status int, version int64) {
	c.b.t.Helper()
	r := httptest.NewRequest("POST", testURL+"/codes/vault", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	c.b.site.ServeHTTP(w, r)
	var m vaultMessage
	if w.Code == http.StatusOK {
		c.b.must(json.Unmarshal(w.Body.Bytes(), &m))
	}
	return w.Code, m.Version
}

func TestVaultIsKeptAsTheBrowserMadeIt(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c, row := b.join("ana")
	if got := c.get("/codes/vault"); got != `{"version":0,"vault":null}` {
		t.Errorf("before: %s", got)
	}
	status, version := c.send(`{"version":0,"vault":{"v":1,"data":"x"}}`)
	if status != http.StatusOK || version != 1 {
		t.Fatalf("%d, version %d", status, version)
	}
	if got := c.get("/codes/vault"); got != `{"version":1,"vault":{"v":1,"data":"x"}}` {
		t.Errorf("after: %s", got)
	}
	if status, _ := c.send(`{"version":0,"vault":{"v":1,"data":"y"}}`); status != http.StatusConflict {
		t.Errorf("over another browser's: %d", status)
	}
	for body, want := range map[string]int{
		`{"version":1,"vault":null}`: http.StatusBadRequest,
		`{"version":1,"vault":"x"}`:  http.StatusBadRequest,
		`x`:                          http.StatusBadRequest,
		`{"version":1,"vault":{"d":"` + strings.Repeat("x", store.MaxVault) + `"}}`: http.StatusRequestEntityTooLarge,
	} {
		if status, _ := c.send(body); status != want {
			t.Errorf("%.40s: %d, want %d", body, status, want)
		}
	}
	other, _ := b.join("eva")
	if got := other.get("/codes/vault"); got != `{"version":0,"vault":null}` {
		t.Errorf("somebody else gets %s", got)
	}
	b.offset.Add(int64(provenSpan))
	if to := c.post("/codes/forget", url.Values{}); !strings.HasPrefix(to, "/prove") {
		t.Errorf("thrown away without a factor: to %q", to)
	}
	c.post("/prove", url.Values{"password": {goodPassword}})
	c.post("/codes/forget", url.Values{})
	if version, _, err := b.store.Vault(row); err != nil || version != 0 {
		t.Errorf("%d, %v", version, err)
	}
}
