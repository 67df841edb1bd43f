//go:build ignore

// The line above is for Go: it passes over this file, which make compiles.

#include "relay.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <security/pam_ext.h>
#include <security/pam_modutil.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "spawn.h"

enum {
	START_MS = 20000,          /* silence allowed until HOLD */
	PROMPT_BUDGET_MS = 110000, /* for all prompts together */
	FRAMES_MAX = 64,
	NSS_BUFFER_MAX = 1 << 20,
	FRAME_ROOM = 1024, /* of the buffer, for what the authenticator sends; a frame of its fits twice over */
};

/* Field tags of HELLO. */
enum { F_PHASE = 1, F_SERVICE, F_USER, F_FOUND, F_UNKNOWN, F_NSS_ERROR, F_RHOST, F_TTY, F_RUSER, F_IDS, F_FLAGS,
	F_SSH_CONNECTION, F_SSH_AUTH_INFO, F_ARGUMENT };

static const char broken[] = "the authenticator broke the protocol";

/* What NSS says of the user, asked once, here, where the host's own LDAP or SSSD answers. */
struct person {
	struct passwd entry;
	char *buffer;
	int found, error; /* error: errno of a lookup that failed */
};

struct talk {
	pam_handle_t *pamh;
	const struct question *q;
	struct person person;
	struct child child;
	int64_t deadline, typing_us; /* the deadline in milliseconds */
	int held, frames;
	unsigned char buf[FRAME_ROOM + FRAME_HEADER + FRAME_MAX]; /* a page that is not touched costs nothing */
	size_t have;
};

int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t now_ms(void) { return now_us() / 1000; }

static void complain(const struct talk *t, const char *what)
{
	pam_syslog(t->pamh, LOG_ERR, "refused: %s", what);
}

static void look_up(struct person *p, const char *user)
{
	for (size_t size = 1024; size <= NSS_BUFFER_MAX; size *= 2) {
		char *grown = realloc(p->buffer, size);
		struct passwd *result = NULL;
		if (grown == NULL) {
			p->error = ENOMEM;
			return;
		}
		p->buffer = grown;
		do
			p->error = getpwnam_r(user, &p->entry, p->buffer, size, &result);
		while (p->error == EINTR);
		p->found = p->error == 0 && result != NULL;
		if (p->error != ERANGE)
			return;
	}
}

static void add_person(struct builder *b, const struct person *p)
{
	unsigned char field[4 + 1024];
	if (p->error != 0 || !p->found) {
		uint32_t e = (uint32_t)p->error;
		unsigned char code[4] = { (unsigned char)(e >> 24), (unsigned char)(e >> 16), (unsigned char)(e >> 8), (unsigned char)e };
		build_field(b, p->error != 0 ? F_NSS_ERROR : F_UNKNOWN, code, p->error != 0 ? sizeof code : 0);
		return;
	}
	size_t n = strlen(p->entry.pw_name);
	if (n > sizeof field - 4) {
		b->overflow = 1;
		return;
	}
	uint32_t uid = p->entry.pw_uid;
	for (int i = 0; i < 4; i++)
		field[i] = (unsigned char)(uid >> (24 - 8 * i));
	memcpy(field + 4, p->entry.pw_name, n);
	build_field(b, F_FOUND, field, 4 + n);
}

static void add_item(struct builder *b, pam_handle_t *pamh, unsigned tag, int item)
{
	const void *value = NULL;
	if (pam_get_item(pamh, item, &value) == PAM_SUCCESS)
		build_string(b, tag, value);
}

static void add_numbers(struct builder *b, unsigned tag, const uint32_t *v, size_t n)
{
	unsigned char field[8];
	for (size_t i = 0; i < 4 * n; i++)
		field[i] = (unsigned char)(v[i / 4] >> (24 - 8 * (i % 4)));
	build_field(b, tag, field, 4 * n);
}

static int send_all(struct talk *t, const unsigned char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(t->child.sock, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
			continue;
		}
		if (sent < 0 && errno == EINTR)
			continue;
		int64_t left = t->deadline - now_ms();
		struct pollfd room = { .fd = t->child.sock, .events = POLLOUT };
		if (sent == 0 || (errno != EAGAIN && errno != EWOULDBLOCK) || left <= 0)
			return -1;
		(void)poll(&room, 1, (int)left);
	}
	return 0;
}

static int send_frame(struct talk *t, struct builder *b)
{
	int r = build_end(b) == 0 ? send_all(t, b->buf, b->len) : -1;
	explicit_bzero(b->buf, b->len);
	return r;
}

