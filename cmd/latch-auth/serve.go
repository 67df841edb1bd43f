package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/host/relay"
)

// serve takes one conversation from HELLO to VERDICT.
func serve(conn *relay.Conn, line *record) error {
	g, err := conn.Hello()
	if err != nil {
		return err
	}
	line.begin(g)
	o, err := decide(conn, line, g)
	switch {
	case errors.Is(err, relay.ErrProtocol):
		o.Decision, o.Detail = policy.Failed(policy.BadRequest), err.Error()
	case err != nil:
		o.Decision = policy.Failed(policy.HostGone)
	}
	// Before the verdict: the module ends this process as soon as it has it.
	line.outcome(o)
	return conn.Verdict(verdictByte(o.Verdict))
}

// decide reads the files and runs the login. An error means that the conversation broke.
func decide(conn *relay.Conn, line *record, g relay.Greeting) (login.Outcome, error) {
	args, err := config.ParseArgs(g.Args)
	if err != nil {
		return failed(policy.BadConfig, err), nil
	}
	if isLocker(g, args) {
		return login.Outcome{Decision: policy.Exempt(policy.ScreenLocker)}, conn.Hold(1)
	}
	c, err := args.Load()
	if err != nil {
		o := failed(orNotRoot(policy.BadConfig, err), err)
		o.Detail = join(o.Detail, explain(o, g, nil))
		return o, nil
	}
	settings, err := adapters.Settings(c, args)
	if err != nil {
		return failed(policy.BadConfig, err), nil
	}
	hold, local := c.Hold()
	if err := conn.Hold(hold); err != nil {
		return login.Outcome{}, err
	}
	reads := boundReads(local, conn, line)
	defer reads.done()
	client, err := adapters.NewClient(c, hostContext(c, g))
	if err != nil {
		return failed(policy.Local, err), nil
	}
	book := &adapters.Pairings{Path: args.Accounts}
	warn := func(err error) { line.log.Warn("cannot remember what was seen: " + err.Error()) }
	attempt := login.Login{
		Request: requestOf(g), Settings: settings, Pairings: book, Server: newServer(c, client, reads), Person: conn,
		Codes: adapters.NewCodes(c, from(args, g)), Tokens: adapters.NewTokens(c),
		Host: host{conn}, Memory: adapters.NewMemory(c, warn), Clock: adapters.Clock{},
	}
	o, err := attempt.Run(context.Background())
	if o.Reason == policy.BadPairings {
		o.Reason = orNotRoot(o.Reason, book.Err)
	}
	o.Detail = join(o.Detail, explain(o, g, book.Err))
	return o, err
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// from says where a login comes from, for counting guesses: what sshd says, or OpenVPN, which knows its client's address and gives no
// name for it. PAM_RHOST of other hosts may be a name, which is the guesser's to choose.
func from(args config.Args, g relay.Greeting) string {
	if args.Profile == "openvpn" {
		return g.Rhost
	}
	return g.SSHConnection
}

func failed(why policy.Reason, err error) login.Outcome {
	return login.Outcome{Decision: policy.Failed(why), Detail: err.Error()}
}

// explain says what an administrator can do about a refusal.
func explain(o login.Outcome, g relay.Greeting, pairings error) string {
	switch o.Reason {
	case policy.BadPairings:
		return pairings.Error()
	case policy.HostNotRoot:
		return notRoot(g)
	case policy.UIDChanged:
		return fmt.Sprintf("the pairing was made for another uid; run: latch unpair --user %s", g.Canonical)
	case policy.NSSFailed:
		return fmt.Sprintf("the name service failed with errno %d", g.Errno)
	case policy.NSSDisagrees:
		return "NSS does not know the user, /etc/passwd does"
	case policy.CodeNotAsked:
		if g.Phase == relay.Account {
			return "nobody can be asked for a code in the account phase, which is all that a login by key has"
		}
		return "no code was typed; sshd's password method cannot ask for one, keyboard-interactive can"
	case policy.CodeUnknown:
		return fmt.Sprintf("nothing to check a code with; run: latch otp enroll --user %s", nameOf(g))
	}
	return ""
}

func requestOf(g relay.Greeting) login.Request {
	nss := map[relay.NSS]login.NSS{relay.Found: login.NSSFound, relay.Unknown: login.NSSUnknown}[g.NSS]
	return login.Request{Account: g.Phase == relay.Account, Service: g.Service, User: g.User, NSS: nss,
		Canonical: g.Canonical, UID: int64(g.UID), SSHAuthInfo: g.SSHAuthInfo, SSH: g.SSHConnection != ""}
}

func nameOf(g relay.Greeting) string {
	if g.NSS == relay.Found {
		return g.Canonical
	}
	return g.User
}

// hostContext is what latch.conf allows to tell the server about this login.
func hostContext(c *config.Config, g relay.Greeting) map[string]string {
	if !c.HostContext {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	context := map[string]string{api.HeaderHost: name, api.HeaderService: g.Service, api.HeaderPhase: g.Phase.String(), api.HeaderUser: nameOf(g)}
	if g.Rhost != "" {
		context[api.HeaderRhost] = g.Rhost
	}
	return context
}

func outcomeWord(v policy.Verdict) string {
	switch v {
	case policy.Success:
		return "opened"
	case policy.Ignore:
		return "ignored"
	}
	return "refused"
}

func verdictByte(v policy.Verdict) byte {
	switch v {
	case policy.Success:
		return relay.Success
	case policy.Ignore:
		return relay.Ignore
	}
	return relay.Refuse
}
