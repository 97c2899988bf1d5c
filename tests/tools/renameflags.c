/* SPDX-License-Identifier: BSD-3-Clause */
/* renameflags plain|exchange|noreplace|whiteout FROM TO - one renameat2(2) with its flag. */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	unsigned flags = 0;

	if (argc != 4)
		errx(2, "plain|exchange|noreplace|whiteout FROM TO");
	if (!strcmp(argv[1], "exchange"))
		flags = RENAME_EXCHANGE;
	else if (!strcmp(argv[1], "noreplace"))
		flags = RENAME_NOREPLACE;
	else if (!strcmp(argv[1], "whiteout"))
		flags = RENAME_WHITEOUT;
	if (renameat2(AT_FDCWD, argv[2], AT_FDCWD, argv[3], flags))
		err(1, "%s -> %s", argv[2], argv[3]);
	return 0;
}
