// Package adapters connects latch.conf, the pairing file, the client and the last known states to the ports of package login.
// latch-auth answers logins with it, and `latch explain` shows what it would answer.
package adapters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/laststate"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// Settings are what a login has to know of its PAM line and of the latch.conf that the line loads. The error is about an operation that the
// line names and latch.conf does not have.
func Settings(c *config.Config, args config.Args) (login.Settings, error) {
	s := login.Settings{
		Policies: policy.Policies{Action: policyOf(c.Action), OnError: policyOf(c.OnError),
			Unpaired: policyOf(c.Unpaired), UnpairedByServer: policyOf(c.UnpairedByServer), Code: codeOf(c.OTP), Required: c.OTPRequired},
		Echo: c.OTPEcho, LocalCode: config.LocalCode, Timeout: c.Timeout, Wait: c.Wait,
		NoMessages: args.Profile == "openvpn", CodeBeforeStatus: args.Profile == "openvpn", SilentAccountCheck: args.Notify == "no",
		ExemptUsers: c.ExemptUsers, ExemptGroups: c.ExemptGroups, ExemptServices: c.ExemptServices, AccountSkip: c.AccountSkip,
	}
	if args.Operation == "" {
		return s, nil
	}
	var err error
	s.Operation, err = c.Operation(args.Operation)
	return s, err
}

func policyOf(p config.Policy) policy.Policy {
	switch p {
	case config.Open:
		return policy.Open
	case config.Last:
		return policy.Last
	case config.OTP:
		return policy.OTP
	}
	return policy.Close
}

// code is the further code that a login asks for, by the key otp.
func codeOf(otp string) policy.Code {
	switch otp {
	case "no":
		return policy.NoCode
	case "yes":
		return policy.TokenCode
	case "server-totp":
		return policy.ServerCode
	}
	return policy.LocalCode
}

// NewClient makes the client that latch.conf describes. context is told to the server in signed headers, but to none of the
// cloud's.
func NewClient(c *config.Config, context map[string]string) (*client.Client, error) {
	if c.Cloud() {
		context = nil
	}
	return client.New(client.Options{
		Host: c.Host, Credentials: api.Credentials{ID: c.AppID, Secret: c.SecretKey.Reveal()}, APIVersion: c.APIVersion,
		Retries: c.Retries, CAFile: c.CAFile, ReadCAFile: securefile.Read, Proxy: c.Proxy, Context: context, Spends: c.OTP == "yes",
	})
}

// Pairings reads the pairing file when somebody asks: an exempt user needs none.
type Pairings struct {
	Path string
	Err  error // why it could not be read, for the log
}

// Find implements login.Pairings.
func (p *Pairings) Find(canonical string) (login.Pairing, bool, error) {
	f, err := p.load()
	if err != nil {
		return login.Pairing{}, false, err
	}
	found, ok := f.Find(canonical)
	return login.Pairing{User: found.User, AccountID: found.AccountID, UID: found.UID}, ok, nil
}

// FindLoosely implements login.Pairings.
func (p *Pairings) FindLoosely(given string) (login.Pairing, bool, error) {
	f, err := p.load()
	if err != nil {
		return login.Pairing{}, false, err
	}
	found, ok, err := f.FindLoose(given)
	p.Err = err
	return login.Pairing{User: found.User, AccountID: found.AccountID, UID: found.UID}, ok, err
}

func (p *Pairings) load() (*pairings.File, error) {
	f, err := pairings.Load(p.Path)
	p.Err = err
	return f, err
}

// Server asks through the client.
type Server struct {
	Client *client.Client
	Watch  *Watch // nil for a process that no caller can stop
}

// Prepare implements login.Server.
func (s Server) Prepare(ctx context.Context) error { return s.Client.Prepare(ctx) }

// Ask turns every failure into an answer of package policy.
func (s Server) Ask(ctx context.Context, q login.Question) login.Answer {
	status, err := s.Client.Status(ctx, client.Query{AccountID: q.AccountID, OperationID: q.OperationID, NoOTP: q.NoToken, Silent: q.Silent})
	return s.answered(ctx, status, err)
}

