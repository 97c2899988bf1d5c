// SPDX-License-Identifier: BSD-3-Clause
/*
 * tree.c - makes the share, before either daemon is started, and has a side look its parts up.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

#define PATH_ROOM 4096

static int make_dir(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? errno_neg() : 0;
}

static int make_file(const char *path, size_t bytes)
{
	static const char zeros[4096];
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return errno_neg();
	for (size_t at = 0; at < bytes; at += sizeof(zeros)) {
		int ret = pwrite_full(fd, zeros, sizeof(zeros), (off_t)at);

		if (ret)
			return ret;
	}
	return 0;
}

static int make_dirs(const char *share, const char *name, unsigned dirs, unsigned files,
		     size_t bytes)
{
	char path[PATH_ROOM];
	int ret;

	/* What is there was made by an earlier run; the last directory tells whether that came to its end. */
	snprintf(path, sizeof(path), "%s/%s/d%u/f%u", share, name, dirs - 1, files - 1);
	if (access(path, F_OK) == 0)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", share, name);
	ret = make_dir(path);
	for (unsigned d = 0; d < dirs && !ret; d++) {
		snprintf(path, sizeof(path), "%s/%s/d%u", share, name, d);
		ret = make_dir(path);
		for (unsigned f = 0; f < files && !ret; f++) {
			snprintf(path, sizeof(path), "%s/%s/d%u/f%u", share, name, d, f);
			ret = make_file(path, bytes);
		}
	}
	return ret;
}

int tree_make_files(const char *share, unsigned dirs)
{
	int ret = make_dirs(share, "cold", dirs, TREE_COLD_FILES, 0);

	if (ret)
		fprintf(stderr, "device: cannot make %s: %s\n", share, strerror(-ret));
	return ret;
}

static int copy_sources(const char *share, const char *source)
{
	char command[3 * PATH_ROOM];

	for (unsigned i = 0; i < TREE_COPIES; i++) {
		snprintf(command, sizeof(command), "%s/source/%u", share, i);
		if (access(command, F_OK) == 0)
			continue;
		snprintf(command, sizeof(command),
			 "mkdir -p '%s/source/%u' && cd '%s' && "
			 "cp -R --no-preserve=mode server tests include doc bench '%s/source/%u'",
			 share, i, source, share, i);
		if (system(command) != 0) /* NOLINT: of our own paths */
			return -EIO;
	}
	return 0;
}

int tree_make(const char *share, const char *source, unsigned cold_dirs)
{
	char path[PATH_ROOM];
	int ret = make_dirs(share, "hot", TREE_DIRS, TREE_FILES, 4096);

	snprintf(path, sizeof(path), "%s/data", share);
	if (!ret)
		ret = make_dir(path);
	for (unsigned i = 0; i < TREE_DATA && !ret; i++) {
		snprintf(path, sizeof(path), "%s/data/%u", share, i);
		ret = make_file(path, TREE_DATA_BYTES);
	}
	snprintf(path, sizeof(path), "%s/new", share);
	if (!ret)
		ret = make_dir(path);
	snprintf(path, sizeof(path), "%s/source", share);
	if (!ret)
		ret = source ? copy_sources(share, source) : make_dir(path);
	if (ret) {
		fprintf(stderr, "device: cannot make %s: %s\n", share, strerror(-ret));
		return ret;
	}
	return tree_make_files(share, cold_dirs);
}

void tree_warm(const char *share, unsigned at, unsigned last)
{
	char path[PATH_ROOM];
	struct stat st;

	for (; at < last; at++) {
		snprintf(path, sizeof(path), "%s/cold/d%u/f%u", share, at / TREE_COLD_FILES,
			 at % TREE_COLD_FILES);
		(void)stat(path, &st);
	}
}

/* --- what a side knows ------------------------------------------------------------------------------------- */

static int find(struct side *s, uint64_t parent, const char *name, uint64_t *out)
{
	struct fuse_entry_out entry;
	int ret = fecall_lookup(&s->fuse, parent, name, &entry);

	if (ret)
		fprintf(stderr, "device: %s: lookup of %s: %s\n", s->name, name, strerror(-ret));
	*out = ret ? 0 : entry.nodeid;
	return ret;
}

static int learn_hot(struct side *s, struct known *k)
{
	uint64_t hot;
	char name[32];
	int ret = find(s, 1, "hot", &hot);

	for (unsigned d = 0; d < TREE_DIRS && !ret; d++) {
		snprintf(name, sizeof(name), "d%u", d);
		ret = find(s, hot, name, &k->dirs[d]);
		for (unsigned f = 0; f < TREE_FILES && !ret; f++) {
			snprintf(name, sizeof(name), "f%u", f);
			ret = find(s, k->dirs[d], name, &k->files[d][f]);
		}
	}
	return ret;
}

int known_learn(struct side *s, struct known *k)
{
	uint64_t data;
	char name[32];
	int ret = learn_hot(s, k);

	if (!ret)
		ret = find(s, 1, "data", &data);
	for (unsigned i = 0; i < TREE_DATA && !ret; i++) {
		snprintf(name, sizeof(name), "%u", i);
		ret = find(s, data, name, &k->data[i]);
		if (!ret)
			ret = fecall_open(&s->fuse, k->data[i], O_RDWR, &k->data_fh[i]);
	}
	if (!ret)
		ret = find(s, 1, "new", &k->fresh);
	if (!ret)
		ret = find(s, 1, "source", &k->source);
	if (!ret)
		ret = find(s, 1, "cold", &k->cold);
	return ret;
}
