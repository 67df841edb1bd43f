package securefile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// accessList is the extended attribute with the POSIX access control list. While a file has one, the group bits of its mode
// are the list's mask.
const accessList = "system.posix_acl_access"

// boundToContent are attributes that belong to the content of a file and not to its name.
var boundToContent = []string{"security.capability", "security.evm", "security.ima"}

// keepAttributes gives f what the trusted file base in dir has, which it is about to replace: group, access control list,
// SELinux label and the other extended attributes. It returns the mode that f must have: the given one, with the mask of the
// list.
func keepAttributes(dir int, base string, f *os.File, mode fs.FileMode) (fs.FileMode, error) {
	fd, err := openat(dir, base, unix.O_RDONLY|unix.O_NONBLOCK, base)
	if err != nil {
		return mode, nil // there is none, or none to take anything from
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if judge(fd, base, unix.S_IFREG) != nil || unix.Fstat(fd, &st) != nil {
		return mode, nil
	}
	to := int(f.Fd())
	if os.Geteuid() == 0 { // nobody else can give a file to any group
		if err := unix.Fchown(to, -1, int(st.Gid)); err != nil {
			return mode, &fs.PathError{Op: "set the group of", Path: f.Name(), Err: err}
		}
	}
	names, err := attributes(fd)
	if err != nil {
		return mode, &fs.PathError{Op: "list the attributes of", Path: base, Err: err}
	}
	if !slices.Contains(names, accessList) {
		_ = unix.Fremovexattr(to, accessList) // the directory's default list gave it one
	}
	for _, name := range names {
		if err := copyAttribute(fd, to, name); err != nil && required(name) {
			return mode, &fs.PathError{Op: "keep " + name + " of", Path: base, Err: err}
		}
	}
	if slices.Contains(names, accessList) {
		mode = mode&^0o070 | fs.FileMode(st.Mode)&0o070
	}
	return mode, nil
}

// required reports whether a file without this attribute would let in others than before, or nobody.
func required(name string) bool {
	return name == accessList || name == "security.selinux" || strings.HasPrefix(name, "security.SMACK")
}

// attributes lists the extended attributes of a file that describe it and not its content.
func attributes(fd int) ([]string, error) {
	list, err := sized(func(to []byte) (int, error) { return unix.Flistxattr(fd, to) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	var names []string
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name != "" && !slices.Contains(boundToContent, name) {
			names = append(names, name)
		}
	}
	return names, err
}

func copyAttribute(from, to int, name string) error {
	value, err := sized(func(to []byte) (int, error) { return unix.Fgetxattr(from, name, to) })
	if err != nil {
		return err
	}
	if now, err := sized(func(b []byte) (int, error) { return unix.Fgetxattr(to, name, b) }); err == nil && bytes.Equal(now, value) {
		return nil
	}
	return unix.Fsetxattr(to, name, value, 0)
}

// sized calls a function that fills a buffer, first to learn its size, and again where the size grew meanwhile.
func sized(fill func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := fill(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		b := make([]byte, n)
		n, err = fill(b)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		return b[:max(n, 0)], err
	}
}
