//go:build ignore

// The line above is for Go: it passes over this file, which make compiles.

#include <string.h>

#include "frame.h"

static uint32_t get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* A text for a person or a name: no NUL, since C would end there, and of a length that every host takes. */
static int take_text(struct frame *f, const unsigned char *p, size_t n, size_t least)
{
	if (n < least || n > FRAME_TEXT_MAX || memchr(p, 0, n) != NULL)
		return -1;
	f->text = (const char *)p;
	f->text_len = n;
	return 0;
}

static int parse_payload(struct frame *f, unsigned type, const unsigned char *p, size_t n)
{
	memset(f, 0, sizeof *f);
	switch (type) {
	case FRAME_HOLD:
		if (n != 1 || p[0] < 1 || p[0] > 100)
			return -1;
		f->hold = p[0];
		break;
	case FRAME_GROUP:
		if (take_text(f, p, n, 1) != 0)
			return -1;
		break;
	case FRAME_PROMPT:
		if (n < 1 || p[0] > 1 || take_text(f, p + 1, n - 1, 0) != 0)
			return -1;
		f->echo = p[0];
		break;
	case FRAME_INFO:
	case FRAME_ERROR:
		if (take_text(f, p, n, 0) != 0)
			return -1;
		break;
	case FRAME_VERDICT:
		if (n != 1 || p[0] < VERDICT_SUCCESS || p[0] > VERDICT_REFUSE)
			return -1;
		f->verdict = (enum verdict)p[0];
		break;
	default:
		return -1;
	}
	f->type = (enum frame_type)type;
	return 0;
}

long frame_parse(const unsigned char *buf, size_t len, struct frame *out)
{
	if (len < FRAME_HEADER)
		return 0;
	uint32_t n = get_u32(buf);
	if (n < 1 || n > FRAME_IN_MAX)
		return -1;
	if (len - FRAME_HEADER < n)
		return 0;
	if (parse_payload(out, buf[FRAME_HEADER], buf + FRAME_HEADER + 1, n - 1) != 0)
		return -1;
	return (long)(FRAME_HEADER + n);
}

void build_begin(struct builder *b, unsigned char *buf, size_t cap, enum frame_type type)
{
	*b = (struct builder){ .buf = buf, .cap = cap, .len = FRAME_HEADER };
	build_u8(b, type);
}

void build_bytes(struct builder *b, const void *p, size_t n)
{
	if (n > b->cap - b->len) {
		b->overflow = 1;
		return;
	}
	if (n > 0)
		memcpy(b->buf + b->len, p, n);
	b->len += n;
}

void build_u8(struct builder *b, unsigned v)
{
	unsigned char c = (unsigned char)v;
	build_bytes(b, &c, 1);
}

void build_u32(struct builder *b, uint32_t v)
{
	unsigned char c[4] = { (unsigned char)(v >> 24), (unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v };
	build_bytes(b, c, sizeof c);
}

void build_field(struct builder *b, unsigned tag, const void *p, size_t n)
{
	if (n > UINT16_MAX) {
		b->overflow = 1;
		return;
	}
	build_u8(b, tag);
	build_u8(b, (unsigned)(n >> 8));
	build_u8(b, (unsigned)(n & 0xff));
	build_bytes(b, p, n);
}

void build_string(struct builder *b, unsigned tag, const char *s)
{
	if (s != NULL)
		build_field(b, tag, s, strlen(s));
}

int build_end(struct builder *b)
{
	size_t n = b->len - FRAME_HEADER;
	if (b->overflow || n > FRAME_MAX)
		return -1;
	for (int i = 0; i < 4; i++)
		b->buf[i] = (unsigned char)(n >> (24 - 8 * i));
	return 0;
}
