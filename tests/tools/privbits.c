/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * privbits ACT FILE [SOURCE] - one way to change what is in a file: what takes setuid, setgid and capabilities off it.
 */
#include <linux/falloc.h>

#include "handle.h"

static int copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CLOEXEC);

	return in >= 0 && out >= 0 && copy_file_range(in, NULL, out, NULL, 4, 0) == 4 ? 0 : -1;
}

static int act(const char *what, const char *file, const char *source)
{
	int fd = -1;

	if (!strcmp(what, "truncate"))
		return truncate(file, 3);
	if (!strcmp(what, "open-truncate"))
		return open(file, O_WRONLY | O_TRUNC | O_CLOEXEC) < 0 ? -1 : 0;
	if (!strcmp(what, "create-truncate"))
		return open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) < 0 ? -1 : 0;
	if (!strcmp(what, "copy"))
		return copy(source, file);
	fd = open(file, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!strcmp(what, "write"))
		return pwrite(fd, "x", 1, 0) == 1 ? 0 : -1;
	if (!strcmp(what, "ftruncate"))
		return ftruncate(fd, 3);
	if (!strcmp(what, "allocate"))
		return fallocate(fd, 0, 0, 8192);
	if (!strcmp(what, "punch"))
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4);
	errx(2, "privbits: no act '%s'", what);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2, "usage: privbits ACT FILE [SOURCE]");
	if (act(argv[1], argv[2], argc > 3 ? argv[3] : argv[2]))
		err(1, "privbits: %s %s", argv[1], argv[2]);
	return 0;
}
