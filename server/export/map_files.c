/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_files.c - stands in for the system calls of SQLite's file layer that take a path.
 *
 * The layer has a table of them that may be replaced (sqlite3_vfs.xSetSystemCall, for this purpose among others). So
 * its locks, its WAL and its shared memory work as ever. Called from any thread; the table is set once.
 */
#include "export/map_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

#define PREFIX "/holdfast-fd/"

/* A path as the *at() calls have it. */
struct place {
	int dir;
	const char *name;
};

/* Not ours, or ours and only half of one (SQLite looks at each directory of a path): as it is. */
static struct place place_of(const char *path)
{
	struct place as_it_is = { AT_FDCWD, path };
	char *end = NULL;
	unsigned long n;

	if (!map_files_is(path))
		return as_it_is;
	n = strtoul(path + strlen(PREFIX), &end, 10);
	if (*end != '/' || !end[1] || n > INT_MAX)
		return as_it_is;
	return (struct place){ (int)n, end + 1 };
}

bool map_files_is(const char *path)
{
	return strncmp(path, PREFIX, strlen(PREFIX)) == 0;
}

void map_files_path(int dir, const char *name, char path[MAP_FILES_PATH_MAX])
{
	(void)snprintf(path, MAP_FILES_PATH_MAX, PREFIX "%d/%s", dir, name);
}

int map_files_open(const char *path, int flags, mode_t mode)
{
	struct place at = place_of(path);

	return openat(at.dir, at.name, flags, mode);
}

/* --- SQLite's calls, with its types ----------------------------------------------------------- */

static int call_open(const char *path, int flags, int mode)
{
	return map_files_open(path, flags, (mode_t)mode);
}

static int call_access(const char *path, int mode)
{
	struct place at = place_of(path);

	return faccessat(at.dir, at.name, mode, 0);
}

static int call_stat(const char *path, struct stat *st)
{
	struct place at = place_of(path);

	return fstatat(at.dir, at.name, st, 0);
}

static int call_lstat(const char *path, struct stat *st)
{
	struct place at = place_of(path);

	return fstatat(at.dir, at.name, st, AT_SYMLINK_NOFOLLOW);
}

static ssize_t call_readlink(const char *path, char *out, size_t size)
{
	struct place at = place_of(path);

	return readlinkat(at.dir, at.name, out, size);
}

static int call_unlink(const char *path)
{
	struct place at = place_of(path);

	return unlinkat(at.dir, at.name, 0);
}

/* The directory in which `path` is, for fsync(2) after a file was made or removed. */
static int call_open_directory(const char *path, int *out)
{
	struct place at = place_of(path);
	char dir[PATH_MAX];
	char *slash;

	if (at.dir != AT_FDCWD) {
		*out = openat(at.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		(void)snprintf(dir, sizeof(dir), "%s", path);
		slash = strrchr(dir, '/');
		if (slash)
			slash[slash == dir] = '\0';
		*out = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return *out < 0 ? SQLITE_CANTOPEN : SQLITE_OK;
}

/* --- the table -------------------------------------------------------------------------------- */

static int init_result;

static void init(void)
{
	static const struct {
		const char *name;
		sqlite3_syscall_ptr call;
	} calls[] = {
		{ "open", (sqlite3_syscall_ptr)call_open },
		{ "access", (sqlite3_syscall_ptr)call_access },
		{ "stat", (sqlite3_syscall_ptr)call_stat },
		{ "lstat", (sqlite3_syscall_ptr)call_lstat },
		{ "readlink", (sqlite3_syscall_ptr)call_readlink },
		{ "unlink", (sqlite3_syscall_ptr)call_unlink },
		{ "openDirectory", (sqlite3_syscall_ptr)call_open_directory },
	};
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

	init_result = vfs && vfs->iVersion >= 3 ? 0 : -ENOSYS;
	for (size_t i = 0; i < ARRAY_LEN(calls) && !init_result; i++)
		if (vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call) != SQLITE_OK)
			init_result = -ENOSYS;
}

int map_files_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	return pthread_once(&once, init) ? -ENOMEM : init_result;
}
