package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/latch-linux/latch/pkg/host/otpstore"
	"github.com/latch-linux/latch/pkg/otp"
)

// fewEnrolled is how many users have one-time passwords on the machine with few.
const fewEnrolled = 10

// codeLimit is what checking a code may add to a login, the disk's part included.
const codeLimit = 2 * time.Millisecond

// codes measures what checking a code adds to a login, with few and with many users enrolled.
func (b *bed) codes(o options) error {
	plain, err := b.latchLine("no-code", b.conf)
	if err == nil {
		err = b.writeStack("no-code", plain)
	}
	if err != nil {
		return err
	}
	kinds := []kind{{service: "no-code", user: paired, label: "no code"}}
	for _, enrolled := range []int{fewEnrolled, o.enrolled} {
		k, err := b.enrol(enrolled)
		if err != nil {
			return err
		}
		kinds = append(kinds, k)
	}
	written, err := b.syncTime()
	if err != nil {
		return err
	}
	got, err := b.measure("fresh", o.rounds, kinds)
	if err != nil {
		return err
	}
	b.say("\n### One-time passwords\n")
	b.say("Milliseconds added over the same login without a code, %d logins of each kind in turn, server on loopback, fresh process. A code is "+
		"used up on the disk, where writing 4 KiB and fdatasync takes %s ms (median).\n", o.rounds, ms(written))
	rows := [][]string{{"users enrolled", "p50", "p95", "CPU p50", "ratio to 10"}}
	few := got[kinds[1].service]
	for _, k := range kinds[1:] {
		a := got[k.service]
		rows = append(rows, []string{k.label, ms(a.wall(0.5)), ms(a.wall(0.95)), ms(a.cpu(0.5)), ratio(float64(a.wall(0.5)), float64(few.wall(0.5)))})
		b.goals = append(b.goals, goal{"a code, " + k.label + " users enrolled", "≤ 2 ms p50 added", ms(a.wall(0.5)) + " ms", a.wall(0.5) <= codeLimit})
	}
	table(b.out, 1, rows...)
	return nil
}

// enrol makes a machine with so many users. The one who logs in has a token that counts, so that there is a code for every login;
// the others' records are copies, since their number alone matters.
func (b *bed) enrol(users int) (kind, error) {
	service := "enrolled-" + strconv.Itoa(users)
	state := b.path(service)
	conf := b.conf.With("state_dir", state).With("otp_key", state+".key").With("otp", "totp")
	if err := os.Mkdir(state, 0o700); err != nil {
		return kind{}, err
	}
	store, ctx := otpstore.At(state, state+".key"), context.Background()
	if _, err := store.CreateKey(ctx); err != nil {
		return kind{}, err
	}
	a := otpstore.Authenticator{Parameters: otp.Parameters{Kind: otp.HOTP, Algorithm: otp.SHA1, Digits: 6}, Secret: otpSecret,
		Window: otpstore.UsualWindow, Enrolled: time.Now().Unix()}
	if err := store.Enrol(ctx, paired, 0, a); err != nil {
		return kind{}, err
	}
	record, err := os.ReadFile(filepath.Join(store.Dir, paired))
	for i := 1; i < users && err == nil; i++ {
		name := fmt.Sprintf("user%d", i)
		if err = os.WriteFile(filepath.Join(store.Dir, name), record, 0o600); err == nil {
			err = os.WriteFile(filepath.Join(store.Dir, ".lock", name), nil, 0o600)
		}
	}
	if err != nil {
		return kind{}, err
	}
	line, err := b.latchLine(service, conf)
	if err == nil {
		err = b.writeStack(service, line)
	}
	next := int64(0)
	return kind{service: service, user: paired, label: strconv.Itoa(users), answer: func() string {
		code, err := a.Code(otpSecret, next)
		if err != nil {
			panic(err) // a constant
		}
		next++
		return code
	}}, err
}
