/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json.c - strings in JSON; the rest of JSON is printf. Pure functions.
 */
#include "admin/json.h"

#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

/* Bytes of the UTF-8 sequence at `p` (1 to 4), or 0 if there is none: too long, a surrogate, cut off. */
static size_t utf8_length(const uint8_t *p)
{
	static const struct {
		uint8_t first_min, first_max, second_min, second_max;
		size_t length;
	} forms[] = { /* RFC 3629, section 4 */
		      { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		      { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		      { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		      { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 }
	};

	if (p[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (p[0] < forms[i].first_min || p[0] > forms[i].first_max)
			continue;
		if (p[1] < forms[i].second_min || p[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].length; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

void json_string(FILE *to, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	(void)fputc('"', to);
	while (*p) {
		size_t len = utf8_length(p);

		if (len == 0) {
			(void)fprintf(to, "\\udc%02x", *p++);
			continue;
		}
		if (*p == '"' || *p == '\\')
			(void)fprintf(to, "\\%c", *p);
		else if (*p < ' ' || *p == 0x7f)
			(void)fprintf(to, "\\u%04x", *p);
		else
			(void)fwrite(p, 1, len, to);
		p += len;
	}
	(void)fputc('"', to);
}
