package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/setup/doctor"
	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/openvpn"
)

// completeVPN checks --server-config and makes a whole path of it.
func (o *installOptions) completeVPN(services []string) (err error) {
	if o.line.Server == "" {
		return nil
	}
	if !slices.Contains(services, openvpn.Service) {
		return cli.Usage("--server-config is for latch install openvpn")
	}
	o.line.Server, err = filepath.Abs(o.line.Server)
	return err
}

// proveAll tries the changes in a directory that goes again.
func (a *app) proveAll(ctx context.Context, plans []installer.Change) error {
	return a.pam.Scratch(ctx, func(dir string) error { return a.proveIn(ctx, dir, plans) })
}

// proveIn tries the service files, OpenVPN's with the profile that its line names.
func (a *app) proveIn(ctx context.Context, dir string, plans []installer.Change) error {
	var system, vpn []installer.Change
	for _, p := range plans {
		switch {
		case p.Kind == installer.SSHD && !p.None():
			if err := a.pam.SSHD.Prove(ctx, doctor.RunProgram, dir, p.After); err != nil {
				return err
			}
		case p.Kind != installer.PAM: // nothing that libpam reads
		case p.Service == openvpn.Service:
			vpn = append(vpn, p)
		default:
			system = append(system, p)
		}
	}
	if len(vpn) > 0 {
		other := *a
		other.profile = "openvpn"
		if err := other.prove(ctx, dir, vpn); err != nil {
			return err
		}
	}
	if len(system) == 0 {
		return nil
	}
	return a.prove(ctx, dir, system)
}

// noServer tells that no OpenVPN server was found to be changed.
func (a *app) noServer(plans []installer.Change) {
	has := func(k installer.Kind) bool {
		return slices.ContainsFunc(plans, func(c installer.Change) bool { return c.Service == openvpn.Service && c.Kind == k })
	}
	if has(installer.PAM) && !has(installer.VPN) {
		a.Say("openvpn: no server's configuration was found; name it with --server-config")
	}
}

// settle makes systemd know changed units. Where OpenVPN's service file went, a server that runs would ask for it still
// and get the answer of /etc/pam.d/other, which lets passwords in on Debian and nobody on others: it is restarted with
// the configuration that it has again.
func (a *app) settle(ctx context.Context, changes []installer.Change) {
	a.reloadSSHD(ctx, changes)
	if _, err := os.Stat(systemdRunning); err != nil {
		return
	}
	var units []string
	reload, gone := false, false
	for _, c := range changes {
		reload = reload || c.Kind == installer.Unit && !c.None()
		gone = gone || c.Service == openvpn.Service && c.Kind == installer.PAM && c.After == nil
		if unit := installer.UnitOf(c.Path); c.Kind == installer.VPN && unit != "" {
			units = append(units, unit)
		}
	}
	if reload {
		a.systemctl(ctx, "daemon-reload")
	}
	if gone && len(units) > 0 {
		a.systemctl(ctx, append([]string{"try-restart"}, units...)...)
	}
}

func (a *app) systemctl(ctx context.Context, args ...string) {
	if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
		a.Say("systemctl %s: %v: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
}

// undone lists what a rollback leaves behind.
func undone(p *installer.Pending) []installer.Change {
	var all []installer.Change
	for _, item := range p.Items {
		c := installer.Change{Service: item.Service, Kind: item.Kind, Path: item.Path}
		if item.Existed {
			c.After = item.Before
		}
		all = append(all, c)
	}
	return all
}
