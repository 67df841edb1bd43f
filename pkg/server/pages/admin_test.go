package pages

import (
	"encoding/csv"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latch-linux/latch/pkg/server/store"
)

// staff signs in a person with a role.
func (b *bed) staff(name string, role store.Role) (*client, int64) {
	b.t.Helper()
	c, row := b.join(name)
	b.must(b.store.ChangeProfile(b.ctx, row, store.ProfileChange{Role: &role}))
	return c, row
}

// app makes an application.
func (b *bed) app(name string) store.Application {
	b.t.Helper()
	a, _, err := b.store.AddApplication(b.ctx, store.Application{Name: name})
	b.must(err)
	return a
}

// says holds that a page holds texts, as a browser would show them.
func says(t *testing.T, page string, texts ...string) {
	t.Helper()
	page = html.UnescapeString(page)
	for _, want := range texts {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
}

func (b *bed) lastAct() store.Act {
	b.t.Helper()
	acts, err := b.store.Acts(store.AuditQuery{Limit: 1})
	b.must(err)
	return acts[0]
}

var secretPattern = regexp.MustCompile(`secret_key = ([A-Za-z0-9]{40})\n?<`)

func TestAnAdminMakesAnApplication(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	resp := c.do("POST", "/admin/apps", url.Values{"name": {"servers"}})
	page := text(t, resp)
	shown := secretPattern.FindStringSubmatch(page)
	if resp.StatusCode != http.StatusOK || shown == nil {
		t.Fatalf("%s\n%s", resp.Status, page)
	}
	a, err := b.store.Application("servers")
	b.must(err)
	says(t, page, "app_id = "+a.ID, "latch_host = "+testURL, "the only time")
	if _, secrets, err := b.store.Credentials(a.ID); err != nil || secrets[0].Secret != shown[1] {
		t.Errorf("the secret that is shown is not the application's (%v)", err)
	}
	if act := b.lastAct(); act.Name != "application.add" || act.Actor.Name != "root" || act.Actor.Via != store.ViaWeb || act.Actor.IP != "192.0.2.1" {
		t.Errorf("%+v", act)
	}
	if strings.Contains(c.get("/admin/apps/"+a.ID), shown[1]) {
		t.Error("the application's page shows the secret")
	}
	if to := c.post("/admin/apps", url.Values{"name": {"servers"}}); to != "/admin/apps" {
		t.Errorf("a second of that name leads to %q", to)
	}
	says(t, c.get("/admin/apps"), "That name is taken.", "servers")

	if to := c.post("/admin/apps/"+a.ID, url.Values{"name": {"our servers"}, "contact_email": {"ops@example.org"}, "contact_phone": {"+34 600 000 000"},
		"two_factor": {"OPT_IN"}, "lock_on_request": {"MANDATORY"}, "open_by_api": {"yes"}, "image": {""}}); to != appAddress(a) {
		t.Errorf("it leads to %q", to)
	}
	a, err = b.store.Application(a.ID)
	if b.must(err); a.Name != "our servers" || a.ContactEmail != "ops@example.org" || a.ContactPhone != "+34 600 000 000" || a.TwoFactor != store.OptIn || a.LockOnUse != store.Mandatory || !a.OpenByAPI || a.PairByName {
		t.Errorf("%+v", a)
	}
	for field, value := range map[string]string{"contact_email": "<script>", "contact_phone": "javascript", "image": "http://evil.example/x.png"} {
		c.post("/admin/apps/"+a.ID, url.Values{"name": {"our servers"}, field: {value}})
	}
	if again, err := b.store.Application(a.ID); err != nil || again != a {
		t.Errorf("what is no contact was kept: %+v", again)
	}
	says(t, c.get("/admin/apps/"+a.ID+"/remove"), "Remove our servers?", "0 people paired", "This cannot be taken back")
	if to := c.post("/admin/apps/"+a.ID+"/remove", nil); to != "/admin/apps" {
		t.Errorf("it leads to %q", to)
	}
	if resp := c.do("GET", "/admin/apps/"+a.ID, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the removed one is %s", resp.Status)
	}
}

func TestSecretsOfHosts(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	a := b.app("servers")
	name := `web1 "a/b" <x>`
	if page := text(t, c.do("POST", appAddress(a)+"/secrets", url.Values{"name": {name}})); !secretPattern.MatchString(page) {
		t.Fatal(page)
	}
	page := c.get(appAddress(a))
	says(t, page, name, "never")
	rotate := regexp.MustCompile(`href="([^"]*/secrets/rotate\?name=web1[^"]*)"`).FindStringSubmatch(page)
	if rotate == nil {
		t.Fatal(page)
	}
	says(t, c.get(html.UnescapeString(rotate[1])), name, "in a week")
	if resp := c.do("POST", appAddress(a)+"/secrets/rotate", url.Values{"name": {name}, "overlap": {"99999"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an overlap of our own: %s", resp.Status)
	}
	fresh := secretPattern.FindStringSubmatch(text(t, c.do("POST", appAddress(a)+"/secrets/rotate", url.Values{"name": {name}, "overlap": {"24"}})))
	_, secrets, err := b.store.Credentials(a.ID)
	if b.must(err); fresh == nil || len(secrets) != 3 || secrets[2].Secret != fresh[1] {
		t.Fatalf("%d secrets work", len(secrets))
	}
	says(t, c.get(appAddress(a)), "ends")
	b.offset.Add(int64(25 * time.Hour))
	if _, secrets, err = b.store.Credentials(a.ID); err != nil || len(secrets) != 2 {
		t.Errorf("%d secrets work after the overlap, %v", len(secrets), err)
	}
}

func TestRevokedSecretsAskFirst(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	a := b.app("servers")
	says(t, c.get(appAddress(a)+"/secrets/revoke?name=default"), "Revoke the secret “default”?", "servers")
	if _, _, err := b.store.Credentials(a.ID); err != nil {
		t.Fatalf("asking revoked it: %v", err)
	}
	c.post(appAddress(a)+"/secrets/revoke", url.Values{"name": {"default"}})
	if _, _, err := b.store.Credentials(a.ID); err == nil {
		t.Error("it still works")
	}
	says(t, c.get(appAddress(a)), "was revoked", "No secret is left")
}

func TestOperationsTree(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	a, other := b.app("servers"), b.app("other")
	c.post(appAddress(a)+"/operations", url.Values{"name": {"ssh"}})
	ssh, err := b.store.Operation(a.Row, "ssh")
	b.must(err)
	if to := c.post(appAddress(a)+"/operations", url.Values{"name": {"root"}, "parent": {ssh.ID}}); to != operationAddress(a, ssh) {
		t.Errorf("it leads to %q", to)
	}
	says(t, c.get(appAddress(a)), "ssh", "root")
	c.post(operationAddress(a, ssh), url.Values{"name": {"ssh logins"}, "two_factor": {"MANDATORY"}})
	if ssh, err = b.store.Operation(a.Row, ssh.ID); err != nil || ssh.Name != "ssh logins" || ssh.TwoFactor != store.Mandatory {
		t.Errorf("%+v, %v", ssh, err)
	}
	if resp := c.do("GET", appAddress(other)+"/operations/"+ssh.ID, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("below another application it is %s", resp.Status)
	}
	if resp := c.do("POST", operationAddress(a, ssh), url.Values{"name": {"x"}, "two_factor": {"SOMETIMES"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown mode: %s", resp.Status)
	}
	says(t, c.get(operationAddress(a, ssh)+"/remove"), "Remove ssh logins?", "1 operation below it", "servers")
	c.post(operationAddress(a, ssh)+"/remove", nil)
	if list, err := b.store.Operations(a.Row); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

var shownLinkPattern = regexp.MustCompile(regexp.QuoteMeta(testURL+LinkPath) + `[A-Za-z0-9_-]{43}`)

func TestAnAdminInvitesAndResets(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	page := text(t, c.do("POST", "/admin/people", url.Values{"name": {"eve"}, "display_name": {"Eve O'Hara"}, "role": {"auditor"}}))
	link := shownLinkPattern.FindString(page)
	if link == "" {
		t.Fatal(page)
	}
	says(t, page, "Eve O'Hara", "data:image/png;base64,")
	eve := b.client()
	eve.post(strings.TrimPrefix(link, testURL), url.Values{"password": {goodPassword}, "again": {goodPassword}})
	says(t, eve.get("/admin"), "Overview")
	u, err := b.store.User("eve")
	if b.must(err); u.Role != store.RoleAuditor {
		t.Errorf("%+v", u)
	}
	says(t, c.get(userAddress(u)), "Eve O'Hara", "auditor", "New password")
	// A link for a new password ends what was there, once it is used.
	says(t, c.get(userAddress(u)+"/reset"), "new password of Eve O'Hara")
	link = shownLinkPattern.FindString(text(t, c.do("POST", userAddress(u)+"/reset", url.Values{})))
	says(t, c.get(userAddress(u)), "Link for a new password open")
	c.post(userAddress(u)+"/void", url.Values{})
	if resp := b.client().do("GET", strings.TrimPrefix(link, testURL), nil); resp.StatusCode != http.StatusGone {
		t.Errorf("a voided link is %s", resp.Status)
	}
	c.post(userAddress(u)+"/signout", url.Values{})
	if eve.in() {
		t.Error("her session goes on")
	}
}

// TestDangerousActsAskFirst: the page that asks changes nothing, and names the person and what will happen.
func TestDangerousActsAskFirst(t *testing.T) {
	b := newBed(t)
	c, own := b.staff("root", store.RoleAdmin)
	_, row := b.join("ana")
	ana, err := b.store.UserByRow(row)
	b.must(err)
	a := b.app("servers")
	code, _, err := b.store.NewCode(b.ctx, "ana")
	b.must(err)
	account, err := b.store.Pair(b.ctx, store.PairRequest{App: a, Code: code, Subject: "x"})
	b.must(err)
	reads := func() string {
		s, err := b.store.Status(b.ctx, store.StatusRequest{App: a, AccountID: account})
		if err != nil {
			return err.Error()
		}
		return map[bool]string{true: "on", false: "off"}[s.Open]
	}
	for _, step := range []struct{ act, query, before, after, word string }{
		{"disable", "", "on", "off", "read closed at once"},
		{"enable", "", "off", "on", "open ones included"},
		{"unpair", "?app=" + a.ID, "on", store.ErrNotPaired.Error(), "not paired any more"},
	} {
		says(t, c.get(userAddress(ana)+"/"+step.act+step.query), "ana", step.word)
		if got := reads(); got != step.before {
			t.Errorf("asking about %s made it %q", step.act, got)
		}
		c.post(userAddress(ana)+"/"+step.act, url.Values{"app": {a.ID}})
		if got := reads(); got != step.after {
			t.Errorf("after %s it reads %q", step.act, got)
		}
	}
	says(t, c.get(userAddress(ana)+"/remove"), "Remove ana?", "for ever")
	if to := c.post(userAddress(ana)+"/remove", url.Values{}); to != "/admin/people" {
		t.Errorf("it leads to %q", to)
	}
	if _, err := b.store.UserByRow(row); err == nil {
		t.Error("she is still there")
	}
	root, err := b.store.UserByRow(own)
	b.must(err)
	for _, act := range []string{"disable", "remove", "reset"} {
		c.post(userAddress(root)+"/"+act, url.Values{})
		says(t, c.get(userAddress(root)), "Another admin has to do that")
	}
}

func TestPeopleArePaged(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	a := b.app("servers")
	var names []string
	for i := range 2*peoplePerPage + 5 {
		names = append(names, "user"+string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	_, err := b.store.Import(b.ctx, a, names)
	b.must(err)
	seen := map[string]bool{}
	link := func(page, rel string) string {
		m := regexp.MustCompile(`href="([^"]*)" rel="` + rel + `"`).FindStringSubmatch(page)
		if m == nil {
			return ""
		}
		return html.UnescapeString(m[1])
	}
	person := regexp.MustCompile(`<b>(user..)</b>`)
	address, pages, last := "/admin/people?q=user", 0, ""
	for ; address != ""; pages++ {
		page := c.get(address)
		for _, m := range person.FindAllStringSubmatch(page, -1) {
			if seen[m[1]] {
				t.Errorf("%s comes twice", m[1])
			}
			seen[m[1]] = true
		}
		address, last = link(page, "next"), page
	}
	if len(seen) != len(names) || pages != 3 {
		t.Errorf("%d people on %d pages", len(seen), pages)
	}
	if back := c.get(link(last, "prev")); len(person.FindAllString(back, -1)) != peoplePerPage || link(back, "next") == "" || link(back, "prev") == "" {
		t.Errorf("the page before the last is\n%s", back)
	}
}

func TestTheAuditLogIsSearchedAndExported(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	evil := "=cmd|'/c calc'!A1"
	_, err := b.store.AddUser(store.WithActor(b.ctx, store.Actor{Via: store.ViaCommand, Name: "operator"}), evil)
	b.must(err)
	page := c.get("/admin/audit?q=OPERATOR")
	says(t, page, evil, "person added", "on the server's command line")
	if strings.Contains(page, "<td>root</td>") {
		t.Error("it shows what was not searched for")
	}
	says(t, page, `"/admin/export/audit.csv?act=&from=&q=OPERATOR&to="`, `"/admin/export/audit.jsonl?act=&from=&q=OPERATOR&to="`)
	says(t, c.get("/admin/audit?act=export"), "Nothing was found.")
	resp := c.do("GET", "/admin/export/audit.csv?q=operator", nil)
	rows, err := csv.NewReader(resp.Body).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][2] != "person.add" || rows[1][3] != "'"+evil || !strings.Contains(resp.Header.Get("Content-Disposition"), "audit.csv") {
		t.Errorf("%q, %v", rows, err)
	}
	if act := b.lastAct(); act.Name != "export" || act.Target != "audit.csv" || act.Actor.Name != "root" {
		t.Errorf("%+v", act)
	}
	resp = c.do("GET", "/admin/export/audit.jsonl?from="+b.now().UTC().Format(time.DateOnly), nil)
	n := 0
	for dec := json.NewDecoder(resp.Body); dec.More(); n++ {
		var o struct{ Time, Act string }
		if err := dec.Decode(&o); err != nil || o.Act == "" || o.Time == "" {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	if n < 5 {
		t.Errorf("%d lines", n)
	}
	for path, status := range map[string]int{"/admin/export/secrets.csv": http.StatusNotFound, "/admin/export/audit.csv?from=yesterday": http.StatusBadRequest,
		"/admin/audit?before=x": http.StatusBadRequest, "/admin/export/audit.csv?to=2020-01-01": http.StatusOK} {
		if resp := c.do("GET", path, nil); resp.StatusCode != status {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

// TestExportsAreReadInBatches: none of the lines is missing at the seams, in either file.
func TestExportsAreReadInBatches(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	a := b.app("servers")
	names := make([]string, exportBatch+5)
	for i := range names {
		names[i] = "user" + time.Duration(i).String()
	}
	_, err := b.store.Import(b.ctx, a, names)
	b.must(err)
	for _, file := range []string{"history.csv", "history.jsonl"} {
		body := text(t, c.do("GET", "/admin/export/"+file, nil))
		for _, name := range names {
			if n := strings.Count(body, name+",") + strings.Count(body, `"`+name+`"`); n != 1 {
				t.Fatalf("%s is %d times in %s", name, n, file)
			}
		}
	}
}

func TestOverview(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAuditor)
	says(t, c.get("/admin"), "Nobody was refused yet.")
	a := b.app("servers")
	ids, err := b.store.Import(b.ctx, a, []string{"ana", "bob"})
	b.must(err)
	b.must(b.store.SetUserDisabled(b.ctx, "bob", true))
	for _, id := range []string{ids[0], ids[0], ids[1]} {
		_, err := b.store.Status(b.ctx, store.StatusRequest{App: a, AccountID: id, Attempt: store.Attempt{IP: "203.0.113.7",
			Context: map[string]string{"service": "sshd", "host": "web1", "rhost": "198.51.100.9"}}})
		b.must(err)
	}
	page := c.get("/admin")
	says(t, page, "Let in: 2 in 30 days", "Refused: 1 in 30 days", "sshd on web1 from 198.51.100.9", "bob")
	if n := strings.Count(page, "<rect x="); n != 2 {
		t.Errorf("%d bars", n)
	}
	if n := strings.Count(page, `<th scope="row">`); n != overviewDays {
		t.Errorf("the table has %d days", n)
	}
}

func TestSettings(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	form := url.Values{store.SettingKeepHistory: {"90"}, store.SettingKeepAudit: {"0"}, store.SettingTOTPRemove: {"yes"}, store.SettingTOTPIssuer: {" Example "}}
	c.post("/admin/settings", form)
	for name, want := range map[string]string{store.SettingKeepHistory: "90", store.SettingKeepAudit: "", store.SettingTOTPEnrol: "no",
		store.SettingTOTPRemove: "", store.SettingTOTPIssuer: "Example"} {
		if got, err := b.store.Setting(name); err != nil || got != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	says(t, c.get("/admin/settings"), "The settings were saved.", `value="90"`)
	for name, value := range map[string]string{store.SettingKeepHistory: "-1", store.SettingKeepAudit: "many", store.SettingTOTPIssuer: "a:b"} {
		bad := url.Values{}
		for k, v := range form {
			bad[k] = v
		}
		bad.Set(name, value)
		c.post("/admin/settings", bad)
		if got, _ := b.store.Setting(name); got == value {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// TestRolesAreGivenAfterAFactor: a browser that was left open makes nobody an admin.
func TestRolesAreGivenAfterAFactor(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	_, row := b.join("ana")
	address := userAddress(store.User{Row: row})
	role := func() store.Role {
		u, err := b.store.UserByRow(row)
		b.must(err)
		return u.Role
	}
	b.offset.Add(int64(provenSpan + time.Minute))
	for path, form := range map[string]url.Values{address: {"role": {"admin"}}, "/admin/people": {"name": {"eve"}, "role": {"admin"}}, address + "/reset": {}} {
		if to := c.post(path, form); !strings.HasPrefix(to, "/prove") {
			t.Errorf("%s leads to %q", path, to)
		}
	}
	if role() != store.RolePerson {
		t.Error("she is an admin")
	}
	c.post("/prove", url.Values{"password": {goodPassword}})
	c.post(address, url.Values{"role": {"admin"}})
	if role() != store.RoleAdmin {
		t.Error("after the proof she is not an admin")
	}
	if act := b.lastAct(); act.Detail["role"] != "admin" || act.Target != "ana" || act.Actor.Name != "root" {
		t.Errorf("%+v", act)
	}
}

func TestNumbersInSpanish(t *testing.T) {
	b := newBed(t)
	x := &exchange{site: b.site, lang: "es"}
	if got := x.number(1234567); got != "1.234.567" {
		t.Error(got)
	}
	x.lang = "en"
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := x.number(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}

// TestWebhooksInThePanel: one that repeats the challenge is kept, tested and removed; an auditor looks at it.
func TestWebhooksInThePanel(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	a := b.app("servers")
	page := "/admin/apps/" + a.ID + "/webhooks"
	known := true
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if known {
			io.WriteString(w, r.URL.Query().Get("challenge"))
		}
	}))
	t.Cleanup(hook.Close)
	form := url.Values{"url": {hook.URL}, "secret": {"default"}}
	c.refused(page, form, http.StatusUnprocessableEntity, "notices.hooks.bad")
	b.must(b.store.SetSetting(b.ctx, store.SettingPrivateReceivers, "yes"))
	known = false
	c.refused(page, form, http.StatusUnprocessableEntity, "notices.problem.answer")
	if list, err := b.store.Webhooks(a.Row); err != nil || len(list) != 0 {
		t.Errorf("a webhook that failed is kept: %v, %v", list, err)
	}
	known = true
	if to := c.post(page, form); to != page {
		t.Errorf("led to %q", to)
	}
	if act := b.lastAct(); act.Name != "channel.add" || act.Target != "servers" || act.Detail["kind"] != "webhook" {
		t.Errorf("the act is %+v", act)
	}
	says(t, c.get(page), hook.URL, "Changes are told there from now on", "Secret that signs: default", "Last arrived")
	says(t, c.get("/admin/apps/"+a.ID), page)
	list, err := b.store.Webhooks(a.Row)
	if err != nil || len(list) != 1 {
		t.Fatalf("webhooks are %v, %v", list, err)
	}
	one := page + "/" + strconv.FormatInt(list[0].Row, 10)
	known = false
	c.post(one+"/test", url.Values{})
	says(t, c.get(page), "The receiver did not repeat the challenge")
	auditor, _ := b.staff("rita", store.RoleAuditor)
	says(t, auditor.get(page), hook.URL)
	for _, path := range []string{page, one + "/test", one + "/remove"} {
		if resp := auditor.do("POST", path, form); resp.StatusCode != http.StatusForbidden {
			t.Errorf("POST %s by an auditor: %s", path, resp.Status)
		}
	}
	c.post(one+"/remove", url.Values{})
	if list, err := b.store.Webhooks(a.Row); err != nil || len(list) != 0 {
		t.Errorf("webhooks are %v, %v", list, err)
	}
}
