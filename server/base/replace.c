/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replace.c - a file is written under another name, synced, and given its own.
 */
#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/util.h"

#define FILE_MODE 0600

/* Makes the file `temp` with the bytes on disk. 0 or -errno; then there is no `temp`. */
static int write_temp(int dir, const char *temp, const void *bytes, size_t len)
{
	CLEANUP_FD int fd =
		openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	int ret;

	if (fd < 0)
		return errno_neg();
	ret = pwrite_full(fd, bytes, len, 0);
	/* The umask may have taken bits of the owner away. */
	if (ret == 0 && fchmod(fd, FILE_MODE))
		ret = errno_neg();
	if (ret == 0 && fsync(fd))
		ret = errno_neg();
	if (ret)
		(void)unlinkat(dir, temp, 0);
	return ret;
}

/* Gives `temp` its name, and makes that durable. On failure there is no `temp`. */
static int name_temp(int dir, const char *temp, const char *name, bool exclusive)
{
	int ret = 0;

	if (exclusive) {
		/* link(2) is what never replaces; the temporary name goes in any case. */
		if (linkat(dir, temp, dir, name, 0))
			ret = errno_neg();
		if (unlinkat(dir, temp, 0) && ret == 0)
			ret = errno_neg();
	} else if (renameat(dir, temp, dir, name)) {
		ret = errno_neg();
		(void)unlinkat(dir, temp, 0);
	}
	if (ret == 0 && fsync(dir))
		ret = errno_neg();
	return ret;
}

int file_replace(int dirfd, const char *name, const void *bytes, size_t len, bool exclusive)
{
	/* A descriptor of our own: the caller's may be O_PATH, which fsync refuses. */
	CLEANUP_FD int dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char temp[NAME_MAX + 1];
	uint64_t random;
	int n;
	int ret;

	if (dir < 0)
		return errno_neg();
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	n = snprintf(temp, sizeof(temp), ".%s.%016" PRIx64, name, random);
	if (n < 0 || (size_t)n >= sizeof(temp))
		return -ENAMETOOLONG;

	ret = write_temp(dir, temp, bytes, len);
	return ret ? ret : name_temp(dir, temp, name, exclusive);
}
