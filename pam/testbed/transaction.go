package testbed

import (
	"errors"
	"fmt"
	"time"

	"github.com/msteinert/pam/v2"
)

// Transaction is one login through libpam, with the person at the keyboard replaced by a script.
type Transaction struct {
	Dir     string // the directory of the service files, "" for where libpam looks of itself
	Service string
	User    string
	Rhost   string            // "" leaves PAM_RHOST unset
	Env     map[string]string // the PAM environment, such as SSH_AUTH_INFO_0
	Answers []string          // replies to prompts, in order; a prompt more than these aborts the conversation
	Flags   pam.Flags
	NoAuth  bool // only the account phase, as sshd does for a public key
	// Answer replies to prompts instead of Answers when the reply is not known before the question was asked.
	Answer func(prompt string) (string, error)
}

// Outcome is what came of a Transaction. A phase that did not run has no error and false.
type Outcome struct {
	Auth, Account       error // nil, or one of pam's errors
	AuthRan, AccountRan bool
	Prompts, Messages   []string
	Took                time.Duration // without the time that Answer took
}

// In tells whether the person got in: every phase that was due succeeded.
func (o Outcome) In() bool { return o.Auth == nil && o.AccountRan && o.Account == nil }

// String is the outcome in a word or two, such as "in" or "refused in auth: Authentication failure".
func (o Outcome) String() string {
	switch {
	case o.In():
		return "in"
	case o.Auth != nil:
		return fmt.Sprintf("refused in auth: %v", o.Auth)
	default:
		return fmt.Sprintf("refused in account: %v", o.Account)
	}
}

var errNoAnswer = errors.New("the script has no answer to this prompt")

// Run runs the phases auth (unless NoAuth) and account. The error is about the harness; refusals are in the outcome.
func (t Transaction) Run() (Outcome, error) {
	var o Outcome
	var person time.Duration // how long the answers took
	answers := t.Answers
	converse := func(style pam.Style, text string) (string, error) {
		if style == pam.TextInfo || style == pam.ErrorMsg {
			o.Messages = append(o.Messages, text)
			return "", nil
		}
		o.Prompts = append(o.Prompts, text)
		if t.Answer != nil {
			asked := time.Now()
			defer func() { person += time.Since(asked) }()
			return t.Answer(text)
		}
		if len(answers) == 0 {
			return "", errNoAnswer
		}
		reply := answers[0]
		answers = answers[1:]
		return reply, nil
	}
	start := pam.StartFunc
	if t.Dir != "" {
		start = func(service, user string, handler func(pam.Style, string) (string, error)) (*pam.Transaction, error) {
			return pam.StartConfDir(service, user, pam.ConversationFunc(handler), t.Dir)
		}
	}
	handle, err := start(t.Service, t.User, converse)
	if err != nil {
		return o, err
	}
	defer handle.End()
	if err := t.prepare(handle); err != nil {
		return o, err
	}
	started := time.Now()
	if !t.NoAuth {
		o.AuthRan, o.Auth = true, handle.Authenticate(t.Flags)
	}
	if o.Auth == nil {
		o.AccountRan, o.Account = true, handle.AcctMgmt(t.Flags)
	}
	o.Took = time.Since(started) - person
	return o, nil
}

func (t Transaction) prepare(handle *pam.Transaction) error {
	if t.Rhost != "" {
		if err := handle.SetItem(pam.Rhost, t.Rhost); err != nil {
			return err
		}
	}
	for name, value := range t.Env {
		if err := handle.PutEnv(name + "=" + value); err != nil {
			return err
		}
	}
	return nil
}
