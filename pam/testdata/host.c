/*
 * A PAM host that does what awkward hosts do: host CONFDIR SERVICE MODE [SERVICE2]. It prints the codes that libpam
 * gave it, then what the module left behind. Its conversation answers every prompt with "reply".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *confdir, *service;
static FILE *out;
static volatile sig_atomic_t seen;
static unsigned answer_after_us;

/*
 * The module and libpam find these before libc's: their clock is this program's, and sleeping moves that on and takes no time. So
 * a test need not wait, and what a slow machine adds is little beside what is moved.
 */
static long ahead_ms, slept_ms;

int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);
	long ns = t->tv_nsec + ahead_ms % 1000 * 1000000;
	t->tv_sec += ahead_ms / 1000 + ns / 1000000000;
	t->tv_nsec = ns % 1000000000;
	return r;
}

static int pass(long ms)
{
	slept_ms += ms;
	ahead_ms += ms;
	return 0;
}

int nanosleep(const struct timespec *t, struct timespec *rest)
{
	(void)rest;
	return pass(t->tv_sec * 1000 + t->tv_nsec / 1000000);
}

/* libpam's own delay. */
int select(int n, fd_set *in, fd_set *outward, fd_set *other, struct timeval *t)
{
	if (n != 0 || in != NULL || outward != NULL || other != NULL || t == NULL)
		abort();
	return pass(t->tv_sec * 1000 + t->tv_usec / 1000);
}

/* On a busy machine a process that was killed may not be gone in the time that the module has for it. Here it has a minute. */
int poll(struct pollfd *fds, nfds_t n, int ms)
{
	char link[64], to[64] = "";
	snprintf(link, sizeof link, "/proc/self/fd/%d", fds->fd);
	if (readlink(link, to, sizeof to - 1) > 0 && strstr(to, "pidfd") != NULL)
		ms = 60000;
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
	return (int)syscall(SYS_ppoll, fds, n, ms < 0 ? NULL : &t, NULL, 0L);
}

/* How many seconds the person takes for each prompt, by this program's clock. */
static char **takes_s;

static int converse(int n, const struct pam_message **msg, struct pam_response **resp, void *data)
{
	(void)data;
	usleep(answer_after_us);
	if (takes_s != NULL && *takes_s != NULL)
		ahead_ms += 1000 * atol(*takes_s++);
	*resp = calloc((size_t)n, sizeof **resp);
	for (int i = 0; *resp != NULL && i < n; i++)
		if (msg[i]->msg_style == PAM_PROMPT_ECHO_OFF || msg[i]->msg_style == PAM_PROMPT_ECHO_ON)
			(*resp)[i].resp = strdup("reply");
	return *resp != NULL ? PAM_SUCCESS : PAM_BUF_ERR;
}

static pam_handle_t *start(void)
{
	static const struct pam_conv conv = { converse, NULL };
	pam_handle_t *h = NULL;
	if (pam_start_confdir(service, "root", &conv, confdir, &h) != PAM_SUCCESS)
		exit(80);
	return h;
}

static void both(pam_handle_t *h)
{
	int auth = pam_authenticate(h, 0);
	int account = pam_acct_mgmt(h, 0);
	fprintf(out, "codes %d %d\n", auth, account);
}

static void once(void)
{
	pam_handle_t *h = start();
	both(h);
	pam_end(h, PAM_SUCCESS);
}

/* Some seconds pass between the two phases. */
static void late(const char *seconds)
{
	pam_handle_t *h = start();
	int auth = pam_authenticate(h, 0);
	ahead_ms += 1000 * atol(seconds);
	int account = pam_acct_mgmt(h, 0);
	fprintf(out, "codes %d %d\n", auth, account);
	pam_end(h, PAM_SUCCESS);
}

static int count(const char *dir)
{
	int n = 0;
	DIR *d = opendir(dir);
	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

static long private_kib(void)
{
	char line[256];
	long kib = 0, v;
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "Private_Dirty: %ld", &v) == 1)
			kib += v;
	if (f != NULL)
		fclose(f);
	return kib;
}

static void left(int fds, long kib)
{
	/* Children of every kind; there must be none, neither running nor dead. */
	int children = waitpid(-1, NULL, WNOHANG | __WALL) != -1 || errno != ECHILD;
	fprintf(out, "left fds %d threads %d children %d\n", count("/proc/self/fd") - fds, count("/proc/self/task") - 3, children);
	fprintf(out, "kib %ld\n", kib);
}

static void on_child(int sig)
{
	(void)sig;
	seen = 1;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		seen = 2;
}

