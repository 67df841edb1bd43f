package manual_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli/manual"
	"github.com/latch-linux/latch/pkg/host/config"
)

func TestMistakes(t *testing.T) {
	root := func() *cobra.Command {
		c := sample()
		c.Args = cobra.NoArgs
		c.Commands()[1].Args = cobra.ExactArgs(1)
		return c
	}
	for line, wrong := range map[string]bool{
		"    door shut front":                     false,
		"    sudo door shut front --json # twice": false,
		"    A=1 /usr/bin/door shut front":        false,
		"    ssh web1 sudo door shut front":       false,
		"    ssh web1 'door shut front' | door":   false,
		"    door shut -k brass $(door shut x)":   false,
		"    door shut \\\n      front":           false,
		"    door shut …   shuts one":             false,
		"    door open …   opens one":             true,
		"    door shut NAME     shut a door":      false,
		"    shutDOOR front":                      false,
		"    shutDOOR front back":                 true,
		"    apt install door":                    false,
		"    door open":                           true,
		"    door shut":                           true,
		"    door shut front back":                true,
		"    door shut front --keys x":            true,
		"    door shut front --json=perhaps":      true,
		"    echo $(door open)":                   true,
		"    true && door open":                   true,
		"    ssh web1 'door open'":                true,
		"    ssh -t web1 sudo door open":          true,
		"    ssh web1":                            false,
		"    ssh -V":                              false,
		"```\ndoor open\n```\n":                   true,
		"Run `door shut`, `door` or `door …`.":    false,
		"Run `door\nshut front`.":                 false,
		"Run `door open`.":                        true,
		"Run `door shut --wrong`.":                true,
		"A ` alone.\n\nRun `door open`.":          true,
		"Text of a door open to all.":             false,
	} {
		found, _ := manual.Mistakes(root, map[string][]string{"shutDOOR": {"shut"}}, line)
		if len(found) > 1 || (len(found) == 1) != wrong {
			t.Errorf("%q: %q", line, found)
		}
	}
}

// pages reads every Markdown file of the tree, by its path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("../../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "build", "node_modules"}, d.Name()) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil || len(all) < 2 {
		t.Fatalf("%d pages: %v", len(all), err)
	}
	return all
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLinksLead follows every link that stays in the tree, to the file and to the heading.
func TestLinksLead(t *testing.T) {
	all := pages(t)
	for page, text := range all {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(match[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", page, err)
			}
			if anchor != "" && !slices.Contains(anchors(all[target]), anchor) {
				t.Errorf("%s: %s has no heading #%s", page, target, anchor)
			}
		}
	}
}

// anchors are the names by which headings can be linked to.
func anchors(text string) (all []string) {
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				return r
			}
			return -1
		}, strings.ToLower(match[1])))
	}
	return all
}

// TestREADMENamesEverything compares the README's tables with what the programs read.
func TestREADMENamesEverything(t *testing.T) {
	text := pages(t)["../../../README.md"]
	if got, want := firstColumn(text, "| key |"), append([]string{"operations"}, config.Keys()...); !sameNames(got, want) {
		t.Errorf("the table of keys has %q\nwant %q", got, want)
	}
	if got, want := firstColumn(text, "| module argument |"), config.ArgNames(); !sameNames(got, want) {
		t.Errorf("the table of arguments has %q\nwant %q", got, want)
	}
}

// TestChangesNameTheVersion wants the newest heading of the list of changes to be the version that is built, below what is not
// released yet.
func TestChangesNameTheVersion(t *testing.T) {
	version, err := os.ReadFile("../../../VERSION")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(pages(t)["../../../CHANGELOG.md"], "\n## Unreleased\n", "\n", 1)
	_, newest, _ := strings.Cut(text, "\n## ")
	if newest, _, _ = strings.Cut(newest, "\n"); newest != strings.TrimSpace(string(version)) {
		t.Errorf("CHANGELOG.md begins with %q, VERSION is %q", newest, version)
	}
}

func sameNames(a, b []string) bool {
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

var name = regexp.MustCompile("`\\[?([a-z_]+)")

// firstColumn lists the names between backquotes in the first column of the table that begins with head.
func firstColumn(text, head string) (names []string) {
	_, table, _ := strings.Cut(text, "\n"+head)
	table, _, _ = strings.Cut(table, "\n\n")
	for _, row := range strings.Split(table, "\n")[1:] {
		cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, match := range name.FindAllStringSubmatch(cell, -1) {
			names = append(names, match[1])
		}
	}
	return names
}
