/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle_text.c - parsing handles that a person typed. Pure functions.
 */
#include "admin/handle_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "holdfast/handle.h"

#define TYPE_MASK 0xffff /* the rest are flags of the kernel's, FILEID_USER_FLAGS */
#define FUSE_PAIR_LEN 12

static const char *skip_0x(const char *text)
{
	return text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? text + 2 : text;
}

int handle_text_parse(const char *text, struct handle_text *out)
{
	const char *colon = strchr(text, ':');
	const char *hex;
	ssize_t len;

	memset(out, 0, sizeof(*out));
	if (colon) {
		const char *type = skip_0x(text);
		size_t digits = (size_t)(colon - type);

		if (colon <= type || digits > 8 || strspn(type, "0123456789abcdefABCDEF") != digits)
			return -EINVAL;
		out->type = (int)(uint32_t)strtoul(type, NULL, 16);
		out->typed = true;
		text = colon + 1;
	}
	hex = skip_0x(text);
	len = hex_decode(hex, strlen(hex), out->bytes, sizeof(out->bytes));
	if (len <= 0)
		return -EINVAL;
	out->len = (size_t)len;
	return 0;
}

static struct handle_pair read_pair(const uint8_t *p)
{
	uint32_t word[3]; /* in host byte order */

	memcpy(word, p, sizeof(word));
	return (struct handle_pair){ { (uint64_t)word[0] << 32 | word[1] }, { word[2] } };
}

unsigned handle_text_fuse(const struct handle_text *h, struct handle_pair out[2])
{
	int type = h->type & TYPE_MASK;
	bool one = h->len == FUSE_PAIR_LEN && (!h->typed || type == HOLDFAST_FUSE_HANDLE_TYPE);
	bool two = h->len == (size_t)2 * FUSE_PAIR_LEN &&
		   (!h->typed || type == HOLDFAST_FUSE_HANDLE_PARENT_TYPE);

	if (!one && !two)
		return 0;
	out[0] = read_pair(h->bytes);
	if (two)
		out[1] = read_pair(h->bytes + FUSE_PAIR_LEN);
	return two ? 2 : 1;
}
