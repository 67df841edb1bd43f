package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/host/relay"
	"github.com/latch-linux/latch/pkg/otp"
)

// atOnce takes so many logins to their prompt, in turn at each host, and then gives all of them the same reply, which is made then. It
// returns how many get in.
func atOnce(t *testing.T, logins int, makeReply func() string, hosts ...relay.Greeting) (in int) {
	t.Helper()
	all := make([]*talk, logins)
	for i := range all {
		all[i] = ask(t, hosts[i%len(hosts)])
		all[i].expect(relay.Hold)
		all[i].expect(relay.Prompt)
	}
	reply := makeReply()
	for _, a := range all {
		a.send(relay.Answer, "\x00"+reply)
	}
	for _, a := range all {
		if a.verdict() == relay.Success {
			in++
		}
	}
	return in
}

// TestOneCodeOneLogin: of a hundred logins with one code at the same time, one gets in, on every run.
func TestOneCodeOneLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("none")
	s.enrol()
	s.set("otp", "totp")
	recovery := func() string { return fixture.RecoveryCode }
	for kind, reply := range map[string]func() string{"TOTP": func() string { return code(t) }, "recovery code": recovery} {
		if in := atOnce(t, 100, reply, s.hello(func(g *relay.Greeting) { g.SSHConnection = "203.0.113.7 4000 198.51.100.1 22" })); in != 1 {
			t.Errorf("%s: %d logins got in with one code, want 1", kind, in)
		}
		must(t, os.Remove(filepath.Join(s.settings["state_dir"], "otp", "ana"))) // with its count of failures
		s.enrol()
	}
}

// fleet are two hosts that ask the same latch-server as the same application, and an id of ana's authenticator there.
func fleet(t *testing.T) (hosts []*site, seed string) {
	t.Helper()
	server, err := fixture.StartServer(built.Server, t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	app, err := server.AddApp("fleet")
	must(t, err)
	must(t, server.AddUser("ana"))
	var id, account string
	for range 2 {
		s := newSite(t)
		for key, value := range fixture.NewConf(server, app) {
			s.set(key, value)
		}
		s.set("otp", "server-totp")
		c, err := config.Load(s.conf)
		must(t, err)
		client, err := adapters.NewClient(c, nil)
		must(t, err)
		if id == "" {
			code, err := server.Code("ana")
			must(t, err)
			account, err = client.Pair(t.Context(), code, "")
			must(t, err)
			made, err := client.CreateTOTP(t.Context(), "ana", "ana")
			must(t, err)
			id, seed = made.TOTPID, made.Secret
		}
		s.pair("ana: " + account + "\n")
		store := otpstore.At(s.settings["state_dir"], s.settings["otp_key"])
		_, err = store.CreateKey(t.Context())
		must(t, err)
		must(t, store.EnrolRemote(t.Context(), "ana", 1000, app.ID, id, "none"))
		hosts = append(hosts, s)
	}
	return hosts, seed
}

// TestOneCodeManyHosts is otp = server-totp: a code passes once, whichever host it is typed at.
func TestOneCodeManyHosts(t *testing.T) {
	t.Parallel()
	hosts, seed := fleet(t)
	step := int64(0)
	next := func() string {
		t.Helper()
		step = max(step+1, time.Now().Unix()/30)
		c, err := otp.Code(seed, step)
		must(t, err)
		return c
	}
	first := next()
	types(t, hosts[0].hello(nil), "\x00"+first, relay.Success, "open-otp")
	types(t, hosts[1].hello(nil), "\x00"+first, relay.Refuse, "otp-wrong")
	types(t, hosts[0].hello(nil), "\x00"+first, relay.Refuse, "otp-used")
	if in := atOnce(t, 20, next, hosts[0].hello(nil), hosts[1].hello(nil)); in != 1 {
		t.Errorf("%d logins got in with one code at two hosts, want 1", in)
	}
}

// TestKilledAtEveryWrite kills latch-auth at each system call by which a code is used up. Whatever it had come to, the code passes
// once at most, the enrolment stays, and the next code is right.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("none")
	s.set("otp", "totp")
	record := filepath.Join(s.settings["state_dir"], "otp", "ana")
	writes, killed := 0, 0
	for _, call := range []string{"flock", "fchmod", "write", "fsync", "renameat"} {
		for n, ended := 1, false; !ended && n < 60; n++ {
			_ = os.Remove(record)
			s.enrol()
			before, err := os.ReadFile(record)
			must(t, err)
			in := 0
			a := under(t, s.hello(nil), "strace", "-f", "-o", "/dev/null", "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, n))
			reply := code(t)
			if a.answered(reply) {
				in++
			}
			<-a.ended
			ended = a.cmd.ProcessState.Success()
			if !ended {
				killed++
			}
			after, err := os.ReadFile(record)
			if err != nil {
				t.Fatalf("%s %d: the enrolment is lost: %v", call, n, err)
			}
			if string(after) != string(before) {
				writes++
			}
			for range 2 {
				b := ask(t, s.hello(nil))
				if b.answered(reply) {
					in++
				}
			}
			if in > 1 || in == 0 && string(after) == string(before) {
				t.Errorf("%s %d: the code passed %d times", call, n, in)
			}
			next, err := otp.Code(fixture.Seed, time.Now().Unix()/30+1)
			must(t, err)
			if b := ask(t, s.hello(nil)); !b.answered(next) {
				t.Errorf("%s %d: the next code is refused: %q", call, n, b.log())
			}
		}
	}
	t.Logf("killed %d times; the record was written %d times", killed, writes)
	if killed < 5 || writes < 1 {
		t.Errorf("killed %d times, the record was written %d times: this says little", killed, writes)
	}
}
