package main

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// closedPort is an address that refuses connections.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "https://" + l.Addr().String()
}

// TestImportWithoutTheCloud: the files alone open nothing, and a command after which people are refused asks first.
func TestImportWithoutTheCloud(t *testing.T) {
	c := newStandIn(t)
	for name, h := range map[string]*hosts{
		"refused":        newHosts(t, closedPort(t), c.ca()),
		"no such name":   newHosts(t, "https://latch.invalid", c.ca()),
		"no Latch there": newHosts(t, standInFor(t, http.NotFound).URL, c.ca()),
		"offline":        newHosts(t, c.URL, c.ca()),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			accounts := h.file(filepath.Join(h.dir, "all.map"), "ana@web1 Ana7 = x\n")
			h.file(accounts, "ana@web1 AnaAnaAna7 = ana\nbob@web1 BobB = bob\nroot@web2 RootRoot = carol\neve@web2 GoneGone = eve\n")
			command := h.command("--map", accounts)
			if name == "offline" {
				command = append(command, "--offline")
			}
			empty := b.content()
			b.fails(2, "hosts will refuse 4 people", command...)
			if b.content() != empty {
				t.Errorf("an import that was not confirmed left %s", b.content())
			}
			_, said := b.warned(append(command, "--yes")...)
			if !strings.Contains(said, "no answer from the server") || !strings.Contains(said, "every latch of a new account is closed") {
				t.Errorf("the import said %s", said)
			}
			for _, person := range []string{"ana", "bob", "carol", "eve"} {
				if got := b.ok("status", person); !strings.Contains(got, "closed") || strings.Contains(got, "open") {
					t.Errorf("%s's latches are %s", person, got)
				}
				b.ok("open", person)
				if operationOpen(t, b.store(), person, cloudSSH) {
					t.Errorf("%s's operation is open, and nobody answered for it", person)
				}
			}
			full := b.content()
			b.warned(append(command, "--yes")...)
			if b.content() != full {
				t.Error("the second import changed something")
			}
		})
	}
	if asked := c.takeAsked(); len(asked) > 0 {
		t.Errorf("--offline asked %q", asked)
	}
}

// standInFor is a stand-in that answers everything by answer, with the certificate of all stand-ins.
func standInFor(t *testing.T, answer func(http.ResponseWriter, *http.Request)) *cloud {
	c := newStandIn(t)
	c.Config.Handler = http.HandlerFunc(answer)
	return c
}

// TestImportStopsAndGoesOn: accounts that the cloud has no time for wait for the next run, and stay as they are meanwhile.
func TestImportStopsAndGoesOn(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"429": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "3000")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"502": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	} {
		t.Run(name, func(t *testing.T) {
			b, c := newBed(t), newStandIn(t)
			h := newHosts(t, c.URL, c.ca())
			command := h.command("--map", h.usualMap())
			c.instead["status/"+accountOfBob+"/op/"+cloudSSH] = answer
			status, out, said := b.call(command...)
			if status != 4 || !strings.Contains(said, "accounts that are left: 2") || !strings.Contains(said, "bob@web1; root@web2") || !strings.Contains(out, cloudApp) {
				t.Errorf("exit %d, %s%s", status, out, said)
			}
			if people := b.ok("user", "list"); strings.Contains(people, "bob") || strings.Contains(people, "carol") || !strings.Contains(people, "ana") {
				t.Errorf("people are\n%s", people)
			}
			delete(c.instead, "status/"+accountOfBob+"/op/"+cloudSSH)
			b.warned(command...)
			if got := b.ok("status", "carol"); !strings.Contains(got, "open") {
				t.Errorf("carol's latches are %s", got)
			}
		})
	}
}

// TestImportOfALaterOperation: an operation that the cloud has got since is not made, and so not open, before everybody's state of it
// is known.
func TestImportOfALaterOperation(t *testing.T) {
	b, c := newBed(t), newStandIn(t)
	h := newHosts(t, c.URL, c.ca())
	command := h.command("--map", h.usualMap())
	c.instead["operation"] = func(w http.ResponseWriter) {
		fmt.Fprintf(w, `{"data":{"operations":{%q:{"name":"ssh","two_factor":"DISABLED","lock_on_request":"DISABLED"}}}}`, cloudSSH)
	}
	b.warned(command...)
	delete(c.instead, "operation")
	c.instead["status/"+accountOfAna] = func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }
	full := b.content()
	status, _, said := b.call(command...)
	if status != 4 || !strings.Contains(said, "new operations wait for another run") || b.content() != full {
		t.Errorf("exit %d, %s", status, said)
	}
	delete(c.instead, "status/"+accountOfAna)
	c.takeAsked()
	b.warned(command...)
	for _, call := range c.takeAsked() {
		if call != "operation" && !strings.Contains(call, "/op/"+cloudSFTP) {
			t.Errorf("asked %s about an account that is here", call)
		}
	}
	if operationOpen(t, b.store(), "ana", cloudSFTP) || !operationOpen(t, b.store(), "carol", cloudSFTP) {
		t.Error("the new operation is not as in the cloud")
	}
}

