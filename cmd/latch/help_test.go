package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/version"
)

var update = flag.Bool("update", false, "write testdata/help anew")

// commands returns every command with its words behind "latch".
func commands(c *cobra.Command, words ...string) map[string][]string {
	all := map[string][]string{strings.ReplaceAll(c.CommandPath(), " ", "-"): words}
	for _, sub := range c.Commands() {
		for name, below := range commands(sub, append(words[:len(words):len(words)], sub.Name())...) {
			all[name] = below
		}
	}
	return all
}

// TestHelp pins every help text. After a change of one run go test ./cmd/latch -run TestHelp -update.
func TestHelp(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join("testdata", "help")
	root := newRoot(&app{})
	root.InitDefaultHelpCmd()
	all := commands(root)
	for name, words := range all {
		o := w.bare(append(words, "--help")...)
		exits := cli.ExitHelp
		if name == "latch-doctor" {
			exits = "Exit status, as monitoring plugins have it" // the one exception
		}
		if o.status != cli.ExitOK || o.err != "" || !strings.Contains(o.out, exits) {
			t.Errorf("latch %q --help: %v", words, o)
		}
		if other := w.bare(append([]string{"help"}, words...)...); other != o {
			t.Errorf("latch help %q is another text than --help: %v", words, other)
		}
		if len(words) > 0 && !strings.Contains(o.out, "Examples:") && !strings.Contains(o.out, "Available Commands:") {
			t.Errorf("latch %q --help shows no example", words)
		}
		file := filepath.Join(dir, name+".txt")
		if *update {
			w.must(os.WriteFile(file, []byte(o.out), 0o644))
		}
		if want := w.read(file); o.out != want {
			t.Errorf("latch %q --help is not %s:\n%s", words, file, o.out)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != len(all) {
		t.Errorf("%d texts for %d commands (%v)", len(files), len(all), err)
	}
}

func TestHelpOfWhatIsNot(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{{"help", "nothing"}, {"help", "operation", "nothing"}, {"nothing"}, {"operation", "nothing"}, {"operation"},
		{"status", "extra"}, {"--nothing"}, {"-s", "extra"}, {"pair"}, {"status", "--profile", "other"}} {
		w.fails(cli.ExitUsage, []string{"latch: error: "}, args...)
	}
	if o := w.bare(); o.status != cli.ExitOK || o != w.bare("-h") || o != w.bare("--help") {
		t.Errorf("latch alone: %v", o)
	}
}

func TestVersion(t *testing.T) {
	w := newWorld(t)
	if out := w.ok("version"); out != "latch "+version.String()+"\n" || out != w.ok("-v") || out != w.ok("--version") {
		t.Errorf("printed %q", out)
	}
	if o := w.object(cli.ExitOK, "version"); o["program"] != "latch" || o["release"] != version.String() {
		t.Errorf("printed %v", o)
	}
}

// TestCompletion has the shells read the scripts, where they are installed, and bash complete.
func TestCompletion(t *testing.T) {
	w := newWorld(t)
	for shell, sign := range map[string]string{"bash": "complete -o", "zsh": "#compdef latch", "fish": "complete -c latch"} {
		script := w.ok("completion", shell)
		if !strings.Contains(script, sign) {
			t.Errorf("the script for %s lacks %q", shell, sign)
		}
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		file := filepath.Join(t.TempDir(), "script")
		w.write(file, script)
		if out, err := exec.Command(shell, "-n", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s -n: %v, %s", shell, err, out)
		}
	}
	if o := w.bare("__complete", "operation", "re"); !strings.Contains(o.out, "rename\t") {
		t.Errorf("completing \"operation re\": %v", o)
	}
	w.fails(cli.ExitUsage, nil, "completion", "tcsh")
	w.fails(cli.ExitUsage, nil, "completion")
	if o := w.bare("completion", "bash", "--json"); o.status != cli.ExitUsage {
		t.Errorf("a script as JSON: %v", o)
	}
}
