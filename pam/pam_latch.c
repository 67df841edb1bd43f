//go:build ignore

// The line above is for Go: it passes over this file, which make compiles.

/*
 * pam_latch.so: asks latch-auth whether the person behind this login may enter, and says so to PAM.
 * It translates and decides nothing; why it is C is told in the README.
 */
#include <errno.h>
#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "relay.h"

#ifndef LATCH_AUTHENTICATOR
#define LATCH_AUTHENTICATOR "/usr/local/libexec/latch/latch-auth"
#endif

#define EXPORT __attribute__((visibility("default")))
#define DATA_NAME "pam_latch_verdict"

enum { REUSE_MS = 30000 };

/* What the auth phase found, for the account phase of the same login. Used once. */
struct decided {
	enum verdict verdict;
	int64_t at_us;
	char *user, *service, *arguments;
};

/*
 * How long the questions of this thread's running pam_authenticate took, in microseconds, without the time that the person
 * spent typing. libpam passes no data of the module to a delay function, and calls it in the thread, and before the return, of the
 * pam_authenticate that we were part of. initial-exec needs no call into the dynamic loader, and eight bytes fit into what
 * it sets aside for that.
 */
static _Thread_local __attribute__((tls_model("initial-exec"))) unsigned long question_us;

static void sleep_us(unsigned long us)
{
	struct timespec t = { .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000 };
	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		continue;
}

/*
 * libpam's delay after a failure, less what the question took: else a closed latch, which is asked about only after the
 * right password, would answer later than a wrong password.
 */
static void delay_less_question(int status, unsigned us, void *appdata)
{
	(void)appdata;
	unsigned long took = question_us;
	question_us = 0;
	if (status != PAM_SUCCESS && us > took)
		sleep_us(us - took);
}

static void hide_question_in_delay(pam_handle_t *pamh, int64_t took_us)
{
	const void *set = NULL;
	/* PAM_FAIL_DELAY is a function, which ISO C does not let us keep as data; pam_set_item's own type asks for it. */
	union { void (*fn)(int, unsigned, void *); const void *item; } delay = { .fn = delay_less_question };
	if (pam_get_item(pamh, PAM_FAIL_DELAY, &set) != PAM_SUCCESS || (set != NULL && set != delay.item))
		return;
	/* A stack may ask twice, about two operations. What a handle that is gone has left does not count. */
	question_us = (set != NULL ? question_us : 0) + (unsigned long)took_us;
	(void)pam_set_item(pamh, PAM_FAIL_DELAY, delay.item);
}

static void free_decided(pam_handle_t *pamh, void *data, int status)
{
	struct decided *d = data;
	(void)pamh;
	(void)status;
	if (d == NULL)
		return;
	free(d->user);
	free(d->service);
	free(d->arguments);
	free(d);
}

/*
 * The module arguments, which say what was asked: another operation or another file is another question. Not so otp=,
 * as the account phase asks for no code, nor notify=, which says how it is asked. NULL without memory.
 */
static char *arguments_of(const struct question *q)
{
	size_t room = 1;
	for (int i = 0; i < q->argc; i++)
		room += strlen(q->argv[i]) + 1;
	char *all = calloc(room, 1), *end = all;
	for (int i = 0; all != NULL && i < q->argc; i++)
		if (strncmp(q->argv[i], "otp=", 4) != 0 && strncmp(q->argv[i], "notify=", 7) != 0)
			end = stpcpy(stpcpy(end, q->argv[i]), "\n");
	return all;
}

static int same_question(const struct decided *d, const struct question *q)
{
	char *arguments = arguments_of(q);
	int same = arguments != NULL && strcmp(d->arguments, arguments) == 0 && strcmp(d->user, q->user) == 0 &&
		strcmp(d->service, q->service) == 0;
	free(arguments);
	return same;
}

/* Without memory nothing is kept, and the account phase asks for itself. */
static void keep(pam_handle_t *pamh, const struct question *q, enum verdict v)
{
	struct decided *d = calloc(1, sizeof *d);
	if (d != NULL) {
		*d = (struct decided){ v, now_us(), strdup(q->user), strdup(q->service), arguments_of(q) };
		if (d->user != NULL && d->service != NULL && d->arguments != NULL &&
		    pam_set_data(pamh, DATA_NAME, d, free_decided) == PAM_SUCCESS)
			return;
		free_decided(pamh, d, 0);
	}
	(void)pam_set_data(pamh, DATA_NAME, NULL, NULL);
}

static enum verdict kept(pam_handle_t *pamh, const struct question *q)
{
	const void *data = NULL;
	enum verdict v = VERDICT_NONE;
	if (pam_get_data(pamh, DATA_NAME, &data) != PAM_SUCCESS || data == NULL)
		return v;
	const struct decided *d = data;
	int64_t age_us = now_us() - d->at_us;
	if (age_us >= 0 && age_us <= REUSE_MS * INT64_C(1000) && same_question(d, q))
		v = d->verdict;
	(void)pam_set_data(pamh, DATA_NAME, NULL, NULL);
	return v;
}

static int code_of(enum verdict v, enum phase phase)
{
	switch (v) {
	case VERDICT_SUCCESS:
		return PAM_SUCCESS;
	case VERDICT_IGNORE:
		return PAM_IGNORE;
	default:
		return phase == PHASE_AUTH ? PAM_AUTH_ERR : PAM_PERM_DENIED;
	}
}

static const char *authenticator_of(int argc, const char **argv)
{
	static const char name[] = "authenticator=";
	const char *path = LATCH_AUTHENTICATOR;
	for (int i = 0; i < argc; i++)
		if (strncmp(argv[i], name, sizeof name - 1) == 0)
			path = argv[i] + sizeof name - 1;
	return path;
}

static int frame_question(pam_handle_t *pamh, struct question *q)
{
	const void *service = NULL;
	if (pam_get_user(pamh, &q->user, NULL) != PAM_SUCCESS || q->user == NULL)
		return -1;
	if (pam_get_item(pamh, PAM_SERVICE, &service) != PAM_SUCCESS || service == NULL)
		return -1;
	q->service = service;
	return 0;
}

static int ask(pam_handle_t *pamh, enum phase phase, int flags, int argc, const char **argv)
{
	struct question q = { .phase = phase, .flags = flags, .argc = argc, .argv = argv, .authenticator = authenticator_of(argc, argv) };
	if (frame_question(pamh, &q) != 0) {
		pam_syslog(pamh, LOG_ERR, "refused: no user or no service");
		return code_of(VERDICT_REFUSE, phase);
	}
	int64_t typing_us = 0, before = now_us();
	if (phase == PHASE_ACCOUNT) {
		enum verdict v = kept(pamh, &q);
		return code_of(v != VERDICT_NONE ? v : relay_ask(pamh, &q, &typing_us), phase);
	}
	enum verdict v = relay_ask(pamh, &q, &typing_us);
	keep(pamh, &q, v);
	hide_question_in_delay(pamh, now_us() - before - typing_us);
	return code_of(v, phase);
}

EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return ask(pamh, PHASE_AUTH, flags, argc, argv);
}

EXPORT int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return ask(pamh, PHASE_ACCOUNT, flags, argc, argv);
}

/* There is no credential to set; an error here would fail logins that were let in. */
EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}