static void forked(void)
{
	pam_handle_t *h = start();
	fflush(out);
	pid_t pid = fork();
	if (pid == 0) {
		both(h);
		fflush(out);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	pam_end(h, PAM_SUCCESS);
}

static void *thread(void *arg)
{
	(void)arg;
	once();
	return NULL;
}

static void threads(void)
{
	pthread_t t[8];
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, thread, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
}

static void retry(void)
{
	pam_handle_t *h = start();
	both(h);
	both(h);
	pam_end(h, PAM_SUCCESS);
}

/* Another service on the same handle, whose stack has no pam_latch: libpam unloads the module in between. */
static void change_service(const char *to)
{
	pam_handle_t *h = start();
	both(h);
	pam_set_item(h, PAM_SERVICE, to);
	both(h);
	pam_end(h, PAM_SUCCESS);
}

/* The hard limit stays: not every root may raise one. */
static void lower(__rlimit_resource_t resource, rlim_t to)
{
	struct rlimit limit;
	if (getrlimit(resource, &limit) != 0)
		exit(83);
	limit.rlim_cur = to;
	setrlimit(resource, &limit);
}

/* What the caller of a set-uid host can leave to it. */
static void hostile(void)
{
	static const __rlimit_resource_t small[] = { RLIMIT_SIGPENDING, RLIMIT_MEMLOCK, RLIMIT_RTTIME, RLIMIT_LOCKS, RLIMIT_RSS };
	sigset_t all;
	cpu_set_t one;
	struct sched_param zero = { 0 };
	struct rlimit low = { 1000000, RLIM_INFINITY }, files = { 64, 1048576 }, core = { RLIM_INFINITY, RLIM_INFINITY };
	setenv("https_proxy", "http://127.0.0.1:9", 1);
	setenv("LD_PRELOAD", "/nonexistent.so", 1);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int s = 1; s <= 64; s++)
		signal(s, SIG_IGN);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof one, &one);
	setpriority(PRIO_PROCESS, 0, 15);
	sched_setscheduler(0, SCHED_IDLE, &zero);
	setrlimit(RLIMIT_FSIZE, &low);
	setrlimit(RLIMIT_CPU, &low);
	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_CORE, &core);
	for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
		lower(small[i], 0);
	lower(RLIMIT_STACK, 1 << 20);
	personality(ADDR_NO_RANDOMIZE | STICKY_TIMEOUTS);
	syscall(SYS_ioprio_set, 1, 0, 3 << 13); /* this process; the idle class */
	prctl(PR_SET_TIMERSLACK, 4000000000UL);
	FILE *f = fopen("/proc/self/oom_score_adj", "w");
	if (f != NULL) {
		fputs("1000", f);
		fclose(f);
	}
	umask(0);
	if (chdir("/tmp") != 0 || open("/dev/zero", O_RDONLY) < 0)
		exit(81);
	if (geteuid() == 0) {
		gid_t other[] = { 4242, 4243 };
		if (setgroups(2, other) != 0 || setresgid(4242, 4242, 4242) != 0 || setresuid(4242, 0, 0) != 0)
			exit(82);
	}
	once();
}

/* What secret() types is nowhere in this program: a copy in memory is the module's, or libpam's. */
static int typed(int i) { return 'a' + (i * 7 + 3) % 26; }

static int secret(int n, const struct pam_message **msg, struct pam_response **resp, void *data)
{
	(void)n;
	(void)msg;
	(void)data;
	*resp = calloc(1, sizeof **resp);
	(*resp)->resp = calloc(65, 1);
	for (int i = 0; i < 64; i++)
		(*resp)->resp[i] = (char)typed(i);
	return PAM_SUCCESS;
}

/* How often the second half of what was typed lies in memory that can be written; free() uses the beginning of a block. */
static int copies(void)
{
	char line[512];
	unsigned long from, to;
	int found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || strstr(line, " rw-p ") == NULL || strstr(line, "[v") != NULL)
			continue;
		for (const char *p = (const char *)from; p + 32 <= (const char *)to; p++) {
			int i = 0;
			while (i < 32 && p[i] == (char)typed(32 + i))
				i++;
			found += i == 32;
		}
	}
	if (maps != NULL)
		fclose(maps);
	return found;
}

static void wiped(void)
{
	static const struct pam_conv conv = { secret, NULL };
	pam_handle_t *h = start();
	pam_set_item(h, PAM_CONV, &conv);
	both(h);
	fprintf(out, "copies %d\n", copies());
	pam_end(h, PAM_SUCCESS);
}

/* Conversations that hand back nothing: no responses, or one without a reply. */
static int no_response(int n, const struct pam_message **msg, struct pam_response **resp, void *data)
{
	(void)n, (void)msg, (void)data;
	*resp = NULL;
	return PAM_SUCCESS;
}

static int no_reply(int n, const struct pam_message **msg, struct pam_response **resp, void *data)
{
	(void)msg, (void)data;
	*resp = calloc((size_t)n, sizeof **resp);
	return PAM_SUCCESS;
}

