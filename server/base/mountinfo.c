/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mountinfo.c - reads /proc/self/mountinfo. Stateless; any thread.
 */
#include "base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/util.h"

#define TABLE_STEP ((size_t)16 << 10)

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
	unescape(field[3]);
	unescape(field[4]);
	out->id = (int)strtol(field[0], NULL, 10);
	out->dev = makedev(ma, mi);
	out->root = field[3];
	out->point = field[4];
	return true;
}

/* The whole table, as a string to be freed; NULL: errno says why. */
static char *read_table(int fd)
{
	size_t used = 0, room = 0;
	char *text = NULL;

	for (;;) {
		ssize_t n;

		if (room - used < 2) {
			char *grown = realloc(text, room + TABLE_STEP);

			if (!grown)
				break;
			text = grown;
			room += TABLE_STEP;
		}
		n = pread(fd, text + used, room - used - 1, (off_t)used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		used += (size_t)n;
		text[used] = '\0';
		if (n == 0)
			return text;
	}
	free(text);
	return NULL;
}

int mountinfo_each(int fd, mountinfo_fn *each, void *arg)
{
	CLEANUP_FD int own = fd < 0 ? open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC) : -1;
	CLEANUP_FREE char *text = NULL;
	char *rest, *line;
	bool more = true;

	if (fd < 0 && own < 0)
		return errno_neg();
	text = read_table(fd < 0 ? own : fd);
	if (!text)
		return errno_neg();
	rest = text;
	while (more && (line = strsep(&rest, "\n"))) {
		struct mountinfo m;

		if (parse_line(line, &m))
			more = each(arg, &m);
	}
	return 0;
}
