// Command bench measures, side by side in one run, what pam_latch.so adds to a login and how many questions latch-server
// answers, and prints tables in Markdown; docs/benchmarks.md tells how to read them. It needs root, runs on a machine
// of its own (fixture.Isolate), talks to nothing outside it, judges no time, and ends by itself.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/latch-linux/latch/e2e/fixture"
)

// options are what the command line says.
type options struct {
	rounds     int           // logins of each kind in each host
	farRounds  int           // the same over the slow link
	rtt        time.Duration // of the slow link
	accounts   int           // of the large server
	few        int           // of the small one
	seconds    time.Duration // of load in each turn
	turns      int           // of load for each kind
	workers    int           // questions under way at once
	pages      int           // that people look at
	enrolled   int           // users with one-time passwords on the machine with many
	only, temp string
}

func parse() options {
	var o options
	flag.IntVar(&o.rounds, "rounds", 200, "logins of each kind in each host")
	flag.IntVar(&o.farRounds, "far-rounds", 100, "logins of each kind over the slow link")
	flag.DurationVar(&o.rtt, "rtt", 40*time.Millisecond, "round trip time of the slow link")
	flag.IntVar(&o.accounts, "accounts", 1_000_000, "accounts of the large server")
	flag.IntVar(&o.few, "few", 1000, "accounts of the small server")
	flag.DurationVar(&o.seconds, "load", 3*time.Second, "length of one turn of load")
	flag.IntVar(&o.turns, "turns", 5, "turns of load of each kind")
	flag.IntVar(&o.workers, "workers", 32, "questions under way at once")
	flag.IntVar(&o.pages, "pages", 500, "pages that people look at")
	flag.IntVar(&o.enrolled, "enrolled", 10_000, "users with one-time passwords on the machine with many")
	flag.StringVar(&o.only, "only", "", "one part alone: logins, codes, far or server")
	// os.TempDir lies in memory on the isolated machine.
	flag.StringVar(&o.temp, "temp", "/tmp", "directory for the databases, on the disk to be measured")
	flag.Parse()
	parts := []string{"", "logins", "codes", "far", "server"}
	if min(o.rounds, o.farRounds, o.accounts, o.few, o.turns, o.workers, o.pages, o.enrolled-fewEnrolled) < 1 || o.seconds <= 0 || o.rtt < 0 ||
		!slices.Contains(parts, o.only) || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	return o
}

// dirVariable hands the directory on to the isolated machine. Who made it removes it: the machine's processes are killed.
const dirVariable = "LATCH_BENCH_DIR"

func main() {
	o := parse()
	dir, isolated := os.LookupEnv(dirVariable)
	if !isolated {
		var err error
		if dir, err = os.MkdirTemp(o.temp, "latch-bench-"); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %v\n", err)
			os.Exit(1)
		}
		os.Setenv(dirVariable, dir)
		go removeOnSignal(dir)
	}
	code := fixture.Isolate(func() int {
		if err := run(o, dir, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %v\n", err)
			return 1
		}
		return 0
	})
	if !isolated {
		remove(dir)
	}
	os.Exit(code)
}

func run(o options, dir string, out io.Writer) error {
	started := time.Now()
	b, err := newBed(dir, out)
	if err != nil {
		return err
	}
	defer b.server.Stop()
	b.describe()
	parts := []struct {
		name string
		run  func(options) error
	}{{"logins", b.logins}, {"codes", b.codes}, {"far", b.far}, {"server", b.serve}}
	for _, part := range parts {
		if o.only != "" && o.only != part.name {
			continue
		}
		if err := part.run(o); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	b.reached()
	fmt.Fprintf(out, "\n%v in all.\n", time.Since(started).Round(time.Second))
	return nil
}

// removeOnSignal ends an interrupted run; the machine dies with this process.
func removeOnSignal(dir string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	remove(dir)
	os.Exit(130)
}

// remove tries for a second: a server that is being killed may still write.
func remove(dir string) {
	err := os.RemoveAll(dir)
	for range 50 {
		if err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
		err = os.RemoveAll(dir)
	}
	fmt.Fprintf(os.Stderr, "bench: %v\n", err)
}
