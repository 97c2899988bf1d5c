/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hammer DIR LOG SEED - looks up and creates in DIR, and logs every handle that it was given, until the
 * server is gone.
 *
 * Each object is one line of a catalogue, written by one write(2) as soon as name_to_handle_at has returned:
 * what stands in LOG has been seen by this kernel, and must open for ever. Names of another kind are made and removed
 * again; they go to LOG.gone after unlink(2) has returned, and must never open again. Exits with 0 once DIR answers ENOTCONN
 * or its like, or is no FUSE mount (any more); any other error is 1.
 */
#include <dirent.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "handle.h"

#define DIRECTORIES 64 /* a cold directory is found by reading its parent: keep those small */

static FILE *seen;
static FILE *gone;

static bool server_is_gone(int error)
{
	return error == ENOTCONN || error == ECONNABORTED || error == EIO || error == EINTR;
}

static void give_up(const char *what)
{
	if (server_is_gone(errno))
		exit(0);
	err(1, "hammer: %s", what);
}

/* One line, at once: stdio's buffer holds exactly this one. */
static void log_object(FILE *out, const struct object *o, const char *path)
{
	object_print(out, o, path);
	if (fflush(out))
		err(2, "hammer: log");
}

static bool object_read(int dir, const char *name, struct object *o)
{
	int rc = handle_take(dir, name, 0, o);

	o->content_len = -1;
	if (!rc)
		rc = object_stat(dir, name, 0, o);
	errno = -rc;
	return !rc;
}

static void lookup_one(int dir, const char *name, bool keep)
{
	struct object o;

	if (!object_read(dir, name, &o)) {
		if (errno == ENOENT)
			return;
		give_up("lookup");
	}
	if (keep)
		log_object(seen, &o, name);
}

static void create_one(int dir, const char *name, unsigned kind, bool keep)
{
	int rc = 0;

	switch (kind) {
	case 0:
		rc = mkdirat(dir, name, 0755);
		break;
	case 1:
		rc = symlinkat("target", dir, name);
		break;
	case 2:
		rc = mknodat(dir, name, S_IFIFO | 0600, 0);
		break;
	default:
		rc = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (rc >= 0) {
			/* The file is there by now; that its close fails when the server dies is no matter. */
			lookup_one(dir, name, keep);
			close(rc);
			return;
		}
	}
	if (rc) {
		if (errno == EEXIST)
			return;
		give_up("create");
	}
	lookup_one(dir, name, keep);
}

static void remove_one(int dir, const char *name)
{
	struct object o;

	if (!object_read(dir, name, &o)) {
		if (errno == ENOENT)
			return;
		give_up("lookup");
	}
	if (unlinkat(dir, name, o.type == 'd' ? AT_REMOVEDIR : 0))
		give_up("unlink");
	log_object(gone, &o, name);
}

int main(int argc, char **argv)
{
	uint64_t state;
	char path[PATH_MAX];
	struct statfs fs;
	int dir;

	if (argc != 4)
		errx(2, "DIR LOG SEED");
	state = strtoull(argv[3], NULL, 10) * 2 + 1;
	snprintf(path, sizeof(path), "%s.gone", argv[2]);
	seen = fopen(argv[2], "ae");
	gone = fopen(path, "ae");
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!seen || !gone)
		err(2, "hammer: %s", argv[2]);
	if (dir < 0 || fstatfs(dir, &fs))
		give_up(argv[1]);
	/* The server was so quick to end that its mount was gone before we opened it. */
	if (fs.f_type != FUSE_SUPER_MAGIC)
		return 0;
	for (unsigned i = 0; i < DIRECTORIES; i++) {
		snprintf(path, sizeof(path), "h%u", i);
		if (mkdirat(dir, path, 0755) && errno != EEXIST)
			give_up("mkdir");
	}
	for (unsigned long i = 0;; i++) {
		char name[64];
		uint64_t r = random_next(&state);

		/* Names to create and to look up are kept, those to remove have a space of their own. */
		if (i % 4 < 2) {
			snprintf(name, sizeof(name), "h%lu/keep-%s-%lu", i % DIRECTORIES, argv[3],
				 i);
			create_one(dir, name, (unsigned)(r >> 8) % 12, true);
		} else if (i % 4 == 2) {
			unsigned long n = (r >> 8) % (i + 1);

			snprintf(name, sizeof(name), "h%lu/keep-%s-%lu", n % DIRECTORIES, argv[3],
				 n);
			lookup_one(dir, name, true);
		} else {
			snprintf(name, sizeof(name), "drop-%s-%llu", argv[3],
				 (unsigned long long)(r >> 8) % 50);
			if (r & 1)
				create_one(dir, name, (unsigned)(r >> 20) % 12, false);
			else
				remove_one(dir, name);
		}
	}
}
