package sudo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServices reads what sudo and cvtsudoers printed on real machines.
func TestServices(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/want")
	if err != nil || len(cases) < 4 {
		t.Fatalf("%q %v", cases, err)
	}
	for _, file := range cases {
		dir := filepath.Dir(file)
		run := func(_ context.Context, name string, args ...string) ([]byte, error) {
			if name == "env" {
				return os.ReadFile(dir + "/sudo-V")
			}
			if args[len(args)-1] != "/etc/sudoers" {
				t.Errorf("%s %q", name, args)
			}
			return os.ReadFile(dir + "/cvtsudoers.json")
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Services(t.Context(), run)
		if err != nil || strings.Join(got, "\n") != strings.TrimSpace(string(want)) {
			t.Errorf("%s: %q %v, want %q", dir, got, err, want)
		}
	}
}

func TestWithoutSudo(t *testing.T) {
	for _, c := range []struct {
		err  error
		told bool
	}{{fs.ErrNotExist, false}, {errors.New("exit status 127: env: 'sudo': No such file or directory"), false}, {errors.New("exit status 1"), true}} {
		got, err := Services(t.Context(), func(context.Context, string, ...string) ([]byte, error) { return nil, c.err })
		if strings.Join(got, " ") != "sudo sudo-i" || (err != nil) != c.told {
			t.Errorf("%v: %q %v", c.err, got, err)
		}
	}
}
