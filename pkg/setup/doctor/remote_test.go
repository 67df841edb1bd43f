package doctor_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
	"github.com/latch-linux/latch/pkg/setup/doctor"
)

// remote is a Latch server that knows some operations and every account but some.
type remote struct {
	operations, unpaired []string
	can                  []string
	asked                atomic.Int64
	wrong                atomic.Pointer[client.Query] // a query that a person could see, or that the server would record
}

func refused(code int) error {
	return &client.Error{Kind: client.KindErrorAnswer, Code: code, Err: fmt.Errorf("error %d", code)}
}

func (r *remote) Status(_ context.Context, q client.Query) (client.Status, error) {
	r.asked.Add(1)
	if !q.NoOTP || !q.Silent || q.OperationID != strings.Repeat("2", 20) {
		r.wrong.Store(&q)
	}
	if slices.Contains(r.unpaired, q.AccountID) {
		return client.Status{}, refused(201)
	}
	return client.Status{}, refused(301)
}

func (r *remote) Operations(_ context.Context, parent string) (map[string]api.Operation, error) {
	if !slices.Contains(r.operations, parent) {
		return nil, refused(301)
	}
	return nil, nil
}

func (r *remote) Can(word string) bool { return slices.Contains(r.can, word) }

// answers has a machine meet such a server.
func (r *remote) answers(m *doctor.Machine) {
	m.Connect = func(*config.Config) (doctor.LatchServer, error) { return r, nil }
}

// accountOf is an account id that begins with a letter.
func accountOf(letter string) string { return strings.Repeat(letter, 64) }

// TestOperationsThatTheServerDoesNotHave names the line, and whom it refuses.
func TestOperationsThatTheServerDoesNotHave(t *testing.T) {
	const right, wrong = "rrrrrrrrrrrrrrrrrrrr", "wwwwwwwwwwwwwwwwwwww"
	for _, c := range []struct {
		conf, line string
		want       []string
	}{
		{"menu = " + right, "operation=menu", []string{"operation ok operations that the server knows: 1 of 1"}},
		{"menu = " + right + "\nother = " + wrong, "operation=menu", []string{"know", "1 of 2", "warn", "latch.conf:4: the application has no operation " + wrong + " (error 301); no PAM line names it"}},
		{"menu = " + wrong, "operation=menu", []string{"fail", "latch.conf:3", "everybody who is paired is refused by sshd", "[latch operation add menu --save --config"}},
		{"menu = " + wrong + "\non_error = open", "operation=menu", []string{"fail", "on_error = open decides about"}},
		{"", "operation=menu", []string{"fail", `there is no operation "menu"`, "everybody is refused there"}},
	} {
		m := patient(t)
		(&remote{operations: []string{right}}).answers(&m)
		configured(c.conf)(t, &m)
		put(t, m.Root+"/etc/pam.d/sshd", "auth requisite pam_unix.so\nauth required pam_latch.so "+c.line+" config="+m.Profiles[0].Config+" accounts="+m.Profiles[0].Accounts+"\n")
		got := lookedAt(m, "operation")
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%q: no %q in\n%s", c.conf, want, got)
			}
		}
	}
}

