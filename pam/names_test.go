package pam_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// TestNameServiceFailures: only a firm "no such user" is one. What latch-auth makes of it is tested there.
func TestNameServiceFailures(t *testing.T) {
	fixture.NeedsNamespaces(t)
	failed := func(e syscall.Errno) string { return "\x06" + string(binary.BigEndian.AppendUint32(nil, uint32(e))) }
	for name, c := range map[string]struct{ status, errno, want string }{
		"no such user":       {"NOTFOUND", "0", "\x05"},
		"server unreachable": {"UNAVAIL", "ECONNREFUSED", failed(syscall.ECONNREFUSED)},
		"server busy":        {"TRYAGAIN", "EAGAIN", failed(syscall.EAGAIN)},
		"no descriptor":      {"UNAVAIL", "EMFILE", failed(syscall.EMFILE)},
		"a large entry":      {"SUCCESS", "0", "\x04\x00\x00\x00\x00root"},
		"entry too large":    {"TRYAGAIN", "ERANGE", failed(syscall.ERANGE)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "read", send(hold(100), refuse))
			// glibc takes a service's name from nsswitch.conf and its library from here.
			library := filepath.Join(b.dir, "libnss_latchtest.so.2")
			if out, err := compile("cc", "-shared", "-fPIC", "-Wall", "-DSTATUS=NSS_STATUS_"+c.status, "-DERROR="+c.errno, "-o", library, "testdata/nss.c"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			nsswitch := filepath.Join(b.dir, "nsswitch.conf")
			must(t, os.WriteFile(nsswitch, []byte("passwd: latchtest\n"), 0o644))
			wrapper := []string{"unshare", "--mount", "sh", "-c",
				fmt.Sprintf(`mount --bind %s /etc/nsswitch.conf && LD_LIBRARY_PATH=%s exec "$@"`, nsswitch, b.dir), "sh"}
			if out := b.underHost(wrapper, "once"); out[0] != "codes 7 6" {
				t.Errorf("got %q", out)
			}
			var said []string
			for _, f := range fields(b.got()[0][2:]) {
				if f[0] >= 4 && f[0] <= 6 {
					said = append(said, f)
				}
			}
			if !slices.Equal(said, []string{c.want}) {
				t.Errorf("HELLO says %q, want %q", said, c.want)
			}
		})
	}
}

// TestHostThatIsNotRoot trusts files of its own user's, in tests and in programs that authenticate for themselves.
func TestHostThatIsNotRoot(t *testing.T) {
	fixture.NeedsRoot(t)
	const host, other = 4242, 4243
	for name, c := range map[string]struct {
		file, dir int // owners
		want      string
	}{
		"its own files":                  {host, host, "codes 0 0"},
		"root's files":                   {0, 0, "codes 0 0"},
		"its own file in root's":         {host, 0, "codes 0 0"},
		"somebody else's file":           {other, host, "codes 7 6"},
		"its own in somebody else's":     {host, other, "codes 7 6"},
		"root's file in somebody else's": {0, other, "codes 7 6"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "read", send(hold(100), success))
			b.moveTo(c.file, c.dir)
			wrapper := []string{"setpriv", "--reuid=4242", "--regid=4242", "--clear-groups"}
			if out := b.underHost(wrapper, "once"); out[0] != c.want || !slices.Contains(out, nothingLeft) {
				t.Errorf("got %q, want %q", out, c.want)
			}
		})
	}
}

// moveTo gives the bed a directory that everybody may enter, with a copy of the module, and the owners that are wanted.
func (b *bed) moveTo(file, dir int) {
	b.t.Helper()
	to, err := os.MkdirTemp("", "pam-latch-")
	must(b.t, err)
	b.t.Cleanup(func() { _ = os.RemoveAll(to) })
	so, err := os.ReadFile(module)
	must(b.t, err)
	must(b.t, os.WriteFile(filepath.Join(to, "pam_latch.so"), so, 0o755))
	auth := filepath.Join(to, "latch-auth")
	must(b.t, os.Rename(b.auth, auth))
	must(b.t, os.Rename(b.auth+".script", auth+".script"))
	must(b.t, os.WriteFile(auth+".got", nil, 0o600)) // what the scripted program writes
	b.dir, b.auth = to, auth
	b.service("latch", filepath.Join(to, "pam_latch.so"), auth)
	must(b.t, os.Chmod(auth+".script", 0o644))
	must(b.t, os.Chmod(auth+".got", 0o666))
	must(b.t, os.Chown(auth, file, file))
	must(b.t, os.Chown(to, dir, dir))
	must(b.t, os.Chmod(to, 0o755))
}
