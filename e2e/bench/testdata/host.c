/*
 * The PAM host that is measured: host CONFDIR SERVICE USER MODE. For every line on its standard input, which is what
 * its person answers to prompts, it makes one login (auth and account) and prints the wall time and the processor
 * time in microseconds, the latter with that of every process below it. It ends with its input. Modes:
 *   fresh   each login in a process of its own, started for it, as su and sudo are
 *   same    all logins in this process
 *   forked  each login in a process that was forked after pam_start, as sshd's keyboard-interactive does
 *   one     one login, the answer in the fifth argument; what "fresh" starts
 *   memory  one login; prints private dirty and all private KiB, mappings and threads while the handle is
 *          still open, as in a session
 */
#include <dirent.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *confdir, *service, *user, *answer;

static int converse(int n, const struct pam_message **msg, struct pam_response **resp, void *data)
{
	(void)data;
	*resp = calloc((size_t)n, sizeof **resp);
	for (int i = 0; *resp != NULL && i < n; i++)
		if (msg[i]->msg_style == PAM_PROMPT_ECHO_OFF || msg[i]->msg_style == PAM_PROMPT_ECHO_ON)
			(*resp)[i].resp = strdup(answer);
	return *resp != NULL ? PAM_SUCCESS : PAM_BUF_ERR;
}

static void die(const char *what, int code)
{
	fprintf(stderr, "host %s as %s: %s: code %d\n", service, user, what, code);
	exit(1);
}

static pam_handle_t *start(void)
{
	static const struct pam_conv conv = { converse, NULL };
	pam_handle_t *h = NULL;
	int code = pam_start_confdir(service, user, &conv, confdir, &h);
	if (code != PAM_SUCCESS)
		die("pam_start", code);
	return h;
}

/* A login that fails ends the measurement: its time would mean something else. */
static void both(pam_handle_t *h)
{
	int code = pam_authenticate(h, 0);
	if (code != PAM_SUCCESS)
		die("pam_authenticate", code);
	code = pam_acct_mgmt(h, 0);
	if (code != PAM_SUCCESS)
		die("pam_acct_mgmt", code);
}

static void same(void)
{
	pam_handle_t *h = start();
	both(h);
	pam_end(h, PAM_SUCCESS);
}

static void await(pid_t pid)
{
	int status = 1;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die("the process of a login", status);
}

static void forked(void)
{
	pam_handle_t *h = start();
	pid_t pid = fork();
	if (pid == 0) {
		both(h);
		_exit(0);
	}
	await(pid);
	pam_end(h, PAM_SUCCESS);
}

/* vfork: a copy of this process would be measured along. */
static void fresh(void)
{
	char *argv[] = { "host", confdir, service, user, "one", answer, NULL };
	pid_t pid = vfork();
	if (pid == 0) {
		execv("/proc/self/exe", argv);
		_exit(1);
	}
	await(pid);
}

static long wall_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static long cpu_us(void)
{
	long us = 0;
	int whose[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
	for (int i = 0; i < 2; i++) {
		struct rusage r;
		getrusage(whose[i], &r);
		us += (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 + r.ru_utime.tv_usec + r.ru_stime.tv_usec;
	}
	return us;
}

static int entries(const char *dir)
{
	int n = 0;
	DIR *d = opendir(dir);
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}

static void memory(void)
{
	char line[1024];
	long dirty = 0, clean = 0, v;
	int mappings = 0;
	pam_handle_t *h = start();
	both(h);
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "Private_Dirty: %ld", &v) == 1)
			dirty += v;
		else if (sscanf(line, "Private_Clean: %ld", &v) == 1)
			clean += v;
	if (f == NULL || fclose(f) != 0 || (f = fopen("/proc/self/maps", "r")) == NULL)
		die("/proc", 0);
	while (fgets(line, sizeof line, f) != NULL)
		mappings++;
	fclose(f);
	printf("%ld %ld %d %d\n", dirty, dirty + clean, mappings, entries("/proc/self/task"));
	pam_end(h, PAM_SUCCESS);
}

static void serve(void (*login)(void))
{
	static char line[64];
	answer = line;
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		long wall = wall_us(), cpu = cpu_us();
		login();
		printf("%ld %ld\n", wall_us() - wall, cpu_us() - cpu);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	confdir = argv[1];
	service = argv[2];
	user = argv[3];
	answer = argc > 5 ? argv[5] : "";
	if (strcmp(argv[4], "fresh") == 0)
		serve(fresh);
	else if (strcmp(argv[4], "same") == 0)
		serve(same);
	else if (strcmp(argv[4], "forked") == 0)
		serve(forked);
	else if (strcmp(argv[4], "one") == 0)
		same();
	else if (strcmp(argv[4], "memory") == 0)
		memory();
	else
		return 2;
	return 0;
}