static void silent(int (*answers)(int, const struct pam_message **, struct pam_response **, void *))
{
	struct pam_conv conv = { answers, NULL };
	pam_handle_t *h = start();
	pam_set_item(h, PAM_CONV, &conv);
	both(h);
	pam_end(h, PAM_SUCCESS);
}

static void timed_failure(pam_handle_t *h)
{
	struct timespec a, b;
	long before = slept_ms;
	clock_gettime(CLOCK_MONOTONIC, &a);
	pam_fail_delay(h, 300000);
	int code = pam_authenticate(h, 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	fprintf(out, "code %d ms %ld slept %ld\n", code, (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000,
		slept_ms - before);
}

/* Once more, if there is a second service, on the same handle and with that. */
static void timed_failures(const char *then)
{
	pam_handle_t *h = start();
	timed_failure(h);
	if (then != NULL) {
		pam_set_item(h, PAM_SERVICE, then);
		timed_failure(h);
	}
	pam_end(h, PAM_SUCCESS);
}

/* The limit comes when libpam has loaded its modules. */
static void limited(int files)
{
	pam_handle_t *h = start();
	struct rlimit limit = { (rlim_t)files, (rlim_t)files };
	setrlimit(RLIMIT_NOFILE, &limit);
	both(h);
	limit = (struct rlimit){ 1024, 1024 };
	setrlimit(RLIMIT_NOFILE, &limit);
	pam_end(h, PAM_SUCCESS);
}

static void own_delay(int status, unsigned us, void *data)
{
	(void)data;
	fprintf(out, "own delay %d %d\n", status, us > 0);
}

/* PAM_FAIL_DELAY is a function, which ISO C does not let us keep as data. */
static void keeps_own_delay(void)
{
	union { void (*fn)(int, unsigned, void *); const void *item; } delay = { .fn = own_delay }, after;
	pam_handle_t *h = start();
	pam_set_item(h, PAM_FAIL_DELAY, delay.item);
	pam_fail_delay(h, 3000000);
	int code = pam_authenticate(h, 0);
	pam_get_item(h, PAM_FAIL_DELAY, &after.item);
	fprintf(out, "code %d kept %d\n", code, after.fn == own_delay);
	pam_end(h, PAM_SUCCESS);
}

static void many(int n)
{
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	pam_handle_t *h = start();
	for (int i = 0; i < n; i++)
		(void)pam_authenticate(h, 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	pam_end(h, PAM_SUCCESS);
	fprintf(out, "us %ld\n", ((b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000) / n);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 79;
	confdir = argv[1];
	service = argv[2];
	const char *mode = argv[3];
	out = fdopen(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 40), "w");
	if (strcmp(mode, "ignored") == 0)
		signal(SIGCHLD, SIG_IGN);
	if (strcmp(mode, "handler") == 0)
		signal(SIGCHLD, on_child);
	if (strcmp(mode, "closed") == 0)
		for (int fd = 0; fd < 3; fd++)
			close(fd);
	if (strcmp(mode, "slow") == 0)
		answer_after_us = 500000;
	if (strcmp(mode, "prompted") == 0 || strcmp(mode, "typed") == 0)
		takes_s = argv + 4;
	int fds = count("/proc/self/fd");
	long before = private_kib();
	if (strcmp(mode, "fork") == 0)
		forked();
	else if (strcmp(mode, "threads") == 0)
		threads();
	else if (strcmp(mode, "retry") == 0)
		retry();
	else if (strcmp(mode, "service") == 0)
		change_service(argv[4]);
	else if (strcmp(mode, "late") == 0)
		late(argv[4]);
	else if (strcmp(mode, "hostile") == 0)
		hostile();
	else if (strcmp(mode, "delay") == 0)
		timed_failures(argv[4]);
	else if (strcmp(mode, "typed") == 0)
		timed_failures(NULL);
	else if (strcmp(mode, "limited") == 0)
		limited(atoi(argv[4]));
	else if (strcmp(mode, "owndelay") == 0)
		keeps_own_delay();
	else if (strcmp(mode, "wiped") == 0)
		wiped();
	else if (strcmp(mode, "noconv") == 0)
		silent(NULL);
	else if (strcmp(mode, "noresponse") == 0)
		silent(no_response);
	else if (strcmp(mode, "noreply") == 0)
		silent(no_reply);
	else if (strcmp(mode, "many") == 0)
		many(200);
	else
		once();
	if (strcmp(mode, "handler") == 0)
		fprintf(out, "sigchld %d\n", (int)seen);
	left(strcmp(mode, "hostile") == 0 ? fds + 1 : fds, private_kib() - before);
	fclose(out);
	return 0;
}
