package pamconf_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/pamconf"
)

var update = flag.Bool("update", false, "rewrite testdata/pam.d/golden")

// stored is testdata/pam.d.
const stored = "../../../testdata/pam.d"

// machines name the directories that libpam would look at, first to last.
var machines = map[string][]string{
	"debian12":      {"debian12", "debian12/usr-lib"},
	"ubuntu2404":    {"ubuntu2404", "ubuntu2404/usr-lib"},
	"fedora-local":  {"fedora", "fedora/authselect-local", "fedora/usr-lib"},
	"fedora-sssd":   {"fedora", "fedora/authselect-sssd", "fedora/usr-lib"},
	"rhel9-sssd":    {"rhel9", "rhel9/authselect-sssd", "rhel9/usr-lib"},
	"rhel9-minimal": {"rhel9", "rhel9/authselect-minimal", "rhel9/usr-lib"},
	"opensuse":      {"opensuse", "opensuse/usr-lib"},
	"arch":          {"arch", "arch/usr-lib"},
}

// dirs is a pamconf.Tree of directories below testdata/pam.d.
type dirs []string

func (d dirs) Read(name string) ([]byte, error) {
	for _, dir := range d {
		text, err := os.ReadFile(filepath.Join(stored, dir, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	return nil, fs.ErrNotExist
}

// services lists the files, sorted.
func (d dirs) services(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, dir := range d {
		entries, err := os.ReadDir(filepath.Join(stored, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d dirs) file(t *testing.T, name string) *pamconf.File {
	t.Helper()
	text, err := d.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	return pamconf.Parse(name, text)
}

// TestGolden compares what Insert makes of every service of every distribution with what somebody read and approved.
func TestGolden(t *testing.T) {
	for _, machine := range slices.Sorted(maps.Keys(machines)) {
		t.Run(machine, func(t *testing.T) {
			tree := dirs(machines[machine])
			var got strings.Builder
			for _, service := range tree.services(t) {
				f := tree.file(t, service)
				for _, phase := range []pamconf.Phase{pamconf.Auth, pamconf.Account} {
					fmt.Fprintf(&got, "== %s %s\n%s", service, phase, shown(t, f, phase, tree))
				}
			}
			path := filepath.Join(stored, "golden", machine+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("%s is another now:\n%s", path, hunk(want, []byte(got.String())))
			}
		})
	}
}

// shown is what golden files keep about one phase of a service.
func shown(t *testing.T, f *pamconf.File, phase pamconf.Phase, tree pamconf.Tree) string {
	t.Helper()
	after, findings, err := pamconf.Insert(f, phase, tree, nil)
	if err != nil {
		t.Fatalf("%s %s: %v", f.Name, phase, err)
	}
	if after != nil {
		return hunk(f.Bytes(), after.Bytes())
	}
	var all strings.Builder
	for _, finding := range findings {
		fmt.Fprintf(&all, "no place: %v\n", finding)
	}
	// Who demands a code takes what comes with it.
	if after, _, err = pamconf.Insert(f, phase, tree, []string{"otp=yes"}, pamconf.ReachedWithoutPassword); err != nil {
		t.Fatal(err)
	}
	if phase == pamconf.Auth && after != nil {
		fmt.Fprintf(&all, "where guesses may reach it:\n%s", hunk(f.Bytes(), after.Bytes()))
	}
	return all.String()
}

// hunk shows what lies between the common beginning and the common end of two texts, with three lines around it.
func hunk(before, after []byte) string {
	a, b := bytes.SplitAfter(before, []byte("\n")), bytes.SplitAfter(after, []byte("\n"))
	head := 0
	for head < min(len(a), len(b)) && bytes.Equal(a[head], b[head]) {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && bytes.Equal(a[len(a)-1-tail], b[len(b)-1-tail]) {
		tail++
	}
	var out strings.Builder
	put := func(mark string, lines [][]byte) {
		for _, line := range lines {
			if len(line) > 0 {
				fmt.Fprintf(&out, "%s%s\n", mark, bytes.TrimSuffix(line, []byte("\n")))
			}
		}
	}
	put(" ", a[max(0, head-3):head])
	put("-", a[head:len(a)-tail])
	put("+", b[head:len(b)-tail])
	put(" ", a[len(a)-tail:min(len(a), len(a)-tail+3)])
	return out.String()
}
