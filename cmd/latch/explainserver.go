package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/host/securefile"
)

// declinedError ends an explanation that would have shown on the phone.
type declinedError struct{ error }

// Unwrap keeps the exit status and the hint visible.
func (e *declinedError) Unwrap() error { return e.error }

// consenting asks the person before a query that the phone would show.
type consenting struct {
	*explanation
	adapters.Server
	user     string
	line     config.Args
	config   *config.Config
	known    *login.Answer // the answer to a query that the phone shows, where the silent one has settled it
	declined error
}

// Ask makes no token, whatever the login would.
func (c *consenting) Ask(ctx context.Context, q login.Question) login.Answer {
	q.NoToken = true
	if !q.Silent && c.known != nil {
		return *c.known
	}
	if !q.Silent && !c.options.yes {
		c.Say("the server refuses silent queries: the phone would show an attempt")
		if ok, err := c.terminal.Confirm(ctx, "Query the server anyway?"); err != nil || !ok {
			c.declined = &declinedError{needs(errors.Join(err, errors.New("the server was not queried")), "say --yes")}
			return login.Answer{}
		}
	}
	status, err := c.Client.Status(ctx, client.Query{AccountID: q.AccountID, OperationID: q.OperationID, NoOTP: true, Silent: q.Silent})
	a := adapters.Answered(status, err)
	if q.Silent && !refusesSilence(err) {
		c.known = &a // a login would query again, so that the phone shows it
	}
	words := map[policy.Answer]string{policy.On: "open", policy.Off: "closed", policy.NoAnswer: "no answer", policy.ErrorAnswer: "an error answer",
		policy.BadCertificate: "a certificate that does not verify", policy.NotPaired: "not paired (201)", policy.LocalFailure: "a failure of this machine"}
	c.step("the server: %s", words[a.Kind])
	if repair := c.repair(err, q.OperationID); repair != "" && (c.known != nil || !q.Silent) {
		c.step("repair: %s", c.forShell(repair))
	}
	return a
}

// refusesSilence reports whether an error may be about the silent flag alone, so that a query that the phone shows may
// get another answer. An error about the application, the operation, the account or the clock stays the same.
func refusesSilence(err error) bool {
	var e *client.Error
	if !errors.As(err, &e) || e.Kind != client.KindErrorAnswer {
		return false
	}
	switch e.Code {
	case 0:
		return e.HTTP == http.StatusPaymentRequired || e.HTTP == http.StatusForbidden || e.HTTP == http.StatusNotFound
	case api.ErrCodeUnsupported, api.ErrCodeUnauthorized, api.ErrCodeMissingParameter, api.ErrCodeBadParameter, api.ErrCodeSubscription:
		return true
	}
	return api.Message(e.Code) == ""
}

// repair names the line of the configuration or the command that ends an error of the server, "" where there is neither.
func (c *consenting) repair(err error, operation string) string {
	var e *client.Error
	if !errors.As(err, &e) {
		return ""
	}
	files, user := c.files().Options(), " --user "+securefile.ShellWord(c.user)
	switch {
	case e.Code == api.ErrCodeNoOperation && operation != "":
		return fmt.Sprintf("%s: the application has no operation %s: write the id there that latch operation list%s shows, or create it: latch operation add %s --save%s",
			c.where(c.line.Operation), operation, files, securefile.ShellWord(c.line.Operation), files)
	case e.Code == api.ErrCodeSignature, e.Code == api.ErrCodeCredentials, e.Code == api.ErrCodeNoOperation:
		return fmt.Sprintf("the server does not accept app_id (%s) with secret_key (%s): latch setup%s", c.where("app_id"), c.where("secret_key"), files)
	case e.Code == api.ErrCodeExpired:
		return "set this machine's clock: timedatectl set-ntp true"
	case e.Kind == client.KindNotPaired:
		return fmt.Sprintf("latch unpair%s%s, then latch pair CODE%[1]s%[2]s", user, files)
	case e.Kind == client.KindCertificate:
		return fmt.Sprintf("if the server or its CA has changed: latch setup %s%s", c.config.Host, files)
	case e.Kind == client.KindNoAnswer, e.Kind == client.KindBadAnswer, e.HTTP >= 300 && e.HTTP < 400:
		return fmt.Sprintf("check that latch_host (%s) is a Latch server that this machine can reach: latch doctor%s", c.where("latch_host"), files)
	}
	return ""
}

// files are those that the PAM line names.
func (c *consenting) files() config.Profile {
	return config.Profile{Name: c.line.Profile, Config: c.line.Config, Accounts: c.line.Accounts}
}

// where is the line of the configuration that has a key, or the file alone where the key has its default.
func (c *consenting) where(key string) string {
	if n, err := config.FindLine(c.line.Config, key); err == nil && n > 0 {
		return fmt.Sprintf("%s:%d", c.line.Config, n)
	}
	return c.line.Config
}
