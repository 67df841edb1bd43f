package packages

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

var (
	kinds  = []string{"deb", "rpm"}
	other  = map[string]string{"amd64": "arm64", "arm64": "amd64"}
	arches = []string{runtime.GOARCH, other[runtime.GOARCH]} // the first is that of the machine

	rpmArch  = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
)

// file is where a package lies.
func file(kind, arch, name, version string) string {
	if kind == "deb" {
		return filepath.Join(made(version), name+"_"+version+"_"+arch+".deb")
	}
	return filepath.Join(made(version), name+"-"+version+"-1."+rpmArch[arch]+".rpm")
}

// unpack lays out the files of all packages of a kind in a directory.
func unpack(t *testing.T, kind, arch string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if kind == "deb" {
			mustTool(t, "dpkg-deb", "-x", file(kind, arch, name, bed.version), dir)
		} else {
			mustTool(t, "sh", "-c", `rpm2archive - <"$1" | tar -xzf - -C "$2"`, "sh", file(kind, arch, name, bed.version), dir)
		}
	}
	return dir
}

// listed is every path below a directory that is none itself.
func listed(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			paths = append(paths, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// oldest finds the version of a library that the README promises to run with.
func oldest(t *testing.T, library string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(bed.root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(regexp.QuoteMeta(library)+` (\d+\.\d+) or newer`).FindAllSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("the README says %d times which %s is the oldest", len(found), library)
	}
	return string(found[0][1])
}

// TestPrograms holds every program of every package to the machine and to the libraries that it is for. A sample has the
// .deb packages for this machine and the .rpm packages for the other one.
func TestPrograms(t *testing.T) {
	t.Parallel()
	limits := map[string]string{"GLIBC": oldest(t, "glibc"), "LIBPAM": oldest(t, "Linux-PAM")}
	for _, c := range fixture.Sample([][2]string{{"deb", arches[0]}, {"rpm", arches[0]}, {"rpm", arches[1]}, {"deb", arches[1]}}, 2) {
		kind, arch := c[0], c[1]
		dir := unpack(t, kind, arch)
		seen := map[string]bool{}
		for _, path := range listed(t, dir) {
			program, err := elf.Open(dir + path)
			if err != nil {
				continue // no program
			}
			seen[filepath.Base(path)] = true
			if program.Machine != machines[arch] {
				t.Errorf("%s %s: %s is for %v", kind, arch, path, program.Machine)
			}
			for _, problem := range tooNew(program, limits) {
				t.Errorf("%s %s: %s %s", kind, arch, path, problem)
			}
			program.Close()
		}
		for _, want := range []string{"pam_latch.so", "latch-auth", "latch-probe", "latch", "latch-server"} {
			if !seen[want] {
				t.Errorf("%s %s: no program %s", kind, arch, want)
			}
		}
	}
}

// tooNew lists what a program wants of libraries beyond the limits, which are by the first word of the versions' names
// (GLIBC_2.34, LIBPAM_MODUTIL_1.0).
func tooNew(program *elf.File, limits map[string]string) (problems []string) {
	symbols, err := program.ImportedSymbols()
	if err != nil {
		return nil // static
	}
	for _, s := range symbols {
		if s.Version == "" {
			continue
		}
		family, _, _ := strings.Cut(s.Version, "_")
		version := s.Version[strings.LastIndex(s.Version, "_")+1:]
		if limit, known := limits[family]; !known || newer(version, limit) {
			problems = append(problems, fmt.Sprintf("needs %s of %s, and the README promises %s", s.Version, s.Library, limit))
		}
	}
	return problems
}

// newer tells whether a version such as 2.3.4 is above another one such as 2.34. A word is above every number.
func newer(version, than string) bool {
	var a, b [3]int
	if _, err := fmt.Sscanf(version+".0.0", "%d.%d.%d", &a[0], &a[1], &a[2]); err != nil {
		return true
	}
	if _, err := fmt.Sscanf(than+".0.0", "%d.%d.%d", &b[0], &b[1], &b[2]); err != nil {
		return true
	}
	return slices.Compare(a[:], b[:]) > 0
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		version, than string
		want          bool
	}{
		{"2.34", "2.34", false}, {"2.3.4", "2.34", false}, {"2.35", "2.34", true}, {"2.34.1", "2.34", true},
		{"2.9", "2.34", false}, {"3.0", "2.34", true}, {"PRIVATE", "2.34", true},
	} {
		if got := newer(c.version, c.than); got != c.want {
			t.Errorf("%s newer than %s: %v", c.version, c.than, got)
		}
	}
}

// TestDependencies holds what the packages demand to what the README promises, and this test's Debian too.
func TestDependencies(t *testing.T) {
	glibc, libpam := oldest(t, "glibc"), oldest(t, "Linux-PAM")
	depends := strings.Split(mustTool(t, "dpkg-deb", "-f", file("deb", arches[0], "libpam-latch", bed.version), "Depends"), ", ")
	requires := strings.Split(mustTool(t, "rpm", "-qp", "--requires", file("rpm", arches[0], "libpam-latch", bed.version)), "\n")
	for _, want := range []string{"latch (= " + bed.version + ")", "libc6 (>= " + glibc + ")", "libpam0g (>= " + libpam + ")"} {
		if !slices.Contains(depends, want) && !slices.Contains(depends, want+"\n") {
			t.Errorf("the .deb does not depend on %s: %q", want, depends)
		}
	}
	for _, want := range []string{"latch = " + bed.version, "libc.so.6(GLIBC_" + glibc + ")(64bit)", "pam >= " + libpam} {
		if !slices.Contains(requires, want) {
			t.Errorf("the .rpm does not require %s: %q", want, requires)
		}
	}
	release, err := os.ReadFile(bed.minimal + "/etc/debian_version")
	if err != nil {
		t.Fatal(err)
	}
	major, _, _ := strings.Cut(string(release), ".")
	readme, err := os.ReadFile(filepath.Join(bed.root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "Debian "+major) {
		t.Errorf("the README does not name Debian %s, on which this is tested", major)
	}
}

// place names files alike that Debian and Fedora keep in different places.
func place(path string) string {
	path = regexp.MustCompile(`^/usr/(lib64|lib/[a-z0-9_]+-linux-gnu)/security/`).ReplaceAllString(path, "MODULES/")
	return strings.Replace(path, "/zsh/vendor-completions/", "/zsh/site-functions/", 1)
}

// TestFiles compares what the two kinds install, and looks for what has no place in a package.
func TestFiles(t *testing.T) {
	t.Parallel()
	// What only one kind has.
	own := regexp.MustCompile(`/changelog\.gz$|^/usr/share/(lintian|licenses|selinux)/`)
	var first []string
	for _, kind := range kinds {
		dir := unpack(t, kind, arches[0])
		var places []string
		for _, path := range listed(t, dir) {
			if !strings.HasPrefix(path, "/usr/") || strings.HasPrefix(path, "/usr/local/") {
				t.Errorf("%s: %s is in a package", kind, path)
			}
			if strings.HasPrefix(path, "/usr/share/man/") && !strings.HasSuffix(path, ".gz") {
				t.Errorf("%s: %s is not compressed", kind, path)
			}
			if _, err := os.Stat(dir + path); err != nil {
				t.Errorf("%s: a link leads nowhere: %v", kind, err)
			}
			if !own.MatchString(path) {
				places = append(places, place(path))
			}
		}
		for _, name := range names {
			text, err := os.ReadFile(filepath.Join(dir, "usr/share/doc", name, "copyright"))
			if err != nil || !strings.Contains(string(text), "Copyright") || !strings.Contains(string(text), "-- golang.org/x/sys") {
				t.Errorf("%s: the licences of %s: %v", kind, name, err)
			}
		}
		slices.Sort(places)
		if first == nil {
			first = places
		} else if !slices.Equal(first, places) {
			t.Errorf("%s has\n%q\n%s has\n%q", kinds[0], first, kind, places)
		}
	}
}

func TestLintian(t *testing.T) {
	t.Parallel()
	args := []string{"--fail-on", "error,warning"}
	for _, name := range names {
		args = append(args, file("deb", arches[0], name, bed.version))
	}
	if out := mustTool(t, "lintian", args...); strings.Contains(out, ": ") && !strings.HasPrefix(out, "running with root") {
		t.Errorf("lintian says\n%s", out)
	}
}

// TestReproducible compares with the packages that prepare made once more, in another folder.
func TestReproducible(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, name := range names {
			path := file(kind, arches[0], name, bed.version)
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join(bed.root, "build", "test", "again", filepath.Base(path)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is not the same again: %d and %d bytes, %v", path, len(want), len(got), err)
			}
		}
	}
}
