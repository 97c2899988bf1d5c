/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resolver_search.c - where an object may be that is not under the name that the map has: at the present path of a
 * descriptor of it, under another of its names, where its handle leads (directories), or, with
 * --moved-out=allow, outside. Whatever is found is looked at and compared like everything else. Runs in each
 * worker's thread, below resolver.c.
 */
#include "export/resolver_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define NESTED_MAX 3 /* a further name's parents, and theirs */
#define FD_TRIES 3

/* Is the share (still) at this path? The host may have moved it between two looks. */
static bool root_is_at(struct worker *w, const char *path)
{
	char link[32], now[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "%d", w->x->root);
	len = readlinkat(w->x->proc, link, now, sizeof(now) - 1);
	if (len < 0)
		return false;
	now[len] = '\0';
	return strcmp(now, path) == 0;
}

int resolve_fd_path(struct worker *w, int fd, char *path, size_t room)
{
	char link[32], root[PATH_MAX], full[PATH_MAX + 16];
	struct statx stx;
	ssize_t n, len;

	snprintf(link, sizeof(link), "%d", w->x->root);
	len = readlinkat(w->x->proc, link, root, sizeof(root) - 1);
	snprintf(link, sizeof(link), "%d", fd);
	n = readlinkat(w->x->proc, link, full, sizeof(full) - 1);
	if (n < 0 || len < 0)
		return errno_neg();
	if ((size_t)n >= sizeof(full) - 1 || (size_t)len >= sizeof(root) - 1)
		return -ENAMETOOLONG;
	root[len] = full[n] = '\0';
	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_NLINK, &stx) < 0)
		return errno_neg();
	if (stx.stx_nlink == 0)
		return -ESTALE;
	if (len == 1)
		len = 0; /* the share is "/" */
	if (strncmp(full, root, (size_t)len) != 0 || (full[len] != '/' && full[len] != '\0'))
		return root_is_at(w, root) ? -EXDEV : -EAGAIN;
	if ((size_t)(n - len) >= room)
		return -ENAMETOOLONG;
	memcpy(path, full[len] == '/' ? full + len + 1 : full + len,
	       strlen(full + len) + 1 - (full[len] == '/'));
	return 0;
}

int resolve_path(struct worker *w, const char *path, struct node **out)
{
	struct node *n = cache_find(w->x->cache, NODEID_ROOT);

	while (*path) {
		char name[HOLDFAST_NAME_MAX + 1];
		size_t len = strcspn(path, "/");
		struct looked looked;
		struct node *child;
		int ret = -ENAMETOOLONG;

		if (len > 0 && len < sizeof(name)) {
			memcpy(name, path, len);
			name[len] = '\0';
			ret = strcmp(name, ".") == 0 || strcmp(name, "..") == 0
				      ? -EINVAL
				      : entry_look(w, n, name, &looked, &child);
		}
		cache_put(w->x->cache, n);
		if (ret)
			return ret;
		n = child;
		path += len + (path[len] == '/');
	}
	*out = n;
	return 0;
}

/* An open descriptor of the object tells where it is now: walk there, and see that it is so. */
static int step_by_fd(struct worker *w, const struct step *s, int fd, struct node **out)
{
	char path[PATH_MAX] = "";
	struct node *n;
	int ret = resolve_fd_path(w, fd, path, sizeof(path));

	if (ret)
		return ret;
	ret = resolve_path(w, path, &n);
	if (ret == -ESTALE)
		ret = -EAGAIN; /* directories on the way moved: says nothing about the object itself */
	if (ret)
		return ret;
	if (!nodeid_equal(cache_nodeid(n), s->nodeid)) {
		cache_put(w->x->cache, n);
		return -EAGAIN; /* moved again meanwhile, or another name was made for it */
	}
	atomic_fetch_add_explicit(&w->x->count.by_path, 1, memory_order_relaxed);
	*out = n;
	return 0;
}

/* The host deleted it: the map need not keep it. */
static void step_gone(struct worker *w, const struct step *s)
{
	struct record rec = { .kind = RECORD_GONE, .rowid = s->rowid };

	rec.row.identity = s->identity;
	rec.row.ino = s->ino;
	rec.row.type = s->type;
	rec.row.tweak = (uint8_t)s->tweak;
	rec.row.name.parent = ROWID_NONE;
	store_append(w, &rec, 1, store_since(w));
}

