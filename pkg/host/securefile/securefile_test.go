package securefile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// envLimited makes this test binary a writer that may write no more than a few bytes.
const envLimited = "SECUREFILE_TEST_LIMITED"

func TestMain(m *testing.M) {
	if path := os.Getenv(envLimited); path != "" {
		limit := unix.Rlimit{Cur: 100, Max: 100}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			panic(err)
		}
		if err := Write(path, make([]byte, 1000), 0o600); err != nil {
			os.Exit(7)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scene makes a directory with a sub-directory sub and a good file sub/file in it.
func scene(t *testing.T) (sub, file string) {
	t.Helper()
	sub = filepath.Join(t.TempDir(), "sub")
	file = filepath.Join(sub, "file")
	must(t, os.Mkdir(sub, 0o755))
	must(t, os.WriteFile(file, []byte("good"), 0o644))
	return sub, file
}

func TestOpenJudges(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, sub, file string)
		at    string // the part at fault, below the scene's directory
		fix   string
	}{
		"file writable by group":  {func(t *testing.T, _, file string) { must(t, os.Chmod(file, 0o664)) }, "sub/file", "chmod go-w "},
		"file writable by others": {func(t *testing.T, _, file string) { must(t, os.Chmod(file, 0o646)) }, "sub/file", "chmod go-w "},
		"parent of a group":       {func(t *testing.T, sub, _ string) { must(t, os.Chmod(sub, 0o775)) }, "sub", "chmod go-w "},
		"parent of others":        {func(t *testing.T, sub, _ string) { must(t, os.Chmod(sub, 0o757)) }, "sub", "chmod go-w "},
		"grandparent of a group":  {func(t *testing.T, sub, _ string) { must(t, os.Chmod(filepath.Dir(sub), 0o770)) }, "", "chmod go-w "},
		"file is a link": {func(t *testing.T, _, file string) {
			must(t, os.Rename(file, file+"2"))
			must(t, os.Symlink(file+"2", file))
		}, "sub/file", ""},
		"dangling link": {func(t *testing.T, _, file string) {
			must(t, os.Remove(file))
			must(t, os.Symlink("nowhere", file))
		}, "sub/file", ""},
		"parent is a link": {func(t *testing.T, sub, _ string) {
			must(t, os.Rename(sub, sub+"2"))
			must(t, os.Symlink(sub+"2", sub))
		}, "sub", ""},
		"named pipe": {func(t *testing.T, _, file string) {
			must(t, os.Remove(file))
			must(t, unix.Mkfifo(file, 0o600))
		}, "sub/file", ""},
		"directory": {func(t *testing.T, _, file string) {
			must(t, os.Remove(file))
			must(t, os.Mkdir(file, 0o700))
		}, "sub/file", ""},
	} {
		t.Run(name, func(t *testing.T) {
			sub, file := scene(t)
			tt.spoil(t, sub, file)
			_, err := Read(file, 100)
			var at *TrustError
			if !errors.Is(err, ErrUntrusted) || !errors.As(err, &at) {
				t.Fatalf("got %v", err)
			}
			if want := filepath.Join(filepath.Dir(sub), tt.at); at.Path != want || !strings.HasPrefix(at.Fix, tt.fix) {
				t.Errorf("%+v, want %q mended by %q", at, want, tt.fix)
			}
		})
	}
}

// TestOwners needs root, as everything does that decides who gets in; others see the rule from the other side.
func TestOwners(t *testing.T) {
	sub, file := scene(t)
	if os.Geteuid() != 0 {
		if f, err := Open("/etc/passwd"); err != nil {
			t.Errorf("a file of root's: %v", err)
		} else {
			f.Close()
		}
		return
	}
	for _, path := range []string{file, sub} {
		must(t, os.Chown(path, 12345, 0))
		var at *TrustError
		if _, err := Open(file); !errors.As(err, &at) || at.Path != path || at.Fix != "chown root "+path {
			t.Errorf("%q of somebody else: %v", path, err)
		}
		must(t, os.Chown(path, 0, 0))
	}
	must(t, unix.Chmod(sub, 0o1777))
	if _, err := Read(file, 100); err != nil {
		t.Errorf("a sticky directory of root's: %v", err)
	}
	must(t, os.Chown(sub, 12345, 0))
	must(t, unix.Chmod(sub, 0o1777))
	if _, err := Read(file, 100); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a sticky directory of somebody else's: %v", err)
	}
}

