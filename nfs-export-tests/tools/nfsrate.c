/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nfsrate - how fast a server answers when it has to begin anew for each file, for bench/nfs.
 *
 *   nfsrate make DIR FILES             f00000 and so on, of 4 KiB each
 *   nfsrate getattr|lookup|read DIR FILES
 *       drops the caches of this machine, which is the server's too, then does it once for each file of the mount DIR
 *       (noac,lookupcache=none); prints "RATE CALLS": files a second, and calls of NFS for each of them
 *
 * GETATTR is statx() of files that are held by O_PATH: a handle, and nothing open on either side. LOOKUP is statx() by name in
 * a held directory. READ is a direct read of all 4 KiB of files held open: over v3 the server opens the file for it, over v4
 * it has it open.
 */
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SIZE 4096
#define NAME_ROOM 16
#define FDS_SPARE 64
#define DROPS 4 /* one leaves what is nested */

static char block[SIZE] __attribute__((aligned(SIZE)));

static void name_of(char name[NAME_ROOM], unsigned i)
{
	snprintf(name, NAME_ROOM, "f%05u", i);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void caches_drop(void)
{
	sync();
	for (unsigned i = 0; i < DROPS; i++) {
		int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, "3", 1) != 1)
			err(1, "nfsrate: drop_caches");
		close(fd);
	}
}

/* Calls that this machine's NFS clients have made. */
static uint64_t calls(void)
{
	unsigned long long n = 0;
	char line[256];
	FILE *file = fopen("/proc/net/rpc/nfs", "re");

	if (!file)
		err(1, "nfsrate: /proc/net/rpc/nfs");
	while (!n && fgets(line, sizeof(line), file))
		if (!strncmp(line, "rpc ", 4))
			n = strtoull(line + 4, NULL, 10);
	fclose(file);
	return n;
}

static int make(int dir, unsigned files)
{
	char name[NAME_ROOM];

	for (unsigned i = 0; i < files; i++) {
		int fd;

		name_of(name, i);
		memset(block, (int)i, SIZE);
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, block, SIZE) != SIZE || close(fd))
			err(1, "nfsrate: %s", name);
	}
	return 0;
}

static void one(char op, int dir, int fd, unsigned i)
{
	struct statx stx;
	char name[NAME_ROOM];
	int rc;

	name_of(name, i);
	if (op == 'r')
		rc = pread(fd, block, SIZE, 0) == SIZE && block[0] == (char)i ? 0 : -1;
	else if (op == 'g')
		rc = statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx);
	else
		rc = statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_INO, &stx);
	if (rc)
		err(1, "nfsrate: %s", name);
}

static int measure(char op, int dir, unsigned files)
{
	const int flags = (op == 'r' ? O_RDONLY | O_DIRECT : O_PATH) | O_CLOEXEC;
	int *fds = calloc(files, sizeof(*fds));
	char name[NAME_ROOM];
	uint64_t called;
	double took;

	for (unsigned i = 0; op != 'l' && i < files; i++) {
		name_of(name, i);
		fds[i] = openat(dir, name, flags);
		if (fds[i] < 0)
			err(1, "nfsrate: %s", name);
	}
	caches_drop();
	called = calls();
	took = now();
	for (unsigned i = 0; i < files; i++)
		one(op, dir, fds[i], i);
	took = now() - took;
	printf("%.0f %.2f\n", files / took, (double)(calls() - called) / files);
	return 0;
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	unsigned files;
	int dir;

	if (argc != 4)
		errx(2, "nfsrate make|getattr|lookup|read DIR FILES");
	files = (unsigned)strtoul(argv[3], NULL, 10);
	limit.rlim_cur = limit.rlim_max = files + FDS_SPARE;
	dir = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "nfsrate: %s", argv[2]);
	return strcmp(argv[1], "make") != 0 ? measure(argv[1][0], dir, files) : make(dir, files);
}
