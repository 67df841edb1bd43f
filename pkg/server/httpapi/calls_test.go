package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/server/store"
)

func TestPairStatusUnpair(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	if !api.ValidAccountID(id) {
		t.Errorf("account id is %q", id)
	}
	b.is(b.call("GET", "status/"+id, nil), `{"data":{"operations":{"`+b.app.ID+`":{"status":"on"}}}}`)
	b.set("ana", false)
	b.is(b.call("GET", "status/"+id, nil), `{"data":{"operations":{"`+b.app.ID+`":{"status":"off"}}}}`)
	b.is(b.call("GET", "unpair/"+id, nil), `{}`)
	b.code(b.call("GET", "unpair/"+id, nil), 201)
	b.code(b.call("GET", "status/"+id, nil), 201)
}

func TestPairErrors(t *testing.T) {
	b := newBed(t)
	b.code(b.call("GET", "pair/aaaaaa", nil), 206)
	id := b.pair("ana")
	again := b.call("POST", "pair/"+b.newCode("ana"), url.Values{"commonName": {"web1 ana"}})
	b.is(again, `{"data":{"accountId":"`+id+`"},"error":{"code":205,"message":"Account and application already paired"}}`)
	late := b.newCode("ana")
	b.offset.Add(int64(store.CodeLife))
	b.code(b.call("GET", "pair/"+late, nil), 206)
	b.code(b.call("GET", "pairWithId/ana", nil), 110)
	yes := true
	b.change(store.ApplicationChange{PairByName: &yes})
	b.code(b.call("GET", "pairWithId/nobody", nil), 202)
	b.code(b.call("POST", "pairWithId/ana", url.Values{"commonName": {"x"}}), 205)
	_, err := b.store.AddUser(b.ctx, "eva@example.org")
	b.must(err)
	if eva := b.field(b.call("GET", "pairWithId/eva@example.org", nil), "accountId"); !api.ValidAccountID(eva) {
		t.Errorf("account id is %q", eva)
	}
}

func TestGuessingPairingCodes(t *testing.T) {
	b := newBed(t)
	for range 10 {
		b.code(b.call("GET", "pair/aaaaaa", nil), 206)
	}
	status, header, _ := b.send(b.request(b.app, "GET", "/api/1.3/pair/aaaaaa", nil, nil))
	if status != http.StatusTooManyRequests || header.Get("Retry-After") == "" {
		t.Errorf("the eleventh guess: HTTP %d, Retry-After %q", status, header.Get("Retry-After"))
	}
}

func TestOneTimeToken(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	mode := store.Mandatory
	b.change(store.ApplicationChange{TwoFactor: &mode})
	body := b.call("GET", "status/"+id, nil)
	list, err := b.store.Tokens("ana")
	b.must(err)
	if len(list) != 1 {
		t.Fatalf("the phone shows %v", list)
	}
	on := `{"data":{"operations":{"` + b.app.ID + `":{"status":"on"`
	b.is(body, on+fmt.Sprintf(`,"two_factor":{"token":"%s","generated":%d}}}}}`, list[0].Token, list[0].Made))
	for _, rest := range []string{"/nootp", "/nootp/silent", "/silent/nootp", "/op/" + b.app.ID + "/nootp"} {
		b.is(b.call("GET", "status/"+id+rest, nil), on+`}}}}`)
	}
	if body := b.call("GET", "status/"+id+"/silent", nil); !strings.Contains(body, `"two_factor":{"token":"`) {
		t.Errorf("silent alone made no token: %s", body)
	}
	body = b.call("POST", "status/"+id, url.Values{"otp": {"zX12"}, "msg": {"pay 10 EUR"}})
	if !strings.Contains(body, `"two_factor":{"token":"zX12","generated":`) {
		t.Errorf("a token that the application brought: %s", body)
	}
	b.code(b.call("POST", "status/"+id, url.Values{"otp": {"a b"}}), 402)
	b.set("ana", false)
	b.is(b.call("GET", "status/"+id, nil), `{"data":{"operations":{"`+b.app.ID+`":{"status":"off"}}}}`)
}

