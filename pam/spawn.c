//go:build ignore

// The line above is for Go: it passes over this file, which make compiles.

#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

enum {
	REAP_MS = 200, /* a killed process is gone within this, unless it is frozen or in the kernel's hands */
	REAP_TRIES = 10, /* a host whose timer interrupts every wait is not held up for ever */
	IOPRIO_WHO_PROCESS = 1,
	CHILD_SOCK = 3,
	CHILD_EXEC = 4,
	NOFILE_WANTED = 1024,
};

/* Owned by root (or by who the host is, in tests) and not to be written by others; a sticky directory of root's is safe. */
static int trusted(int fd, mode_t kind)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return 0;
	errno = EPERM;
	if ((st.st_mode & S_IFMT) != kind || (st.st_uid != 0 && st.st_uid != geteuid()))
		return 0;
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return 1;
	return kind == S_IFDIR && st.st_uid == 0 && (st.st_mode & S_ISVTX) != 0;
}

/* Opens path, judging each directory on the way by its descriptor. No link is followed. */
static int open_trusted(const char *path)
{
	if (path[0] != '/') {
		errno = EINVAL;
		return -1;
	}
	int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (dir >= 0) {
		if (!trusted(dir, S_IFDIR))
			break;
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		char name[256];
		if (n == 0 || n >= sizeof name) {
			errno = ENAMETOOLONG;
			break;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		path += n;
		int last = path[strspn(path, "/")] == '\0';
		int flags = last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY;
		int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
		int failed = errno;
		close(dir);
		errno = failed;
		if (!last) {
			dir = fd;
			continue;
		}
		if (fd >= 0 && !trusted(fd, S_IFREG)) {
			close(fd);
			errno = EPERM;
			return -1;
		}
		return fd;
	}
	if (dir >= 0) {
		int failed = errno;
		close(dir);
		errno = failed;
	}
	return -1;
}

/* Moves fd above the standard descriptors: a host that closed them may still write its messages to 1 and 2. */
static int above_std(int fd)
{
	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int failed = errno;
	close(fd);
	errno = failed;
	return moved;
}

/*
 * What follows runs in the child, between clone and exec, in a copy of a process that may have had other threads:
 * raw system calls only. glibc's wrappers would take locks that nobody will ever release, or change ids by signalling
 * threads that do not exist here. A call that may be refused without harm has its result thrown away.
 */

enum { SIGSET_BYTES = 8, SIGNALS = 64 };

/* The kernel's own struct, which is not glibc's. */
struct action {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask;
};

/* A flag is for SIGCHLD alone. */
static void default_signals(unsigned long child_flags)
{
	for (long sig = 1; sig <= SIGNALS; sig++) {
		struct action act = { .flags = sig == SIGCHLD ? child_flags : 0 };
		(void)syscall(SYS_rt_sigaction, sig, &act, NULL, SIGSET_BYTES);
	}
}

static void unblock_signals(void)
{
	unsigned long none = 0;
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, SIGSET_BYTES);
}

static void reset_limit(int resource, uint64_t want)
{
	struct { uint64_t cur, max; } lim = { want, want };
	if (syscall(SYS_prlimit64, 0, resource, &lim, NULL) == 0)
		return;
	/* Not ours to raise: at least everything up to the hard limit. */
	if (syscall(SYS_prlimit64, 0, resource, NULL, &lim) == 0) {
		lim.cur = lim.max;
		(void)syscall(SYS_prlimit64, 0, resource, &lim, NULL);
	}
}

static void reset_limits(void)
{
	static const int unlimited[] = { RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_AS,
		RLIMIT_LOCKS, RLIMIT_RTTIME, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING };
	for (size_t i = 0; i < sizeof unlimited / sizeof unlimited[0]; i++)
		reset_limit(unlimited[i], ~(uint64_t)0);
	reset_limit(RLIMIT_STACK, 8u << 20);
	reset_limit(RLIMIT_NOFILE, NOFILE_WANTED);
	struct { uint64_t cur, max; } none = { 0, 0 };
	(void)syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, NULL);
}

static void reset_scheduling(void)
{
	int priority = 0;
	unsigned long all[16];
	memset(all, 0xff, sizeof all);
	(void)syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &priority);
	(void)syscall(SYS_setpriority, PRIO_PROCESS, 0, 0);
	(void)syscall(SYS_sched_setaffinity, 0, sizeof all, all);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0);
	(void)syscall(SYS_prctl, PR_SET_TIMERSLACK, 50000UL, 0, 0, 0);
	long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);
	if (fd >= 0)
		(void)syscall(SYS_write, fd, "0", 1);
}

/*
 * The caller of a set-uid host may signal a process that still has the caller's real uid. Groups give nobody power over a
 * process, so a host that may not change them, for want of CAP_SETGID or in a user namespace that denies it, keeps its own.
 */
static int become_root(uid_t euid)
{
	if (euid != 0)
		return 0;
	if (syscall(SYS_setgroups, 0, NULL) != 0 && errno != EPERM)
		return -1;
	if (syscall(SYS_setresgid, 0, 0, 0) != 0 && errno != EPERM)
		return -1;
	return (int)syscall(SYS_setresuid, 0, 0, 0);
}

/* A descriptor that nobody can read or write, as a machine or a chroot may have no /dev/null. */
static long open_nothing(void)
{
	long fd = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
	return fd >= 0 ? fd : syscall(SYS_openat, AT_FDCWD, "/", O_PATH, 0);
}