/* With --moved-out=allow: what was once reachable, and has not been deleted, is still open. */
static int step_outside(struct worker *w, const struct step *s, int fd, struct node **out)
{
	struct looked looked;
	int ret = hostfs_look_fd(w->x->hostfs, w->mint, NULL, NULL, fd, &looked);

	if (ret)
		return ret;
	if (looked.stx.stx_nlink == 0)
		return -ESTALE;
	looked.id.place.attachment = s->identity.place.attachment;
	ret = step_settle(w, s, &looked, NULL, NULL, fd, out);
	if (ret)
		return ret;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || cache_give_fd(w->x->cache, *out, fd) < 0) {
		cache_put(w->x->cache, *out);
		return -ENFILE;
	}
	return 0;
}

static bool has_other_names(int fd)
{
	struct statx stx;

	return statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_NLINK, &stx) ==
		       0 &&
	       !S_ISDIR(stx.stx_mode) && stx.stx_nlink > 1;
}

/*
 * Where the share is the process's root (chroot), the kernel gives paths of objects outside of it that look like paths
 * inside. So what cannot be found at its own path, again and again, is taken for outside.
 */
static bool seems_outside(struct worker *w, int fd, int error)
{
	static const char deleted[] = " (deleted)";
	char link[16], path[PATH_MAX];
	size_t tail = sizeof(deleted) - 1;
	ssize_t n;

	if (error != -EAGAIN && error != -ENOENT && error != -EACCES)
		return false;
	if (!w->x->config.places || strcmp(w->x->config.places->root, "/") != 0)
		return false;
	snprintf(link, sizeof(link), "%d", fd);
	n = readlinkat(w->x->proc, link, path, sizeof(path));
	/* A name that was removed, of a file that has others: says nothing. */
	return n >= 0 && ((size_t)n < tail || memcmp(path + (size_t)n - tail, deleted, tail) != 0);
}

int step_by_cached_fd(struct worker *w, const struct step *s, struct node **out)
{
	struct node *n = cache_find(w->x->cache, s->nodeid);
	int ret = -ENOENT, fd;

	if (!n)
		return ret;
	fd = cache_fd(n);
	if (fd >= 0) {
		for (int i = 0; i < FD_TRIES; i++) {
			ret = step_by_fd(w, s, fd, out);
			if (ret != -EAGAIN && ret != -ENOENT)
				break;
		}
		if (seems_outside(w, fd, ret))
			ret = -EXDEV;
		if (ret == -EXDEV && w->x->config.moved_out_allow)
			ret = step_outside(w, s, fd, out);
		else if (ret == -EXDEV && has_other_names(fd))
			ret = -ENOENT; /* what was moved out is one name of several */
		if (ret == -EACCES) {
			/* An ordinary user's daemon may not walk there. The object is open, and inside. */
			cache_set_stamp(w->x->cache, n, clock_ns());
			*out = n;
			return 0;
		}
		if (ret == -ESTALE && cache_persistent(n))
			step_gone(w, s);
		if (ret == -ESTALE && cache_in_use(w->x->cache, n) && cache_may_keep(w->x->cache)) {
			/* Deleted by the host, and open: it lives on until the guest lets it go. */
			cache_set_nameless(w->x->cache, n, true);
			*out = n;
			return 0;
		}
	}
	cache_put(w->x->cache, n);
	return ret;
}

/*
 * A reconnect takes the kernel time in proportion to the entries of the parent: a guest gets so many in a
 * second, and is told to try again after that.
 */
static bool may_reconnect(struct export *x)
{
	uint64_t second = clock_ns() / 1000000000, seen = atomic_load(&x->reconnects);
	uint64_t next;

	do {
		uint64_t used = seen >> 32 == (second & UINT32_MAX) ? (seen & UINT32_MAX) : 0;

		if (used >= RECONNECTS_MAX)
			return false;
		next = second << 32 | (used + 1);
	} while (!atomic_compare_exchange_weak(&x->reconnects, &seen, next));
	return true;
}

