/*
 * Starting and ending latch-auth from inside a host that we know nothing about: any number of threads, any signal
 * handlers, descriptors 0-2 possibly closed, and, where the host is set-uid, everything inherited chosen by its caller.
 */
#ifndef LATCH_SPAWN_H
#define LATCH_SPAWN_H

struct child {
	int sock;    /* our end of the socket pair, -1 if none */
	int between; /* pidfd of our child, whose child the authenticator is; -1 if none */
};

#define CHILD_NONE { -1, -1 }

/* Starts the authenticator at path. On failure returns a static text that says what failed, else NULL. errno tells why. */
const char *child_start(struct child *c, const char *path);

/* Ends the child whatever it is doing, and reaps it. Never blocks longer than a moment. */
void child_end(struct child *c);

#endif
