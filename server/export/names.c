/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.c - unlink, rename and link: the host's call, and what cache and map must know of it.
 *
 * What a name stands for is opened (O_PATH) before the call, so that afterwards the object itself can be
 * asked whether it is gone. The records of one call go into the ring as one. Called from the workers of
 * operations, with the daemon's own credentials.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"

#define APPEND_TRIES 4

/* An object under a name, held while the name changes. */
struct held {
	int fd; /* O_PATH, or -1: there is none */
	struct looked looked;
	struct minted minted; /* if looked.persistent */
};

static int held_open(struct worker *w, struct node *parent, const char *name, struct held *h)
{
	struct identity id;
	struct vantage at;
	int ret = entry_vantage(w, parent, &id, &at);

	h->fd = -1;
	if (ret < 0)
		return ret;
	h->fd = openat(at.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (h->fd < 0)
		return -errno;
	ret = hostfs_look_fd(w->x->hostfs, w->mint, &at, name, h->fd, &h->looked);
	if (!ret && h->looked.persistent)
		ret = entry_minted(w, &h->looked, &h->minted);
	if (ret < 0)
		h->fd = fd_close(h->fd);
	return ret;
}

/* Links that are left. */
static unsigned held_links(const struct held *h)
{
	struct statx stx;

	if (statx(h->fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_NLINK, &stx) < 0)
		return 1; /* keep the row: a scan will tell */
	return stx.stx_nlink;
}

static struct node *held_node(struct worker *w, const struct held *h)
{
	struct node *n = NULL;

	/* Objects that do not persist have no numbers but those of their node. */
	if (h->looked.persistent)
		n = cache_find(w->x->cache, h->minted.nodeid);
	else if (entry_node(w, &h->looked, NULL, NULL, h->fd, &n) < 0)
		return NULL;
	return n;
}

/*
 * The object has lost a name. Its node, if there is one, forgets the name, or becomes nameless and takes the
 * descriptor over: the guest may still refer to it.
 */
static void held_lost_name(struct worker *w, struct held *h, struct node *parent, const char *name,
			   bool gone)
{
	struct cache *c = w->x->cache;
	struct node *n = held_node(w, h);

	if (!n)
		return;
	if (gone) {
		if (cache_fd(c, n) >= 0 || cache_give_fd(c, n, fd_take(&h->fd)) >= 0)
			cache_set_nameless(c, n, true);
		else
			cache_drop(c, n);
	} else if (cache_has_name(c, n, cache_nodeid(parent), name)) {
		cache_clear_name(c, n);
	}
	cache_put(c, n);
}

static void held_has_name(struct worker *w, struct held *h, struct node *parent, const char *name)
{
	struct node *n = held_node(w, h);

	if (!n)
		return;
	cache_set_name(w->x->cache, n, cache_nodeid(parent), name);
	cache_set_recorded(w->x->cache, n, true);
	cache_set_checked(w->x->cache, n, clock_ns(), &h->looked);
	cache_put(w->x->cache, n);
}

/* Appends; records of names that raced with others' are told without condition: the order is the ring's. */
static int append(struct worker *w, const struct record *recs, unsigned n)
{
	int ret = -EAGAIN;

	if (n == 0)
		return 0;
	for (int i = 0; ret == -EAGAIN && i < APPEND_TRIES; i++)
		ret = store_append(w, recs, n, store_since(w));
	if (ret < 0)
		log_limited(LOG_LEVEL_WARN, "map: a change of a name was not recorded: %s", strerror(-ret));
	return ret;
}

/* The record of a lost name: UNNAMED while other names are left, else GONE. */
static unsigned record_lost(struct record *rec, const struct held *h, struct node *parent,
			    const char *name, bool gone)
{
	if (!h->looked.persistent)
		return 0;
	return store_record(rec, gone ? RECORD_GONE : RECORD_UNNAMED, &h->minted, &h->looked,
			    cache_rowid(parent), name) == 0;
}

static unsigned record_seen(struct record *rec, const struct held *h, struct node *parent,
			    const char *name)
{
	if (!h->looked.persistent)
		return 0;
	return store_record(rec, RECORD_SEEN, &h->minted, &h->looked, cache_rowid(parent), name) == 0;
}

int export_unlink(struct worker *w, struct node *parent, const char *name, int at_flags)
{
	struct held h;
	struct record rec;
	bool gone;
	int ret = held_open(w, parent, name, &h);

	if (ret < 0)
		return ret;
	if (unlinkat(node_fd(w, parent), name, at_flags) < 0) {
		ret = -errno;
		goto out;
	}
	gone = (at_flags & AT_REMOVEDIR) || held_links(&h) == 0;
	append(w, &rec, record_lost(&rec, &h, parent, name, gone));
	held_lost_name(w, &h, parent, name, gone);
out:
	fd_close(h.fd);
	return ret;
}

/* Two names of one file: rename(2) does nothing then. */
static bool same_object(const struct held *a, const struct held *b)
{
	return a->fd >= 0 && b->fd >= 0 && a->looked.dev == b->looked.dev &&
	       a->looked.stx.stx_ino == b->looked.stx.stx_ino;
}

static void renamed(struct worker *w, struct node *from, const char *name, struct node *to,
		    const char *newname, bool exchange, struct held *a, struct held *b)
{
	struct record recs[4];
	unsigned n = 0;
	bool gone = false;

	/* The old name first: what is seen after that stands. */
	n += record_lost(&recs[n], a, from, name, false);
	if (b->fd >= 0) {
		gone = !exchange && (S_ISDIR(b->looked.stx.stx_mode) || held_links(b) == 0);
		n += record_lost(&recs[n], b, to, newname, gone);
	}
	n += record_seen(&recs[n], a, to, newname);
	if (exchange && b->fd >= 0)
		n += record_seen(&recs[n], b, from, name);
	append(w, recs, n);

	if (b->fd >= 0)
		held_lost_name(w, b, to, newname, gone);
	if (exchange && b->fd >= 0)
		held_has_name(w, b, from, name);
	held_has_name(w, a, to, newname);
}

int export_rename(struct worker *w, struct node *from, const char *name, struct node *to,
		  const char *newname, unsigned flags)
{
	struct held a, b = { .fd = -1 };
	int ret, from_fd, to_fd;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	ret = held_open(w, from, name, &a);
	if (ret < 0)
		return ret;
	ret = held_open(w, to, newname, &b);
	if (ret < 0 && ret != -ENOENT)
		goto out;
	from_fd = node_fd(w, from);
	to_fd = node_fd(w, to);
	if (from_fd < 0 || to_fd < 0) {
		ret = from_fd < 0 ? from_fd : to_fd;
		goto out;
	}
	ret = renameat2(from_fd, name, to_fd, newname, flags) < 0 ? -errno : 0;
	if (ret == 0 && !same_object(&a, &b))
		renamed(w, from, name, to, newname, flags & RENAME_EXCHANGE, &a, &b);
out:
	fd_close(a.fd);
	fd_close(b.fd);
	return ret;
}

int export_link(struct worker *w, struct node *n, struct node *parent, const char *name,
		struct entry *out)
{
	int fd = node_fd(w, n), dir = node_fd(w, parent);
	char path[32];

	if (fd < 0 || dir < 0)
		return fd < 0 ? fd : dir;
	/* By descriptor without a name takes a capability; by the magic link it does not. */
	snprintf(path, sizeof(path), "%d", fd);
	if (linkat(fd, "", dir, name, AT_EMPTY_PATH) < 0) {
		if (errno != ENOENT && errno != EPERM)
			return -errno;
		if (linkat(w->x->proc, path, dir, name, AT_SYMLINK_FOLLOW) < 0)
			return -errno;
	}
	return export_lookup(w, parent, name, out);
}
