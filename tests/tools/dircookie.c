/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dircookie - reads a directory in two parts, with whatever may happen in between.
 *
 *   dircookie first DIR N     prints the first N entries' names, one a line, then the cookie behind them
 *   dircookie rest DIR COOKIE prints the names from the cookie on
 */
#include <dirent.h>

#include "handle.h"

int main(int argc, char **argv)
{
	struct dirent *e;
	unsigned long n;
	long cookie = 0;
	DIR *dir;

	if (argc != 4)
		errx(2, "first DIR N | rest DIR COOKIE");
	dir = opendir(argv[2]);
	if (!dir)
		err(1, "%s", argv[2]);
	if (!strcmp(argv[1], "rest")) {
		seekdir(dir, strtol(argv[3], NULL, 10));
		n = ULONG_MAX;
	} else {
		n = strtoul(argv[3], NULL, 10);
	}
	errno = 0;
	for (; n && (e = readdir(dir)); n--) {
		puts(e->d_name);
		cookie = e->d_off;
	}
	if (errno)
		err(1, "readdir %s", argv[2]);
	if (!strcmp(argv[1], "first"))
		printf("%ld\n", cookie);
	closedir(dir);
	return 0;
}
