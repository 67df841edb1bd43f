package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

// population is a server with many accounts.
type population struct {
	label  string
	server *fixture.Server
	app    fixture.App
	ids    []byte // the account ids one after the other, idLength bytes each
	rates  map[string][]turn
}

const idLength = 64 // of an account id

func (p *population) count() int { return len(p.ids) / idLength }

func (p *population) id(i int) string { return string(p.ids[i*idLength : (i+1)*idLength]) }

// serve measures how many signed status questions a second a server answers, this generator beside it on the same cores.
func (b *bed) serve(o options) error {
	b.say("\n### latch-server\n")
	sync, err := b.syncTime()
	if err != nil {
		return err
	}
	b.say("The databases lie on %s; writing 4 KiB and fdatasync there takes %s ms (median).\n", fileSystem(b.dir), ms(sync))
	var all []*population
	for _, n := range []int{o.few, o.accounts} {
		p, err := b.populate(n)
		if err != nil {
			return err
		}
		defer p.server.Stop()
		all = append(all, p)
	}
	for range o.turns {
		for _, mode := range modes {
			for _, p := range all {
				t, err := p.turn(mode, o)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", p.label, mode.label, err)
				}
				p.rates[mode.label] = append(p.rates[mode.label], t)
			}
		}
	}
	b.printLoad(all, o)
	if err := b.live(all, o); err != nil {
		return err
	}
	for _, p := range all {
		if err := p.checkHistory(); err != nil {
			return err
		}
	}
	b.say("\nEvery answer has its line in the history.")
	return nil
}

// checkHistory stops the server and counts the questions that it put on record.
func (p *population) checkHistory() error {
	asked := 0
	for _, turns := range p.rates {
		for _, t := range turns {
			asked += len(t.times)
		}
	}
	if err := p.server.Stop(); err != nil {
		return err
	}
	out, err := exec.Command(p.server.Program, "history", "--data", p.server.Data, "--limit", fmt.Sprint(asked)).Output()
	if err != nil {
		return fmt.Errorf("latch-server history: %w", err)
	}
	if found := bytes.Count(out, []byte(userAgent)); found != asked {
		return fmt.Errorf("%s accounts: %d questions were answered and %d are on record", p.label, asked, found)
	}
	return nil
}

// populate starts a server of its own with n paired people.
func (b *bed) populate(n int) (*population, error) {
	p := &population{label: group(n), rates: map[string][]turn{}}
	var err error
	if p.server, err = fixture.StartServer(b.files.Server, b.path("data-"+fmt.Sprint(n))); err != nil {
		return nil, err
	}
	if p.app, err = p.server.AddApp("bench"); err != nil {
		return nil, err
	}
	started := time.Now()
	if err := p.fill(n); err != nil {
		return nil, err
	}
	took := time.Since(started)
	if err := giveAddress(p.server); err != nil {
		return nil, err
	}
	b.say("%s accounts imported in %v.", p.label, took.Round(time.Second/10))
	return p, nil
}

// fill imports people as an administrator does, beside the serving server.
func (p *population) fill(n int) error {
	var names bytes.Buffer
	for i := range n {
		fmt.Fprintf(&names, "user%07d\n", i)
	}
	cmd := exec.Command(p.server.Program, "user", "import", "bench", "--data", p.server.Data)
	cmd.Stdin, cmd.Stderr = &names, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("latch-server user import: %w", err)
	}
	p.ids = make([]byte, 0, n*idLength)
	for line := range bytes.Lines(out) {
		_, id, _ := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		if len(id) != idLength {
			return fmt.Errorf("the import printed %q", line)
		}
		p.ids = append(p.ids, id...)
	}
	if p.count() != n {
		return fmt.Errorf("%d of %d accounts were imported", p.count(), n)
	}
	return nil
}

func (b *bed) printLoad(all []*population, o options) {
	b.say("\nSigned status questions a second, %d under way at once, accounts at random, the generator on the same cores; medians of %d turns of %v in alternation.\n",
		o.workers, o.turns, o.seconds)
	rows := [][]string{{"connections", "accounts", "questions/s", "p50 ms", "p99 ms", "server CPU µs", "ratio to " + all[0].label}}
	for _, mode := range modes {
		first := median(all[0].rates[mode.label], turn.rate)
		for _, p := range all {
			turns := p.rates[mode.label]
			rate := median(turns, turn.rate)
			rows = append(rows, []string{mode.label, p.label, fmt.Sprintf("%.0f", rate),
				fmt.Sprintf("%.2f", median(turns, turn.p50)), fmt.Sprintf("%.2f", median(turns, turn.p99)),
				fmt.Sprintf("%.0f", median(turns, turn.cpuEach)), ratio(rate, first)})
		}
	}
	table(b.out, 2, rows...)
	few, many := all[0].rates[modes[0].label], all[len(all)-1].rates[modes[0].label]
	least, share := median(few, turn.rate), median(few, turn.rate)/median(many, turn.rate)
	b.goals = append(b.goals,
		goal{"server, TLS kept alive", "≥ 3000 questions/s", fmt.Sprintf("%.0f", least), least >= 3000},
		goal{"the same with " + all[len(all)-1].label + " accounts", "within 1.2 times", fmt.Sprintf("%.2f times", share), share <= 1.2})
}

// group writes 1000000 as 1,000,000.
func group(n int) string {
	digits := fmt.Sprint(n)
	var parts []string
	for len(digits) > 3 {
		parts = append([]string{digits[len(digits)-3:]}, parts...)
		digits = digits[:len(digits)-3]
	}
	return strings.Join(append([]string{digits}, parts...), ",")
}
