package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/adapters"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/laststate"
	"github.com/latch-linux/latch/pkg/host/login"
	"github.com/latch-linux/latch/pkg/host/policy"
	"github.com/latch-linux/latch/pkg/setup/installer"
	"github.com/latch-linux/latch/pkg/setup/pamconf"
	"github.com/latch-linux/latch/pkg/setup/sshd"
)

type explainOptions struct {
	service, phase, rhost string
	named                 bool // service was given
	yes                   bool
}

func newExplain(a *app) *cobra.Command {
	var o explainOptions
	c := &cobra.Command{
		Use: "explain", Short: "tell what a login would be answered, and why", Args: cobra.NoArgs,
		Long: `explain takes a login through every step that decides it and says what would come of it now: does the
service ask, which files does its line name, is the user exempt or paired, what does the server say,
which policy decides. Nothing is changed. The server is queried silently and makes no one-time token;
where it refuses silent queries (some plans of the cloud do), the phone would show an attempt, so explain
asks you first. An error that has a remedy (an unknown operation, wrong credentials, an ended pairing)
is followed by the line or command that repairs it.
` + cli.ExitHelp,
		Example: "  sudo latch explain --user ana --service sshd\n  sudo latch explain --user ana --service sudo --phase auth --json",
		RunE: func(c *cobra.Command, _ []string) error {
			o.named = c.Flags().Changed("service")
			return a.explainLogin(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.service, "service", sshd.Service, "PAM `service`; by default the one that sshd uses")
	f.StringVar(&o.phase, "phase", "", "auth or account; both by default")
	f.StringVar(&o.rhost, "rhost", "", "remote `address`; it decides nothing and is shown in the answer")
	f.BoolVarP(&o.yes, "yes", "y", false, "let the phone show an attempt where the server refuses silent queries")
	return c
}

// explanation is one phase of a login, step by step.
type explanation struct {
	*app
	options explainOptions
	phase   pamconf.Phase
	steps   []string
	asks    bool // for a code
	verdict string
}

func (e *explanation) step(format string, args ...any) {
	e.steps = append(e.steps, fmt.Sprintf(format, args...))
}

func (a *app) explainLogin(ctx context.Context, o explainOptions) error {
	phases := []pamconf.Phase{pamconf.Auth, pamconf.Account}
	if o.phase != "" {
		phases = []pamconf.Phase{pamconf.Phase(o.phase)}
		if o.phase != "auth" && o.phase != "account" {
			return cli.Usage("--phase is auth or account")
		}
	}
	if !installer.ValidService(o.service) {
		return cli.Usage("invalid PAM service name %q", o.service)
	}
	if err := a.needRoot(cli.ExitError); err != nil {
		return err
	}
	who, err := a.who()
	if err != nil {
		return err
	}
	file, err := a.serviceFile(ctx, &o)
	if err != nil {
		return err
	}
	var all []*explanation
	for _, phase := range phases {
		e := &explanation{app: a, options: o, phase: phase}
		if err := e.run(ctx, file, phase, who); err != nil {
			return err
		}
		all = append(all, e)
	}
	if err := a.reportExplanations(who, o, all); err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(e *explanation) bool { return e.verdict == "refused" }) {
		return &closedError{}
	}
	return nil
}

// serviceFile reads the file of the service that the options name, and notes the name that libpam reads it by.
func (a *app) serviceFile(ctx context.Context, o *explainOptions) (*pamconf.File, error) {
	a.findPrograms(ctx)
	if !o.named {
		o.service = a.sshdServices()[0]
	}
	service, note, err := a.pam.Resolve(o.service)
	if err != nil {
		return nil, noService(err)
	}
	if note != "" {
		a.Say("%s", note)
		o.service = service
	}
	text, err := a.pam.Read(o.service)
	if err != nil {
		return nil, noService(err)
	}
	return pamconf.Parse(o.service, text), nil
}

func (a *app) reportExplanations(who person, o explainOptions, all []*explanation) error {
	if !a.JSON {
		for _, e := range all {
			fmt.Fprintf(a.Out, "%s: %s\n", e.phase, e.verdict)
			for _, s := range e.steps {
				fmt.Fprintf(a.Out, "  %s\n", cli.Clean(s))
			}
		}
		return nil
	}
	rows := []map[string]any{}
	for _, e := range all {
		rows = append(rows, map[string]any{"phase": e.phase, "verdict": e.verdict, "steps": e.steps})
	}
	fields := map[string]any{"user": who.name, "service": o.service, "phases": rows}
	if o.rhost != "" {
		fields["rhost"] = o.rhost
	}
	return a.Report(fields, "")
}

// unused says that no program uses a service any more.
func (e *explanation) unused(service string) bool {
	p, unused := e.pam.Unused(service)
	if unused {
		text, _ := p.Instead()
		e.verdict = "not asked"
		e.step("%s, and not %s: latch explain --service %s", text, service, p.Services[0])
	}
	return unused
}

// units says what keeps latch-auth from working where systemd runs the service's host.
func (e *explanation) units(service string) {
	problems, err := e.pam.UnitProblems(service)
	if err != nil {
		e.step("beware: %v", err)
	}
	for _, p := range problems {
		e.step("beware: %s: every login is refused, or let in where action = open", p.Text)
	}
}

// sideDoors says by which other services the same program lets in.
func (e *explanation) sideDoors(service string) {
	for _, door := range e.pam.SideDoors(nil) {
		if door.Program.Name == e.pam.UsedBy(service) {
			e.step("beware: %s: %s", door.Text(), door.Remedy())
		}
	}
}

// run explains one phase. What goes wrong on the way is what would go wrong at a login: a step, and a refusal.
func (e *explanation) run(ctx context.Context, f *pamconf.File, phase pamconf.Phase, who person) error {
	if e.unused(f.Name) {
		return nil
	}
	stack, err := pamconf.Load(f, phase, e.pam)
	if err != nil {
		e.verdict = "refused"
		e.step("libpam: %v", err)
		return nil
	}
	at := stack.Asks()
	if at < 0 {
		e.verdict = "not asked"
		e.step("%s has no line of ours in this phase, so the latch has no say", f.Name)
		return nil
	}
	line := stack.Steps[at]
	e.step("%s: %s", line.Where(), strings.Join(append([]string{string(phase), line.Rule.Control, line.Rule.Module}, line.Rule.Args...), " "))
	e.judge(f.Name, stack)
	e.sideDoors(f.Name)
	e.units(f.Name)
	o, err := e.decide(ctx, line.Rule.Args, phase, who)
	var declined *declinedError
	if errors.As(err, &declined) {
		return err
	}
	if err != nil {
		o = login.Outcome{Decision: policy.Failed(policy.BadConfig), Detail: err.Error()}
	}
	if o.Detail != "" && !slices.Contains(e.steps, o.Detail) { // a bypass was told when the codes were looked up
		e.step("%s", o.Detail)
	}
	if e.asks {
		e.verdict = "let in with the right code"
		return nil
	}
	e.step("reason: %s", o.Reason)
	e.verdict = map[policy.Verdict]string{policy.Success: "let in", policy.Ignore: "not asked about", policy.Refuse: "refused"}[o.Verdict]
	if o.Verdict == policy.Ignore && !stack.Admits(pamconf.Ignore) {
		e.verdict = "refused"
		e.step("libpam: the latch ignores this user, and no other rule of the phase lets anybody in")
	}
	return nil
}

// judge reports what is wrong with the line for any user, and how to repair it.
func (e *explanation) judge(service string, stack *pamconf.Stack) {
	findings := stack.Judge()
	for _, finding := range findings {
		e.step("beware: %v", finding)
	}
	if slices.ContainsFunc(findings, func(x pamconf.Finding) bool { return installer.Unworkable(x.Problem) }) {
		e.step("repair: %s", e.pam.Remedy(service, stack.Phase))
	}
}

func (e *explanation) decide(ctx context.Context, words []string, phase pamconf.Phase, who person) (login.Outcome, error) {
	args, err := config.ParseArgs(words)
	if err != nil {
		return login.Outcome{}, err
	}
	c, err := args.Load()
	if err != nil {
		return login.Outcome{}, err
	}
	e.step("%s: server %s, action %v, on_error %v, unpaired %v, otp %s, timeout %v", args.Config, c.Host, c.Action, c.OnError, c.Unpaired, c.OTP, c.Timeout)
	settings, err := adapters.Settings(c, args)
	if err != nil {
		return login.Outcome{}, err
	}
	e.tellOTP(settings.Policies, phase)
	settings.Wait, settings.CodeBeforeStatus = 0, false // which would take and keep
	client, err := adapters.NewClient(c, nil)
	if err != nil {
		return login.Outcome{}, err
	}
	r := login.Request{Account: phase == pamconf.Account, Service: e.options.service, User: who.name, NSS: login.NSSUnknown, SSH: e.pam.UsedBy(e.options.service) == sshd.Service}
	if !who.unknown() {
		r.NSS, r.Canonical, r.UID = login.NSSFound, who.name, who.uid
		e.step("the name service knows %q, uid %d", who.name, who.uid)
	} else {
		e.step("the name service does not know %q", who.name)
	}
	book := &adapters.Pairings{Path: args.Accounts}
	asker := &consenting{explanation: e, Server: adapters.Server{Client: client}, user: who.name, line: args, config: c}
	attempt := login.Login{Request: r, Settings: settings, Pairings: tellPairings{book, e}, Server: asker, Codes: tellCodes{adapters.NewCodes(c, ""), e}, Person: nobody{e}, Host: localHost{who.name},
		Memory: forgetful{adapters.NewMemory(c, func(err error) { e.step("%v", err) })}, Clock: adapters.Clock{}}
	o, err := attempt.Run(ctx)
	if err == nil {
		err = asker.declined
	}
	if o.Detail == "" && book.Err != nil {
		o.Detail = book.Err.Error()
	}
	return o, err
}

// tellOTP says what the steps below cannot show.
func (e *explanation) tellOTP(p policy.Policies, phase pamconf.Phase) {
	switch {
	case p.Code == policy.TokenCode && phase == pamconf.Auth:
		e.step("otp: a one-time token of the server's would be asked for where it sends one")
	case p.Code != policy.NoCode && p.Required && phase == pamconf.Account && e.pam.UsedBy(e.options.service) == sshd.Service:
		e.step("otp_required: this is a login by a key alone; one that typed its code in the auth phase is not asked about again")
	}
}

// tellPairings says what the pairing file holds.
type tellPairings struct {
	*adapters.Pairings
	e *explanation
}

func (p tellPairings) Find(name string) (login.Pairing, bool, error) {
	found, ok, err := p.Pairings.Find(name)
	p.e.step("%s: %s", p.Path, map[bool]string{true: "paired", false: "not paired"}[ok])
	return found, ok, err
}

// tellCodes says what there is to check a code with.
type tellCodes struct {
	adapters.Codes
	e *explanation
}

func (c tellCodes) Find(user string, uid int64) (login.Enrolment, error) {
	found, err := c.Codes.Find(user, uid)
	switch {
	case err != nil: // is told as the reason
	case found.Bypassed:
		c.e.step("%s", found.Detail)
	case found.Enrolled:
		c.e.step("%s: one-time passwords for %s", c.Store.Dir, user)
	default:
		c.e.step("%s: no one-time passwords for %s; see latch otp enroll", c.Store.Dir, user)
	}
	return found, err
}

// nobody is at the keyboard.
type nobody struct{ *explanation }

func (n nobody) Ask(text string, _ bool) (string, bool, error) {
	n.asks = true
	n.step("the person is asked: %s", strings.TrimRight(text, " "))
	return "", false, nil
}

func (nobody) Tell(string) error { return nil }

// localHost answers for the module.
type localHost struct{ user string }

// Member asks id(1), which asks NSS.
func (h localHost) Member(group string) (bool, error) {
	out, err := exec.Command("id", "-Gn", "--", h.user).Output()
	return slices.Contains(strings.Fields(string(out)), group), err
}

func (localHost) Lists(name string) (bool, error) { return adapters.Listed(name) }

// forgetful remembers nothing and makes every question a silent one.
type forgetful struct{ laststate.Memory }

func (forgetful) RecentlyDenied(string, string) bool { return true }
func (forgetful) Asking(string, string)              {}
func (forgetful) Forget(string, string)              {}

func (forgetful) Remember(string, string, bool, time.Duration, time.Duration) {}
