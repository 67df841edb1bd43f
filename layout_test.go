// Package latch_test holds the rules of the source tree that no single package can check: who may
// import what, and the form that every package keeps. A broken rule is a failing build.
package latch_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/latch-linux/latch"

// homes says where each third-party module may be imported. One home each keeps a dependency
// replaceable; the programs in cmd/ and the harness in pam/ wire things together and are named.
var homes = map[string][]string{
	"github.com/aymanbagabas/go-udiff":      {"pkg/setup/installer"},
	"github.com/boombuler/barcode":          {"pkg/otp"},
	"github.com/creack/pty":                 {"pam/", "e2e/", "pkg/cli", "cmd/latch"},
	"github.com/go-webauthn/webauthn":       {"pkg/server/pages"},
	"github.com/hashicorp/go-retryablehttp": {"pkg/client"},
	"github.com/msteinert/pam/v2":           {"pam/", "e2e/", "cmd/latch-probe"},
	"github.com/pires/go-proxyproto":        {"pkg/server/httpapi"},
	"github.com/pquerna/otp":                {"pkg/otp"},
	"github.com/spf13/cobra":                {"cmd/latch", "cmd/latch-server", "pkg/cli", "pkg/cli/manual"},
	"github.com/spf13/pflag":                {"pkg/cli/manual"},
	"github.com/wneessen/go-mail":           {"pkg/server/notify"},
	"google.golang.org/protobuf":            {"pkg/otp/otpfile"},
	"golang.org/x/crypto/argon2":            {"pkg/server/password"},
	"golang.org/x/crypto/acme":              {"pkg/server/httpapi"},
	"golang.org/x/crypto/chacha20poly1305":  {"pkg/seal"},
	"golang.org/x/crypto/cryptobyte":        {"pkg/client"},
	"golang.org/x/net/dns/dnsmessage":       {"pkg/client/pollnet"},
	"golang.org/x/sys/unix":                 {"pkg/client/pollnet", "pkg/host/laststate", "pkg/host/securefile", "pkg/cli", "pam/", "e2e/"},
	"golang.org/x/text":                     {"pkg/host/pairings"},
	"gopkg.in/ini.v1":                       {"pkg/host/config"},
	"modernc.org/sqlite":                    {"pkg/server/store"},
}

// pure lists the packages that decide: they get facts and a clock handed in and reach for nothing.
var pure = []string{"pkg/host/policy", "pkg/host/login"}

// impure lists the standard library's doors to the outside.
var impure = []string{"bufio", "crypto/tls", "database/sql", "io/fs", "io/ioutil", "log", "log/slog", "log/syslog",
	"net", "net/http", "os", "os/exec", "os/signal", "os/user", "path/filepath", "syscall"}

// shared lists the packages of pkg/ that every wing may import.
var shared = []string{"api", "atomicfile", "cli", "client", "inifile", "otp", "seal", "textsafe", "version"}

// below lists, for each wing of pkg/, the wings that it may import.
var below = map[string][]string{
	"shared": {"shared"},
	"host":   {"shared", "host"},
	"setup":  {"shared", "host", "setup"},
	"server": {"shared", "server"},
}

// listed is the part of `go list -json` that the rules look at.
type listed struct {
	ImportPath                         string
	Dir                                string
	Deps                               []string
	Imports, TestImports, XTestImports []string
	GoFiles, CgoFiles                  []string
}

func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Deps,Imports,TestImports,XTestImports,GoFiles,CgoFiles", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]listed{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("go list's answer: %v", err)
		}
		found[strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")] = p
	}
	if len(found) < 5 {
		t.Fatalf("go list found only %d packages", len(found))
	}
	return found
}

// TestDecidersReachForNothing keeps pkg/host/policy and pkg/host/login free of I/O and of third-party code, tests excepted.
func TestDecidersReachForNothing(t *testing.T) {
	all := packages(t)
	for _, name := range pure {
		p, ok := all[name]
		if !ok {
			t.Errorf("%s is gone", name)
		}
		for _, imp := range p.Imports {
			if slices.Contains(impure, imp) || isThirdParty(imp) {
				t.Errorf("%s imports %s", name, imp)
			}
		}
		for _, dep := range p.Deps {
			if isThirdParty(dep) && !strings.HasPrefix(dep, "vendor/") {
				t.Errorf("%s depends on %s", name, dep)
			}
		}
	}
}