/* The receive buffer is empty until HELLO is out, so it lends its room. */
static int send_hello(struct talk *t)
{
	struct builder b;
	unsigned char phase = (unsigned char)t->q->phase;
	uint32_t ids[2] = { getuid(), geteuid() }, flags = (uint32_t)t->q->flags;
	build_begin(&b, t->buf, sizeof t->buf, FRAME_HELLO);
	build_u8(&b, 1);
	build_field(&b, F_PHASE, &phase, 1);
	build_string(&b, F_SERVICE, t->q->service);
	build_string(&b, F_USER, t->q->user);
	add_person(&b, &t->person);
	add_item(&b, t->pamh, F_RHOST, PAM_RHOST);
	add_item(&b, t->pamh, F_TTY, PAM_TTY);
	add_item(&b, t->pamh, F_RUSER, PAM_RUSER);
	add_numbers(&b, F_IDS, ids, 2);
	add_numbers(&b, F_FLAGS, &flags, 1);
	build_string(&b, F_SSH_CONNECTION, pam_getenv(t->pamh, "SSH_CONNECTION"));
	build_string(&b, F_SSH_AUTH_INFO, pam_getenv(t->pamh, "SSH_AUTH_INFO_0"));
	for (int i = 0; i < t->q->argc; i++)
		build_string(&b, F_ARGUMENT, t->q->argv[i]);
	return send_frame(t, &b);
}

static int is_authtok(pam_handle_t *pamh, const char *reply)
{
	const void *tok = NULL;
	return pam_get_item(pamh, PAM_AUTHTOK, &tok) == PAM_SUCCESS && tok != NULL && strcmp(tok, reply) == 0;
}

/* One message through the host's conversation. The reply, if any, is the caller's to wipe. */
static char *converse(pam_handle_t *pamh, int style, const char *text)
{
	const struct pam_conv *conv = NULL;
	struct pam_message msg = { .msg_style = style, .msg = text };
	const struct pam_message *list = &msg;
	struct pam_response *resp = NULL;
	char *reply = NULL;
	if (pam_get_item(pamh, PAM_CONV, (const void **)&conv) != PAM_SUCCESS || conv == NULL || conv->conv == NULL)
		return NULL;
	int r = conv->conv(1, &list, &resp, conv->appdata_ptr);
	if (resp == NULL)
		return NULL;
	if (r == PAM_SUCCESS) {
		reply = resp->resp;
	} else if (resp->resp != NULL) {
		explicit_bzero(resp->resp, strlen(resp->resp));
		free(resp->resp);
	}
	free(resp);
	return reply;
}

static void text_of(const struct frame *f, char out[FRAME_TEXT_MAX + 1])
{
	memcpy(out, f->text, f->text_len);
	out[f->text_len] = '\0';
}

static const char *on_prompt(struct talk *t, const struct frame *f)
{
	char text[FRAME_TEXT_MAX + 1];
	struct builder b;
	text_of(f, text);
	int64_t before = now_us();
	char *reply = converse(t->pamh, f->echo ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF, text);
	int64_t took = now_us() - before;
	t->typing_us += took;
	t->deadline += took / 1000;
	int cannot = reply == NULL || strlen(reply) > FRAME_MAX - 2 || is_authtok(t->pamh, reply);
	/* Nothing else is on its way while a prompt is out, so the receive buffer has room. */
	build_begin(&b, t->buf + t->have, sizeof t->buf - t->have, FRAME_ANSWER);
	build_u8(&b, cannot ? 1 : 0);
	if (!cannot)
		build_bytes(&b, reply, strlen(reply));
	if (reply != NULL) {
		explicit_bzero(reply, strlen(reply));
		free(reply);
	}
	if (t->typing_us > PROMPT_BUDGET_MS * INT64_C(1000))
		return "the person took too long";
	return send_frame(t, &b) == 0 ? NULL : "the authenticator did not take the answer";
}

static const char *on_group(struct talk *t, const struct frame *f)
{
	char name[FRAME_TEXT_MAX + 1];
	struct builder b;
	int member = 0;
	text_of(f, name);
	if (t->person.found)
		member = pam_modutil_user_in_group_nam_nam(t->pamh, t->person.entry.pw_name, name) > 0;
	build_begin(&b, t->buf + t->have, sizeof t->buf - t->have, FRAME_MEMBER);
	build_u8(&b, (unsigned)member);
	return send_frame(t, &b) == 0 ? NULL : "the authenticator did not take the answer";
}

static void on_text(struct talk *t, const struct frame *f, int style)
{
	char text[FRAME_TEXT_MAX + 1];
	if (((unsigned)t->q->flags & PAM_SILENT) != 0)
		return;
	text_of(f, text);
	char *reply = converse(t->pamh, style, text);
	free(reply);
}

