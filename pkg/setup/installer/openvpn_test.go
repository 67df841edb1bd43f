package installer

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/latch-linux/latch/pkg/setup/openvpn"
)

// TestVPNServiceFile makes OpenVPN's service file on the stacks of distributions, which have none. Where every place in
// the auth phase is one that a wrong password reaches, the account phase asks, which the plugin runs too.
func TestVPNServiceFile(t *testing.T) {
	const (
		auth    = "auth       required     pam_latch.so profile=openvpn"
		account = "account    required     pam_latch.so profile=openvpn"
	)
	debian := []string{"@include common-auth", auth, account, "@include common-account"}
	system := []string{"auth       include      system-auth", auth, account, "account    include      system-auth"}
	redhat := []string{"auth       substack     system-auth", account, "account    include      system-auth"}
	for name, c := range map[string]struct {
		dirs  []string
		lines []string
	}{
		"debian12":      {[]string{"debian12"}, debian},
		"ubuntu2404":    {[]string{"ubuntu2404"}, debian},
		"arch":          {[]string{"arch"}, system},
		"fedora-local":  {[]string{"fedora", "fedora/authselect-local"}, redhat},
		"fedora-sssd":   {[]string{"fedora", "fedora/authselect-sssd"}, redhat},
		"rhel9-sssd":    {[]string{"rhel9", "rhel9/authselect-sssd"}, redhat},
		"rhel9-minimal": {[]string{"rhel9", "rhel9/authselect-minimal"}, redhat},
		"opensuse":      {[]string{"opensuse"}, []string{"auth       include      common-auth", account, "account    include      common-account"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := System{}
			for _, dir := range c.dirs {
				s.PamDirs = append(s.PamDirs, filepath.Join("../../../testdata/pam.d", dir))
			}
			p, err := s.Plan(openvpn.Service, Options{})
			if err != nil {
				t.Fatal(err)
			}
			_, lines, _ := strings.Cut(strings.TrimSuffix(string(p.After), "\n"), "\n") // the first says whose the file is
			if want := strings.Join(c.lines, "\n"); lines != want {
				t.Errorf("%s\nwant\n%s\n%q", lines, want, p.Notes)
			}
			if p.Before != nil {
				t.Errorf("something was there: %s", p.Before)
			}
		})
	}
}