// TestThirdPartyHasOneHome finds a module that is imported outside its home, or that has none.
func TestThirdPartyHasOneHome(t *testing.T) {
	seen := map[string]bool{}
	for name, p := range packages(t) {
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if !isThirdParty(imp) {
				continue
			}
			home, allowed := homeOf(imp)
			seen[home] = true
			if !slices.ContainsFunc(allowed, func(dir string) bool { return within(name, dir) }) {
				t.Errorf("%s imports %s, whose home is %v", name, imp, allowed)
			}
		}
	}
	for home := range homes {
		if !seen[home] {
			t.Errorf("%s has a home and nobody imports it", home)
		}
	}
}

// TestImportsGoDownwards holds the wings apart: a login must not pull in what sets machines up, and a defect on the
// host's side must not become a matching defect in the server.
func TestImportsGoDownwards(t *testing.T) {
	for name, p := range packages(t) {
		wing := wingOf(name)
		if wing == "" {
			if strings.HasPrefix(name, "pkg/") {
				t.Errorf("%s belongs to no wing: %v", name, slices.Sorted(maps.Keys(below)))
			}
			continue
		}
		for _, imp := range p.Imports {
			own, ok := strings.CutPrefix(imp, module+"/")
			if ok && !slices.Contains(below[wing], wingOf(own)) {
				t.Errorf("%s imports %s; %s may import %v", name, own, wing, below[wing])
			}
		}
	}
}

// wingOf returns the wing of a package: host, setup, server or shared; "" for what is outside pkg/.
func wingOf(name string) string {
	dir, ok := strings.CutPrefix(name, "pkg/")
	if !ok {
		return ""
	}
	top, _, _ := strings.Cut(dir, "/")
	switch {
	case slices.Contains(shared, top):
		return "shared"
	case below[top] != nil && top != "shared":
		return top
	}
	return ""
}

// TestAuthenticatorIsPureGo keeps cgo, and with it a dynamic loader and libc's resolver, out of
// everything but pam/.
func TestAuthenticatorIsPureGo(t *testing.T) {
	for name, p := range packages(t) {
		if len(p.CgoFiles) > 0 && !within(name, "pam/") {
			t.Errorf("%s uses cgo in %v", name, p.CgoFiles)
		}
	}
}

// TestPackagesSayWhatTheyAre wants exactly one package comment per package and no drawer for leftovers.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	for name, p := range packages(t) {
		for _, part := range strings.Split(name, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "misc"}, part) {
				t.Errorf("%s: a package is named for what it holds", name)
			}
		}
		var comments []string
		for _, file := range slices.Concat(p.GoFiles, p.CgoFiles) {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Doc != nil {
				comments = append(comments, file)
			}
		}
		if len(slices.Concat(p.GoFiles, p.CgoFiles)) > 0 && len(comments) != 1 {
			t.Errorf("%s has %d package comments: %v", name, len(comments), comments)
		}
	}
}

// TestFilesStaySmall keeps every source file within what one reading holds.
func TestFilesStaySmall(t *testing.T) {
	const limit = 500
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "build" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".c" && ext != ".h" && ext != ".sh" {
			return nil
		}
		if n, err := countLines(path); err != nil {
			return err
		} else if n > limit {
			t.Errorf("%s has %d lines, the limit is %d", path, n, limit)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoProgramIsTracked finds what go build leaves in the tree and git add takes along.
func TestNoProgramIsTracked(t *testing.T) {
	if _, err := os.Stat(".git"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this copy of the tree has no .git")
	}
	// A tree that belongs to another user, as one that a container was given, is looked at too.
	out, err := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		f, err := os.Open(file)
		if err != nil {
			t.Error(err)
			continue
		}
		magic := make([]byte, 4)
		if n, _ := io.ReadFull(f, magic); n == 4 && string(magic) == "\x7fELF" {
			t.Errorf("%s is a program", file)
		}
		f.Close()
	}
}

func countLines(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := 0
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		n++
	}
	return n, scanner.Err()
}

func isThirdParty(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") && !strings.HasPrefix(path, module)
}

// homeOf returns the longest prefix of path that homes knows; an unknown module has no home.
func homeOf(path string) (string, []string) {
	best := path
	for home := range homes {
		if (path == home || strings.HasPrefix(path, home+"/")) && (best == path || len(home) > len(best)) {
			best = home
		}
	}
	return best, homes[best]
}

// within reports whether the package is dir, or lies below it where dir ends in a slash.
func within(name, dir string) bool {
	if dir == "" {
		return false
	}
	if strings.HasSuffix(dir, "/") {
		return strings.HasPrefix(name+"/", dir)
	}
	return name == dir
}