// CanAwait implements login.Server.
func (s Server) CanAwait() bool { return s.Client.Can(api.CanAwait) }

// Await implements login.Server.
func (s Server) Await(ctx context.Context, q login.Question) login.Answer {
	status, err := s.Client.Await(ctx, client.Query{AccountID: q.AccountID, OperationID: q.OperationID})
	return s.answered(ctx, status, err)
}

func (s Server) answered(ctx context.Context, status client.Status, err error) login.Answer {
	if err != nil {
		return s.failed(ctx, err)
	}
	return Answered(status, nil)
}

// Answered turns what the client returned into an answer, failures included.
func Answered(status client.Status, err error) login.Answer {
	if err != nil {
		return login.Answer{Kind: kindOf(err), Detail: detailOf(err)}
	}
	detail := ""
	if off := status.Offset.Round(time.Second); off != 0 {
		detail = fmt.Sprintf("this machine's clock is off by %v", -off)
	}
	if !status.Open {
		return login.Answer{Kind: policy.Off, Detail: detail}
	}
	return login.Answer{Kind: policy.On, Token: status.Token, Made: status.TokenTime, Detail: detail}
}

// Validate has the server check a code.
func (s Server) Validate(ctx context.Context, id, code string) login.Answer {
	right, err := s.Client.ValidateTOTP(ctx, id, code)
	switch {
	case err != nil:
		return s.failed(ctx, err)
	case right:
		return login.Answer{Kind: policy.On}
	}
	return login.Answer{Kind: policy.Off}
}

// KeepsOwn implements login.Server.
func (s Server) KeepsOwn() bool { return s.Client.Can(api.CanOwnTOTP) }

// ValidateOwn implements login.Server.
func (s Server) ValidateOwn(ctx context.Context, accountID, code string) login.Answer {
	right, enrolled, err := s.Client.ValidateOwnTOTP(ctx, accountID, code)
	switch {
	case err != nil:
		return s.failed(ctx, err)
	case !enrolled:
		return login.Answer{Kind: policy.Off, NotEnrolled: true}
	case right:
		return login.Answer{Kind: policy.On}
	}
	return login.Answer{Kind: policy.Off}
}

// Spend implements login.Server.
func (s Server) Spend(ctx context.Context, accountID, token string, right bool) {
	s.Client.SpendToken(ctx, accountID, token, right)
}

// kindOf turns the client's failures into the answers of package policy.
func kindOf(err error) policy.Answer {
	switch client.KindOf(err) {
	case client.KindNoAnswer:
		return policy.NoAnswer
	case client.KindErrorAnswer, client.KindBadAnswer:
		return policy.ErrorAnswer
	case client.KindCertificate:
		return policy.BadCertificate
	case client.KindNotPaired:
		return policy.NotPaired
	}
	return policy.LocalFailure
}

// detailOf says why there was no verdict, and what to do where the server's code tells.
func detailOf(err error) string {
	text := err.Error()
	var e *client.Error
	if errors.As(err, &e) && e.Code != 0 {
		text += "; " + api.Advice(e.Code)
	}
	return text
}

// Listed looks for exactly this name in /etc/passwd.
func Listed(name string) (bool, error) {
	data, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return false, err
	}
	line := append([]byte(name), ':')
	return bytes.HasPrefix(data, line) || bytes.Contains(data, append([]byte{'\n'}, line...)), nil
}

// NewMemory keeps its records where latch.conf says. warn gets what could not be stored.
func NewMemory(c *config.Config, warn func(error)) laststate.Memory {
	return laststate.Memory{StateDir: c.StateDir, RunDir: c.RunDir, Now: time.Now, Warn: warn}
}

// Clock is the machine's.
type Clock struct{}

// Now implements login.Clock.
func (Clock) Now() time.Time { return time.Now() }

// SinceBoot implements login.Clock.
func (Clock) SinceBoot() time.Duration { return laststate.SinceBoot() }

// Sleep implements login.Clock.
func (Clock) Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
