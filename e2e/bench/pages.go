package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/server/store"
)

// sessionCookie carries a session; the bench signs people in through the store, as a browser would have done before.
const sessionCookie = "__Host-session"

// page is a browser that looks at its person's latches: one connection, the page fetched once, then the live stream, and the
// part that changes again for each message.
type page struct {
	url    string
	cookie string
	client *http.Client
}

func newPage(to target, url, ticket string) *page {
	conf := to.conf.Clone()
	conf.NextProtos = nil
	return &page{url: url, cookie: sessionCookie + "=" + ticket, client: &http.Client{
		Transport:     &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, ReadBufferSize: 1024, WriteBufferSize: 1024},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (p *page) do(ctx context.Context, method, path string, form io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, form)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Cookie", p.cookie)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return p.client.Do(r)
}

// fetch asks for a page and returns its size.
func (p *page) fetch(ctx context.Context, path string) (int64, error) {
	resp, err := p.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	size, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return size, err
}

// look keeps a page open until ctx ends. opened is told once the stream is there.
func (p *page) look(ctx context.Context, opened func(), refreshes *atomic.Int64) error {
	defer p.client.CloseIdleConnections()
	if _, err := p.fetch(ctx, "/"); err != nil {
		return err
	}
	resp, err := p.do(ctx, http.MethodGet, "/live", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		return fmt.Errorf("GET /live: %s, %s", resp.Status, kind)
	}
	opened()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if lines.Text() != "event: change" {
			continue
		}
		if _, err := p.fetch(ctx, "/?fragment=1"); err != nil {
			return err
		}
		refreshes.Add(1)
	}
	return lines.Err()
}

// open signs in n people of a population, spread over all of it, and has each look at a page until the returned function is
// called, which tells how often they asked for their part again.
func (p *population) open(n int) (end func() (int64, error), err error) {
	to, err := p.target()
	if err != nil {
		return nil, err
	}
	tickets, err := p.signIn(n)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var looking, opening sync.WaitGroup
	var refreshes atomic.Int64
	failures := make([]error, n)
	for i, ticket := range tickets {
		opening.Add(1)
		looking.Go(func() {
			done := sync.OnceFunc(opening.Done)
			defer done()
			if err := newPage(to, p.server.URL, ticket).look(ctx, done, &refreshes); ctx.Err() == nil {
				failures[i] = errors.Join(err, fmt.Errorf("page %d ended by itself", i))
			}
		})
	}
	opening.Wait()
	return func() (int64, error) {
		cancel()
		looking.Wait()
		return refreshes.Load(), errors.Join(failures...)
	}, nil
}

// signIn makes sessions beside the serving server.
func (p *population) signIn(n int) ([]string, error) {
	s, err := store.Open(p.server.Data, store.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	tickets := make([]string, n)
	for i := range tickets {
		if tickets[i], err = signIn(s, fmt.Sprintf("user%07d", i*p.count()/n)); err != nil {
			return nil, err
		}
	}
	return tickets, nil
}

func signIn(s *store.Store, name string) (string, error) {
	u, err := s.User(name)
	if err != nil {
		return "", err
	}
	if err := s.SetWelcomed(context.Background(), u.Row); err != nil { // or the first run's screens come first
		return "", err
	}
	return s.StartSession(context.Background(), store.SignIn{User: u.Row, Address: "127.0.0.1", UserAgent: userAgent})
}

// livePart is what the load found while pages were open.
const livePart = "kept alive, pages open"

// live measures the load again while people look at their pages, and the server's memory.
func (b *bed) live(all []*population, o options) error {
	b.say("\n### Live pages\n")
	b.say("The same load, connections kept alive, while %d people look at their pages: each has a connection with a stream of events, and fetches "+
		"the part of the page that changes after each event.\n", o.pages)
	rows := [][]string{{"accounts", "questions/s", "p50 ms", "p99 ms", "server CPU µs", "page updates/s", "RSS MiB", "peak MiB"}}
	for _, p := range all {
		idle, _, err := memory(p.server.Pid())
		if err != nil {
			return err
		}
		row, err := b.livePopulation(p, o)
		if err != nil {
			return fmt.Errorf("%s: %w", p.label, err)
		}
		rows = append(rows, append([]string{p.label}, row...))
		b.say("%s accounts: %.0f MiB after the load without pages.", p.label, idle)
	}
	b.say("")
	table(b.out, 1, rows...)
	return b.closing()
}

func (b *bed) livePopulation(p *population, o options) ([]string, error) {
	end, err := p.open(o.pages)
	if err != nil {
		return nil, err
	}
	var turns []turn
	started := time.Now()
	for range o.turns {
		t, err := p.turn(modes[0], o)
		if err != nil {
			return nil, err
		}
		turns = append(turns, t)
	}
	took := time.Since(started)
	resident, peak, err := memory(p.server.Pid())
	if err != nil {
		return nil, err
	}
	refreshes, err := end()
	if err != nil {
		return nil, err
	}
	p.rates[livePart] = turns
	p99 := median(turns, turn.p99)
	if p.count() != o.accounts {
		return row(turns, refreshes, took, resident, peak), nil
	}
	what := fmt.Sprintf("%s accounts, %d pages open", p.label, o.pages)
	b.goals = append(b.goals,
		goal{what + ", p99", "≤ 25 ms", fmt.Sprintf("%.2f ms", p99), p99 <= 25},
		goal{what + ", RSS", "≤ 100 MiB", fmt.Sprintf("%.0f MiB", peak), peak <= 100})
	return row(turns, refreshes, took, resident, peak), nil
}

func row(turns []turn, refreshes int64, took time.Duration, resident, peak float64) []string {
	cells := []string{fmt.Sprintf("%.0f", median(turns, turn.rate)), fmt.Sprintf("%.2f", median(turns, turn.p50)), fmt.Sprintf("%.2f", median(turns, turn.p99))}
	for _, v := range []float64{median(turns, turn.cpuEach), float64(refreshes) / took.Seconds(), resident, peak} {
		cells = append(cells, fmt.Sprintf("%.0f", v))
	}
	return cells
}

// memory is what a process has in memory now and had at most, in MiB (proc(5), VmRSS and VmHWM).
func memory(pid int) (resident, peak float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			resident = kib / 1024
		case "VmHWM:":
			peak = kib / 1024
		}
	}
	return resident, peak, nil
}

// giveAddress tells a server its own address, which pages need, and starts it anew.
func giveAddress(s *fixture.Server) error {
	data, err := store.Open(s.Data, store.Options{})
	if err != nil {
		return err
	}
	if err := errors.Join(data.SetSetting(context.Background(), store.SettingURL, s.URL), data.Close(), s.Stop()); err != nil {
		return err
	}
	return s.Start()
}
