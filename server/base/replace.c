/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replace.c - a file is written under another name, synced, and given its own.
 *
 * The other name is ".NAME." and 16 digits. Whoever writes such a file holds a lock on it (flock(2)) until it has its name, so
 * that what a killed process left behind can be told from what is being written.
 */
#include "base/replace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

#define FILE_MODE 0600
#define DIGITS 16
/* How often a sweep of another process may come between a file's creation and its lock. */
#define ATTEMPTS 3

/* --- what was left behind ------------------------------------------------------------------- */

static bool is_temp_of(const char *entry, const char *name)
{
	size_t len = strlen(name);

	return entry[0] == '.' && strncmp(entry + 1, name, len) == 0 && entry[len + 1] == '.' &&
	       strspn(entry + len + 2, "0123456789abcdef") == DIGITS && !entry[len + 2 + DIGITS];
}

/* `temp`, if it is such a file of ours that nobody is writing. */
static void sweep_one(int dir, const char *temp)
{
	CLEANUP_FD int fd =
		openat(dir, temp, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(dir, temp, 0);
}

/* As far as that can be done: it is no reason not to write. */
static void sweep(int dirfd, const char *name)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d) {
		(void)fd_close(fd);
		return;
	}
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (is_temp_of(e->d_name, name))
			sweep_one(dirfd, e->d_name);
	(void)closedir(d);
}

/* --- what is written ------------------------------------------------------------------------ */

/* Makes the empty file `temp`, locked. Its descriptor, or -errno: -EAGAIN when it was swept away before it was locked. */
static int temp_open(int dir, const char *temp)
{
	CLEANUP_FD int fd =
		openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	struct stat st;

	if (fd < 0)
		return errno_neg();
	/* A file system without locks has no sweeps either. */
	if (flock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 0)
		return -EAGAIN;
	return fd_take(&fd);
}

static int temp_write(int fd, const void *bytes, size_t len)
{
	int ret = pwrite_full(fd, bytes, len, 0);

	/* The umask may have taken bits of the owner away. */
	if (ret == 0 && fchmod(fd, FILE_MODE))
		ret = errno_neg();
	if (ret == 0 && fsync(fd))
		ret = errno_neg();
	return ret;
}

/* Gives `temp` its name, and makes that durable. On failure there is no `temp`. */
static int temp_name(int dir, const char *temp, const char *name, bool exclusive)
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

static int replace_once(int dir, const char *name, const void *bytes, size_t len, bool exclusive)
{
	CLEANUP_FD int fd = -1; /* the lock, until the file has its name */
	char temp[NAME_MAX + 1];
	uint64_t random;
	int n;
	int ret;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	n = snprintf(temp, sizeof(temp), ".%s.%0*" PRIx64, name, DIGITS, random);
	if (n < 0 || (size_t)n >= sizeof(temp))
		return -ENAMETOOLONG;
	fd = temp_open(dir, temp);
	if (fd < 0)
		return fd;
	ret = temp_write(fd, bytes, len);
	if (ret) {
		(void)unlinkat(dir, temp, 0);
		return ret;
	}
	return temp_name(dir, temp, name, exclusive);
}

int file_replace(int dirfd, const char *name, const void *bytes, size_t len, bool exclusive)
{
	/* A descriptor of our own: the caller's may be O_PATH, which fsync refuses. */
	CLEANUP_FD int dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret;

	if (dir < 0)
		return errno_neg();
	sweep(dir, name);
	ret = -EAGAIN;
	for (int i = 0; i < ATTEMPTS && ret == -EAGAIN; i++)
		ret = replace_once(dir, name, bytes, len, exclusive);
	return ret;
}
