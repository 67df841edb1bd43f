package main

import (
	"fmt"
	"net"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

// far measures logins whose server stands at the other end of a slow link.
func (b *bed) far(o options) error {
	n, err := joinFar(o.rtt)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(farAddress, "8443")
	s := &fixture.Server{Program: b.files.Server, Data: b.server.Data, CA: b.server.CA, URL: "https://" + address}
	if err := n.do(s.Start); err != nil {
		return err
	}
	defer s.Stop()
	rtt, err := roundTrip(address)
	if err != nil {
		return err
	}
	kinds, err := b.farServices(s)
	if err != nil {
		return err
	}
	got, err := b.measure("fresh", o.farRounds, kinds)
	if err != nil {
		return err
	}
	b.say("\n### Logins over a link of %v\n", o.rtt)
	b.say("Fresh process, milliseconds added over pam_permit.so, %d logins of each kind in turn. One round trip was measured as %s ms.\n", o.farRounds, ms(rtt))
	rows := [][]string{{"module", "p50", "p95", "p50 in RTT", "beyond 3 RTT", "CPU p50"}}
	for _, k := range kinds[1:] {
		p50 := got[k.service].wall(0.5)
		rows = append(rows, []string{k.label, ms(p50), ms(got[k.service].wall(0.95)), ratio(float64(p50), float64(rtt)),
			ms(p50 - 3*rtt), ms(got[k.service].cpu(0.5))})
		b.goals = append(b.goals, goal{fmt.Sprintf("login over %v, %s", o.rtt, k.label), "≤ 3 RTT + 8 ms p50 added",
			fmt.Sprintf("3 RTT %+.2f ms", float64((p50-3*rtt).Microseconds())/1000), p50 <= 3*rtt+8*time.Millisecond})
	}
	table(b.out, 1, rows...)
	return nil
}

func (b *bed) farServices(s *fixture.Server) ([]kind, error) {
	if err := b.writeStack(permit.service, ""); err != nil {
		return nil, err
	}
	kinds := []kind{permit, {service: "far-ca", user: paired, label: "pam_latch.so, ca_file"},
		{service: "far-system", user: paired, label: fmt.Sprintf("pam_latch.so, system's %d CAs", b.cas)}}
	conf := b.conf.With("latch_host", s.URL)
	for i, c := range []fixture.Conf{conf, conf.With("ca_file", "")} {
		line, err := b.latchLine(kinds[i+1].service, c)
		if err != nil {
			return nil, err
		}
		if err := b.writeStack(kinds[i+1].service, line); err != nil {
			return nil, err
		}
	}
	return kinds, nil
}
