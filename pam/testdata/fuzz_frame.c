/* libFuzzer target of the frame parser: make fuzz, and for a few seconds `go test ./pam`. */
#include <stdlib.h>
#include <string.h>

#include "frame.h"

static void check(int ok)
{
	if (!ok)
		abort();
}

static void check_frame(const struct frame *f, const unsigned char *p, long taken, size_t n)
{
	check(taken > FRAME_HEADER && (size_t)taken <= n && taken <= FRAME_HEADER + FRAME_IN_MAX);
	check(f->type == (enum frame_type)p[4] && f->type >= FRAME_HOLD && f->type <= FRAME_VERDICT);
	check(f->text_len <= FRAME_TEXT_MAX && f->hold <= 100 && (f->echo == 0 || f->echo == 1));
	check((f->type == FRAME_VERDICT) == (f->verdict != VERDICT_NONE) && (f->type == FRAME_HOLD) == (f->hold != 0));
	if (f->text != NULL)
		check((const unsigned char *)f->text + f->text_len == p + taken && memchr(f->text, 0, f->text_len) == NULL);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	struct frame f;
	size_t at = 0;
	for (long taken; at < len && (taken = frame_parse(data + at, len - at, &f)) > 0; at += (size_t)taken) {
		check_frame(&f, data + at, taken, len - at);
		/* What is short of a byte is no frame yet, and what made a frame makes the same one with more behind it. */
		struct frame g;
		check(frame_parse(data + at, (size_t)taken - 1, &g) == 0);
		check(frame_parse(data + at, (size_t)taken, &g) == taken && memcmp(&f, &g, sizeof f) == 0);
	}
	return 0;
}
