package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/otp"
)

// kind is one way to log in: a PAM service and a user.
type kind struct {
	service, user string
	label         string
	answer        func() string // what the person types, nil for nothing
}

// permit is what the others are compared with: all stacks begin with its line.
var permit = kind{service: "permit", user: paired, label: "pam_permit.so"}

const (
	latchCA     = "latch-ca"
	latchSystem = "latch-system"
	google      = "google"
)

// hosts are the ways in which hosts call libpam.
var hosts = []struct{ mode, label string }{
	{"fresh", "fresh process"}, {"same", "one process"}, {"forked", "forked after pam_start"},
}

// logins measures what modules add at RTT 0.
func (b *bed) logins(o options) error {
	kinds, err := b.services()
	if err != nil {
		return err
	}
	b.say("\n### Logins, server on loopback\n")
	b.say("Milliseconds added over pam_permit.so, %d logins of each kind in turn; \"ratio\" is to pam_google_authenticator.so.\n", o.rounds)
	rows := [][]string{{"host", "module", "p50", "p95", "CPU p50", "CPU p95", "ratio", "CPU ratio"}}
	for _, host := range hosts {
		got, err := b.measure(host.mode, o.rounds, kinds)
		if err != nil {
			return err
		}
		peer := got[google]
		for _, k := range kinds[1:] {
			a := got[k.service]
			rows = append(rows, []string{host.label, k.label, ms(a.wall(0.5)), ms(a.wall(0.95)), ms(a.cpu(0.5)), ms(a.cpu(0.95)),
				ratio(float64(a.wall(0.5)), float64(peer.wall(0.5))), ratio(float64(a.cpu(0.5)), float64(peer.cpu(0.5)))})
			b.aim(host.label, k.service, a.wall(0.5))
		}
	}
	table(b.out, 2, rows...)
	return b.memory(kinds)
}

// aim notes what was reached of what was aimed at.
func (b *bed) aim(host, service string, added time.Duration) {
	limits := map[string]struct {
		what  string
		limit int
	}{latchCA: {"ca_file", 8}, latchSystem: {"the system's CAs", 12}, "unpaired": {"unpaired user", 5}}
	if l, ok := limits[service]; ok {
		b.goals = append(b.goals, goal{fmt.Sprintf("login, %s, %s", l.what, host), fmt.Sprintf("≤ %d ms p50 added", l.limit),
			ms(added) + " ms", added <= time.Duration(l.limit)*time.Millisecond})
	}
}

// services writes the PAM service files and what they need.
func (b *bed) services() ([]kind, error) {
	secret := otpSecret
	text := secret + "\n\" TOTP_AUTH\n" // neither RATE_LIMIT nor DISALLOW_REUSE: one code is good for many logins
	if err := os.WriteFile(b.path("google"), []byte(text), 0o400); err != nil {
		return nil, err
	}
	stacks := map[string]string{permit.service: "", google: "pam_google_authenticator.so user=root secret=" + b.path("google")}
	for service, conf := range map[string]fixture.Conf{latchCA: b.conf, latchSystem: b.conf.With("ca_file", "")} {
		stack, err := b.latchLine(service, conf)
		if err != nil {
			return nil, err
		}
		stacks[service] = stack
	}
	stacks["unpaired"] = stacks[latchCA]
	for service, module := range stacks {
		if err := b.writeStack(service, module); err != nil {
			return nil, err
		}
	}
	code := func() string {
		c, err := otp.Code(secret, time.Now().Unix()/30)
		if err != nil {
			panic(err) // a constant
		}
		return c
	}
	return []kind{permit,
		{service: latchCA, user: paired, label: "pam_latch.so, ca_file"},
		{service: latchSystem, user: paired, label: fmt.Sprintf("pam_latch.so, system's %d CAs", b.cas)},
		{service: "unpaired", user: unpaired, label: "pam_latch.so, unpaired user"},
		{service: google, user: paired, label: "pam_google_authenticator.so", answer: code},
	}, nil
}

// otpSecret is the shared secret of pam_google_authenticator.so, base32.
const otpSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEH"

func (b *bed) latchLine(name string, c fixture.Conf) (string, error) {
	conf, err := c.Write(b.path(name + ".conf"))
	return fmt.Sprintf("%s authenticator=%s config=%s accounts=%s", b.files.Module, b.files.Auth, conf, b.accounts()), err
}

func (b *bed) confdir() string { return filepath.Join(b.dir, "pam.d") }

// writeStack writes a service whose module stands behind pam_permit.so, in both phases where it has both.
func (b *bed) writeStack(service, module string) error {
	lines := []string{"auth required pam_permit.so", "account required pam_permit.so"}
	if module != "" {
		lines = append(lines, "auth required "+module)
	}
	if strings.HasPrefix(module, b.files.Module) {
		lines = append(lines, "account required "+module)
	}
	return fixture.WriteService(b.confdir(), service, lines...)
}

// added is what a kind of login took beyond pam_permit.so in the same round.
type added struct{ walls, cpus []time.Duration }

func (a added) wall(q float64) time.Duration { return durationAt(a.walls, q) }
func (a added) cpu(q float64) time.Duration  { return durationAt(a.cpus, q) }

// warmUp is how many rounds are thrown away: they fill caches.
const warmUp = 5

// measure makes one login of every kind in each round, so that what disturbs the machine disturbs all alike. The first
// kind is the one that the others are compared with.
func (b *bed) measure(mode string, rounds int, kinds []kind) (map[string]added, error) {
	running := make([]*loginHost, len(kinds))
	for i, k := range kinds {
		h, err := b.startHost(k, mode)
		if err != nil {
			return nil, err
		}
		defer h.stop()
		running[i] = h
	}
	got := map[string]added{}
	for round := -warmUp; round < rounds; round++ {
		var base sample
		for i, k := range kinds {
			s, err := running[i].login(k)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				base = s
			} else if round >= 0 {
				a := got[k.service]
				got[k.service] = added{append(a.walls, s.wall-base.wall), append(a.cpus, s.cpu-base.cpu)}
			}
		}
	}
	return got, nil
}
