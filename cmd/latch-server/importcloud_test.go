package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/server/store"
)

// What the stand-in for the cloud has: the account of Ana on two hosts, Bob's, which is closed, and that of the root of web2.
const (
	cloudApp    = "CloudAppCloudApp2234"
	cloudSecret = "CloudSecretCloudSecretCloudSecret2234567"
	cloudSSH    = "OperationSSHOperatn2"
	cloudSFTP   = "OperationSFTPperatn2"
)

func cloudAccount(name string) string { return (name + strings.Repeat("7", 64))[:64] }

var (
	accountOfAna  = cloudAccount("AnaAnaAna")
	accountOfBob  = cloudAccount("BobBobBob")
	accountOfRoot = cloudAccount("RootRootRoot")
	accountGone   = cloudAccount("GoneGoneGone")
)

// cloud is a stand-in for Telefónica's: it checks signatures, answers in its form, and counts.
type cloud struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex
	asked    []string          // calls in order, without the version
	off      map[string]bool   // "ACCOUNT" or "ACCOUNT/op/ID"
	own      map[string]string // what a history says of operations of a closed application
	instead  map[string]func(http.ResponseWriter)
	disabled bool // 102 for everything
}

func newStandIn(t *testing.T) *cloud {
	c := &cloud{t: t, off: map[string]bool{}, own: map[string]string{}, instead: map[string]func(http.ResponseWriter){}}
	c.Server = httptest.NewTLSServer(c)
	t.Cleanup(c.Close)
	c.off[accountOfBob], c.off[accountOfBob+"/op/"+cloudSSH], c.off[accountOfBob+"/op/"+cloudSFTP] = true, true, true
	c.off[accountOfAna+"/op/"+cloudSFTP] = true
	return c
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call := strings.TrimPrefix(r.URL.Path, "/api/1.3/")
	c.asked = append(c.asked, call)
	fields := strings.Fields(r.Header.Get("Authorization"))
	if len(fields) != 3 || fields[1] != cloudApp || c.disabled || !(api.SignedRequest{Method: r.Method, Path: r.RequestURI,
		Date: r.Header.Get(api.HeaderDate), Header: r.Header, Signature: fields[2]}).Verify(cloudSecret) {
		fmt.Fprint(w, `{"error":{"code":102,"message":"Invalid application signature"}}`)
		return
	}
	for begin, answer := range c.instead {
		if strings.HasPrefix(call, begin) {
			answer(w)
			return
		}
	}
	c.answer(w, strings.Split(call, "/"))
}

func (c *cloud) answer(w http.ResponseWriter, call []string) {
	switch {
	case call[0] == "operation":
		fmt.Fprintf(w, `{"data":{"operations":{%q:{"name":"ssh","two_factor":"DISABLED","lock_on_request":"OPT_IN","operations":{%q:{"name":"sftp",
			"two_factor":"MANDATORY","lock_on_request":"DISABLED","operations":{}}}}}}}`, cloudSSH, cloudSFTP)
	case call[1] == accountGone:
		fmt.Fprint(w, `{"error":{"code":201,"message":"Account not paired"}}`)
	case call[0] == "history":
		c.history(w, call[1])
	case call[0] == "status":
		if !slices.Equal(call[len(call)-2:], []string{"nootp", "silent"}) {
			c.t.Errorf("%q makes a token or a notice", call)
		}
		node, key := cloudApp, call[1]
		if call[2] == "op" {
			node, key = call[3], call[1]+"/op/"+call[3]
		}
		fmt.Fprintf(w, `{"data":{"operations":{%q:{"status":%q}}}}`, node, statusWord(!c.off[key]))
	default:
		c.t.Errorf("the cloud does not expect %q", call)
	}
}

func statusWord(open bool) string {
	return map[bool]string{true: api.StatusOn, false: api.StatusOff}[open]
}

