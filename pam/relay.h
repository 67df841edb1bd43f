/* One conversation with latch-auth on behalf of one PAM call: docs/relay.md. */
#ifndef LATCH_RELAY_H
#define LATCH_RELAY_H

#include <security/pam_modules.h>
#include <stdint.h>

#include "frame.h"

enum phase { PHASE_AUTH = 1, PHASE_ACCOUNT = 2 };

struct question {
	enum phase phase;
	int flags, argc;
	const char **argv;
	const char *service, *user;
	const char *authenticator;
};

/* Microseconds of CLOCK_BOOTTIME, which goes on while the machine sleeps. */
int64_t now_us(void);

/*
 * Returns VERDICT_REFUSE for everything that is not a verdict in due form and time; the cause is logged. typing_us is how
 * long the person was asked.
 */
enum verdict relay_ask(pam_handle_t *pamh, const struct question *q, int64_t *typing_us);

#endif
