/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dirs.c - opening and comparing directories.
 *
 * The walk holds one O_PATH descriptor and the text that is still to be walked; a link's target is put in
 * front of that text. No component is looked up twice, so nothing changes between check and use. Runs in
 * the main thread, before the daemon serves.
 */
#include "admin/dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mountinfo.h"
#include "base/util.h"

#define LINKS_MAX 40 /* as the kernel's own MAXSYMLINKS */
#define DEPTH_MAX 4096

struct walk {
	int fd;	    /* where we are */
	char *rest; /* allocated; what is still to be walked */
	unsigned links;
	unsigned make;
	int outside;
};

const char *dirs_error(int err)
{
	switch (err < 0 ? -err : err) {
	case EXDEV:
		return "it would lie inside the shared directory";
	case EKEYREJECTED:
		return "it, or a symbolic link on the way, belongs to another user or may be "
		       "written by others";
	default:
		return strerror(err < 0 ? -err : err);
	}
}

/* Components of a path, without "." and empty ones. */
static unsigned count_components(const char *path)
{
	unsigned n = 0;

	while (*path) {
		size_t len = strcspn(path, "/");

		if (len && !(len == 1 && path[0] == '.'))
			n++;
		path += len + (path[len] == '/');
	}
	return n;
}

/* Puts the target of the link `fd` in front of what is left, and starts at "/" if it says so. */
static int follow_link(struct walk *w, int fd, const struct stat *st)
{
	char target[PATH_MAX];
	char *joined;
	ssize_t len;

	if (st->st_uid != 0 && st->st_uid != geteuid())
		return -EKEYREJECTED;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	len = readlinkat(fd, "", target, sizeof(target) - 1);
	if (len < 0)
		return -errno;
	target[len] = '\0';
	if (asprintf(&joined, "%s/%s", target, w->rest) < 0)
		return -ENOMEM;
	free(w->rest);
	w->rest = joined;

	if (target[0] == '/') {
		int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (root < 0)
			return -errno;
		fd_close(w->fd);
		w->fd = root;
	}
	return 0;
}

static int make_dir(struct walk *w, const char *name)
{
	if (count_components(w->rest) >= w->make)
		return -ENOENT;
	if (w->outside >= 0) {
		int inside = dirs_inside(w->fd, w->outside);

		if (inside)
			return inside < 0 ? inside : -EXDEV;
	}
	if (mkdirat(w->fd, name, 0700) && errno != EEXIST)
		return -errno;
	return 0;
}

static int step(struct walk *w, const char *name)
{
	CLEANUP_FD int fd = -1;
	struct stat st;

	fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		int err = make_dir(w, name);

		if (err)
			return err;
		fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (S_ISLNK(st.st_mode))
		return follow_link(w, fd, &st);
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	fd_close(w->fd);
	w->fd = fd_take(&fd);
	return 0;
}

/* Cuts the first component off what is left; false at the end. */
static bool next_component(struct walk *w, char name[NAME_MAX + 1], int *err)
{
	const char *p = w->rest;
	size_t len;

	*err = 0;
	for (;;) {
		p += strspn(p, "/");
		len = strcspn(p, "/");
		if (len == 0)
			return false;
		if (!(len == 1 && p[0] == '.'))
			break;
		p += len;
	}
	if (len > NAME_MAX) {
		*err = -ENAMETOOLONG;
		return false;
	}
	memcpy(name, p, len);
	name[len] = '\0';
	memmove(w->rest, p + len, strlen(p + len) + 1);
	return true;
}