// TestImportOfAnErrorAnswer: an account about which the cloud answers with an error is closed, and a history that it does not give is
// not missed.
func TestImportOfAnErrorAnswer(t *testing.T) {
	b, c := newBed(t), newStandIn(t)
	h := newHosts(t, c.URL, c.ca())
	c.instead["status/"+accountOfAna] = func(w http.ResponseWriter) {
		w.Write([]byte(`{"error":{"code":701,"message":"The account has been paired but has been marked as disabled."}}`))
	}
	c.instead["history/"] = func(w http.ResponseWriter) { w.Write([]byte(`{"error":{"code":110,"message":"Unauthorized client"}}`)) }
	b.fails(2, "hosts will refuse 1 people", h.command("--map", h.usualMap())...)
	_, said := b.warned(h.command("--map", h.usualMap(), "--yes")...)
	if !strings.Contains(said, "no history of 3 accounts") {
		t.Errorf("the import said %s", said)
	}
	if got := b.ok("status", "ana"); !strings.Contains(got, "closed") {
		t.Errorf("Ana's latches are %s", got)
	}
	if got := b.ok("status", "carol"); !strings.Contains(got, "open") {
		t.Errorf("carol's latches are %s", got)
	}
	if apps := b.ok("app", "list"); !strings.Contains(apps, cloudApp) {
		t.Errorf("without a history the application is called\n%s", apps)
	}
}

func TestImportRefusals(t *testing.T) {
	b, c := newBed(t), newStandIn(t)
	h := newHosts(t, c.URL, c.ca())
	b.fails(2, "give one of each for every host", "import-cloud", "--config", "x")
	b.fails(2, "--map is missing", h.command()...)
	empty := b.content()
	mistakes := h.file(filepath.Join(h.dir, "mistakes"), "# people\nana@web1 AnaAnaAna7 = ana\nana@web2 AnaAnaAna7 = anna\nroot@web2 RootRoot = ana\n"+
		"bob@web3 BobBob = bob\nnonsense\n")
	status, _, said := b.call(h.command("--map", mistakes)...)
	for _, want := range []string{`mistakes:3: line 2 gives the same account to "ana"`, `mistakes:4: "ana" has another account of application ` + cloudApp + " in line 2",
		"mistakes:5: no file has an account of bob@web3", "mistakes:6: expected USER@HOST", "no line for bob@web1; add bob@web1 BobBobBo = PERSON", "no line for eve@web2"} {
		if status != 1 || !strings.Contains(said, want) {
			t.Errorf("exit %d, %q is missing in\n%s", status, want, said)
		}
	}
	h.write("web3", c.URL, c.ca(), strings.Repeat("x", 40), "ana: "+accountOfAna)
	b.fails(1, "web3/latch.conf: its secret_key is not that of", h.command("--dry-run")...)
	h.args = h.args[:8]
	h.file(filepath.Join(h.dir, "web2", "latch.accounts"), "ana: "+accountOfAna+"\nroot "+accountOfRoot+"\n")
	b.fails(1, "web2/latch.accounts:2: ", h.command("--dry-run")...)
	h.args = h.args[:4]
	h.write("web2", "https://latch.example.org", c.ca(), cloudSecret, "root: "+accountOfRoot)
	b.fails(1, "web2/latch.conf: latch_host is https://latch.example.org, and "+c.URL, h.command("--dry-run")...)
	h = newHosts(t, c.URL, c.ca())
	c.disabled = true
	b.fails(1, "with the credentials of", h.command("--map", h.usualMap(), "--yes")...)
	if b.content() != empty {
		t.Errorf("a refused import left %s", b.content())
	}
}

// TestImportKeepsWhatIsHere: an account that was unpaired here, a secret that was revoked and a latch that was closed stay so.
func TestImportKeepsWhatIsHere(t *testing.T) {
	b, c := newBed(t), newStandIn(t)
	h := newHosts(t, c.URL, c.ca())
	command := h.command("--map", h.usualMap())
	b.warned(command...)
	b.ok("close", "ana")
	if err := b.store().UnpairUser(t.Context(), "carol", cloudApp); err != nil {
		t.Fatal(err)
	}
	b.ok("app", "secret", "add", cloudApp, "web1")
	b.ok("app", "secret", "revoke", cloudApp, "default")
	b.ok("app", "set", cloudApp, "--name", "servers")
	full := b.content()
	_, said := b.warned(command...)
	if b.content() != full {
		t.Errorf("the import changed\n%s\nto\n%s", full, b.content())
	}
	for _, want := range []string{"is here with other secrets, and keeps them", "unpaired on this server and stay so: 1"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in %s", want, said)
		}
	}
	b.warned("app", "remove", cloudApp, "--yes")
	b.fails(1, "was removed on this server", command...)
}
