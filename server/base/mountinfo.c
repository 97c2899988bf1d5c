/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mountinfo.c - reads /proc/self/mountinfo. Stateless; any thread.
 */
#include "base/mountinfo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/util.h"

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Undoes the escapes (\040 and kin) of a field, in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && is_octal(s[1]) && is_octal(s[2]) && is_octal(s[3])) {
			unsigned byte = (unsigned)(s[1] - '0') * 64 + (unsigned)(s[2] - '0') * 8 +
					(unsigned)(s[3] - '0');

			*to++ = (char)byte;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE ... */
static bool parse_line(char *line, struct mountinfo *out)
{
	char *field[5], *rest = line, *tag;
	unsigned ma, mi;

	for (size_t i = 0; i < ARRAY_LEN(field); i++) {
		field[i] = strsep(&rest, " ");
		if (!rest)
			return false;
	}
	if (sscanf(field[2], "%u:%u", &ma, &mi) != 2)
		return false;
	do
		tag = strsep(&rest, " ");
	while (tag && strcmp(tag, "-") != 0);
	out->type = rest ? strsep(&rest, " ") : NULL;
	if (!out->type)
		return false;
	unescape(field[4]);
	out->id = (int)strtol(field[0], NULL, 10);
	out->dev = makedev(ma, mi);
	out->point = field[4];
	return true;
}

int mountinfo_each(mountinfo_fn *each, void *arg)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	size_t room = 0;
	bool more = true;

	if (!f)
		return -errno;
	while (more && getline(&line, &room, f) > 0) {
		struct mountinfo m;

		if (parse_line(line, &m))
			more = each(arg, &m);
	}
	(void)fclose(f);
	return 0;
}
