/*
 * Frames between pam_latch.so and latch-auth: docs/relay.md. Pure functions over buffers, so that they can
 * be fuzzed without a process behind them.
 */
#ifndef LATCH_FRAME_H
#define LATCH_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_MAX = 64 * 1024, /* of type and payload together */
	FRAME_HEADER = 4,
	FRAME_TEXT_MAX = 512,
	FRAME_IN_MAX = 2 + FRAME_TEXT_MAX, /* the largest frame of the authenticator, PROMPT: type, echo, text */
};

enum frame_type {
	FRAME_HELLO = 0x01,
	FRAME_ANSWER = 0x02,
	FRAME_MEMBER = 0x03,
	FRAME_HOLD = 0x81,
	FRAME_GROUP = 0x82,
	FRAME_PROMPT = 0x83,
	FRAME_INFO = 0x84,
	FRAME_ERROR = 0x85,
	FRAME_VERDICT = 0x86,
};

enum verdict {
	VERDICT_NONE = 0, /* so that zeroed memory opens nothing */
	VERDICT_SUCCESS = 1,
	VERDICT_IGNORE = 2,
	VERDICT_REFUSE = 3,
};

/* A frame from the authenticator, checked. text points into the buffer and ends in NUL only after frame_text(). */
struct frame {
	enum frame_type type;
	unsigned hold;        /* HOLD: seconds, 1 ... 100 */
	int echo;             /* PROMPT */
	enum verdict verdict; /* VERDICT */
	const char *text;     /* GROUP, PROMPT, INFO, ERROR; not terminated */
	size_t text_len;
};

/*
 * Reads one frame from the len bytes at buf. Returns the bytes that it took, 0 if more bytes are needed, -1 if no
 * continuation can make this a frame of the authenticator.
 */
long frame_parse(const unsigned char *buf, size_t len, struct frame *out);

/* A growing frame of the module. Anything that does not fit sets overflow and is left out. */
struct builder {
	unsigned char *buf;
	size_t cap, len;
	int overflow;
};

void build_begin(struct builder *b, unsigned char *buf, size_t cap, enum frame_type type);
void build_u8(struct builder *b, unsigned v);
void build_u32(struct builder *b, uint32_t v);
void build_bytes(struct builder *b, const void *p, size_t n);
void build_field(struct builder *b, unsigned tag, const void *p, size_t n);
void build_string(struct builder *b, unsigned tag, const char *s); /* no field for NULL */
int build_end(struct builder *b); /* 0, or -1 when it did not fit */

#endif
