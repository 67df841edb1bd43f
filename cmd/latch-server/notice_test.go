package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/api"
)

func TestNoticeSettings(t *testing.T) {
	b := newBed(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mail := []string{"notice", "mail", "--host", "mail.example.org", "--from", "latch@example.org"}
	with := func(more ...string) []string { return append(append([]string{}, mail...), more...) }
	for text, args := range map[string][]string{
		"--host and --from":          {"notice", "mail"},
		"--user and --password-file": with("--user", "latch"),
		"--tls takes":                with("--tls", "ssl"),
		"would be seen":              with("--user", "latch", "--password-file", password, "--tls", "none"),
		"not an e-mail address":      {"notice", "mail", "--host", "x", "--from", "x"},
		"from 1 to 65535":            with("--port", "70000"),
		"goes with no other flag":    with("--off"),
		"yes or no":                  {"notice", "private", "maybe"},
		"neither mailto:":            {"notice", "contact", "ops"},
	} {
		b.fails(2, text, args...)
	}
	loose := filepath.Join(t.TempDir(), "loose")
	if err := os.WriteFile(loose, []byte("hunter2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.fails(1, "can be read by others", with("--user", "latch", "--password-file", loose)...)

	b.ok(with("--user", "latch", "--password-file", password)...)
	b.ok("notice", "private", "yes")
	b.ok("notice", "contact", "mailto:ops@example.org")
	o := b.object("notice", "show")
	if o["host"] != "mail.example.org" || o["port"] != 587.0 || o["tls"] != "starttls" || o["user"] != "latch" || o["private"] != true || o["contact"] != "mailto:ops@example.org" {
		t.Errorf("settings are %v", o)
	}
	if out := b.ok("notice", "show"); strings.Contains(out, "hunter2") || !strings.Contains(out, "host = mail.example.org") {
		t.Errorf("show prints %q", out)
	}
	if data, err := os.ReadFile(filepath.Join(b.dir, "latch.db")); err != nil || strings.Contains(string(data), "hunter2") {
		t.Errorf("the password lies in the database as it is (%v)", err)
	}
	b.ok("notice", "mail", "--off")
	if o := b.object("notice", "show"); o["mail"] != false || o["host"] != nil {
		t.Errorf("settings are %v", o)
	}
}

// TestWebhook: the set-up by command, and a change told by the server that serves.
func TestWebhook(t *testing.T) {
	b := newBed(t)
	app := b.object("app", "add", "servers")
	id := app["app_id"].(string)
	b.ok("user", "add", "ana")
	got := make(chan string, 10)
	known := true
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("challenge"); text != "" && known {
			io.WriteString(w, text)
			return
		}
		body, _ := io.ReadAll(r.Body)
		got <- r.Header.Get("X-11Paths-Authorization") + " " + string(body)
	}))
	defer hook.Close()
	url := hook.URL + "/latch"
	b.fails(2, "must begin with https://", "app", "webhook", "add", "servers", url)
	b.fails(1, "private network", "app", "webhook", "add", "servers", "https"+strings.TrimPrefix(url, "http"))
	b.ok("notice", "private", "yes")
	b.fails(1, "no such secret", "app", "webhook", "add", "servers", url, "--secret", "web9")
	known = false
	b.fails(1, "did not repeat the challenge", "app", "webhook", "add", "servers", url)
	<-got // the challenge
	if list := b.object("app", "webhook", "list", "servers")["webhooks"].([]any); len(list) != 0 {
		t.Errorf("a webhook that failed is kept: %v", list)
	}
	known = true
	b.ok("app", "webhook", "add", "servers", url)
	b.ok("app", "webhook", "test", "servers", url)
	server := b.serve()
	server.get(api.Credentials{ID: id, Secret: app["secret_key"].(string)}, "pair/"+b.object("code", "ana")["code"].(string))
	b.ok("close", "ana")
	text := <-got
	signature, body, _ := strings.Cut(text, " ")
	var told struct {
		Accounts map[string][]map[string]string
	}
	if err := json.Unmarshal([]byte(body), &told); err != nil || len(told.Accounts) != 1 || signature == "" {
		t.Fatalf("the webhook gets %s (%v)", text, err)
	}
	for _, changes := range told.Accounts {
		if changes[0]["id"] != id || changes[0]["new_status"] != "off" || changes[0]["source"] != "USER_UPDATE" {
			t.Errorf("the webhook gets %s", body)
		}
	}
	if list := b.object("app", "webhook", "list", "servers")["webhooks"].([]any); len(list) != 1 || list[0].(map[string]any)["url"] != url {
		t.Errorf("webhooks are %v", list)
	}
	b.ok("app", "webhook", "remove", "servers", url)
	b.fails(1, "has no webhook", "app", "webhook", "test", "servers", url)
}
