package install

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/latch-linux/latch/e2e/fixture"
)

// TestKilledInTheMiddle kills an installation of several services at many points. What it leaves is one state or the
// other of each file, and the next run makes all of it good. A sample has every third point.
func TestKilledInTheMiddle(t *testing.T) {
	before := tree(t)
	shipped := map[string]string{}
	services := []string{"login", "su", "sudo", "sshd"}
	for _, service := range services {
		text, err := os.ReadFile(filepath.Join(pamDir, service))
		if err != nil {
			t.Fatal(err)
		}
		shipped[service] = string(text)
	}
	must(t, append([]string{"install", "--yes"}, services...)...)
	installed := tree(t)
	must(t, "uninstall", "--all", "--yes")
	const pending = "/var/lib/latch/install/pending"
	cut, last := 0, 0
	points := make([]int, 40)
	for i := range points {
		points[i] = i + 1
	}
	for _, n := range fixture.Sample(points, 3) {
		// The signal comes with the n-th file that takes its place.
		args := []string{"-f", "-o", "/dev/null", "-e", "trace=renameat", "-e", fmt.Sprintf("inject=renameat:signal=KILL:when=%d", n), cli, "install", "--yes"}
		if err := exec.Command("strace", append(args, services...)...).Run(); err == nil {
			last = n
		}
		if _, err := os.Stat(pending); err == nil {
			cut++
		}
		for _, service := range services {
			text, err := os.ReadFile(filepath.Join(pamDir, service))
			if bare := strings.Split(string(text), "\n"); err != nil || strings.Join(slices.DeleteFunc(bare, ours), "\n") != shipped[service] {
				t.Errorf("%s is neither as it was nor as it will be: %v %q", service, err, text)
			}
		}
		must(t, append([]string{"install", "--yes"}, services...)...)
		same(t, fmt.Sprint("installing after the cut ", n), installed)
		must(t, "uninstall", "--all", "--yes")
		same(t, fmt.Sprint("uninstalling after the cut ", n), before)
		if t.Failed() {
			return
		}
		if last != 0 {
			break
		}
	}
	t.Logf("%d runs were cut off, the last one with file %d was not", cut, last)
	if last == 0 || cut == 0 {
		t.Errorf("%d runs were cut off while they wrote: this says little", cut)
	}
}

func ours(line string) bool { return strings.Contains(line, "pam_latch.so") }

