/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nfsrate - how many requests a second an NFS mount answers, one at a time, each about another file.
 *
 *   nfsrate make DIR           makes the tree: DIRS directories of FILES files of 4 KiB
 *   nfsrate getattr|lookup|read DIR
 *                              prints requests a second: GETATTR by what is known of the file, LOOKUP of its name, READ of its 4 KiB
 *
 * The mount is one that remembers nothing (noac, lookupcache=none; reads are O_DIRECT). What the measured requests need is opened
 * first, then all that this machine's caches hold is dropped: the server's part is cold.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DIRS 20
#define FILES 50
#define SIZE 4096

static int dirs[DIRS], files[DIRS * FILES];
static char block[SIZE] __attribute__((aligned(SIZE)));

static void file_name(char *out, size_t size, unsigned i)
{
	(void)snprintf(out, size, "f%03u", i);
}

static void make(const char *top)
{
	char path[256], name[16];

	memset(block, 'x', SIZE);
	if (mkdir(top, 0755))
		err(1, "%s", top);
	for (unsigned d = 0; d < DIRS; d++) {
		(void)snprintf(path, sizeof(path), "%s/d%02u", top, d);
		if (mkdir(path, 0755))
			err(1, "%s", path);
		for (unsigned i = 0; i < FILES; i++) {
			int fd;

			file_name(name, sizeof(name), i);
			(void)snprintf(path, sizeof(path), "%s/d%02u/%s", top, d, name);
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
			if (fd < 0 || write(fd, block, SIZE) != SIZE || close(fd))
				err(1, "%s", path);
		}
	}
	sync();
}

static void open_all(const char *top, int flags)
{
	const struct rlimit limit = { 4096, 4096 };
	char path[256], name[16];

	if (setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "setrlimit");
	for (unsigned d = 0; d < DIRS; d++) {
		(void)snprintf(path, sizeof(path), "%s/d%02u", top, d);
		dirs[d] = open(path, O_PATH | O_CLOEXEC);
		if (dirs[d] < 0)
			err(1, "%s", path);
		for (unsigned i = 0; i < FILES && flags >= 0; i++) {
			file_name(name, sizeof(name), i);
			files[d * FILES + i] = openat(dirs[d], name, flags | O_CLOEXEC);
			if (files[d * FILES + i] < 0)
				err(1, "%s/%s", path, name);
		}
	}
}

static void drop_caches(void)
{
	sync();
	for (int i = 0; i < 3; i++) {
		int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "3", 1) != 1 || close(fd))
			err(1, "drop_caches");
	}
}

static void ask(const char *what, unsigned i)
{
	struct statx stx;
	char name[16];

	switch (*what) {
	case 'g':
		if (statx(files[i], "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS,
			  &stx))
			err(1, "GETATTR");
		break;
	case 'l':
		file_name(name, sizeof(name), i % FILES);
		if (statx(dirs[i / FILES], name, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx))
			err(1, "LOOKUP");
		break;
	default:
		if (pread(files[i], block, SIZE, 0) != SIZE || block[SIZE - 1] != 'x')
			err(1, "READ");
	}
}

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double begun;

	if (argc != 3)
		errx(2, "usage: nfsrate make|getattr|lookup|read DIR");
	if (strcmp(argv[1], "make") == 0) {
		make(argv[2]);
		return 0;
	}
	/* O_PATH opens nothing at the server. */
	open_all(argv[2], argv[1][0] == 'g'   ? O_PATH
			  : argv[1][0] == 'r' ? O_RDONLY | O_DIRECT
					      : -1);
	drop_caches();
	begun = now();
	for (unsigned k = 0; k < DIRS * FILES; k++)
		ask(argv[1], k * 7 % (DIRS * FILES)); /* 7 divides neither: each once */
	printf("%.0f\n", DIRS * FILES / (now() - begun));
	return 0;
}
