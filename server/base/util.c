/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * util.c - descriptors, trees of mounts, whole reads and writes, the clock, hexadecimal.
 *
 * No state; called by every layer from any thread.
 */
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>

#define NS_PER_S 1000000000ULL

int fd_close(int fd)
{
	int saved = errno;

	/* On Linux the descriptor is gone even when close() says EINTR: never again. */
	if (fd >= 0)
		(void)close(fd);
	errno = saved;
	return -1;
}

void cleanup_fd(int *fd)
{
	*fd = fd_close(*fd);
}

void cleanup_free(void *p)
{
	void *block;

	/* p points to a pointer of a type that is not known here: no aliasing by assignment. */
	memcpy(&block, p, sizeof(block));
	free(block);
	block = NULL;
	memcpy(p, &block, sizeof(block));
}

char *path_directory(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
}

int tree_forbid_devices(int tree)
{
	const struct mount_attr attr = { .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID };

	return mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE,
			     (struct mount_attr *)(uintptr_t)&attr, sizeof(attr));
}

uint64_t clock_ns(void)
{
	struct timespec ts = { 0, 0 };

	/* Cannot fail with a constant clock and a valid pointer. */
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int pread_full(int fd, void *buf, size_t len, off_t offset)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

int pwrite_full(int fd, const void *buf, size_t len, off_t offset)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

void hex_encode(const uint8_t *in, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 0xf];
	}
	*out = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

ssize_t hex_decode(const char *hex, size_t digits, uint8_t *out, size_t cap)
{
	if (digits % 2 || digits / 2 > cap)
		return -EINVAL;
	for (size_t i = 0; i < digits; i += 2) {
		int high = hex_digit(hex[i]);
		int low = hex_digit(hex[i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return (ssize_t)(digits / 2);
}
