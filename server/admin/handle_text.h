/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle_text.h - handles as a person writes them.
 */
#ifndef HOLDFAST_ADMIN_HANDLE_TEXT_H
#define HOLDFAST_ADMIN_HANDLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export/types.h"

#define HANDLE_TEXT_MAX 128 /* bytes; MAX_HANDLE_SZ and HOLDFAST_SEALED_MAX */

struct handle_text {
	bool typed; /* "TYPE:HEX": a file handle as name_to_handle_at(2) gives it; else hex digits alone */
	int type;
	size_t len;
	uint8_t bytes[HANDLE_TEXT_MAX];
};

/* TYPE:HEX or HEX; TYPE is in hex, "0x" before either is taken. 0 or -EINVAL. */
int handle_text_parse(const char *text, struct handle_text *out);

/* What a FUSE handle says of one object. */
struct handle_pair {
	nodeid_t nodeid;
	generation_t generation;
};

/*
 * The pairs in a FUSE handle (include/holdfast/handle.h): 1, or 2 with the parent's behind; 0 if it is none.
 * Without a type the length decides, as no sealed handle is that short.
 */
unsigned handle_text_fuse(const struct handle_text *h, struct handle_pair out[2]);

#endif