func TestOperations(t *testing.T) {
	b := newBed(t)
	b.is(b.call("GET", "operation", nil), `{"data":{"operations":{}}}`)
	op := b.field(b.call("PUT", "operation", url.Values{"parentId": {b.app.ID}, "name": {"ssh & scp"}, "two_factor": {""}}), "operationId")
	child := b.field(b.call("PUT", "operation", url.Values{"parentId": {op}, "name": {"root"}, "two_factor": {"OPT_IN"}, "lock_on_request": {"MANDATORY"}}), "operationId")
	childJSON := `"` + child + `":{"name":"root","two_factor":"OPT_IN","lock_on_request":"MANDATORY","operations":{}}`
	all := `{"data":{"operations":{"` + op + `":{"name":"ssh & scp","two_factor":"DISABLED","lock_on_request":"DISABLED","operations":{` + childJSON + `}}}}}`
	b.is(b.call("GET", "operation", nil), all)
	b.is(b.call("GET", "operation/"+b.app.ID, nil), all)
	b.is(b.call("GET", "operation/"+op, nil), `{"data":{"operations":{`+childJSON+`}}}`)
	b.is(b.call("POST", "operation/"+child, url.Values{"name": {"toor"}}), `{}`)
	if body := b.call("GET", "operation/"+op, nil); !strings.Contains(body, `{"name":"toor","two_factor":"OPT_IN"`) {
		t.Errorf("after the change: %s", body)
	}
	b.code(b.call("PUT", "operation", url.Values{"name": {"x"}}), 401)
	b.code(b.call("PUT", "operation", url.Values{"parentId": {b.app.ID}}), 401)
	b.code(b.call("PUT", "operation", url.Values{"parentId": {"nowhere"}, "name": {"x"}}), 301)
	b.code(b.call("POST", "operation/"+op, url.Values{"two_factor": {"MAYBE"}}), 402)
	b.code(b.call("GET", "operation/nowhere", nil), 301)
	b.code(b.call("POST", "operation/nowhere", url.Values{"name": {"x"}}), 301)

	id := b.pair("ana")
	status := func(on, off string) string {
		return `{"data":{"operations":{"` + op + `":{"status":"` + on + `","operations":{"` + child + `":{"status":"` + off + `"}}}}}}`
	}
	b.is(b.call("GET", "status/"+id+"/op/"+op, nil), status("on", "on"))
	b.is(b.call("POST", "lock/"+id+"/op/"+child, nil), `{}`)
	b.is(b.call("GET", "status/"+id+"/op/"+op, nil), status("on", "off"))
	b.is(b.call("GET", "lock/"+id, nil), `{}`)
	b.is(b.call("GET", "status/"+id+"/op/"+op, nil), status("off", "off"))
	b.code(b.call("GET", "status/"+id+"/op/nowhere", nil), 301)
	b.code(b.call("GET", "status/nobody/op/nowhere", nil), 201)
	b.is(b.call("DELETE", "operation/"+op, nil), `{}`)
	b.code(b.call("GET", "status/"+id+"/op/"+child, nil), 301)
	b.is(b.call("GET", "operation", nil), `{"data":{"operations":{}}}`)
}

func TestUnlockNeedsTheSwitch(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	b.set("ana", false)
	b.code(b.call("POST", "unlock/"+id, nil), 110)
	b.is(b.call("GET", "status/"+id, nil), `{"data":{"operations":{"`+b.app.ID+`":{"status":"off"}}}}`)
	yes := true
	b.change(store.ApplicationChange{OpenByAPI: &yes})
	b.is(b.call("POST", "unlock/"+id, nil), `{}`)
	b.is(b.call("GET", "status/"+id, nil), `{"data":{"operations":{"`+b.app.ID+`":{"status":"on"}}}}`)
	b.is(b.call("GET", "unlock/"+id, nil), `{}`)
}

func TestInstances(t *testing.T) {
	b := newBed(t)
	id := b.pair("ana")
	op := b.field(b.call("PUT", "operation", url.Values{"parentId": {b.app.ID}, "name": {"ssh"}}), "operationId")
	for _, over := range []string{"", "/op/" + op} {
		path := "instance/" + id + over
		b.is(b.call("GET", path, nil), `{"data":{}}`)
		made := b.call("PUT", path, url.Values{"instances": {"web1"}})
		var answer struct {
			Data struct{ Instances map[string]string }
		}
		b.must(json.Unmarshal([]byte(made), &answer))
		var in string
		for in = range answer.Data.Instances {
		}
		b.is(made, `{"data":{"instances":{"`+in+`":"web1"}}}`)
		b.is(b.call("GET", path, nil), `{"data":{"`+in+`":{"name":"web1","two_factor":"DISABLED","lock_on_request":"DISABLED"}}}`)
		b.is(b.call("POST", path+"/i/"+in, url.Values{"name": {"web2"}, "lock_on_request": {"OPT_IN"}}), `{}`)
		b.is(b.call("GET", path, nil), `{"data":{"`+in+`":{"name":"web2","two_factor":"DISABLED","lock_on_request":"OPT_IN"}}}`)
		b.is(b.call("GET", "status/"+id+over+"/i/"+in+"/nootp", nil), `{"data":{"operations":{"`+in+`":{"status":"on"}}}}`)
		b.is(b.call("POST", "lock/"+id+over+"/i/"+in, nil), `{}`)
		b.is(b.call("GET", "status/"+id+over+"/i/"+in, nil), `{"data":{"operations":{"`+in+`":{"status":"off"}}}}`)
		b.is(b.call("DELETE", path+"/i/"+in, nil), `{}`)
		b.code(b.call("DELETE", path+"/i/"+in, nil), 302)
		b.code(b.call("GET", "status/"+id+over+"/i/"+in, nil), 302)
	}
	b.code(b.call("PUT", "instance/"+id, nil), 401)
	b.code(b.call("PUT", "instance/nobody", url.Values{"instances": {"x"}}), 201)
	two := b.call("PUT", "instance/"+id, url.Values{"instances": {"a", "b"}})
	if strings.Count(two, `":"`) != 2 {
		t.Errorf("two instances in one call: %s", two)
	}
}

