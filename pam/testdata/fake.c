/*
 * A scripted authenticator. It runs the lines of PROGRAM.script, appends every frame that it reads to PROGRAM.got (in
 * hex, a line each), and after the last line waits for the end of file. "wait" waits for PROGRAM.go.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static char self[4096];

static FILE *beside(const char *ending, const char *mode)
{
	char path[4200];
	snprintf(path, sizeof path, "%s%s", self, ending);
	FILE *f = fopen(path, mode);
	if (f == NULL)
		_exit(90);
	return f;
}

static void take(unsigned char *p, size_t n)
{
	for (ssize_t r; n > 0; p += r, n -= (size_t)r)
		if ((r = read(3, p, n)) <= 0)
			_exit(91);
}

static void read_frame(void)
{
	static unsigned char b[70000];
	take(b, 4);
	size_t n = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
	if (n > sizeof b)
		_exit(92);
	take(b, n);
	FILE *f = beside(".got", "a");
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%02x", b[i]);
	fputc('\n', f);
	fclose(f);
}

/* In one go, so that what stands behind a verdict is there when the verdict is read. */
static void write_hex(const char *hex)
{
	static unsigned char b[100000];
	size_t n = 0, sent = 0;
	for (unsigned v; n < sizeof b && sscanf(hex, "%2x", &v) == 1; hex += 2)
		b[n++] = (unsigned char)v;
	for (ssize_t r; sent < n; sent += (size_t)r)
		if ((r = write(3, b + sent, n - sent)) <= 0)
			_exit(93);
}

static void dump_process(FILE *f)
{
	sigset_t mask;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	int blocked = 0, handled = 0;
	for (int s = 1; s <= 64; s++) {
		struct sigaction a;
		blocked += sigismember(&mask, s) == 1;
		if (sigaction(s, NULL, &a) == 0)
			handled += a.sa_handler != SIG_DFL;
	}
	cpu_set_t cpus;
	sched_getaffinity(0, sizeof cpus, &cpus);
	mode_t um = umask(0);
	char cwd[4096];
	gid_t groups[64];
	uid_t r, e, s;
	getresuid(&r, &e, &s);
	fprintf(f, "uids %d %d %d\ngroups %d\n", r, e, s, getgroups(64, groups));
	fprintf(f, "gid %d %d\n", getgid(), getegid());
	fprintf(f, "blocked %d\nnondefault %d\numask %03o\ncwd %s\n", blocked, handled, um, getcwd(cwd, sizeof cwd));
	fprintf(f, "leader %d\nnice %d\nscheduler %d\n", getsid(0) == getpid(), getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
	fprintf(f, "personality %lx\nioprio %ld\n", (unsigned long)personality(0xffffffff), syscall(SYS_ioprio_get, 1, 0) >> 13);
	fprintf(f, "cpus %d of %ld\nslack %d\n", CPU_COUNT(&cpus), sysconf(_SC_NPROCESSORS_ONLN), prctl(PR_GET_TIMERSLACK));
	char oom[16] = "";
	FILE *o = fopen("/proc/self/oom_score_adj", "r");
	if (o != NULL && fgets(oom, sizeof oom, o) != NULL)
		fprintf(f, "oom %s", oom);
	if (o != NULL)
		fclose(o);
}

static void dump(int argc, char **argv)
{
	static const struct { const char *name; int id; } limits[] = { { "core", RLIMIT_CORE }, { "cpu", RLIMIT_CPU },
		{ "fsize", RLIMIT_FSIZE }, { "as", RLIMIT_AS }, { "nproc", RLIMIT_NPROC }, { "nofile", RLIMIT_NOFILE },
		{ "stack", RLIMIT_STACK } }, raised[] = { { "sigpending", RLIMIT_SIGPENDING }, { "memlock", RLIMIT_MEMLOCK },
		{ "rttime", RLIMIT_RTTIME }, { "locks", RLIMIT_LOCKS }, { "rss", RLIMIT_RSS } };
	char fds[512] = "";
	for (int fd = 0; fd < 1024; fd++) {
		char link[64], to[256];
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, to, sizeof to - 1);
		if (n <= 0)
			continue;
		to[n] = '\0';
		snprintf(fds + strlen(fds), sizeof fds - strlen(fds), " %d=%.10s", fd, to);
	}
	FILE *f = beside(".dump", "w");
	fprintf(f, "fds%s\nargc %d %s\nenvironment %d\n", fds, argc, argv[0], environ[0] != NULL);
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		struct rlimit l;
		getrlimit((__rlimit_resource_t)limits[i].id, &l);
		fprintf(f, "%s %ld\n", limits[i].name, (long)l.rlim_cur);
	}
	for (size_t i = 0; i < sizeof raised / sizeof raised[0]; i++) {
		struct rlimit l;
		getrlimit((__rlimit_resource_t)raised[i].id, &l);
		fprintf(f, "%s below its most %d\n", raised[i].name, l.rlim_cur < l.rlim_max);
	}
	dump_process(f);
	fclose(f);
}

static void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&t, NULL);
}

static void wait_for_file(void)
{
	char path[4200];
	snprintf(path, sizeof path, "%s.go", self);
	while (access(path, F_OK) != 0)
		sleep_ms(1);
}

int main(int argc, char **argv)
{
	char line[200000], word[32];
	if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
		return 94;
	FILE *script = beside(".script", "r");
	fcntl(fileno(script), F_SETFD, FD_CLOEXEC);
	while (fgets(line, sizeof line, script) != NULL) {
		int at = 0;
		if (sscanf(line, "%31s %n", word, &at) < 1)
			continue;
		if (strcmp(word, "read") == 0)
			read_frame();
		else if (strcmp(word, "send") == 0)
			write_hex(line + at);
		else if (strcmp(word, "sleep") == 0)
			sleep_ms(atol(line + at));
		else if (strcmp(word, "wait") == 0)
			wait_for_file();
		else if (strcmp(word, "dump") == 0)
			dump(argc, argv);
		else if (strcmp(word, "stop") == 0)
			raise(SIGSTOP);
		else if (strcmp(word, "crash") == 0)
			raise(SIGSEGV);
		else if (strcmp(word, "close") == 0)
			close(3);
		else if (strcmp(word, "exit") == 0)
			_exit(atoi(line + at));
		else
			_exit(95);
	}
	while (read(3, word, sizeof word) > 0)
		continue;
	return 0;
}
