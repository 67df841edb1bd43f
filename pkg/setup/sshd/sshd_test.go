package sshd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigurations goes through configurations of real machines, with what sshd -T prints about each and the right answers:
// what the drop-in must say, without and with a code, and which PAM services sshd uses.
func TestConfigurations(t *testing.T) {
	cases, err := filepath.Glob("testdata/*/*/want")
	if err != nil || len(cases) < 10 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, file := range cases {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			state, err := Load(t.Context(), recorded(t, dir), Files{Root: dir})
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(strings.TrimSpace(string(want)), "\n") {
				switch what, right, _ := strings.Cut(line, " "); what {
				case "plain":
					judge(t, state, NoCode, right)
				case "code":
					judge(t, state, WantedCode, right)
				case "services":
					if got := strings.Join(state.Services(), " "); got != right {
						t.Errorf("the PAM services are %q, want %q", got, right)
					}
				case "remedy", "install": // are tried with a real sshd
				default:
					t.Errorf("what is %q?", line)
				}
			}
		})
	}
}

// recorded is an sshd -T that prints what is on file.
func recorded(t *testing.T, dir string) Run {
	t.Helper()
	out, err := os.ReadFile(dir + "/sshd-T")
	if err != nil {
		t.Fatal(err)
	}
	return func(context.Context, string, ...string) ([]byte, error) { return out, nil }
}

func judge(t *testing.T, state *State, code Code, right string) {
	t.Helper()
	lines, err := state.Need(code)
	reason, refused := strings.CutPrefix(right, "refused: ")
	var obstacle *Obstacle
	switch {
	case refused:
		if !errors.As(err, &obstacle) || !strings.Contains(err.Error(), reason) || obstacle.Remedy == "" {
			t.Errorf("%v: %q, %v; want %q", code, lines, err, reason)
		}
	case err != nil || right != "nothing" && strings.Join(lines, "; ") != right || right == "nothing" && lines != nil:
		t.Errorf("%v: %q, %v; want %q", code, lines, err, right)
	}
}

// TestUnreadableInclude: what cannot be read may keep passwords out.
func TestUnreadableInclude(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(dir+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() error {
		_, err := Load(t.Context(), recorded(t, "testdata/any/debian"), Files{Root: dir})
		return err
	}
	write(configFile, "Include x.conf missing.conf missing/*\n")
	if err := os.Symlink("nowhere", dir+configDir+"/x.conf"); err != nil {
		t.Fatal(err)
	}
	if err := load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to nowhere: %v", err)
	}
	write(configFile, "Include sshd_config\n")
	if err := load(); err == nil || !strings.Contains(err.Error(), "too deep") {
		t.Errorf("a file that includes itself: %v", err)
	}
	write(configFile, "Include [\n")
	if err := load(); err == nil {
		t.Error("a pattern that is none")
	}
	if err := os.Remove(dir + configFile); err != nil {
		t.Fatal(err)
	}
	write(vendorFile, "Match User ana\n")
	if state, err := Load(t.Context(), recorded(t, "testdata/any/debian"), Files{Root: dir}); err != nil || len(state.Blocks) != 1 {
		t.Errorf("the vendor's file: %v %v", state, err)
	}
}

// TestBlocksThatWouldOpen judges Match blocks of sshd against the settings outside of them.
func TestBlocksThatWouldOpen(t *testing.T) {
	type set = map[string]string
	for name, c := range map[string]struct {
		before set
		on     bool
		blocks []set
		want   bool
	}{
		"nothing said":            {set{password: "yes"}, true, []set{{"x11forwarding": "no"}}, false},
		"passwords kept out":      {set{password: "yes"}, true, []set{{password: "no"}}, true},
		"and the other too":       {set{password: "yes"}, true, []set{{password: "no", interactive: "no"}}, false},
		"the method stays off":    {set{password: "yes"}, false, []set{{password: "no"}}, false},
		"another block has it":    {set{password: "yes"}, false, []set{{password: "no"}, {interactive: "yes"}}, true},
		"it has it itself":        {set{password: "no"}, false, []set{{interactive: "yes"}}, true},
		"behind a key":            {set{password: "yes"}, true, []set{{password: "no", methods: "publickey,keyboard-interactive"}}, false},
		"behind a key everywhere": {set{password: "yes", methods: "publickey"}, true, []set{{password: "no"}}, false},
		"but not for these":       {set{password: "no", methods: "publickey"}, true, []set{{methods: "any"}}, true},
		"open already":            {set{password: "no", usePAM: "yes"}, true, []set{{interactive: "yes"}}, false},
	} {
		s := &State{Set: c.before}
		for _, b := range c.blocks {
			s.Blocks = append(s.Blocks, &Block{Where: "there", set: b})
		}
		if _, found := s.opened(c.on); found != c.want {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestWords(t *testing.T) {
	for line, want := range map[string]string{
		"  PasswordAuthentication = no # why":       "passwordauthentication|no",
		"Include\t\"/etc/x/*.conf\" b":              "include|/etc/x/*.conf|b",
		`Match User "domain users",bob Group='a b'`: "match|User|domain users,bob|Group=a b",
		`Match User ana\ b "c\"d"`:                  "match|User|ana b|c\"d",
		"Banner /etc/a#b":                           "banner|/etc/a#b",
		"UsePAM=no":                                 "usepam|no",
		"# UsePAM no":                               "",
		"#UsePAM no":                                "",
		"UsePAM":                                    "",
		"UsePAM # no":                               "",
		"":                                          "",
	} {
		keyword, values := words(line)
		if got := strings.Join(append([]string{keyword}, values...), "|"); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// TestFirst names a file that sshd reads before those that are there, and sshd's own where it includes none.
func TestFirst(t *testing.T) {
	dir := t.TempDir()
	s := &State{files: Files{Root: dir}}
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(dir+dropInDir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(configFile, "Include sshd_config.d/*.conf\n")
	for _, c := range []struct{ there, want string }{
		{"50-redhat.conf", "00-methods.conf"}, {"00-a.conf", "00--methods.conf"}, {"00-0-a.conf", "00--methods.conf"}, {"0-a.conf", "0--methods.conf"},
	} {
		put(dropInDir+"/"+c.there, "")
		if got := s.First("A b", "C d"); !strings.HasPrefix(got, "printf '%s\\n' 'A b' 'C d' >"+dropInDir+"/"+c.want+" && /usr/sbin/sshd -t && kill -HUP") {
			t.Errorf("beside %s: %s", c.there, got)
		}
	}
	put(configFile, "UsePAM yes\nInclude sshd_config.d/*.conf\n")
	if got := s.First("A b"); !strings.Contains(got, "cat "+configFile) || strings.Contains(got, dropInDir) {
		t.Error(got)
	}
}
