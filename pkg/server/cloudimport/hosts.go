// Package cloudimport brings applications and accounts of another Latch server, such as Telefónica's cloud, to this one: with the
// same ids and secrets, so that a host changes nothing but latch_host. What is known comes from the files of the hosts and from
// the other server's API, as far as that answers.
package cloudimport

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latch-linux/latch/pkg/api"
)

// Host is what the two files of a host say.
type Host struct {
	Name       string // as the mapping calls it
	Config     string // path of latch.conf
	Accounts   string // path of latch.accounts
	App        api.Credentials
	Operations map[string]string // name to id
	Users      []User
}

// User is a local user of a host and the account of the person.
type User struct{ Name, AccountID string }

// App is an application with the accounts of all hosts that sign with it.
type App struct {
	Credentials api.Credentials
	Config      string            // the first file that named it
	Operations  map[string]string // id to name
	Accounts    []Account
}

// Account is one account and who it is on the hosts.
type Account struct {
	ID    string
	Users []Local // at least one
}

// Local is a user of one host.
type Local struct{ User, Host string }

func (l Local) String() string { return l.User + "@" + l.Host }

// label names an account in messages: its users and never the whole id.
func (a Account) label() string {
	names := make([]string, len(a.Users))
	for i, u := range a.Users {
		names[i] = u.String()
	}
	return strings.Join(names, ", ")
}

// HostName makes a name for a host out of the path of its pairing file: web1 for web1.accounts, web1/latch.accounts and
// web1/etc/latch/latch.accounts, and own for the files of this machine.
func HostName(accounts, own string) string {
	path, err := filepath.Abs(accounts)
	if err != nil {
		path = accounts
	}
	name := strings.TrimSuffix(filepath.Base(path), ".accounts")
	for name == "latch" || name == "openvpn" || name == "etc" {
		path = filepath.Dir(path)
		name = filepath.Base(path)
	}
	if name == string(os.PathSeparator) || name == "." {
		return own
	}
	return name
}

// Group puts the hosts of each application together, in the order of the hosts. It refuses hosts that contradict each other.
func Group(hosts []Host) ([]App, error) {
	var apps []App
	var faults []error
	owner := map[string]string{} // application by account
	for _, h := range hosts {
		i := slices.IndexFunc(apps, func(a App) bool { return a.Credentials.ID == h.App.ID })
		if i < 0 {
			i = len(apps)
			apps = append(apps, App{Credentials: h.App, Config: h.Config, Operations: map[string]string{}})
		}
		app := &apps[i]
		if app.Credentials.Secret != h.App.Secret {
			faults = append(faults, fmt.Errorf("%s: its secret_key is not that of %s, which has the same app_id; take the one that works for both",
				h.Config, app.Config))
		}
		for _, name := range slices.Sorted(maps.Keys(h.Operations)) {
			if _, known := app.Operations[h.Operations[name]]; !known {
				app.Operations[h.Operations[name]] = name
			}
		}
		for _, u := range h.Users {
			if other, known := owner[u.AccountID]; known && other != h.App.ID {
				faults = append(faults, fmt.Errorf("%s: the account of %q belongs to another application in another file; check which "+
					"latch.conf goes with it", h.Accounts, u.Name))
				continue
			}
			owner[u.AccountID] = h.App.ID
			app.add(u.AccountID, Local{u.Name, h.Name})
		}
	}
	return apps, errors.Join(faults...)
}

func (a *App) add(account string, l Local) {
	i := slices.IndexFunc(a.Accounts, func(c Account) bool { return c.ID == account })
	if i < 0 {
		a.Accounts = append(a.Accounts, Account{ID: account, Users: []Local{l}})
		return
	}
	if !slices.Contains(a.Accounts[i].Users, l) {
		a.Accounts[i].Users = append(a.Accounts[i].Users, l)
	}
}
