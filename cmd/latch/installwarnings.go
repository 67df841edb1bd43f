package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/openvpn"
	"github.com/latch-linux/latch/pkg/setup/sshd"
)

// resolveTimeout bounds the look-up of the server's name for a warning.
const resolveTimeout = 3 * time.Second

// warnings say what a change may do to the person who makes it. They stop nothing.
func (a *app) warnings(ctx context.Context, plans []installer.Change) []string {
	all := a.spellingWarning(plans)
	c, err := a.load()
	if err != nil || changed(plans) == 0 {
		return all // the proof will say what is wrong with the configuration
	}
	if c.Action != config.Open && a.noWayIn(plans) {
		all = append(all, "with the Latch server gone nobody gets in by console or SSH (action = "+c.Action.String()+
			"): keep a way that does not ask, such as the console's login, or exempt one user")
	}
	if slices.ContainsFunc(plans, func(p installer.Change) bool { return a.pam.UsedBy(p.Service) == sshd.Service && !p.None() }) && isHere(ctx, c.Host.Hostname()) {
		all = append(all, "the Latch server runs on this machine: when it is down, SSH to it is decided by action = "+c.Action.String())
	}
	for _, door := range a.pam.SideDoors(plans) {
		all = append(all, door.Text()+". Run: "+door.Remedy())
	}
	return all
}

// spellingWarning is about OpenVPN's users whom only a directory knows. It may accept more names for one of them than can be told here.
func (a *app) spellingWarning(plans []installer.Change) []string {
	all := []string{}
	if !slices.ContainsFunc(plans, func(p installer.Change) bool { return p.Service == openvpn.Service && !p.None() }) {
		return all
	}
	vpn := *a
	vpn.profile = openvpn.Service
	c, err := vpn.load()
	if err != nil || c.Unpaired != config.Open {
		return all
	}
	_, accounts, err := vpn.files()
	if err != nil {
		return all
	}
	users, err := usersOf(nil, accounts)
	unknown := count(users, func(user string) bool {
		_, err := a.find(user)
		return errors.Is(err, errNoSuchUser)
	})
	if err == nil && unknown > 0 {
		all = append(all, fmt.Sprintf("openvpn: paired users whom the name service does not know: %d; a directory may accept another name for one of them, "+
			"and with unpaired = open that name is not asked about. Write unpaired = close: %s", unknown, a.asRoot("latch config edit --profile openvpn")))
	}
	return all
}

// noWayIn reports whether every door that this machine has will ask.
func (a *app) noWayIn(plans []installer.Change) bool {
	for _, door := range append(a.sshdServices(), "login") {
		planned := slices.ContainsFunc(plans, func(p installer.Change) bool { return p.Service == door })
		if _, err := a.pam.Read(door); err == nil && !planned && !a.pam.Asks(door) {
			return false
		}
	}
	return true
}

// isHere reports whether a name or address is one of this machine's own.
func isHere(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(own, func(a net.Addr) bool {
		ip, _, _ := strings.Cut(a.String(), "/")
		return slices.Contains(addresses, ip)
	})
}
