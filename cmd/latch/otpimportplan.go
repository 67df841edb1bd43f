package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/otp/otpfile"
)

// planned is an authenticator and the user who gets it.
type planned struct {
	who   person
	entry otpfile.Entry
}

// at names the entry in an error.
func (p planned) at(err error) error {
	if err == nil || p.entry.Place == "" {
		return err
	}
	return within(p.entry.Place, err)
}

// readUsersFile reads a file that belongs to a user, at most limit bytes, and returns the owner: no link is followed.
func readUsersFile(file string, limit int64) (data []byte, owner int64, err error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		err = fmt.Errorf("%s: is a link; name the file itself", file)
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: is not a regular file", file)
	}
	data, err = io.ReadAll(io.LimitReader(f, limit))
	return data, int64(info.Sys().(*syscall.Stat_t).Uid), err
}

// plan gives each authenticator of a file a user. Every error is found before anything is written.
func (a *app) plan(s seedFile, o importOptions) ([]planned, error) {
	var user person
	if a.user != "" {
		who, err := a.whoToPair()
		if err != nil {
			return nil, err
		}
		user = who
	}
	entries, err := chosen(s, user.name, o.entry)
	if err != nil {
		return nil, err
	}
	var list []planned
	users := map[string]string{}
	for _, e := range entries {
		p := planned{user, e}
		if err := e.Err; err != nil {
			return nil, p.at(err)
		}
		if a.user == "" {
			if p.who, err = a.userOf(s, e); err != nil {
				return nil, p.at(err)
			}
		}
		if first, twice := users[p.who.name]; twice {
			return nil, p.at(fmt.Errorf("%s has another authenticator in %s; choose one with --entry", p.who.name, first))
		}
		users[p.who.name] = e.Place
		list = append(list, p)
	}
	if a.user != "" && s.format == otpfile.Google && s.owner > 0 && s.owner != user.uid {
		a.Say("%s: belongs to the uid %d, and is taken for %s's", s.name, s.owner, user.name)
	}
	return list, nil
}

// chosen are the entries to take over: with a user those of that name in users.oath, or else a single one.
func chosen(s seedFile, user, entry string) ([]otpfile.Entry, error) {
	entries := s.entries
	if entry != "" {
		entries = nil
		for i, e := range s.entries {
			if entry == strconv.Itoa(i+1) || strings.EqualFold(entry, e.Name()) || strings.EqualFold(entry, e.Account) {
				entries = append(entries, e)
			}
		}
	} else if user != "" && s.format == otpfile.UsersOATH {
		entries = nil
		for _, e := range s.entries {
			if e.User == user {
				entries = append(entries, e)
			}
		}
	}
	switch {
	case len(entries) == 0:
		return nil, cli.WithHint(cli.ExitError, errors.New("there is no such authenticator in it"), "it holds "+listed(s.entries))
	case len(entries) > 1 && (entry != "" || user != ""):
		return nil, cli.WithHint(cli.ExitUsage, fmt.Errorf("%d authenticators are meant, and a user has one", len(entries)),
			"choose one by its number with --entry: "+listed(s.entries))
	}
	return entries, nil
}

// listed shows the names of entries with their numbers.
func listed(entries []otpfile.Entry) string {
	const most = 20
	var names []string
	for i, e := range entries[:min(most, len(entries))] {
		names = append(names, fmt.Sprintf("%d %.64q", i+1, e.Name()))
	}
	if len(entries) > most {
		names = append(names, fmt.Sprintf("and %d more", len(entries)-most))
	}
	return strings.Join(names, ", ")
}

// userOf is whose an authenticator is where nobody said: the file's owner, or the local user whose name it has.
func (a *app) userOf(s seedFile, e otpfile.Entry) (person, error) {
	if s.format == otpfile.Google {
		return a.ownerOf(s.owner)
	}
	name := e.Account
	if e.User != "" {
		name = e.User
	}
	who, err := a.localUser(name)
	if account, host, found := strings.Cut(name, "@"); errors.Is(err, errNoSuchUser) && found && isThisHost(host) {
		who, err = a.localUser(account)
	}
	if errors.Is(err, errNoSuchUser) {
		err = cli.WithHint(cli.ExitError, err, "name the user with --user NAME")
	}
	return who, err
}

// localUser finds a user by name: a number is not taken for a uid.
func (a *app) localUser(name string) (person, error) {
	who, err := a.find(name)
	if err == nil && !strings.EqualFold(who.name, name) {
		err = fmt.Errorf("%q: %w", name, errNoSuchUser)
	}
	return who, err
}

// isThisHost reports whether a name is this machine's, with or without its domain.
func isThisHost(name string) bool {
	short := func(name string) string {
		head, _, _ := strings.Cut(name, ".")
		return strings.ToLower(head)
	}
	own := hostname()
	return strings.EqualFold(name, own) || strings.EqualFold(name, short(own)) || !strings.Contains(own, ".") && short(name) == short(own)
}

// ownerOf is the user to whom a file belongs.
func (a *app) ownerOf(owner int64) (person, error) {
	if owner <= 0 {
		return person{}, cli.WithHint(cli.ExitError, errors.New("belongs to root, which does not tell whose it is"), "name the user with --user NAME")
	}
	who, err := a.find(strconv.FormatInt(owner, 10))
	if err != nil {
		return person{}, fmt.Errorf("belongs to %w", err)
	}
	return who, nil
}