static int step_by_handle(struct worker *w, const struct step *s, struct node **out)
{
	struct looked looked;
	CLEANUP_FD int fd = -1;
	int ret;

	/* The kernel enters directories that mounts cover: with mounts below, names alone are sure. */
	if (s->type != DT_DIR || !w->x->can_open_dir || s->identity.place.attachment != 0 ||
	    hostfs_has_submounts(w->x->hostfs, w->x->root))
		return -ENOENT;
	/* A scan's time is limited as a whole, and what it cannot tell it does not drop. */
	if (!w->scanning && !may_reconnect(w->x))
		return -EAGAIN;
	fd = hostfs_open_dir(w->x->root_dir, &s->identity);
	if (fd < 0)
		return fd;
	ret = hostfs_look_fd(w->x->hostfs, w->mint, NULL, NULL, fd, &looked);
	if (ret)
		return ret;
	if (!looked.persistent || !identity_equal(&looked.id, &s->identity) || looked.wildcard)
		return -ESTALE;
	ret = step_by_fd(w, s, fd, out);
	if (ret == 0)
		atomic_fetch_add_explicit(&w->x->count.by_handle, 1, memory_order_relaxed);
	return ret;
}

static int step_by_plain_handle(struct worker *w, const struct step *s, struct node **out)
{
	CLEANUP_FD int fd = -1;

	if (!w->x->config.moved_out_allow || s->identity.place.attachment != 0)
		return -ENOENT;
	fd = hostfs_open_plain(w->x->root_dir, &s->identity);
	if (fd < 0)
		return fd;
	return step_outside(w, s, fd, out);
}

/* Keeps an error that passes for the answer, should the object be found by no way; gives `ret`. */
static int note_fault(int *fault, int ret)
{
	if (error_passes(ret))
		*fault = ret;
	return ret;
}

/*
 * Names that the map has: further ones of a file, each of which has parents of its own; and the one that another daemon has told the
 * map of, where our cache has an older one. An error that passes is told, so that nobody takes it for "not there".
 */
static int step_by_other_names(struct worker *w, const struct step *s, struct way *way,
			       struct node **out)
{
	struct found found;
	int fault = -ENOENT;
	int ret = w->resolving >= NESTED_MAX ? -ENOENT : store_find(w, s->rowid, &found);
	struct way nested = *way;

	if (note_fault(&fault, ret) < 0)
		return fault;
	ret = -ENOENT;
	for (unsigned i = 0; i < found.count && ret != 0; i++) {
		struct looked looked;
		struct node *parent;
		bool fresh = false;

		nested.target = mint_nodeid(w->mint, found.names[i].parent);
		if (s->named && nodeid_equal(nested.target, s->parent) &&
		    strcmp(found.names[i].text, s->name) == 0)
			continue;
		nested.looked = &looked;
		nested.fresh = &fresh;
		ret = climb_and_descend(w, &nested, &parent);
		if (ret == 0) {
			ret = step_by_name(w, s, parent, found.names[i].text, way, out);
			cache_put(w->x->cache, parent);
		}
		note_fault(&fault, ret);
	}
	return ret == 0 ? 0 : fault;
}

/*
 * A component was not found under its name: all other ways in turn. -ESTALE: surely gone or outside.
 * -ENOENT: not found by any way. An error that passes: one of the ways could not be tried.
 */
int step_search(struct worker *w, const struct step *s, struct way *way, struct node **out)
{
	int fault = -ENOENT, ret = step_by_cached_fd(w, s, out);

	if (ret == 0 || ret == -ESTALE)
		return ret;
	if (ret == -EXDEV && !w->x->config.moved_out_allow)
		return -ESTALE;
	note_fault(&fault, ret);
	ret = note_fault(&fault, step_by_handle(w, s, out));
	if (ret == 0 || note_fault(&fault, step_by_other_names(w, s, way, out)) == 0 ||
	    note_fault(&fault, step_by_plain_handle(w, s, out)) == 0)
		return 0;
	return ret == -EAGAIN ? -EAGAIN : fault;
}
