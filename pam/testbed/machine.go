package testbed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// A test binary that calls Isolate runs three times: as started, as the first process of the new namespaces, which sets
// them up and reaps orphans, and below it as the program that does the work. The stage is handed on in this variable.
const (
	stageVariable = "TESTBED_STAGE"
	stageSetup    = "setup"
	stageWork     = "work"
)

// scratch is a tmpfs inside the machine; the writable layers lie there.
const scratch = "/run/testbed"

// temporary is TMPDIR inside the machine. /tmp itself is that of the machine around it, since the tree that is tested may lie there.
const temporary = scratch + "/tmp"

// ErrNotRoot says why Isolate cannot work.
var ErrNotRoot = errors.New("these tests need root, for namespaces, users and set-uid programs of their own: sudo make test")

// Isolate runs work on a machine of its own and returns the exit code for os.Exit: new mount, process, network, IPC
// and host name namespaces, in which /etc, /usr and /var are copies that vanish at the end, /run and /dev are empty but
// for the usual devices, temporary files vanish with it, and the only network is a loopback of its own. Every process that is left dies with it.
func Isolate(work func() int) int {
	switch os.Getenv(stageVariable) {
	case stageWork:
		os.Unsetenv(stageVariable)
		return work()
	case stageSetup:
		return setUp()
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, ErrNotRoot)
		return 1
	}
	runtime.LockOSThread() // Pdeathsig means the death of the thread that started the child
	cmd := again(stageSetup)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended) && ended.Exited():
		return ended.ExitCode()
	default:
		fmt.Fprintf(os.Stderr, "the isolated machine: %v\n", err)
		return 1
	}
}

func again(stage string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	// The machine is nobody's: that somebody started the tests over SSH, or by sudo, or in a tmux, is not known there.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"SUDO_USER", "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "TMUX", "STY"}, name)
	}), stageVariable+"="+stage)
	if stage == stageWork {
		cmd.Env = append(cmd.Env, "TMPDIR="+temporary)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

func setUp() int {
	if err := mountAll(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot set up the machine: %v\n", err)
		return 1
	}
	cmd := again(stageWork)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// The first process of a pid namespace inherits every orphan. os/exec must not wait at the same time.
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid == cmd.Process.Pid {
			return exitCode(status, err)
		}
	}
}

func exitCode(status syscall.WaitStatus, err error) int {
	if err != nil || !status.Exited() {
		return 1
	}
	return status.ExitStatus()
}

func mountAll() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := mountTmpfs("/run"); err != nil {
		return err
	}
	if err := mountTemporary(); err != nil {
		return err
	}
	for _, dir := range []string{"/etc", "/usr", "/var"} {
		if err := overlay(dir); err != nil {
			return err
		}
	}
	if err := mountDev(); err != nil {
		return err
	}
	_, err := run(exec.Command("ip", "link", "set", "lo", "up"))
	return err
}

func mountTmpfs(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return nil
}

// mountTemporary lays a directory for everybody, in which set-uid programs and devices work as in any /tmp.
func mountTemporary() error {
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", temporary, "tmpfs", 0, "mode=1777"); err != nil {
		return fmt.Errorf("mount %s: %w", temporary, err)
	}
	return nil
}

func overlay(dir string) error {
	upper, work := filepath.Join(scratch, dir, "upper"), filepath.Join(scratch, dir, "work")
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	options := strings.Join([]string{"lowerdir=" + dir, "upperdir=" + upper, "workdir=" + work}, ",")
	if err := syscall.Mount("overlay", dir, "overlay", 0, options); err != nil {
		return fmt.Errorf("overlay on %s: %w", dir, err)
	}
	return nil
}

// mountDev lays a /dev of its own, so that /dev/log is the tests' and terminals are numbered from 0.
func mountDev() error {
	if err := syscall.Mount("tmpfs", "/dev", "tmpfs", syscall.MS_NOSUID, "mode=755"); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	syscall.Umask(0)
	defer syscall.Umask(0o022)
	for name, minor := range map[string]int{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		if err := syscall.Mknod("/dev/"+name, syscall.S_IFCHR|0o666, 1<<8|minor); err != nil {
			return fmt.Errorf("make /dev/%s: %w", name, err)
		}
	}
	if err := syscall.Mknod("/dev/tty", syscall.S_IFCHR|0o666, 5<<8); err != nil {
		return fmt.Errorf("make /dev/tty: %w", err)
	}
	for link, target := range map[string]string{"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, "/dev/"+link); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/dev/pts", "/dev/shm"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return syscall.Mount("devpts", "/dev/pts", "devpts", syscall.MS_NOSUID|syscall.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5")
}
