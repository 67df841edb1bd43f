package securefile

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// list makes the extended attribute that holds an access control list: mode bits of owner, one more user, group, mask, others.
func list(owner, user, group, mask, others uint16) string {
	const undefined = ^uint32(0)
	b := binary.LittleEndian.AppendUint32(nil, 2) // the version
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, owner, undefined}, {0x02, user, 1234}, {0x04, group, undefined}, {0x10, mask, undefined}, {0x20, others, undefined}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return string(b)
}

// set gives a file an attribute. Where the file system or the rights of the test do not reach, the test is skipped.
func set(t *testing.T, path, name, value string) {
	t.Helper()
	err := unix.Lsetxattr(path, name, []byte(value), 0)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		t.Skipf("%s cannot be set here: %v", name, err)
	}
	must(t, err)
}

func get(t *testing.T, path, name string) string {
	t.Helper()
	b := make([]byte, 256)
	n, err := unix.Lgetxattr(path, name, b)
	if errors.Is(err, unix.ENODATA) {
		return "none"
	}
	must(t, err)
	return string(b[:n])
}

// TestWriteKeepsAttributes replaces a file that an administrator gave more than a mode.
func TestWriteKeepsAttributes(t *testing.T) {
	_, file := scene(t)
	kept := map[string]string{accessList: list(6, 4, 4, 4, 0), "user.note": "by hand", "trusted.backup": "yes",
		"security.selinux": "system_u:object_r:latch_conf_t:s0\x00"}
	for name, value := range kept {
		set(t, file, name, value)
	}
	set(t, file, "security.ima", "\x01digest of the old content")
	must(t, os.Lchown(file, -1, 4321))
	for _, mode := range []fs.FileMode{0o600, 0o644} {
		must(t, Write(file, []byte("new"), mode))
		for name, value := range kept {
			want := value
			if name == accessList {
				want = list(6, 4, 4, 4, uint16(mode&7))
			}
			if got := get(t, file, name); got != want {
				t.Errorf("mode %v: %s is %q, want %q", mode, name, got, want)
			}
		}
		if got := get(t, file, "security.ima"); got != "none" {
			t.Errorf("the digest of the old content is kept: %q", got)
		}
		var st unix.Stat_t
		must(t, unix.Stat(file, &st))
		if want := uint32(0o640 | mode&7); st.Mode&0o777 != want || st.Gid != 4321 {
			t.Errorf("mode %04o and group %d, want %04o and 4321", st.Mode&0o777, st.Gid, want)
		}
	}
}

// TestWriteTakesNothingFromElsewhere replaces what is not trusted, and a file in a directory whose files get a list of access.
func TestWriteTakesNothingFromElsewhere(t *testing.T) {
	sub, file := scene(t)
	set(t, sub, "system.posix_acl_default", list(7, 7, 5, 7, 5))
	must(t, Write(file, []byte("new"), 0o640))
	if got := get(t, file, accessList); got != "none" {
		t.Errorf("the directory's list came in: %q", got)
	}
	set(t, file, "user.note", "mine")
	must(t, os.Chmod(file, 0o666))
	must(t, Write(file, []byte("new"), 0o600))
	if got := get(t, file, "user.note"); got != "none" {
		t.Errorf("taken from a file that others can write: %q", got)
	}
	link := filepath.Join(sub, "link")
	must(t, os.Symlink("file", link))
	set(t, file, "user.note", "mine")
	must(t, Write(link, []byte("new"), 0o600))
	if got := get(t, link, "user.note"); got != "none" {
		t.Errorf("taken from a link's target: %q", got)
	}
}
