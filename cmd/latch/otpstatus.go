package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

func newOTPStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "show what there is to check a user's codes with", Args: cobra.NoArgs,
		Long: `status shows a user's authenticator and when it ends, how many recovery codes are left, who is excused
from codes, how many wrong codes there were today, and from which addresses: after five within ten minutes
an address is not listened to for a while, longer each time; after fifty in a day, only the known addresses
are, where a code was right before. "local" is everything that did not come through SSH. No secret is shown.
` + cli.ExitHelp,
		Example: "  sudo latch otp status --user ana",
		RunE: func(*cobra.Command, []string) error {
			store, c, who, err := a.codesOf(a.who)
			if err != nil {
				return err
			}
			r, err := store.Load(who.name)
			if err != nil {
				return err
			}
			if r.BelongsToOtherUID(who.uid) {
				a.Say("the record is that of uid %d, and %s has %d now: no code is taken; see latch otp remove", r.UID, who.name, who.uid)
			}
			return a.Sheet("otp", otpSheet(store, r, c.AppID))
		},
	}
}

// otpSheet is everything that may be told of a record.
func otpSheet(store otpstore.Store, r *otpstore.Record, app string) cli.Row {
	var code, window, enrolled, expires, made any
	if v := r.Authenticator; v != nil {
		code, window = describe(v.Parameters), store.WindowOf(v)
		enrolled, expires = instant(v.Enrolled), instant(store.Expires(v))
	}
	if v := r.Recovery; v != nil {
		made = instant(v.Made)
	}
	now := store.Now().Unix()
	standing := r.Guesses.Standing(now)
	heard := "every address"
	if standing.OnlyKnown {
		heard = "known addresses, and recovery codes"
	}
	row := otpRow(store, r, app)
	named := func(name string) cli.Cell {
		return row[slices.IndexFunc(row, func(c cli.Cell) bool { return c.Name == name })]
	}
	return cli.Row{named("user"), named("uid"), named("authenticator"), {Name: "code", Value: code}, {Name: "window", Value: window},
		{Name: "enrolled", Value: enrolled}, {Name: "expires", Value: expires}, named("last_used"), named("server"),
		named("recovery_codes"), {Name: "recovery_codes_made", Value: made}, {Name: "sealed", Value: !r.IsClear()}, named("excused"),
		{Name: "wrong_today", Value: standing.Today}, {Name: "wrong_allowed", Value: otpstore.MaxToday}, {Name: "heard", Value: heard},
		{Name: "wrong_from", Value: sourcesOf(standing, now)}, {Name: "known_addresses", Value: addresses(r.Guesses.Known)}}
}

// describe tells what a code is made of.
func describe(p otp.Parameters) string {
	text := fmt.Sprintf("%d digits, %s", p.Digits, p.Algorithm)
	if p.Kind == otp.TOTP {
		text += fmt.Sprintf(", every %d s", p.Period)
	}
	return text
}

// addresses are listed in one line for people and as a list for scripts.
type addresses []string

func (l addresses) String() string {
	var all []string
	for _, address := range l {
		all = append(all, placeOf(address))
	}
	return orDash(all)
}

// placeOf names an address as otpstore.AddressKey has it.
func placeOf(address string) string {
	if address == "" {
		return "local"
	}
	return address
}

func orDash(all []string) string {
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ", ")
}

// wrongFrom is an address with wrong codes.
type wrongFrom struct {
	Address     string `json:"address"`
	Wrong       int    `json:"wrong"`        // since the last pause
	Pauses      int    `json:"pauses"`       // how many there were
	PausedUntil any    `json:"paused_until"` // or null
}

type wrongFromAll []wrongFrom

func sourcesOf(standing otpstore.Standing, now int64) wrongFromAll {
	all := wrongFromAll{}
	for _, s := range standing.Sources {
		all = append(all, wrongFrom{placeOf(s.Address), len(s.Failed), s.Pauses, instant(s.PausedUntil(now))})
	}
	return all
}

func (l wrongFromAll) String() string {
	var all []string
	for _, w := range l {
		text := fmt.Sprintf("%s (%d)", w.Address, w.Wrong)
		if w.PausedUntil != nil {
			text = fmt.Sprintf("%s (pause %d, until %v)", w.Address, w.Pauses, w.PausedUntil)
		}
		all = append(all, text)
	}
	return orDash(all)
}

// otpRow is what a list tells of a record.
func otpRow(store otpstore.Store, r *otpstore.Record, app string) cli.Row {
	var kind, used, excused any
	if v := r.Authenticator; v != nil {
		kind = string(v.Kind)
		used = instant(v.LastUsed)
		if store.Expired(v) {
			kind = string(v.Kind) + ", expired"
		}
	}
	if left, _ := r.Bypass.Left(); left > 0 { // where the clock cannot be read, no bypass counts
		excused = left.Round(time.Minute).String()
	}
	return cli.Row{{Name: "user", Value: r.User}, {Name: "uid", Value: uidText(r.UID)}, {Name: "authenticator", Value: kind},
		{Name: "server", Value: r.Remotes[app] != nil}, {Name: "recovery_codes", Value: r.RecoveryLeft()}, {Name: "last_used", Value: used},
		{Name: "excused", Value: excused}}
}

// instant is a Unix time for people and scripts, nil for none.
func instant(unix int64) any {
	if unix == 0 {
		return nil
	}
	return time.Unix(unix, 0).UTC().Format(time.RFC3339)
}

func newOTPList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list who has one-time passwords", Args: cobra.NoArgs,
		Long:    "list shows every user with an authenticator, recovery codes or a bypass on this machine.\n" + cli.ExitHelp,
		Example: "  sudo latch otp list\n  sudo latch otp list --json",
		RunE: func(*cobra.Command, []string) error {
			store, c, err := a.codes()
			if err != nil {
				return err
			}
			users, err := store.Users()
			if err != nil {
				return err
			}
			var rows []cli.Row
			for _, user := range users {
				r, err := store.Load(user)
				if err != nil {
					a.Say("%v", err)
					r = &otpstore.Record{User: user, UID: -1}
				}
				rows = append(rows, append(otpRow(store, r, c.AppID), cli.Cell{Name: "readable", Value: err == nil}))
			}
			return a.Table("users", rows)
		},
	}
}