// narrow lays a file system over /etc/pam.d that has the same files and room for a number of further pages.
func narrow(t *testing.T, pages int) {
	t.Helper()
	files, err := filepath.Glob(pamDir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		if all[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mount("tmpfs", pamDir, "tmpfs", 0, "mode=755,size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(pamDir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	for file, text := range all {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, pages)
}

// fill leaves room for so many pages.
func fill(t *testing.T, pages int) {
	t.Helper()
	var free syscall.Statfs_t
	if err := syscall.Statfs(pamDir, &free); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pamDir+"/.full", make([]byte, (int(free.Bavail)-pages)*int(free.Bsize)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestNoRoomChangesNothing installs where the first file can be written and the second one cannot.
func TestNoRoomChangesNothing(t *testing.T) {
	sudo, err := os.ReadFile(pamDir + "/sudo")
	if err != nil {
		t.Fatal(err)
	}
	long := string(sudo) + strings.Repeat("# long\n", 580)[:4090-len(sudo)] + "\n"
	if err := os.WriteFile(pamDir+"/sudo", []byte(long), 0o644); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(pamDir+"/sudo", sudo, 0o644); err != nil {
			t.Error(err)
		}
	}()
	t.Run("narrow", func(t *testing.T) {
		narrow(t, 1)
		before := tree(t)
		if out, errs, status := latch(t, nil, "install", "su", "sudo", "--yes"); status == 0 || !strings.Contains(errs, "nothing was changed") {
			t.Errorf("%d %s%s", status, out, errs)
		}
		same(t, "no room", before)
		if err := os.Remove(pamDir + "/.full"); err != nil {
			t.Fatal(err)
		}
		must(t, "install", "su", "sudo", "--yes")
		must(t, "uninstall", "--all", "--yes")
	})
}

// TestUndoesItselfWhenThereIsRoomAgain fills the disk before the time comes, and makes room after it.
func TestUndoesItselfWhenThereIsRoomAgain(t *testing.T) {
	before := tree(t)
	t.Run("narrow", func(t *testing.T) {
		narrow(t, 3)
		unattended(t, func(p map[string]any) { p["wait"] = 1 })
		if err := os.Remove(pamDir + "/.full"); err != nil {
			t.Fatal(err)
		}
		fill(t, 0)
		if out, errs, status := latch(t, nil, "rollback"); status == 0 {
			t.Errorf("there was room: %s%s", out, errs)
		}
		background := exec.Command(cli, "rollback", "--when-due")
		says, err := background.StderrPipe()
		if err == nil {
			err = background.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := says.Read(make([]byte, 1)); err != nil { // it says what went wrong, and tries again later
			t.Error(err)
		}
		if err := os.Remove(pamDir + "/.full"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, says); err != nil {
			t.Error(err)
		}
		if err := background.Wait(); err != nil {
			t.Error(err)
		}
		same(t, "room again", before)
	})
	must(t, "uninstall", "--all", "--yes")
}

// TestKilledTrialLeavesNothingReadable kills an installation while it tries the change. Its copies lie where nobody else can
// look, and the next installation removes them.
func TestKilledTrialLeavesNothingReadable(t *testing.T) {
	const probe, scratch = "/usr/local/libexec/latch/latch-probe", "/var/lib/latch/install/scratch"
	program, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	install := func(text []byte) {
		t.Helper()
		if err := os.Remove(probe); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(probe, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	install([]byte("#!/bin/sh\nkill -9 $PPID\n"))
	_, _, status := latch(t, nil, "install", "su", "--yes")
	install(program)
	if info, err := os.Stat(scratch); status == 0 || err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("status %d, %v, %v: it was not killed in the middle", status, info, err)
	}
	for _, pattern := range []string{"/tmp/latch-probe-*", "/tmp/latch-sshd-*"} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("left in /tmp: %q", left)
		}
	}
	must(t, "install", "su", "--yes")
	if left, err := os.ReadDir(scratch); !os.IsNotExist(err) {
		t.Errorf("left behind: %v %v", left, err)
	}
	must(t, "uninstall", "--all", "--yes")
}

// TestLinkedDirectory installs where /etc/pam.d is a symbolic link: to a directory of root's, and to one that others can write.
func TestLinkedDirectory(t *testing.T) {
	before := tree(t)
	const real = "/etc/pam.real"
	move := func(from, to string) error { // an overlay renames no directories
		return errors.Join(exec.Command("cp", "-a", from, to).Run(), os.RemoveAll(from))
	}
	if err := errors.Join(move(pamDir, real), os.Symlink(real, pamDir)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(os.Remove(pamDir), move(real, pamDir)); err != nil {
			t.Fatal(err)
		}
		same(t, "uninstalling", before)
	}()
	must(t, "install", "su", "--yes")
	if out, _, _ := latch(t, nil, "doctor", "--json"); !strings.Contains(out, `"service su"`) || strings.Contains(out, "interrupted") {
		t.Errorf("doctor: %s", out)
	}
	must(t, "uninstall", "--all", "--yes")
	if err := os.Chmod(real, 0o777); err != nil {
		t.Fatal(err)
	}
	_, errs, status := latch(t, nil, "install", "su", "--yes")
	if err := os.Chmod(real, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, _, _ := latch(t, nil, "rollback"); status == 0 || !strings.Contains(errs, real) || strings.Contains(out, "as before") {
		t.Errorf("%d %s, then rollback: %s", status, errs, out)
	}
}

// TestCapitalLettersAreNotRead installs a service by the name that its program uses: libpam reads names in lower case.
func TestCapitalLettersAreNotRead(t *testing.T) {
	text := []byte("auth requisite pam_unix.so\naccount required pam_unix.so\n")
	for _, name := range []string{"myapp", "Other-App"} {
		if err := os.WriteFile(filepath.Join(pamDir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(filepath.Join(pamDir, name))
	}
	_, errs, status := latch(t, nil, "install", "MyApp", "--yes")
	if now, err := os.ReadFile(filepath.Join(pamDir, "myapp")); status != 0 || err != nil || !strings.Contains(string(now), "pam_latch.so") || !strings.Contains(errs, "lower case: myapp, not MyApp") {
		t.Errorf("%d %s: %q %v", status, errs, now, err)
	}
	if _, errs, status = latch(t, nil, "install", "Other-App", "--yes"); status == 0 || !strings.Contains(errs, "mv /etc/pam.d/Other-App /etc/pam.d/other-app") {
		t.Errorf("%d %s", status, errs)
	}
	must(t, "uninstall", "MyApp", "--yes")
	if now, err := os.ReadFile(filepath.Join(pamDir, "myapp")); err != nil || string(now) != string(text) {
		t.Errorf("%q %v", now, err)
	}
}
