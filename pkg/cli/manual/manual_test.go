package manual_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli/manual"
	"github.com/latch-linux/latch/pkg/host/config"
)

// sample has everything that a help text may hold.
func sample() *cobra.Command {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "door", Short: "a door", Long: "door opens.\n\n  literal \\ line\n  .TH\n\n'quoted' and …\n\nExit status: 0 or 1.", Run: run}
	root.PersistentFlags().Bool("json", false, "print `JSON`")
	sub := &cobra.Command{Use: "shut NAME...", Aliases: []string{"close"}, Short: "shut it", Long: "shut shuts.", Example: "  door shut front", Run: run}
	sub.Flags().StringP("key", "k", "brass", "the `key` to use")
	root.AddCommand(sub, &cobra.Command{Use: "secret", Hidden: true, Run: run})
	return root
}

var edition = manual.Edition{Version: "1.2", Date: time.Unix(86400, 0), See: []string{"wall(5)"}}

func TestPage(t *testing.T) {
	root := sample()
	for _, c := range []struct {
		page string
		want []string
	}{
		{manual.Page(root, edition), []string{".TH DOOR 1 1970-01-02 \"door 1.2\"\n", "door \\- a door\n", ".B door\n[OPTION...] COMMAND\n",
			".nf\nliteral \\e line\n\\&.TH\n.fi\n", "\n\\&'quoted' and ...\n", ".SH EXIT STATUS\n0 or 1.\n", ".BR door\\-shut (1)\nshut it\n",
			".BR wall (5)\n"}},
		{manual.Page(root.Commands()[1], edition), []string{".B door shut\n[OPTION...] NAME... (also called close)\n",
			"\\fB\\-k\\fP, \\fB\\-\\-key\\fP \\fIkey\\fP\nthe key to use (default brass)\n", ".SH GLOBAL OPTIONS\n.TP\n\\fB\\-\\-json\\fP",
			".SH EXAMPLES\n.RS 4\n.nf\ndoor shut front\n", ".BR door (1),\n.BR wall (5)\n"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.page, want) {
				t.Errorf("no %q in\n%s", want, c.page)
			}
		}
		if strings.Contains(c.page, "secret") {
			t.Errorf("a hidden command stands in\n%s", c.page)
		}
	}
}

func TestWriteMakesTheSameTwice(t *testing.T) {
	read := func() map[string]string {
		dir := t.TempDir()
		if err := manual.Write(sample(), dir, edition); err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, name := range []string{"man1/door.1", "man1/door-shut.1", "bash/door", "zsh/_door", "fish/door.fish"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || len(text) == 0 {
				t.Errorf("%s: %v", name, err)
			}
			all[name] = string(text)
		}
		lint(t, filepath.Join(dir, "man1"))
		return all
	}
	first, second := read(), read()
	for name := range first {
		if first[name] != second[name] {
			t.Errorf("%s differs", name)
		}
	}
}

// lint has mandoc and groff read all pages of a directory.
func lint(t *testing.T, dir string) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(dir, "*.[158]"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no page in %s: %v", dir, err)
	}
	for _, tool := range [][]string{{"mandoc", "-T", "lint", "-W", "warning"}, {"groff", "-man", "-ww", "-z"}} {
		if out, err := exec.Command(tool[0], append(tool[1:], pages...)...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", tool[0], err, out)
		}
	}
}

// The pages of this product, as make built them.
func TestBuiltPagesHaveNoError(t *testing.T) {
	for _, dir := range []string{"../../../build/docs/man1", "../../../build/docs"} {
		lint(t, dir)
	}
}

func TestPagesWrittenByHandNameEverything(t *testing.T) {
	conf, err := os.ReadFile("../../../docs/man/latch.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := described(string(conf)), config.Keys(); !slices.Equal(got, want) {
		t.Errorf("latch.conf.5 describes %q\nwant %q", got, want)
	}
	module, err := os.ReadFile("../../../docs/man/pam_latch.8")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := described(string(module)), config.ArgNames(); !slices.Equal(got, want) {
		t.Errorf("pam_latch.8 describes %q\nwant %q", got, want)
	}
}

// described lists the names in lower case that a page explains: what stands in bold behind .TP, sorted.
func described(page string) []string {
	var names []string
	lines := strings.Split(page, "\n")
	for i, line := range lines[1:] {
		if lines[i] != ".TP" {
			continue
		}
		for _, word := range strings.Fields(line)[1:] {
			name, _, _ := strings.Cut(strings.Trim(word, `",`), "=")
			if name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == "" && strings.HasPrefix(line, ".B") &&
				!slices.Contains([]string{"file", "mode", "name", "yes", "openvpn"}, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