// TestPairingsThatTheServerDoesNotHave asks about everybody, by queries that leave no trace.
func TestPairingsThatTheServerDoesNotHave(t *testing.T) {
	m := patient(t)
	r := &remote{unpaired: []string{accountOf("b")}}
	r.answers(&m)
	put(t, m.Profiles[0].Accounts, "ana: "+accountOf("a")+"\nbob: "+accountOf("b")+"\neva: "+accountOf("e")+"\n")
	m.Find = func(string) (int64, bool, error) { return 1000, true, nil }
	got := lookedAt(m, "pairings")
	for _, want := range []string{`warn "bob" is paired here and not at the server (error 201): logins are refused [latch unpair --user bob`, "ok at the server: 2 of 3"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if q := r.wrong.Load(); q != nil || r.asked.Load() != 3 {
		t.Errorf("%d queries, one of them %+v", r.asked.Load(), q)
	}
}

// TestUnenrolledUsers: what comes of somebody who has nothing to type depends on the keys, and on the server.
func TestUnenrolledUsers(t *testing.T) {
	const spared, refused = "let in without a code while otp_required is no, since they have none: ana", "refused where this machine asks for a code, since they have none: ana"
	const cloud, own = "server-totp: refused while the server answers, since it has no authenticator of theirs: ana", "ok server-totp: asked for the code that they have enrolled at latch-server's page"
	for _, c := range []struct{ keys, line, enrolled, says, not string }{
		{"otp = totp", "", "", "warn " + spared, refused},
		{"otp = totp\notp_required = no", "", "", "ok " + spared, "warn"},
		{"otp = totp\notp_required = yes", "", "", "warn " + refused, spared},
		{"otp = totp\naction = otp", "", "", "warn " + refused, spared},
		{"otp = yes\notp_required = yes", "", "", "warn " + refused, spared},
		{"otp = no\non_error = otp", "", "", "warn " + refused, spared},
		{"otp = no\nunpaired_by_server = otp", "", "", "warn " + refused, spared},
		{"otp = totp\nexempt_users = ana", "", "", "", "ana"},
		{"otp = yes", "", "", "", "ana"},
		{"otp = totp", "", "here", "ok users", "since"},
		{"otp = totp", "", "server", "warn " + refused, spared}, // has another kind of code
		{"otp = no", "otp=totp", "", "warn " + spared, refused},
		{"otp = totp", "otp=no", "", "", "since"},
		{"otp = server-totp", "", "", "warn " + cloud, spared},
		{"otp = server-totp", "", "here", "warn " + cloud, spared}, // which passes only while the server does not answer
		{"otp = server-totp", "", "server", "ok users", "since"},
		{"otp = server-totp\nlatch_host = https://own.example", "", "", own, "warn"},
		{"otp = no\nlatch_host = https://own.example", "otp=server-totp", "", own, "warn"},
		{"otp = server-totp\naction = otp\nlatch_host = https://own.example", "", "server", "warn " + refused, "server-totp:"},
	} {
		m := patient(t)
		(&remote{can: []string{api.CanOwnTOTP}}).answers(&m)
		configured("state_dir = "+m.Root+"/var\notp_key = "+m.Root+"/otp.key\n"+c.keys)(t, &m)
		put(t, m.Profiles[0].Accounts, "ana: "+accountOf("x")+"\n")
		put(t, m.Root+"/etc/pam.d/sshd", "auth requisite pam_unix.so\nauth required pam_latch.so "+c.line+"\naccount required pam_latch.so "+c.line+"\n")
		enrol(t, m, c.enrolled)
		got := lookedAt(m, "codes")
		if !strings.Contains(got, "codes "+c.says) && c.says != "" || c.says == "" && strings.Contains(got, "ana") || strings.Contains(got, c.not) {
			t.Errorf("%+v: got\n%s", c, got)
		}
	}
}

// enrol gives ana an authenticator here, at the server, or none.
func enrol(t *testing.T, m doctor.Machine, kind string) {
	t.Helper()
	store := otpstore.At(m.Root+"/var", m.Root+"/otp.key")
	if kind == "" {
		return
	}
	_, err := store.CreateKey(t.Context())
	if err == nil && kind == "here" {
		err = store.Enrol(t.Context(), "ana", -1, otpstore.Authenticator{Parameters: otp.Standard(), Secret: otp.Standard().NewSecret(), Window: otpstore.UsualWindow})
	} else if err == nil {
		err = store.EnrolRemote(t.Context(), "ana", -1, strings.Repeat("a", 20), "id", "123456")
	}
	if err == nil {
		err = store.Confirm(t.Context(), "eva")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestRootAndPeople: who can log in and is not paired, unless there is no way in or a decision on record.
func TestRootAndPeople(t *testing.T) {
	const keys = "/root/.ssh/authorized_keys"
	for _, c := range []struct{ conf, shadow, sshd, keys, root, people string }{
		{"", "root:$6$x:1::", "", "", "warn root is not paired and can log in by password,", "warn not paired, so their logins query no latch: ana"},
		{"", "root:!:1::", "permitrootlogin yes", "ssh-ed25519 A", "warn root is not paired and can log in by SSH key,", ""},
		{"", "root:*:1::", "permitrootlogin prohibit-password\nauthorizedkeyscommand /usr/bin/k", "", "by SSH key,", ""},
		{"", "", "permitrootlogin yes", "ssh-ed25519 A", "by password and SSH key,", ""},
		{"", "root::1::", "", "", "by password,", ""},
		{"", "root:!$6$x:1::", "permitrootlogin no", "ssh-ed25519 A", "ok root is not paired, and has no password", ""},
		{"", "root:*:1::\nana:!:1::", "", "", "ok root is not paired, and has no password", "-"},
		{"", "root:*:1::", "permitrootlogin yes\nauthorizedkeyscommand none", "", "ok root is not paired, and has no password", ""},
		{"exempt_users = root ana", "root:$6$x:1::", "", "", "ok root is exempt", "-"},
		{"exempt_groups = wheel", "root:$6$x:1::", "", "", "ok root is exempt", "-"},
		{"unpaired = close", "root:$6$x:1::", "", "", "ok root is not paired, and refused", "ok not paired, and refused (unpaired = close): ana"},
	} {
		m := patient(t)
		configured(c.conf)(t, &m)
		if c.shadow != "" {
			put(t, m.Root+"/etc/shadow", "daemon:*:1::\n"+c.shadow+"\n")
		}
		if c.keys != "" {
			put(t, m.Root+keys, c.keys+"\n")
		}
		m.Run = func(ctx context.Context, name string, args ...string) ([]byte, error) {
			switch name {
			case "getent":
				return []byte("root:x:0:0::/root:/bin/sh\nana:x:1000:1000::/home/ana:/bin/sh\n"), nil
			case "id":
				return []byte("users wheel\n"), nil
			case "/usr/sbin/sshd":
				if c.sshd != "" {
					return []byte("usepam yes\n" + c.sshd + "\n"), nil
				}
			}
			return nil, os.ErrNotExist
		}
		root, people := lookedAt(m, "root"), lookedAt(m, "people")
		if !strings.Contains(root, c.root) || !strings.Contains(people, c.people) && c.people != "-" || c.people == "-" && people != "" {
			t.Errorf("%+v: got\n%s%s", c, root, people)
		}
	}
}