func (c *cloud) history(w http.ResponseWriter, account string) {
	own := func(id string) string { return statusWord(c.own[account+id] == "on" || !c.off[account+"/op/"+id]) }
	fmt.Fprintf(w, `{"data":{%q:{"status":%q,"pairedOn":1428528090941,"name":"web servers","description":"","imageURL":"","contactPhone":"",
		"contactEmail":"ops@example.org","two_factor":"OPT_IN","lock_on_request":"DISABLED","statusLastModified":1692345481925,
		"operations":{%q:{"name":"ssh","status":%q,"two_factor":"off","lock_on_request":"DISABLED","autoclose":"180","skipPush":true,
			"operations":{%q:{"name":"sftp","status":%q,"two_factor":"off","lock_on_request":"DISABLED"}}}}},
		"lastSeen":1428858456785,"clientVersion":[{"platform":"Android","app":"1.5.1"}],"count":2,"history":[
		{"t":1428528254425,"action":"USER_UPDATE","what":"status","value":"off","was":"on","name":"web servers","userAgent":"","ip":"198.51.100.7"},
		{"t":1428528254424,"action":"get","what":"status","value":"on","was":"-","name":"web servers","userAgent":"PAM","ip":"192.0.2.1"}]}}`,
		cloudApp, statusWord(!c.off[account]), cloudSSH, own(cloudSSH), cloudSFTP, own(cloudSFTP))
}

// takeAsked returns the calls since the last time.
func (c *cloud) takeAsked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = nil
	return asked
}

// hosts are the copied files of the hosts, and the arguments that name them.
type hosts struct {
	t    *testing.T
	dir  string
	args []string
}

// newHosts writes the files of web1 and web2.
func newHosts(t *testing.T, address, ca string) *hosts {
	h := &hosts{t: t, dir: t.TempDir()}
	h.write("web1", address, ca, cloudSecret, "#uid ana 1000", "ana: "+accountOfAna, "root: "+accountOfAna, "bob: "+accountOfBob)
	h.write("web2", address, ca, cloudSecret, "ana: "+accountOfAna, "root: "+accountOfRoot, "eve: "+accountGone)
	return h
}

func (h *hosts) write(name, address, ca, secret string, pairings ...string) {
	h.t.Helper()
	conf, accounts := filepath.Join(h.dir, name, "latch.conf"), filepath.Join(h.dir, name, "latch.accounts")
	if err := os.MkdirAll(filepath.Dir(conf), 0o700); err != nil {
		h.t.Fatal(err)
	}
	text := fmt.Sprintf("app_id = %s\nsecret_key = %s\nlatch_host = %s\nca_file = %s\nsshd-login = %s\n", cloudApp, secret, address, ca, cloudSSH)
	h.file(conf, text)
	h.file(accounts, strings.Join(pairings, "\n")+"\n")
	h.args = append(h.args, "--config", conf, "--accounts", accounts)
}

