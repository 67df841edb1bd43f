package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latch-linux/latch/pkg/cli"
	"github.com/latch-linux/latch/pkg/host/config"
	"github.com/latch-linux/latch/pkg/host/pairings"
	"github.com/latch-linux/latch/pkg/setup/doctor"
	"github.com/latch-linux/latch/pkg/version"
)

func newSupport(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "support", Short: "collect what a maintainer needs to help", Args: cobra.NoArgs,
		Long: `support writes a .tar.gz with the findings of latch doctor, versions, the configuration, the names of
the paired users, the PAM service files, sshd's settings and the latest log lines. It holds what is
on that list and nothing else; secrets and account ids are replaced by their names. Read it before
you send it: it names your users, services and server.
` + cli.ExitHelp,
		Example: "  sudo latch support --output /root/latch-support.tar.gz",
		RunE:    func(c *cobra.Command, _ []string) error { return a.support(c, file) },
	}
	c.Flags().StringVar(&file, "output", "latch-support.tar.gz", "`FILE` to write; it must not exist")
	return c
}

// bundle is the content of the archive, by name.
type bundle struct {
	files  map[string][]byte
	secret *strings.Replacer
}

// What may be a secret that is not known here, since a file that cannot be read tells none. What was replaced by its name
// stands in parentheses and stays.
var (
	long    = regexp.MustCompile(`[A-Za-z0-9+/_=-]{40,}`)                                                                   // a key, a token, an id
	named   = regexp.MustCompile(`(?i)([a-z0-9_-]*(?:secret|passw|passphrase|bindpw|api_?key)[a-z0-9_-]*\s*=\s*)[^\s(]\S*`) // an argument, or a line of latch.conf
	pairing = regexp.MustCompile(`(?m)^([^#\n:]*:[ \t]*)[^(\n]+$`)                                                          // a line of a pairing file
)

func (b *bundle) add(name string, text []byte) {
	clean := named.ReplaceAll([]byte(b.secret.Replace(string(text))), []byte("${1}(hidden)"))
	b.files[name] = long.ReplaceAll(clean, []byte("(40 characters or more)"))
}

func (a *app) support(c *cobra.Command, file string) error {
	if err := a.needRoot(cli.ExitError); err != nil {
		return err
	}
	b := &bundle{files: map[string][]byte{}, secret: a.secrets()}
	m, err := a.machine(c)
	if err != nil {
		return err
	}
	var findings bytes.Buffer
	for _, f := range m.Examine(c.Context()) {
		fmt.Fprintf(&findings, "%s\t%s\t%s\t%s\t%s\n", f.State, f.Profile, f.Check, f.Text, f.Fix)
	}
	b.add("doctor.txt", findings.Bytes())
	b.add("version.json", a.versions(c.Context()))
	for _, p := range config.Profiles() {
		b.addFile(p.Config, nil)
		b.addFile(p.Accounts, pairing)
	}
	services, err := a.pam.Services()
	if err != nil {
		return err
	}
	for _, service := range services {
		if text, err := a.pam.Read(service); err == nil {
			b.add("pam.d/"+service, text)
		}
	}
	for name, command := range map[string][]string{
		"sshd.txt":    {"/usr/sbin/sshd", "-T"},
		"journal.txt": {"journalctl", "-t", "latch-auth", "-n", "200", "--no-pager"},
		"libpam.txt":  {"sh", "-c", "dpkg-query -W 'libpam*' 2>/dev/null || rpm -q pam"},
	} {
		if out, err := doctor.RunProgram(c.Context(), command[0], command[1:]...); err == nil {
			b.add(name, out)
		}
	}
	if err := b.write(file); err != nil {
		return err
	}
	return a.Report(map[string]any{"file": file, "files": len(b.files)}, "%s is written; read it before you send it", file)
}

// addFile takes a file in under its path, where hidden is not nil without what it finds in each line behind its first
// group. A file that is not there is left out.
func (b *bundle) addFile(path string, hidden *regexp.Regexp) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if hidden != nil {
		text = hidden.ReplaceAll([]byte(b.secret.Replace(string(text))), []byte("${1}(hidden)"))
	}
	b.add(strings.TrimPrefix(path, "/"), text)
}

// secrets replaces every secret that this machine knows by its name.
func (a *app) secrets() *strings.Replacer {
	var pairs []string
	for _, p := range config.Profiles() {
		if c, err := config.Load(p.Config); err == nil {
			pairs = append(pairs, c.SecretKey.Reveal(), "(secret_key)", c.AppID, "(app_id)")
		}
		if f, err := pairings.Load(p.Accounts); err == nil {
			for _, pairing := range f.All() {
				pairs = append(pairs, pairing.AccountID, "(account id of "+pairing.User+")")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

func (a *app) versions(ctx context.Context) []byte {
	facts := map[string]string{"latch": version.String(), "go": runtime.Version(), "arch": runtime.GOARCH}
	if out, err := doctor.RunProgram(ctx, "uname", "-srv"); err == nil {
		facts["kernel"] = strings.TrimSpace(string(out))
	}
	if data, err := os.ReadFile("/etc/os-release"); err == nil {
		facts["os"] = string(data)
	}
	data, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		panic(err) // strings alone
	}
	return append(data, '\n')
}

// write makes the archive, which only its owner can read.
func (b *bundle) write(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	zipped := gzip.NewWriter(f)
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		text := b.files[name]
		header := &tar.Header{Name: filepath.Join("latch-support", name), Mode: 0o600, Size: int64(len(text)), Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(text); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	if err := zipped.Close(); err != nil {
		return err
	}
	return f.Close()
}