func TestHistory(t *testing.T) {
	b := newBed(t)
	op := b.field(b.call("PUT", "operation", url.Values{"parentId": {b.app.ID}, "name": {"ssh"}}), "operationId")
	id := b.pair("ana")
	r := b.request(b.app, "GET", "/api/1.3/status/"+id+"/nootp/silent", nil, map[string]string{api.HeaderHost: "web1", api.HeaderRhost: "203.0.113.7"})
	r.Header.Set("User-Agent", "ssh\u0085\u2028evil"+strings.Repeat("x", 1000))
	if status, _, body := b.send(r); status != 200 || !strings.Contains(body, `"on"`) {
		t.Fatalf("status: HTTP %d %s", status, body)
	}
	b.set("ana", false)
	body := b.call("GET", "history/"+id, nil)
	var h struct{ Data api.History }
	b.must(json.Unmarshal([]byte(body), &h))
	app := h.Data.Application
	if h.Data.AppID != b.app.ID || app.Status != "off" || app.Name != "servers" || app.ContactEmail != "admin@example.org" ||
		app.Operations[op].Status != "off" || app.PairedOn == 0 || app.StatusLastModified < app.PairedOn {
		t.Errorf("application is %+v", app)
	}
	if h.Data.Count != 3 || len(h.Data.Entries) != 3 || h.Data.LastSeen == 0 {
		t.Fatalf("history is %s", body)
	}
	e := h.Data.Entries[1]
	if e.Action != "get" || e.What != "status" || e.Value != "on" || e.Was != "-" || e.Name != "servers" || e.IP != "127.0.0.1" {
		t.Errorf("attempt is %+v", e)
	}
	if strings.ContainsAny(e.UserAgent, "\u0085\u2028") || len(e.UserAgent) > 300 {
		t.Errorf("user agent is %q", e.UserAgent)
	}
	log, err := b.store.Log("ana", 10)
	b.must(err)
	if !log[1].Silent || log[1].Context["host"] != "web1" || log[1].Context["rhost"] != "203.0.113.7" || len(log[1].Context) != 2 {
		t.Errorf("stored attempt is %+v", log[1])
	}
	if !strings.Contains(body, `"clientVersion":[],"count":3,"history":[{"t":`) {
		t.Errorf("answer is %s", body)
	}
	future := b.call("GET", fmt.Sprintf("history/%s/%d", id, b.now().UnixMilli()+60000), nil)
	if !strings.HasSuffix(future, `"count":0,"history":[]}}`) {
		t.Errorf("a span without entries: %s", future)
	}
	b.code(b.call("GET", "history/"+id+"/x", nil), 402)
	b.code(b.call("GET", "history/"+id+"/0/-1", nil), 402)
	b.code(b.call("GET", "history/nobody", nil), 201)
}

