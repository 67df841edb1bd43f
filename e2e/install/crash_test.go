package install

import (
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
