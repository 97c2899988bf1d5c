/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nameless DIR GO - makes a file without name in DIR (O_TMPFILE), makes the file GO.ready, and when GO is
 * there goes on with it: reads, writes, gives it a name.
 */
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char path[PATH_MAX];
	char buf[16];
	struct stat st;
	int dir;
	int fd;

	if (argc != 3)
		errx(2, "DIR GO");
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "nameless", 8) != 8)
		err(1, "O_TMPFILE");
	snprintf(path, sizeof(path), "%s.ready", argv[2]);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	while (access(argv[2], F_OK))
		usleep(20000);
	if (pread(fd, buf, sizeof(buf), 0) != 8 || memcmp(buf, "nameless", 8) != 0)
		err(1, "read");
	if (fstat(fd, &st) || st.st_nlink != 0)
		err(1, "fstat: %u links", (unsigned)st.st_nlink);
	if (fchmod(fd, 0640) || ftruncate(fd, 4))
		err(1, "fchmod, ftruncate");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, dir, "named-at-last", AT_SYMLINK_FOLLOW))
		err(1, "linkat");
	return 0;
}
