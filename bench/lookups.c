/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lookups.c - stat(2) of every file of a tree whose names are known beforehand: first lookups, once.
 *
 *   lookups make DIR DIRS FILES    makes DIR/dN/fM
 *   lookups stat DIR DIRS FILES    prints the nanoseconds of one lookup
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int make_tree(const char *dir, long dirs, long files)
{
	char path[4096];

	for (long d = 0; d < dirs; d++) {
		snprintf(path, sizeof(path), "%s/d%ld", dir, d);
		if (mkdir(path, 0755) < 0)
			return -errno;
		for (long f = 0; f < files; f++) {
			int fd;

			snprintf(path, sizeof(path), "%s/d%ld/f%ld", dir, d, f);
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
			if (fd < 0)
				return -errno;
			close(fd);
		}
	}
	return 0;
}

static int stat_tree(const char *dir, long dirs, long files)
{
	char path[4096];
	double begun = now_ns();
	struct stat st;

	for (long d = 0; d < dirs; d++)
		for (long f = 0; f < files; f++) {
			snprintf(path, sizeof(path), "%s/d%ld/f%ld", dir, d, f);
			if (lstat(path, &st) < 0)
				return -errno;
		}
	printf("%.0f\n", (now_ns() - begun) / (double)(dirs * files));
	return 0;
}

int main(int argc, char **argv)
{
	int ret = -EINVAL;

	if (argc == 5 && strcmp(argv[1], "make") == 0)
		ret = make_tree(argv[2], atol(argv[3]), atol(argv[4]));
	else if (argc == 5 && strcmp(argv[1], "stat") == 0)
		ret = stat_tree(argv[2], atol(argv[3]), atol(argv[4]));
	if (ret < 0)
		fprintf(stderr, "lookups: %s\n", strerror(-ret));
	return ret < 0;
}