/* Descriptors at the end: /dev/null, or nothing, on 0-2, the socket on 3, the program on 4, which exec closes. */
static int arrange(int sock, int exec)
{
	/* Both are above 2; the socket must not lie where the program goes, nor the other way round. */
	long s = syscall(SYS_fcntl, sock, F_DUPFD_CLOEXEC, 5), e = syscall(SYS_fcntl, exec, F_DUPFD_CLOEXEC, 5);
	if (s < 0 || e < 0 || syscall(SYS_dup3, s, CHILD_SOCK, 0) < 0 || syscall(SYS_dup3, e, CHILD_EXEC, O_CLOEXEC) < 0)
		return -1;
	if (syscall(SYS_close_range, CHILD_EXEC + 1, ~0U, 0) != 0)
		return -1;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		(void)syscall(SYS_close, fd);
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (open_nothing() != fd)
			return -1;
	return 0;
}

__attribute__((noreturn)) static void child_main(int sock, int exec)
{
	static const char *const argv[] = { "latch-auth", NULL }, *const envp[] = { NULL };
	default_signals(0);
	unblock_signals();
	reset_limits();
	reset_scheduling();
	(void)syscall(SYS_setsid);
	(void)syscall(SYS_personality, 0UL);
	(void)syscall(SYS_umask, 077);
	if (syscall(SYS_chdir, "/") == 0 && arrange(sock, exec) == 0)
		(void)syscall(SYS_execveat, CHILD_EXEC, "", argv, envp, AT_EMPTY_PATH);
	for (;;)
		(void)syscall(SYS_exit_group, 127);
}

/*
 * A plain copy of this process: no vfork, whose child would run on the host's stack, and no atfork handlers of the
 * host's. Without an exit signal (0) the host's waiting and its SIGCHLD handler never meet the copy, and a host that
 * ignores SIGCHLD does not reap it.
 */
static long copy_process(int *pidfd, int exit_signal)
{
	return syscall(SYS_clone, (unsigned long)(CLONE_PIDFD | exit_signal), NULL, pidfd, NULL, 0UL);
}

/* Waits until the authenticator has ended, or until child_end() asks by SIGTERM that it be ended. */
static void watch(long pid, int pidfd)
{
	unsigned long awaited = 1UL << (SIGCHLD - 1) | 1UL << (SIGTERM - 1);
	/* Nothing of the host's stays open here: the authenticator must see the end of file when the host dies. */
	if (syscall(SYS_dup3, pidfd, 0, 0) < 0 && pidfd != 0)
		return;
	(void)syscall(SYS_close_range, 1, ~0U, 0);
	while (syscall(SYS_rt_sigtimedwait, &awaited, NULL, NULL, SIGSET_BYTES) < 0 && errno == EINTR)
		continue;
	(void)syscall(SYS_pidfd_send_signal, 0, SIGKILL, NULL, 0);
	(void)syscall(SYS_wait4, pid, NULL, __WALL, NULL);
}

/*
 * exec gives a process the exit signal SIGCHLD back, so the one that execs must not be the host's child. This one never
 * execs: it is the parent in between, which leaves no zombie behind, whoever process 1 may be. Signals stay blocked here.
 */
__attribute__((noreturn)) static void go_between_main(int sock, int exec, uid_t euid)
{
	int pidfd = -1;
	default_signals(SA_NOCLDSTOP);
	/* watch() must also hear of a copy that ends without having exec'd: the host may be gone by then. */
	long pid = become_root(euid) == 0 ? copy_process(&pidfd, SIGCHLD) : -1;
	if (pid == 0)
		child_main(sock, exec);
	if (pid > 0)
		watch(pid, pidfd);
	for (;;)
		(void)syscall(SYS_exit_group, 0);
}

/* Runs the program with every signal held back: the host's handlers must not run in the copy. */
static long launch(int sock, int exec, int *pidfd)
{
	uid_t euid = geteuid();
	sigset_t all, before;
	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
		return -1;
	long pid = copy_process(pidfd, 0);
	if (pid == 0)
		go_between_main(sock, exec, euid);
	int failed = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = failed;
	return pid;
}

/* Waits a moment for a process to be gone, and reaps it if it is ours to reap. */
static void bury(int pidfd)
{
	struct pollfd gone = { .fd = pidfd, .events = POLLIN };
	siginfo_t info;
	for (int tries = 0; tries < REAP_TRIES && poll(&gone, 1, REAP_MS) < 0 && errno == EINTR; tries++)
		continue;
	(void)waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | __WALL);
	close(pidfd);
}

static const char *start_on(struct child *c, int exec)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return "no socket pair";
	c->sock = above_std(pair[0]);
	int theirs = above_std(pair[1]);
	const char *problem = NULL;
	if (c->sock < 0 || theirs < 0)
		problem = "no descriptor";
	else if (launch(theirs, exec, &c->between) < 0)
		problem = "no process";
	else if ((c->between = above_std(c->between)) < 0)
		problem = "no descriptor for the process";
	int failed = errno;
	if (theirs >= 0)
		close(theirs);
	errno = failed;
	return problem;
}

const char *child_start(struct child *c, const char *path)
{
	int exec = above_std(open_trusted(path));
	if (exec < 0)
		return "the authenticator cannot be opened or trusted";
	const char *problem = start_on(c, exec);
	int failed = errno;
	close(exec);
	if (problem != NULL)
		child_end(c);
	errno = failed;
	return problem;
}

void child_end(struct child *c)
{
	if (c->sock >= 0)
		close(c->sock); /* a child that we have no hold of ends by this, too */
	if (c->between >= 0) {
		(void)syscall(SYS_pidfd_send_signal, c->between, SIGTERM, NULL, 0);
		bury(c->between);
	}
	*c = (struct child)CHILD_NONE;
}
