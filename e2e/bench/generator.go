package main

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
	"github.com/latch-linux/latch/pkg/api"
)

// mode is how the generator connects.
type mode struct {
	label string
	keep  bool // one connection for many questions, else one for each, as hosts do
}

var modes = []mode{{"kept alive", true}, {"one per question", false}}

// turn is what one turn of load found.
type turn struct {
	took  time.Duration
	cpu   time.Duration   // of the server
	times []time.Duration // of each question
}

func (t turn) rate() float64    { return float64(len(t.times)) / t.took.Seconds() }
func (t turn) p50() float64     { return float64(durationAt(t.times, 0.5).Microseconds()) / 1000 }
func (t turn) p99() float64     { return float64(durationAt(t.times, 0.99).Microseconds()) / 1000 }
func (t turn) cpuEach() float64 { return float64(t.cpu.Microseconds()) / float64(len(t.times)) }

func median(turns []turn, of func(turn) float64) float64 {
	var values []float64
	for _, t := range turns {
		values = append(values, of(t))
	}
	return quantile(values, 0.5, cmp.Compare[float64])
}

// turn asks for as long as o says, from o.workers goroutines, each with a connection of its own.
func (p *population) turn(m mode, o options) (turn, error) {
	to, err := p.target()
	if err != nil {
		return turn{}, err
	}
	before, err := processorTime(p.server.Pid())
	if err != nil {
		return turn{}, err
	}
	results := make([][]time.Duration, o.workers)
	failures := make([]error, o.workers)
	var group sync.WaitGroup
	started := time.Now()
	for i := range o.workers {
		group.Go(func() { results[i], failures[i] = p.ask(to, m, started.Add(o.seconds)) })
	}
	group.Wait()
	t := turn{took: time.Since(started)}
	after, err := processorTime(p.server.Pid())
	t.cpu = after - before
	for _, r := range results {
		t.times = append(t.times, r...)
	}
	return t, errors.Join(append(failures, err)...)
}

// target is where to ask and whom to trust.
type target struct {
	address string
	conf    *tls.Config
}

func (p *population) target() (target, error) { return targetOf(p.server) }

func targetOf(s *fixture.Server) (target, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return target{}, err
	}
	pem, err := os.ReadFile(s.CA)
	if err != nil {
		return target{}, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return target{u.Host, &tls.Config{RootCAs: roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}, nil
}

// ask asks about people at random until the end and returns how long each answer took. The generator shares the cores with the
// server, so it is lean: requests are written and answers read without net/http's client.
func (p *population) ask(to target, m mode, end time.Time) (times []time.Duration, err error) {
	var conn *tls.Conn
	var in *bufio.Reader
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for time.Now().Before(end) {
		started := time.Now()
		if conn == nil {
			if conn, err = tls.Dial("tcp", to.address, to.conf); err != nil {
				return times, err
			}
			in = bufio.NewReader(conn)
		}
		if _, err := io.WriteString(conn, p.request(to, m)); err != nil {
			return times, err
		}
		if err := readOpen(in); err != nil {
			return times, err
		}
		times = append(times, time.Since(started))
		if !m.keep {
			conn.Close()
			conn = nil
		}
	}
	return times, nil
}

// userAgent tells our questions from other lines of the history.
const userAgent = "latch-bench"

// request is the text of a signed question about somebody.
func (p *population) request(to target, m mode) string {
	path := api.Path("1.3", "status", p.id(rand.N(p.count())), "nootp")
	date := time.Now().UTC().Format(api.DateLayout)
	signature := api.Sign(api.Credentials{ID: p.app.ID, Secret: p.app.Secret}, http.MethodGet, path, nil, nil, date)
	end := "\r\n\r\n"
	if !m.keep {
		end = "\r\nConnection: close\r\n\r\n"
	}
	return "GET " + path + " HTTP/1.1\r\nHost: " + to.address + "\r\nUser-Agent: " + userAgent + "\r\n" +
		api.HeaderDate + ": " + date + "\r\n" + api.HeaderAuthorization + ": " + signature + end
}

// readOpen reads one answer, which must be that the latch is open.
func readOpen(in *bufio.Reader) error {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if !strings.Contains(string(body), `"status":"on"`) {
		return fmt.Errorf("the server answered %d: %q", resp.StatusCode, body)
	}
	return nil
}

// processorTime is what a process has used so far, in the kernel's ticks of 10 ms (proc(5), utime and stime).
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is %q", pid, text)
	}
	user, failed := strconv.ParseInt(fields[11], 10, 64)
	system, also := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(failed, also)
}