func TestRead(t *testing.T) {
	sub, file := scene(t)
	if data, err := Read(file, 4); err != nil || string(data) != "good" {
		t.Errorf("at the limit: %q, %v", data, err)
	}
	if data, err := Read(file, 3); err == nil || data != nil {
		t.Errorf("above the limit: %q, %v", data, err)
	}
	t.Chdir(sub)
	if data, err := Read("../sub/./file", 4); err != nil || string(data) != "good" {
		t.Errorf("a relative path: %q, %v", data, err)
	}
	for _, missing := range []string{file + "2", filepath.Join(sub, "no", "file")} {
		if _, err := Read(missing, 4); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUntrusted) {
			t.Errorf("missing %q: %v", missing, err)
		}
	}
	for _, no := range []string{"", "/", "/dev/null", file + "/x", "a\x00b"} {
		if _, err := Read(no, 4); err == nil {
			t.Errorf("%q was read", no)
		}
	}
	if f, err := Open(file); err != nil {
		t.Error(err)
	} else if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %x, %v", flags, err)
	} else {
		f.Close()
	}
}

func TestCheckPrivate(t *testing.T) {
	_, file := scene(t)
	var at *TrustError
	if err := CheckPrivate(file); !errors.As(err, &at) || at.Fix != "chmod 600 "+file {
		t.Errorf("mode 0644: %v", err)
	}
	must(t, os.Chmod(file, 0o600))
	if err := CheckPrivate(file); err != nil {
		t.Errorf("mode 0600: %v", err)
	}
}

func TestFixCanBePasted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "it's mine; really")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Chmod(path, 0o666))
	var at *TrustError
	if _, err := Open(path); !errors.As(err, &at) {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-c", at.Fix).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v, %s", at.Fix, err, out)
	}
	if _, err := Read(path, 1); err != nil {
		t.Errorf("after %s: %v", at.Fix, err)
	}
}

func TestWrite(t *testing.T) {
	sub, file := scene(t)
	defer unix.Umask(unix.Umask(0o777))
	for _, mode := range []fs.FileMode{0o600, 0o644} {
		must(t, Write(file, []byte("new"), mode))
		info, err := os.Stat(file)
		must(t, err)
		if data, err := Read(file, 10); err != nil || string(data) != "new" || info.Mode() != mode {
			t.Errorf("%q, mode %v, %v", data, info.Mode(), err)
		}
	}
	alone(t, sub, "file")
}

// alone fails the test if dir holds anything but the names.
func alone(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != len(names) {
		t.Errorf("want only %q, found %v", names, entries)
	}
}

func TestWriteFollowsNoLink(t *testing.T) {
	sub, file := scene(t)
	link := filepath.Join(sub, "link")
	must(t, os.Symlink("file", link))
	must(t, Write(link, []byte("new"), 0o600))
	if data, err := Read(file, 10); err != nil || string(data) != "good" {
		t.Errorf("the link's target: %q, %v", data, err)
	}
	if data, err := Read(link, 10); err != nil || string(data) != "new" {
		t.Errorf("in the link's place: %q, %v", data, err)
	}
	must(t, os.Symlink(sub, sub+"2"))
	if err := Write(filepath.Join(sub+"2", "file"), nil, 0o600); !errors.Is(err, ErrUntrusted) {
		t.Errorf("below a link: %v", err)
	}
}

func TestTouch(t *testing.T) {
	sub, file := scene(t)
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(file, old, old))
	must(t, Touch(file, 0o600))
	if info, err := os.Stat(file); err != nil || time.Since(info.ModTime()).Abs() > time.Minute || info.Size() != 4 {
		t.Errorf("%+v, %v", info, err)
	}
	fresh := filepath.Join(sub, "fresh")
	must(t, Touch(fresh, 0o600))
	if info, err := os.Stat(fresh); err != nil || info.Mode() != 0o600 || info.Size() != 0 {
		t.Errorf("%+v, %v", info, err)
	}
	must(t, os.Symlink(fresh, filepath.Join(sub, "link")))
	must(t, os.Mkdir(filepath.Join(sub, "dir"), 0o700))
	must(t, os.Chmod(fresh, 0o666))
	for _, name := range []string{"link", "dir", "fresh", "no/file"} {
		if err := Touch(filepath.Join(sub, name), 0o600); err == nil {
			t.Errorf("%s was touched", name)
		}
	}
}

