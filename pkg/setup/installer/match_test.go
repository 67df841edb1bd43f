package installer

import "testing"

// TestBlocksThatWouldOpen judges Match blocks of sshd against the settings outside of them.
func TestBlocksThatWouldOpen(t *testing.T) {
	const (
		password    = "passwordauthentication"
		interactive = "kbdinteractiveauthentication"
		methods     = "authenticationmethods"
	)
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
		"open already":            {set{password: "no", "usepam": "yes"}, true, []set{{interactive: "yes"}}, false},
	} {
		var blocks []*block
		for _, b := range c.blocks {
			blocks = append(blocks, &block{"there", b})
		}
		if _, found := opened(blocks, c.before, c.on); found != c.want {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestWordsOfSSHD(t *testing.T) {
	for line, want := range map[string]string{"  PasswordAuthentication = no # why": "passwordauthentication no", "Include\t\"/etc/x/*.conf\" b": "include /etc/x/*.conf b",
		"# UsePAM no": "", "UsePAM": "", "": ""} {
		keyword, values := sshdWords(line)
		got := keyword
		for _, v := range values {
			got += " " + v
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