func TestTOTPs(t *testing.T) {
	b := newBed(t)
	made := b.call("POST", "totps", url.Values{"userId": {"u1"}, "commonName": {"Ana & co"}})
	id, secret := b.field(made, "totpId"), b.field(made, "secret")
	if !strings.HasPrefix(b.field(made, "qr"), "data:image/png;base64,") || !strings.HasPrefix(b.field(made, "uri"), "otpauth://totp/servers:Ana") {
		t.Errorf("creation answered %s", made)
	}
	shown := b.call("GET", "totps/"+id, nil)
	if b.field(shown, "totpId") != id || b.field(shown, "identity", "id") != "u1" || strings.Contains(shown, secret) {
		t.Errorf("GET answered %s", shown)
	}
	step := b.now().Unix() / 30
	code, err := otp.Code(secret, step)
	b.must(err)
	bad := "000000"
	if code == bad {
		bad = "000001"
	}
	b.code(b.call("POST", "totps/"+id+"/validate", url.Values{"code": {bad}}), 306)
	b.is(b.call("POST", "totps/"+id+"/validate", url.Values{"code": {code}}), `{}`)
	b.code(b.call("POST", "totps/"+id+"/validate", url.Values{"code": {code}}), 306)
	b.offset.Add(int64(10 * time.Minute))
	old, err := otp.Code(secret, step+1)
	b.must(err)
	b.code(b.call("POST", "totps/"+id+"/validate", url.Values{"code": {old}}), 306)
	b.code(b.call("POST", "totps/"+id+"/validate", nil), 401)
	b.code(b.call("POST", "totps", url.Values{"commonName": {"x"}}), 401)
	b.code(b.call("GET", "totps/nothing", nil), 305)
	status, _, body := b.send(b.request(b.app, "DELETE", "/api/3.0/totps/"+id, nil, nil))
	if status != http.StatusNoContent || body != "" {
		t.Errorf("deleting: HTTP %d %q", status, body)
	}
	b.code(b.call("DELETE", "totps/"+id, nil), 305)
}

func TestControlStatus(t *testing.T) {
	b := newBed(t)
	b.code(b.call("GET", "control-status/nothing", nil), 1100)
	app, err := b.store.Application(b.app.ID)
	b.must(err)
	c, err := b.store.AddControl(b.ctx, app, "night")
	b.must(err)
	b.is(b.call("GET", "control-status/"+c.ID, nil), `{"data":{"status":"on"}}`)
	b.must(b.store.SetControl(b.ctx, app, c.ID, false))
	b.is(b.call("GET", "control-status/"+c.ID, nil), `{"data":{"status":"off"}}`)
}

func TestUserAPI(t *testing.T) {
	b := newBed(t)
	u, secret, err := b.store.AddAPIUser(b.ctx, "terraform")
	b.must(err)
	me := api.Credentials{ID: u.ID, Secret: secret}
	b.is(b.callAs(me, "GET", "application", nil), `{"data":{"operations":{}}}`)
	made := b.callAs(me, "PUT", "application", url.Values{"name": {"shop"}, "two_factor": {"OPT_IN"}, "lock_on_request": {"DISABLED"},
		"contactPhone": {"+34 1"}, "contactEmail": {"a@b.c"}})
	app := api.Credentials{ID: b.field(made, "applicationId"), Secret: b.field(made, "secret")}
	b.is(made, `{"data":{"applicationId":"`+app.ID+`","secret":"`+app.Secret+`"}}`)
	b.is(b.callAs(me, "GET", "application", nil), `{"data":{"operations":{"`+app.ID+`":{"name":"shop","two_factor":"OPT_IN",`+
		`"lock_on_request":"DISABLED","secret":"`+app.Secret+`","contactPhone":"+34 1","contactEmail":"a@b.c","imageUrl":"","operations":{}}}}}`)
	b.is(b.callAs(me, "GET", "subscription", nil), `{"data":{"subscription":{"id":"self-hosted","applications":{"inUse":1,"limit":-1},`+
		`"operations":{"shop":{"inUse":0,"limit":-1}},"users":{"inUse":0,"limit":-1}}}}`)
	b.is(b.callAs(app, "GET", "operation", nil), `{"data":{"operations":{}}}`)
	b.is(b.callAs(me, "POST", "application/"+app.ID, url.Values{"name": {"shop2"}, "email": {"x@y.z"}}), `{}`)
	if body := b.callAs(me, "GET", "application", nil); !strings.Contains(body, `"name":"shop2","two_factor":"OPT_IN"`) || !strings.Contains(body, `"contactEmail":"x@y.z"`) {
		t.Errorf("after the change: %s", body)
	}
	b.code(b.callAs(me, "POST", "application/"+b.app.ID, url.Values{"name": {"mine"}}), 301)
	b.code(b.callAs(me, "DELETE", "application/"+b.app.ID, nil), 301)
	b.code(b.callAs(me, "PUT", "application", url.Values{"two_factor": {"OPT_IN"}}), 401)
	b.code(b.callAs(me, "PUT", "application", url.Values{"name": {"servers"}}), 402)
	b.code(b.callAs(me, "GET", "operation", nil), 102)
	b.code(b.callAs(app, "GET", "application", nil), 102)
	b.is(b.callAs(me, "DELETE", "application/"+app.ID, nil), `{}`)
	b.code(b.callAs(app, "GET", "operation", nil), 102)
	b.is(b.callAs(me, "GET", "application", nil), `{"data":{"operations":{}}}`)
}
