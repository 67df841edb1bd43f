package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/api"
	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/client"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/host/securefile"
	"github.com/latch-linux/latch/pkg/server/cloudimport"
	"github.com/latch-linux/latch/pkg/server/store"
)

// How the other server is queried. Nobody waits for it, so it gets more time than a login has.
const (
	importRetries   = 5
	importAnswer    = 16 << 20 // bytes of a history
	importFileLimit = 16 << 20
)

type importOptions struct {
	configs, accounts []string
	mapping           string
	dry, offline, yes bool
	clouds            map[string]cloudimport.Cloud // by application id
	apps              []cloudimport.App
	people            cloudimport.Mapping
	owners            cloudimport.Owners
	present           map[string]cloudimport.Present
	mappingText       string
	failed            []error
}

func newImportCloud(p *program) *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use: "import-cloud --config FILE --accounts FILE", Short: "bring applications and accounts from Telefónica's cloud", Args: cobra.NoArgs,
		Long: `import-cloud reads latch.conf and latch.accounts of one or more hosts and makes their application here, with
the same id and secret, its operations, and accounts with the same ids. It asks the server that latch.conf
names for operations, states and history. Then the hosts change latch_host, and nothing else.

--config and --accounts go in pairs, in order, one pair per host and profile. A host is called after its
files: web1 for web1.accounts or web1/latch.accounts.

A mapping file says which person each account is:

  ana@web1 qXtCyVJf = ana

--dry-run changes nothing and writes a proposal to standard output; check it and name it with --map.
What is here already stays as it is: the same command can be run again.

If the server does not answer at all, or with --offline, what the files hold is imported and all latches of
these accounts are closed: only an answer opens a latch. People open them at their pages.
` + cli.ExitHelp,
		Example: "  latch-server import-cloud --config web1/latch.conf --accounts web1/latch.accounts --dry-run > people.map\n" +
			"  latch-server import-cloud --config web1/latch.conf --accounts web1/latch.accounts --map people.map",
		RunE: func(c *cobra.Command, _ []string) error { return p.importCloud(c.Context(), &o) },
	}
	c.Flags().StringArrayVar(&o.configs, "config", nil, "latch.conf of a host; again for each host")
	c.Flags().StringArrayVar(&o.accounts, "accounts", nil, "latch.accounts of the same host; again for each host")
	c.Flags().StringVar(&o.mapping, "map", "", "file that says which person each account is")
	c.Flags().BoolVar(&o.dry, "dry-run", false, "change nothing, and write a proposal for --map")
	c.Flags().BoolVar(&o.offline, "offline", false, "do not ask the other server; latches are closed")
	return yesOption(c, &o.yes)
}

func (p *program) importCloud(ctx context.Context, o *importOptions) error {
	switch {
	case len(o.configs) == 0 || len(o.configs) != len(o.accounts):
		return cli.Usage("there are %d --config and %d --accounts; give one of each for every host", len(o.configs), len(o.accounts))
	case o.mapping == "" && !o.dry:
		return cli.WithHint(cli.ExitUsage, errors.New("--map is missing: which person is each account?"),
			"the same command with --dry-run instead writes a proposal; check it and name it with --map")
	}
	// What belongs to root is read before this process becomes the owner of the data.
	if err := o.readFiles(ctx); err != nil {
		return err
	}
	return p.withStore(func(s store.Backend) error {
		if err := o.readPresent(s); err != nil {
			return err
		}
		plans, err := p.planImport(ctx, o)
		if err != nil {
			return err
		}
		if o.dry {
			return p.reportDryRun(o, plans)
		}
		return p.applyImport(ctx, s, o, plans)
	})
}

