/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * slowdisk IMAGE DIR HOLD: a file system of one file, DIR/disk, which is IMAGE. Reads wait while there is a file HOLD.read, writes
 * and syncs while there is HOLD.write; reads fail with EIO while there is HOLD.read-fails, writes and syncs while there is
 * HOLD.write-fails. A loop device over that file is a disk that can be stopped or that breaks, which no other way gives
 * without modules of the kernel. Serves until DIR is unmounted; DIR is mounted when DIR/disk is there.
 *
 * The FUSE protocol by hand, and only what a loop device asks for. Several threads read requests, so that one that waits holds up no
 * other; each request comes whole, in one read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define DISK_ID 2
#define THREADS 16
#define IO_MAX (128U << 10)
#define ROOM (IO_MAX + 4096U)

static int device, image;
static const char *hold;

/* Waits as long as it is told to; false: it is told to fail. */
static bool may(const char *what)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s.%s", hold, what);
	while (access(path, F_OK) == 0)
		(void)poll(NULL, 0, 5);
	(void)snprintf(path, sizeof(path), "%s.%s-fails", hold, what);
	return access(path, F_OK) != 0;
}

static void answer(uint64_t unique, int error, const void *data, size_t len)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + (error ? 0 : len)),
				       .error = error,
				       .unique = unique };
	struct iovec iov[2] = { { &out, sizeof(out) },
				{ (void *)(uintptr_t)data, error ? 0 : len } };

	/* ENOENT: nobody waits for it any more. */
	if (writev(device, iov, 2) < 0 && errno != ENOENT && errno != ENODEV)
		perror("slowdisk: an answer");
}

static struct fuse_attr attr_of(uint64_t nodeid)
{
	struct fuse_attr a = { .ino = nodeid, .nlink = 1, .blksize = 4096 };
	struct stat st;

	a.mode = nodeid == DISK_ID ? S_IFREG | 0600 : S_IFDIR | 0700;
	if (nodeid == DISK_ID && fstat(image, &st) == 0)
		a.size = (uint64_t)st.st_size;
	return a;
}

static void do_init(const struct fuse_in_header *in, const struct fuse_init_in *args)
{
	const struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
					   .minor = FUSE_KERNEL_MINOR_VERSION,
					   .max_readahead = args->max_readahead,
					   .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES,
					   .max_background = THREADS,
					   .congestion_threshold = THREADS,
					   .max_write = IO_MAX };

	answer(in->unique, 0, &out, sizeof(out));
}

static void do_lookup(const struct fuse_in_header *in, const char *name)
{
	const struct fuse_entry_out out = { .nodeid = DISK_ID, .attr = attr_of(DISK_ID) };

	answer(in->unique, strcmp(name, "disk") == 0 ? 0 : -ENOENT, &out, sizeof(out));
}

static void do_read(const struct fuse_in_header *in, const struct fuse_read_in *args)
{
	uint8_t *data = malloc(ROOM);
	ssize_t n = -1;

	if (may("read") && data && args->size <= ROOM)
		n = pread(image, data, args->size, (off_t)args->offset);
	answer(in->unique, n < 0 ? -EIO : 0, data, n < 0 ? 0 : (size_t)n);
	free(data);
}

static void do_write(const struct fuse_in_header *in, const struct fuse_write_in *args)
{
	struct fuse_write_out out = { .size = args->size };
	ssize_t n = -1;

	if (may("write"))
		n = pwrite(image, args + 1, args->size, (off_t)args->offset);
	answer(in->unique, n == (ssize_t)args->size ? 0 : -EIO, &out, sizeof(out));
}

static void serve(const struct fuse_in_header *in, const void *args)
{
	const struct fuse_attr_out attr = { .attr = attr_of(in->nodeid) };
	const struct fuse_open_out open = { .open_flags = FOPEN_DIRECT_IO };

	switch (in->opcode) {
	case FUSE_INIT:
		do_init(in, args);
		break;
	case FUSE_LOOKUP:
		do_lookup(in, args);
		break;
	case FUSE_GETATTR:
		answer(in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(in->unique, 0, &open, sizeof(open));
		break;
	case FUSE_READ:
		do_read(in, args);
		break;
	case FUSE_WRITE:
		do_write(in, args);
		break;
	case FUSE_FSYNC:
		answer(in->unique, may("write") ? 0 : -EIO, NULL, 0);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		answer(in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(in->unique, -ENOSYS, NULL, 0);
	}
}

static void *serve_all(void *arg)
{
	uint64_t *request = malloc(ROOM);
	ssize_t n;

	(void)arg;
	while (request) {
		n = read(device, request, ROOM);
		if (n < 0 && errno == ENODEV)
			break;
		if (n >= (ssize_t)sizeof(struct fuse_in_header))
			serve((void *)request, (uint8_t *)request + sizeof(struct fuse_in_header));
	}
	free(request);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	char options[128];

	if (argc != 4) {
		(void)fprintf(stderr, "usage: slowdisk IMAGE DIR HOLD\n");
		return 2;
	}
	hold = argv[3];
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	(void)snprintf(options, sizeof(options), "fd=%d,rootmode=40700,user_id=0,group_id=0",
		       device);
	if (image < 0 || device < 0 ||
	    mount("slowdisk", argv[2], "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		perror("slowdisk");
		return 1;
	}
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, serve_all, NULL))
			return 1;
	for (unsigned i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	return 0;
}