func TestCheckReplaceable(t *testing.T) {
	sub, file := scene(t)
	for _, path := range []string{file, filepath.Join(sub, "fresh")} {
		if err := CheckReplaceable(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if left, err := os.ReadDir(sub); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	must(t, os.Symlink(file, filepath.Join(sub, "link")))
	must(t, os.Mkdir(filepath.Join(sub, "dir"), 0o700))
	for _, name := range []string{"link", "dir", "no/file"} {
		if err := CheckReplaceable(filepath.Join(sub, name)); err == nil {
			t.Errorf("%s can be replaced", name)
		}
	}
}

func TestWriteThatFailsChangesNothing(t *testing.T) {
	sub, file := scene(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envLimited+"="+file)
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 7 {
		t.Errorf("the limited writer: %v, %s", err, out)
	}
	if data, err := Read(file, 10); err != nil || string(data) != "good" {
		t.Errorf("the old file: %q, %v", data, err)
	}
	must(t, os.Mkdir(filepath.Join(sub, "dir"), 0o700))
	if err := Write(filepath.Join(sub, "dir"), nil, 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	must(t, os.Chmod(sub, 0o777))
	if err := Write(file, nil, 0o600); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a parent that others can write: %v", err)
	}
	if err := Write(filepath.Join(sub, "no", "file"), nil, 0o600); err == nil {
		t.Error("a file was written into a missing directory")
	}
	must(t, os.Chmod(sub, 0o755))
	alone(t, sub, "dir", "file")
}

func TestWithLock(t *testing.T) {
	sub, file := scene(t)
	leftover := filepath.Join(sub, temporaryPrefix("file")+"x")
	other := filepath.Join(sub, temporaryPrefix("other")+"x")
	must(t, os.WriteFile(leftover, nil, 0o600))
	must(t, os.WriteFile(other, nil, 0o600))
	var inside, together atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			err := WithLock(context.Background(), file, func() error {
				if inside.Add(1) > 1 {
					together.Add(1)
				}
				runtime.Gosched() // for another to come in, if one may
				inside.Add(-1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := together.Load(); n != 0 {
		t.Errorf("%d times two held the lock at once", n)
	}
	if info, err := os.Stat(filepath.Join(sub, lockDir)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("lock directory: %v, %v", info, err)
	}
	alone(t, sub, lockDir, "file", filepath.Base(other))

	failed := errors.New("failed")
	if err := WithLock(context.Background(), file, func() error { return failed }); err != failed {
		t.Errorf("the function's error: %v", err)
	}
	must(t, os.Chmod(filepath.Join(sub, lockDir), 0o755))
	if err := WithLock(context.Background(), file, func() error { return nil }); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a lock directory that others can enter: %v", err)
	}
}

func TestWithLockHonoursItsContext(t *testing.T) {
	_, file := scene(t)
	err := WithLock(context.Background(), file, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		return WithLock(ctx, file, func() error { return errors.New("two hold the lock") })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestHold: the copies that killed writers left are gone when the lock is held again, and the directory is not listed for it.
func TestHold(t *testing.T) {
	dir, _ := scene(t)
	path := filepath.Join(dir, "ana")
	write := func(text string) {
		t.Helper()
		if err := Hold(t.Context(), path, func(h Held) error { return h.Write([]byte(text), 0o600) }); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	leftover := filepath.Join(dir, ".ana.new-")
	if err := os.WriteFile(leftover, []byte("half"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := Hold(t.Context(), path, func(Held) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(leftover); err == nil {
		t.Error("the leftover lies there")
	}
	if err := os.Symlink("/etc/passwd", leftover); err != nil {
		t.Fatal(err)
	}
	write("second")
	if data, err := os.ReadFile(path); err != nil || string(data) != "second" {
		t.Errorf("%q, %v", data, err)
	}
	var in atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := Hold(t.Context(), path, func(h Held) error {
				if in.Add(1) != 1 {
					t.Error("two hold it")
				}
				defer in.Add(-1)
				return h.Write([]byte("third"), 0o600)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if names, err := os.ReadDir(dir); err != nil || len(names) != 3 {
		t.Errorf("%v, %v", names, err)
	}
}