static const char *on_hold(struct talk *t, const struct frame *f)
{
	if (t->held)
		return broken;
	t->held = 1;
	t->deadline = now_ms() + (int64_t)f->hold * 1000;
	return NULL;
}

/* Obeys one frame. Returns NULL, or why to refuse; a verdict is the caller's. */
static const char *obey(struct talk *t, const struct frame *f)
{
	switch (f->type) {
	case FRAME_HOLD:
		return on_hold(t, f);
	case FRAME_GROUP:
		return on_group(t, f);
	case FRAME_PROMPT:
		return on_prompt(t, f);
	case FRAME_INFO:
		on_text(t, f, PAM_TEXT_INFO);
		return NULL;
	case FRAME_ERROR:
		on_text(t, f, PAM_ERROR_MSG);
		return NULL;
	default:
		return broken;
	}
}

/* Waits for bytes until the deadline. 1 when some came, 0 on end of file, -1 on silence or an error. */
static int receive(struct talk *t)
{
	for (;;) {
		int64_t left = t->deadline - now_ms();
		struct pollfd in = { .fd = t->child.sock, .events = POLLIN };
		if (left <= 0)
			return -1;
		int ready = poll(&in, 1, (int)left);
		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready <= 0)
			continue;
		ssize_t n = recv(t->child.sock, t->buf + t->have, FRAME_ROOM - t->have, MSG_DONTWAIT);
		if (n > 0) {
			t->have += (size_t)n;
			return 1;
		}
		if (n == 0)
			return 0;
		if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
			return -1;
	}
}

/* Nothing may stand behind a verdict, neither read already nor on its way. */
static int is_last(struct talk *t, size_t taken)
{
	unsigned char more;
	if (t->have != taken)
		return 0;
	ssize_t n = recv(t->child.sock, &more, 1, MSG_DONTWAIT | MSG_PEEK);
	return n == 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNRESET));
}

static enum verdict conversation(struct talk *t)
{
	struct frame f;
	while (t->frames < FRAMES_MAX) {
		long taken = frame_parse(t->buf, t->have, &f);
		if (taken < 0) {
			complain(t, broken);
			return VERDICT_REFUSE;
		}
		if (taken == 0) {
			int r = receive(t);
			if (r == 1)
				continue;
			complain(t, r == 0 ? "the authenticator ended without a verdict" : "the authenticator gave no verdict in time");
			return VERDICT_REFUSE;
		}
		t->frames++;
		if (f.type == FRAME_VERDICT) {
			if (t->held && is_last(t, (size_t)taken) && now_ms() < t->deadline)
				return f.verdict;
			/* A refusal needs no HOLD: the configuration may have been what failed. */
			if (f.verdict != VERDICT_REFUSE)
				complain(t, "the authenticator's verdict was late or out of order");
			return VERDICT_REFUSE;
		}
		/* A host that was stopped finds frames that are old: HOLD must not give a verdict of yesterday new time. */
		const char *problem = now_ms() < t->deadline ? obey(t, &f) : "the authenticator's frame was late";
		if (problem != NULL) {
			complain(t, problem);
			return VERDICT_REFUSE;
		}
		t->have -= (size_t)taken;
		memmove(t->buf, t->buf + taken, t->have);
	}
	complain(t, "the authenticator sent too many frames");
	return VERDICT_REFUSE;
}

static enum verdict talk_through(struct talk *t)
{
	/* First, before the socket pair: a caller's limit on descriptors that makes NSS miss its files leaves none for the socket pair either. */
	look_up(&t->person, t->q->user);
	/* The host's slow LDAP is not the authenticator's silence. */
	t->deadline = now_ms() + START_MS;
	const char *problem = child_start(&t->child, t->q->authenticator);
	if (problem != NULL) {
		pam_syslog(t->pamh, LOG_ERR, "refused: %s: %s: %m", t->q->authenticator, problem);
		return VERDICT_REFUSE;
	}
	if (send_hello(t) != 0) {
		complain(t, "the authenticator did not take the question");
		return VERDICT_REFUSE;
	}
	return conversation(t);
}

enum verdict relay_ask(pam_handle_t *pamh, const struct question *q, int64_t *typing_us)
{
	*typing_us = 0;
	/* Pages of our own, given back whole: malloc would keep them in the host for the rest of the session. */
	struct talk *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t == MAP_FAILED) {
		pam_syslog(pamh, LOG_ERR, "refused: no memory");
		return VERDICT_REFUSE;
	}
	t->pamh = pamh;
	t->q = q;
	t->child = (struct child)CHILD_NONE;
	enum verdict v = talk_through(t);
	child_end(&t->child);
	*typing_us = t->typing_us;
	free(t->person.buffer);
	munmap(t, sizeof *t);
	return v;
}
