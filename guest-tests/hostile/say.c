/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * say.c - what happened, in words; and the share as the host sees it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"

void say(struct hostile *h, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(h->said, sizeof(h->said), fmt, ap);
	va_end(ap);
}

int wrong(struct hostile *h, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(h->said, sizeof(h->said), fmt, ap);
	va_end(ap);
	return -1;
}

const char *result_name(int result)
{
	const char *name = result < 0 ? strerrorname_np(-result) : NULL;

	if (result == BARE)
		return "a bare completion";
	return name ? name : result == 0 ? "success" : "a number";
}

int expect(struct hostile *h, const char *what, int got, int want)
{
	if (got == want) {
		say(h, "%s: %s", what, result_name(got));
		return 0;
	}
	return wrong(h, "%s: %s instead of %s", what, result_name(got), result_name(want));
}

int expect_either(struct hostile *h, const char *what, int got, int want, int or_want)
{
	return expect(h, what, got, got == or_want ? or_want : want);
}

/* --- the share ---------------------------------------------------------------------------------------------- */

int host_path(struct hostile *h, char *out, size_t size, const char *name)
{
	return snprintf(out, size, "%s/%s", h->share, name) < (int)size ? 0 : -ENAMETOOLONG;
}

bool host_has(struct hostile *h, const char *name)
{
	char path[4096];
	struct stat st;

	return host_path(h, path, sizeof(path), name) == 0 && lstat(path, &st) == 0;
}

int host_write(struct hostile *h, const char *name, const char *text)
{
	char path[4096];
	CLEANUP_FD int fd = -1;

	if (host_path(h, path, sizeof(path), name))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno_neg();
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -EIO;
}

int host_entries(struct hostile *h)
{
	DIR *dir = opendir(h->share);
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		(void)closedir(dir);
	return n;
}
