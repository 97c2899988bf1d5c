/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.c - what the host's own users do to the share, by its paths.
 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

#define PATH_LEN (TREE_PATH_MAX + 64)

static void share_path(struct world *w, const struct object *dir, const char *text,
		       char out[PATH_LEN])
{
	char path[TREE_PATH_MAX];

	tree_name_path(&w->tree, dir, text, path);
	(void)snprintf(out, PATH_LEN, "%s/%s", w->top_name, path);
}

void world_content(const struct world *w, unsigned id, char out[64])
{
	(void)snprintf(out, 64, "object %u of sequence %u\n", id, w->sequence);
}

int world_host_make(struct world *w, struct object *dir, const char *text, enum tree_type type,
		    unsigned id)
{
	char path[PATH_LEN], content[64];
	ssize_t n;
	int fd;

	share_path(w, dir, text, path);
	world_content(w, id, content);
	if (type == TREE_DIR)
		return mkdirat(w->share, path, 0755) ? errno_neg() : 0;
	if (type == TREE_SYMLINK)
		return symlinkat(content, w->share, path) ? errno_neg() : 0;
	fd = openat(w->share, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno_neg();
	n = write(fd, content, strlen(content));
	(void)close(fd);
	return n == (ssize_t)strlen(content) ? 0 : -EIO;
}

int world_host_link(struct world *w, struct object *o, struct object *dir, const char *text)
{
	const struct name *n = tree_name_of(&w->tree, o);
	char from[PATH_LEN], to[PATH_LEN];

	share_path(w, n->dir, n->text, from);
	share_path(w, dir, text, to);
	return linkat(w->share, from, w->share, to, 0) ? errno_neg() : 0;
}

int world_host_remove(struct world *w, struct object *dir, const char *text, bool is_dir)
{
	char path[PATH_LEN];

	share_path(w, dir, text, path);
	return unlinkat(w->share, path, is_dir ? AT_REMOVEDIR : 0) ? errno_neg() : 0;
}

int world_host_rename(struct world *w, struct object *dir, const char *text, struct object *to_dir,
		      const char *to_text, enum tree_rename how)
{
	static const unsigned flags[] = {
		[TREE_NOREPLACE] = RENAME_NOREPLACE, [TREE_EXCHANGE] = RENAME_EXCHANGE
	};
	char from[PATH_LEN], to[PATH_LEN];

	share_path(w, dir, text, from);
	share_path(w, to_dir, to_text, to);
	return renameat2(w->share, from, w->share, to, how == TREE_RENAME ? 0 : flags[how])
		       ? errno_neg()
		       : 0;
}

int world_host_move(struct world *w, struct object *o, bool out)
{
	const struct name *n = tree_name_of(&w->tree, o);
	char inside[PATH_LEN], outside[32];

	share_path(w, n->dir, n->text, inside);
	(void)snprintf(outside, sizeof(outside), "o%u", o->id);
	if (out)
		return renameat(w->share, inside, w->out, outside) ? errno_neg() : 0;
	return renameat(w->out, outside, w->share, inside) ? errno_neg() : 0;
}

uint64_t world_host_ino(struct world *w, struct object *o)
{
	const struct name *n = tree_name_of(&w->tree, o);
	char path[PATH_LEN];
	struct stat st;

	share_path(w, n->dir, n->text, path);
	if (fstatat(w->share, path, &st, AT_SYMLINK_NOFOLLOW))
		world_fail(w, o, "the host has no %s: %s", path, strerror(errno));
	return st.st_ino;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void world_host_clear(struct world *w)
{
	char path[PATH_LEN];

	(void)snprintf(path, sizeof(path), "%s/share/%s", w->dir, w->top_name);
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS))
		world_fail(w, NULL, "the host cannot remove %s: %s", path, strerror(errno));
}