// readFiles reads the hosts' files, the mapping and the certificates.
func (o *importOptions) readFiles(ctx context.Context) error {
	own, err := os.Hostname()
	if err != nil {
		return err
	}
	var hosts []cloudimport.Host
	var faults []error
	o.clouds = map[string]cloudimport.Cloud{}
	at := map[string]*url.URL{}
	for i := range o.configs {
		conf, file, err := readHost(o.configs[i], o.accounts[i])
		if err == nil {
			err = o.connect(ctx, conf, at)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		h := cloudimport.Host{Name: cloudimport.HostName(o.accounts[i], own), Config: o.configs[i], Accounts: o.accounts[i],
			App: api.Credentials{ID: conf.AppID, Secret: conf.SecretKey.Reveal()}, Operations: conf.Operations}
		for _, u := range file.All() {
			h.Users = append(h.Users, cloudimport.User{Name: u.User, AccountID: u.AccountID})
		}
		hosts = append(hosts, h)
	}
	if len(faults) == 0 {
		o.apps, err = cloudimport.Group(hosts)
		faults = append(faults, err)
	}
	if o.mapping != "" {
		text, err := readLimited(o.mapping)
		o.mappingText = string(text)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// connect makes the client of an application by the first file that names it. at holds the address in those files.
func (o *importOptions) connect(ctx context.Context, conf *config.Config, at map[string]*url.URL) error {
	if first := at[conf.AppID]; first != nil {
		if *first != *conf.Host {
			return fmt.Errorf("%s: latch_host is %s, and %s in another file with the same app_id", conf.Path, conf.Host, first)
		}
		return nil
	}
	at[conf.AppID] = conf.Host
	if o.offline {
		return nil
	}
	cloud, err := newCloud(ctx, conf)
	if err != nil {
		return fmt.Errorf("%s: %w", conf.Path, err)
	}
	o.clouds[conf.AppID] = cloud
	return nil
}

// readHost reads the two files of a host. They may be copies, so their owner and mode say nothing.
func readHost(conf, accounts string) (*config.Config, *pairings.File, error) {
	text, err := readLimited(conf)
	if err != nil {
		return nil, nil, err
	}
	c, err := config.Parse(conf, text)
	if err != nil {
		return nil, nil, err
	}
	if text, err = readLimited(accounts); err != nil {
		return nil, nil, err
	}
	file, err := pairings.Parse(accounts, text)
	return c, file, err
}

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > importFileLimit) {
		return nil, fmt.Errorf("%s: not a regular file of at most %d bytes", path, importFileLimit)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func newCloud(ctx context.Context, c *config.Config) (cloudimport.Cloud, error) {
	cloud, err := client.New(client.Options{
		Host: c.Host, Credentials: api.Credentials{ID: c.AppID, Secret: c.SecretKey.Reveal()}, APIVersion: c.APIVersion,
		Retries: importRetries, CAFile: c.CAFile, ReadCAFile: securefile.Read, Proxy: c.Proxy, MaxAnswer: importAnswer,
	})
	if err != nil {
		return nil, err
	}
	return cloud, cloud.Prepare(ctx)
}

// readPresent finds out what this server has already, and reads the mapping in its light.
func (o *importOptions) readPresent(s store.Backend) error {
	o.owners, o.present = cloudimport.Owners{}, map[string]cloudimport.Present{}
	for _, app := range o.apps {
		have, err := presentOf(s, app)
		if err != nil {
			return err
		}
		o.present[app.Credentials.ID], o.owners[app.Credentials.ID] = have, have.Owners
	}
	o.people = cloudimport.Propose(o.apps, o.owners)
	if o.mapping == "" {
		return nil
	}
	var err error
	o.people, err = cloudimport.ParseMapping(o.mapping, o.mappingText, o.apps, o.owners)
	return err
}

func presentOf(s store.Backend, app cloudimport.App) (cloudimport.Present, error) {
	have := cloudimport.Present{Operations: map[string]bool{}}
	a, err := s.Application(app.Credentials.ID)
	if errors.Is(err, store.ErrNoApplication) {
		return have, nil
	}
	if err != nil {
		return have, err
	}
	have.Application = true
	_, secrets, err := s.Credentials(a.ID)
	if err != nil && !errors.Is(err, store.ErrNoApplication) {
		return have, err
	}
	have.SecretKnown = slices.ContainsFunc(secrets, func(c store.Credential) bool { return c.Secret == app.Credentials.Secret })
	operations, err := s.Operations(a.Row)
	if err != nil {
		return have, err
	}
	for _, op := range operations {
		have.Operations[op.ID] = true
	}
	have.Owners, err = s.AccountOwners(a.Row)
	return have, err
}

// planImport asks about every application. One that fails does not stop the others; a person who stops the command does.
func (p *program) planImport(ctx context.Context, o *importOptions) ([]cloudimport.Plan, error) {
	var plans []cloudimport.Plan
	for _, app := range o.apps {
		plan, err := cloudimport.Prepare(ctx, app, o.clouds[app.Credentials.ID], o.people, o.present[app.Credentials.ID], p.Say)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			o.failed = append(o.failed, err)
			continue
		}
		plans = append(plans, plan)
		p.sayPlan(plan)
	}
	return plans, nil
}

// sayPlan says what could not be found out.
func (p *program) sayPlan(plan cloudimport.Plan) {
	id := plan.App.Credentials.ID
	if plan.Unreachable != nil {
		p.Say("warning: application %s: no answer from the server of %s (%v): only what the files hold is imported, without history, and "+
			"every latch of a new account is closed", id, plan.App.Config, plan.Unreachable)
	}
	if plan.Stopped != nil {
		p.Say("warning: application %s: %v", id, plan.Stopped)
	}
	if len(plan.Missing) > 0 {
		p.Say("warning: application %s: accounts that wait for another run: %s", id, strings.Join(plan.Missing, "; "))
	}
	if len(plan.Gone) > 0 {
		p.Say("not imported, because the server has them no longer: %s", strings.Join(plan.Gone, "; "))
	}
	if plan.Unreachable == nil && plan.NoHistory > 0 {
		p.Say("warning: application %s: the server gave no history of %d accounts", id, plan.NoHistory)
	}
	for _, w := range plan.Warnings {
		p.Say("warning: %s", w)
	}
}

func (p *program) reportDryRun(o *importOptions, plans []cloudimport.Plan) error {
	people, notes := cloudimport.Mapping{}, map[string]string{}
	for id, e := range o.people {
		people[id] = e
	}
	rows := make([]map[string]any, 0, len(plans))
	for _, plan := range plans {
		for id, note := range plan.Notes {
			people[id], notes[id] = cloudimport.Entry{Person: cloudimport.LeaveOut}, note
		}
		operations := 0
		for _, op := range plan.Import.Operations {
			if !plan.Present.Operations[op.ID] {
				operations++
			}
		}
		accounts := 0
		for _, a := range plan.Import.Accounts {
			if _, known := plan.Present.Owners[a.ID]; !known {
				accounts++
			}
		}
		p.Say("dry run: application %s: would add %d operations and %d accounts", plan.App.Credentials.ID, operations, accounts)
		rows = append(rows, map[string]any{"app_id": plan.App.Credentials.ID, "new": !plan.Present.Application, "operations": operations,
			"accounts": accounts, "closed_without_answer": len(plan.Unknown), "waiting": len(plan.Missing), "gone": len(plan.Gone)})
	}
	text := people.Format(o.apps, notes)
	if p.JSON {
		if err := p.Report(map[string]any{"dry_run": true, "applications": rows, "map": text}, ""); err != nil {
			return err
		}
	} else if _, err := fmt.Fprint(p.Out, text); err != nil {
		return err
	}
	return o.outcome(plans)
}

// writePlan writes one application: all of it or nothing, unless it is so large that it takes several transactions. What is
// written then stays, and another run adds the rest.
func (p *program) writePlan(ctx context.Context, s store.Backend, plan cloudimport.Plan) (done store.Imported, err error) {
	batches := plan.Batches()
	for i, batch := range batches {
		part, err := s.ImportApplication(ctx, batch)
		if err != nil {
			return done, err
		}
		done.Add(part)
		if len(batches) > 1 {
			p.Say("application %s: wrote part %d of %d", plan.App.Credentials.ID, i+1, len(batches))
		}
	}
	return done, nil
}

// applyImport writes what was planned, if a person agrees.
func (p *program) applyImport(ctx context.Context, s store.Backend, o *importOptions, plans []cloudimport.Plan) error {
	unknown := map[string]bool{}
	for _, plan := range plans {
		for _, person := range plan.Unknown {
			unknown[person] = true
		}
	}
	if err := p.consent(ctx, int64(len(unknown)), o.yes, "hosts will refuse %d people until they open their latches at their pages: "+
		"there was no answer about them", len(unknown)); err != nil {
		return err
	}
	rows := make([]cli.Row, 0, len(plans))
	for _, plan := range plans {
		done, err := p.writePlan(ctx, s, plan)
		if err != nil {
			o.failed = append(o.failed, fmt.Errorf("application %s: imported accounts: %d: %w", plan.App.Credentials.ID, done.Accounts, err))
		}
		if err != nil && done.Accounts == 0 {
			continue
		}
		if len(done.Unpaired) > 0 {
			p.Say("accounts that were unpaired on this server and stay so: %d", len(done.Unpaired))
		}
		rows = append(rows, cli.Row{{Name: "app_id", Value: plan.App.Credentials.ID}, {Name: "new_application", Value: done.Applications > 0},
			{Name: "operations", Value: done.Operations}, {Name: "people", Value: done.People}, {Name: "accounts", Value: done.Accounts},
			{Name: "history", Value: done.Entries}})
		if done.People > 0 {
			p.Hint("people who are new get a link to choose a password with latch-server user invite NAME")
		}
	}
	if len(rows) > 0 {
		if err := p.Table("applications", rows); err != nil {
			return err
		}
	}
	return o.outcome(plans)
}

// outcome is the error of what was left out, nil for nothing.
func (o *importOptions) outcome(plans []cloudimport.Plan) error {
	waiting, stopped := 0, false
	for _, plan := range plans {
		waiting += len(plan.Missing)
		stopped = stopped || plan.Stopped != nil
	}
	if err := errors.Join(o.failed...); err != nil || !stopped {
		return err
	}
	return cli.WithHint(cli.ExitNoAnswer, fmt.Errorf("the server stopped answering: accounts that are left: %d", waiting),
		"run the same command again later")
}