int dirs_open(const char *path, unsigned make, int outside, int *out)
{
	struct walk w = { .make = make, .outside = outside };
	char name[NAME_MAX + 1];
	int err;

	*out = -1;
	w.rest = strdup(path);
	if (!w.rest)
		return -ENOMEM;
	w.fd = open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	err = w.fd < 0 ? -errno : 0;

	while (!err && next_component(&w, name, &err))
		err = step(&w, name);
	if (!err) {
		*out = openat(w.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = *out < 0 ? -errno : 0;
	}
	fd_close(w.fd);
	free(w.rest);
	return err;
}

int dirs_check_private(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EKEYREJECTED;
	return 0;
}

/* --- in each other ------------------------------------------------------------------------------- */

/* `path` less the directory `head` that it lies in, by whole components: "" or "/..."; NULL: it does not lie there. */
static const char *path_below(const char *path, const char *head)
{
	size_t len = strlen(head);

	if (len && head[len - 1] == '/')
		len--;
	path = strncmp(path, head, len) == 0 ? path + len : NULL;
	return path && (*path == '/' || *path == '\0') ? path : NULL;
}

/* A directory by its file system, and not by the mount that it was opened by. */
struct location {
	int mount;
	char *path;   /* from the process's root */
	dev_t dev;    /* as mountinfo has it: st_dev is another one with btrfs */
	char *inside; /* path from the file system's root; NULL: not known */
};

struct locations {
	struct location inner, outer;
	bool bound; /* inner lies in outer by another mount than it was opened by */
};

static int location_begin(struct location *p, int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &stx))
		return -errno;
	if (!(stx.stx_mask & STATX_MNT_ID))
		return -EOPNOTSUPP;
	p->mount = (int)stx.stx_mnt_id;
	p->path = dirs_path(fd);
	return p->path ? 0 : -ENOMEM;
}

static void location_end(struct location *p)
{
	free(p->path);
	free(p->inside);
}

/* NFS gives every mount the root "/", and one device to several directories of a server. */
static bool tells_root(const struct mountinfo *m)
{
	return strcmp(m->type, "nfs") != 0 && strcmp(m->type, "nfs4") != 0;
}

static void location_find(struct location *p, const struct mountinfo *m)
{
	const char *rest = path_below(p->path, m->point);
	const char *root = strcmp(m->root, "/") == 0 ? "" : m->root;

	if (m->id != p->mount || !rest || p->inside || !tells_root(m))
		return;
	p->dev = m->dev;
	if (asprintf(&p->inside, "%s%s", root, rest) < 0)
		p->inside = NULL;
}

static bool find_locations(void *arg, const struct mountinfo *m)
{
	struct locations *p = arg;

	location_find(&p->inner, m);
	location_find(&p->outer, m);
	return !p->inner.inside || !p->outer.inside;
}

/* Is something mounted inside of outer that inner lies in? */
static bool find_bound(void *arg, const struct mountinfo *m)
{
	struct locations *p = arg;
	const char *rest = path_below(m->point, p->outer.path);

	p->bound = rest && *rest && tells_root(m) && m->dev == p->inner.dev &&
		   path_below(p->inner.inside, m->root);
	return !p->bound;
}

/*
 * By way of a bind mount, which ".." does not lead through: with /data/varlib bound at /var/lib, what is in /var/lib is in
 * /data too; and so it is with /var/lib bound at /data/varlib. What cannot be told is not.
 */
static bool bound_inside(int inner, int outer)
{
	struct locations p = { 0 };

	if (!location_begin(&p.inner, inner) && !location_begin(&p.outer, outer))
		(void)mountinfo_each(-1, find_locations, &p);
	if (p.inner.inside && p.outer.inside && p.inner.dev == p.outer.dev &&
	    path_below(p.inner.inside, p.outer.inside))
		p.bound = true;
	else if (p.inner.inside)
		(void)mountinfo_each(-1, find_bound, &p);
	location_end(&p.inner);
	location_end(&p.outer);
	return p.bound;
}

/* By "..", which needs no /proc and goes up from one mount into the other. */
static int climbs_to(int inner, int outer)
{
	CLEANUP_FD int at = -1;
	struct stat want, here, up;

	if (fstat(outer, &want))
		return -errno;
	at = openat(inner, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0 || fstat(at, &here))
		return -errno;
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		int parent;

		if (here.st_dev == want.st_dev && here.st_ino == want.st_ino)
			return 1;
		parent = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0)
			return -errno;
		fd_close(at);
		at = parent;
		if (fstat(at, &up))
			return -errno;
		/* Only the root is its own parent. */
		if (up.st_dev == here.st_dev && up.st_ino == here.st_ino)
			return 0;
		here = up;
	}
	return -ENAMETOOLONG;
}

int dirs_inside(int inner, int outer)
{
	int inside = climbs_to(inner, outer);

	return inside ? inside : bound_inside(inner, outer);
}

char *dirs_path(int fd)
{
	char link[64];
	char path[PATH_MAX];
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return NULL;
	path[len] = '\0';
	return strdup(path);
}
