package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/audit"
	"github.com/latch-linux/latch/pkg/authn"
	"github.com/latch-linux/latch/pkg/config"
	"github.com/latch-linux/latch/pkg/gate"
	"github.com/latch-linux/latch/pkg/latch"
	"github.com/latch-linux/latch/pkg/relay"
)

// serve takes one conversation from HELLO to VERDICT.
func serve(conn *relay.Conn, log audit.Log) error {
	g, err := conn.Hello()
	if err != nil {
		return err
	}
	start := time.Now()
	o, err := decide(conn, log, g)
	if err != nil {
		o.Decision, o.Detail = gate.Failed(gate.BadRequest), err.Error()
	}
	// Before the verdict: the module ends this process as soon as it has it.
	log.Verdict(audit.Entry{Outcome: outcomeWord(o.Verdict), User: nameOf(g), Service: g.Service, Phase: g.Phase.String(),
		Rhost: g.Rhost, Reason: string(o.Reason), Took: time.Since(start), Detail: o.Detail})
	return conn.Verdict(verdictByte(o.Verdict))
}

// decide reads the files and runs the login. An error means that the conversation broke.
func decide(conn *relay.Conn, log audit.Log, g relay.Greeting) (authn.Outcome, error) {
	args, err := config.ParseArgs(g.Args)
	if err != nil {
		return failed(gate.BadConfig, err), nil
	}
	c, err := config.Load(args.Config)
	if err != nil {
		return failed(gate.BadConfig, err), nil
	}
	settings, err := settingsOf(c, args, g)
	if err != nil {
		return failed(gate.BadConfig, err), nil
	}
	if err := conn.Hold(c.Hold()); err != nil {
		return authn.Outcome{}, err
	}
	client, err := latch.New(latch.Options{
		Host: c.Host, Credentials: api.Credentials{ID: c.AppID, Secret: c.SecretKey.Reveal()}, APIVersion: c.APIVersion,
		Retries: c.Retries, CAFile: c.CAFile, Proxy: c.Proxy, Context: hostContext(c, g),
	})
	if err != nil {
		return failed(gate.Local, err), nil
	}
	book := &pairings{path: args.Accounts}
	login := authn.Login{
		Request: requestOf(g), Settings: settings, Pairings: book, Server: server{client, startWatch()}, Person: conn,
		Host: host{conn}, Memory: newMemory(c, log), Clock: clock{},
	}
	o, err := login.Run(context.Background())
	if o.Detail == "" {
		o.Detail = explain(o, g, book.err)
	}
	return o, err
}

func failed(why gate.Reason, err error) authn.Outcome {
	return authn.Outcome{Decision: gate.Failed(why), Detail: err.Error()}
}

// explain says what an administrator can do about a refusal.
func explain(o authn.Outcome, g relay.Greeting, pairings error) string {
	switch o.Reason {
	case gate.BadPairings:
		return pairings.Error()
	case gate.UIDChanged:
		return fmt.Sprintf("the pairing was made for another uid; run: latch unpair --user %s", g.Canonical)
	case gate.NSSFailed:
		return fmt.Sprintf("the name service failed with errno %d", g.Errno)
	case gate.NSSDisagrees:
		return "NSS does not know the user, /etc/passwd does"
	case gate.CodeNotAsked:
		return "no code was typed; sshd's password method cannot ask for one, keyboard-interactive can"
	}
	return ""
}

func settingsOf(c *config.Config, args config.Args, g relay.Greeting) (authn.Settings, error) {
	s := authn.Settings{
		Policies: gate.Policies{Action: policy(c.Action), OnError: policy(c.OnError),
			Unpaired: policy(c.Unpaired), UnpairedByServer: policy(c.UnpairedByServer)},
		Code: c.OTP == "yes", Echo: c.OTPEcho, Quiet: args.Profile == "openvpn", Timeout: c.Timeout, Wait: c.Wait,
		ExemptUsers: c.ExemptUsers, ExemptGroups: c.ExemptGroups, ExemptServices: c.ExemptServices, AccountSkip: c.AccountSkip,
	}
	if args.OTP != "" {
		s.Code = args.OTP == "yes"
	}
	if args.Operation == "" {
		return s, nil
	}
	var err error
	s.Operation, err = c.Operation(args.Operation)
	return s, err
}

func policy(p config.Policy) gate.Policy {
	switch p {
	case config.Open:
		return gate.Open
	case config.Last:
		return gate.Last
	}
	return gate.Close
}

func requestOf(g relay.Greeting) authn.Request {
	nss := map[relay.NSS]authn.NSS{relay.Found: authn.NSSFound, relay.Unknown: authn.NSSUnknown}[g.NSS]
	return authn.Request{Account: g.Phase == relay.Account, Service: g.Service, User: g.User, NSS: nss,
		Canonical: g.Canonical, UID: int64(g.UID), SSHAuthInfo: g.SSHAuthInfo}
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

func outcomeWord(v gate.Verdict) string {
	switch v {
	case gate.Success:
		return "opened"
	case gate.Ignore:
		return "ignored"
	}
	return "refused"
}

func verdictByte(v gate.Verdict) byte {
	switch v {
	case gate.Success:
		return relay.Success
	case gate.Ignore:
		return relay.Ignore
	}
	return relay.Refuse
}

// kindOf turns the client's failures into the gate's answers.
func kindOf(err error) gate.Answer {
	switch latch.KindOf(err) {
	case latch.KindNoAnswer:
		return gate.NoAnswer
	case latch.KindErrorAnswer, latch.KindBadAnswer:
		return gate.ErrorAnswer
	case latch.KindCertificate:
		return gate.BadCertificate
	case latch.KindNotPaired:
		return gate.NotPaired
	}
	return gate.LocalFailure
}

// detailOf says why there was no verdict, and what to do where the server's code tells.
func detailOf(err error) string {
	text := err.Error()
	var e *latch.Error
	if errors.As(err, &e) && e.Code != 0 {
		text += "; " + api.Advice(e.Code)
	}
	return text
}