func (h *hosts) file(path, text string) string {
	h.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func (h *hosts) command(more ...string) []string {
	return append(append([]string{"import-cloud"}, h.args...), more...)
}

// usualMap gives the root of web2 a name.
func (h *hosts) usualMap() string {
	return h.file(filepath.Join(h.dir, "people.map"), "ana@web1 AnaAnaAna7 = ana\nbob@web1 BobB = bob\nroot@web2 RootRoot = carol\neve@web2 GoneGone = -\n")
}

func (c *cloud) ca() string {
	path := filepath.Join(c.t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// content is what the database holds, as far as an import could change it.
func (b *bed) content() string {
	b.t.Helper()
	var parts []any
	for _, list := range [][]string{{"user", "list"}, {"app", "list"}, {"history", "--limit", "1000"}, {"audit", "--limit", "1000"}} {
		parts = append(parts, b.object(list...))
	}
	text, err := json.Marshal(parts)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func TestImportCloud(t *testing.T) {
	b, c := newBed(t), newStandIn(t)
	c.own[accountOfBob+cloudSSH] = "on" // the application above it is closed
	h := newHosts(t, c.URL, c.ca())
	empty := b.content()
	proposal, said := b.warned(h.command("--dry-run")...)
	for _, want := range []string{"ana@web1 AnaAnaAn = ana\nroot@web1 AnaAnaAn = ana\nana@web2 AnaAnaAn = ana\n", "bob@web1 BobBobBo = bob\n",
		"root@web2 RootRoot = root\n", "# no longer paired at the other server:\neve@web2 GoneGone = -\n"} {
		if !strings.Contains(proposal, want) {
			t.Errorf("the proposal lacks %q:\n%s", want, proposal)
		}
	}
	if !strings.Contains(said, "would add 2 operations and 3 accounts") || b.content() != empty {
		t.Errorf("the dry run said %s, and left %s", said, b.content())
	}
	accepted := h.file(filepath.Join(h.dir, "proposal"), proposal)
	b.warned(h.command("--dry-run", "--map", accepted)...)

	done, _ := b.warned(h.command("--map", h.usualMap(), "--json")...)
	if want := `"accounts":3,"app_id":"` + cloudApp + `","history":6,"new_application":true,"operations":2,"people":3`; !strings.Contains(done, want) {
		t.Errorf("the import reports %s, want %s", done, want)
	}
	c.takeAsked()
	full := b.content()
	again, _ := b.warned(h.command("--map", h.usualMap(), "--json")...)
	if want := `"accounts":0,"app_id":"` + cloudApp + `","history":0,"new_application":false,"operations":0,"people":0`; !strings.Contains(again, want) {
		t.Errorf("the second import reports %s, want %s", again, want)
	}
	if b.content() != full {
		t.Errorf("the second import changed\n%s\nto\n%s", full, b.content())
	}
	if asked := c.takeAsked(); !slices.Equal(asked, []string{"operation"}) {
		t.Errorf("the second import asked %q", asked)
	}
	if apps := b.ok("app", "list"); !strings.Contains(apps, "web servers") || !strings.Contains(apps, "OPT_IN") || !strings.Contains(apps, "ops@example.org") {
		t.Errorf("applications are\n%s", apps)
	}
	c.Close()
	b.answersLikeTheCloud(c, h)
	b.ok("open", "bob")
	if status := b.ok("status", "bob"); !strings.Contains(status, "ssh") {
		t.Errorf("Bob's latches are %s", status)
	}
	if s := b.store(); !operationOpen(t, s, "bob", cloudSSH) || operationOpen(t, s, "bob", cloudSFTP) {
		t.Error("below a closed application, operations are not as they were set")
	}
}

func operationOpen(t *testing.T, s store.Backend, user, id string) bool {
	t.Helper()
	u, err := s.User(user)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.LatchTree(u.Row)
	if err != nil {
		t.Fatal(err)
	}
	var find func(n store.NodeState) (bool, bool)
	find = func(n store.NodeState) (open, found bool) {
		if n.ID == id {
			return n.Open, true
		}
		for _, child := range n.Children {
			if open, found := find(child); found {
				return open, true
			}
		}
		return false, false
	}
	open, found := find(tree[0].Status)
	if !found {
		t.Fatalf("no operation %s in %+v", id, tree)
	}
	return open
}

// answersLikeTheCloud has a host of which only latch_host has changed query this server.
func (b *bed) answersLikeTheCloud(c *cloud, h *hosts) {
	b.t.Helper()
	b.ok("retain", "--history-days", "0") // the cloud's history is years old
	s := b.serve()
	text, err := os.ReadFile(filepath.Join(h.dir, "web1", "latch.conf"))
	if err != nil {
		b.t.Fatal(err)
	}
	conf, err := config.Parse("latch.conf", []byte(strings.Replace(string(text), c.URL, s.url, 1)))
	if err != nil {
		b.t.Fatal(err)
	}
	conf.CAFile = filepath.Join(b.dir, "ca.pem")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	host, err := newCloud(ctx, conf)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, account := range []string{accountOfAna, accountOfBob, accountOfRoot} {
		for _, operation := range []string{"", cloudSSH, cloudSFTP} {
			key := account
			if operation != "" {
				key += "/op/" + operation
			}
			got, err := host.Status(ctx, client.Query{AccountID: account, OperationID: operation})
			if err != nil || got.Open == c.off[key] {
				b.t.Errorf("%s is %+v, %v; closed in the cloud: %v", key, got, err, c.off[key])
			}
		}
	}
	if _, err := host.Status(ctx, client.Query{AccountID: accountGone}); client.KindOf(err) != client.KindNotPaired {
		b.t.Errorf("an account that was unpaired in the cloud: %v", err)
	}
	past, err := host.History(ctx, accountOfAna, time.UnixMilli(0), time.Now())
	if err != nil || past.Application.PairedOn != 1428528090941 || len(past.Entries) < 3 || past.Entries[0].Time != 1428528254424 || past.Entries[1].IP != "198.51.100.7" {
		b.t.Errorf("Ana's history is %+v, %v", past, err)
	}
	if exit := s.stop(syscall.SIGTERM); exit != 0 {
		b.t.Errorf("the server ended with %d: %s", exit, s.log)
	}
	if log := s.log.String(); strings.Contains(log, "198.51.100.7") {
		b.t.Errorf("what happened in the cloud is logged as news:\n%s", log)
	}
}
