/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.c - unlink, rename and link: the host's call, and what cache and map must know of it.
 *
 * What a name stands for is opened (O_PATH) before the call, or is open in the cache, so that afterwards the object itself
 * can be asked whether it is gone. The records of one call go into the ring as one. Called from the workers of
 * operations, with the daemon's own credentials.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"
#include "export/glance.h"

/* An object under a name, held while the name changes. */
struct held {
	int fd;		   /* O_PATH, or -1: there is none */
	struct node *node; /* whose descriptor that is, with a reference; NULL: it is ours */
	struct looked looked;
	struct minted minted; /* if looked.persistent */
};

static void held_close(struct worker *w, struct held *h)
{
	if (!h->node)
		fd_close(h->fd);
	cache_put(w->x->cache, h->node);
}

/* Is what a glance showed this node's object? While it is open its inode number is not given to another. */
static bool open_in_node(const struct node *n, const struct vantage *at,
			 const struct looked *looked, struct identity *id)
{
	const struct statx *stx = &looked->stx;

	if (cache_fd(n) < 0 || !cache_persistent(n) || cache_submount(n) ||
	    nodeid_is_root(cache_nodeid(n)) ||
	    (cache_kind(n) != HOSTFS_EXT4 && cache_kind(n) != HOSTFS_XFS))
		return false;
	cache_identity(n, id);
	return looked->mount == at->mount && looked->dev == at->dev &&
	       looked->dev == cache_dev(n) && id->place.attachment == at->attachment &&
	       cache_ino(n) == stx->stx_ino && (stx->stx_mask & STATX_BTIME) &&
	       id->btime_ns == glance_time_ns(&stx->stx_btime);
}

/* The object under the name by its node, if that is open: it spares opening it, its handle, and closing it. */
static bool held_in_cache(struct worker *w, const struct vantage *at, const char *name,
			  struct held *h)
{
	struct looked *looked = &h->looked;
	struct node *n;

	if (!at->persistent || hostfs_glance(w->x->hostfs, at, name, looked) < 0)
		return false;
	n = entry_recent(w, looked);
	if (!n || !open_in_node(n, at, looked, &looked->id)) {
		cache_put(w->x->cache, n);
		return false;
	}
	looked->steady_ns = 0; /* it is about to change */
	looked->attachment = at->attachment;
	looked->kind = cache_kind(n);
	looked->persistent = true;
	looked->wildcard = cache_wildcard(n);
	looked->anonymous = looked->mount_root = looked->subvol_root = false;
	entry_minted_of(n, &h->minted);
	h->node = n;
	h->fd = cache_fd(n);
	return true;
}

/* `cached`: a descriptor of the cache's will do. */
static int held_open(struct worker *w, struct node *parent, const char *name, bool cached,
		     struct held *h)
{
	struct identity id;
	struct vantage at;
	int ret = entry_vantage(w, parent, &id, &at);

	h->fd = -1;
	h->node = NULL;
	h->looked.persistent = h->looked.subvol_root = false; /* until it was looked at */
	if (ret)
		return ret;
	if (cached && held_in_cache(w, &at, name, h))
		return 0;
	h->looked.persistent = h->looked.subvol_root = false;
	h->fd = openat(at.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (h->fd < 0)
		return errno_neg();
	ret = hostfs_look_fd(w->x->hostfs, w->mint, &at, name, h->fd, &h->looked);
	if (!ret && h->looked.persistent)
		ret = entry_minted(w, &h->looked, &h->minted);
	if (ret)
		h->fd = fd_close(h->fd);
	return ret;
}

/*
 * Has it lost its last name? The object is asked: the host may have put another under the name before the
 * call. `removed` tells that a directory was, for those that do not count links.
 */
static bool held_gone(const struct held *h, bool removed)
{
	struct statx stx;

	if (removed && (!h->looked.persistent || h->looked.subvol_root))
		return true;
	if (statx(h->fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_NLINK, &stx) < 0)
		return false; /* keep the row: a scan will tell */
	return stx.stx_nlink == 0;
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

	/* Nodes come and go, but the guest has looked it up, or it could not have named it. */
	if (!n && gone && h->looked.persistent &&
	    entry_node_minted(w, &h->looked, &h->minted, &n) < 0)
		n = NULL;
	w->unlinks_open = n && cache_fd(n) >= 0;
	if (!n)
		return;
	if (gone) {
		/* A descriptor that is another node's cannot be given away: that node was dropped meanwhile. */
		if (cache_may_keep(c) &&
		    (cache_fd(n) >= 0 || (!h->node && cache_give_fd(c, n, fd_take(&h->fd)) >= 0))) {
			cache_set_nameless(c, n, true);
			cache_hold(c, n);
		} else {
			cache_drop(c, n);
		}
	} else if (cache_has_name(c, n, cache_nodeid(parent), name)) {
		cache_clear_name(c, n);
	}
	cache_put(c, n);
}

/*
 * Its name now, of which the map is not told yet (NULL: not known). Before the records: whoever changes the name
 * after them wins, also in the cache.
 */
static void held_take_name(struct worker *w, struct held *h, struct node *parent, const char *name)
{
	struct node *n = held_node(w, h);

	if (!n)
		return;
	cache_clear_name(w->x->cache, n);
	if (name)
		cache_set_name(w->x->cache, n, cache_nodeid(parent), name);
	cache_put(w->x->cache, n);
}

/* The map knows the name that it took. */
static void held_has_name(struct worker *w, struct held *h, struct node *parent, const char *name,
			  uint32_t mark)
{
	struct node *n = held_node(w, h);

	if (!n)
		return;
	cache_settle(w->x->cache, n, cache_nodeid(parent), name, cache_stamp(parent), &h->looked,
		     mark);
	cache_put(w->x->cache, n);
}

/* Appends. -EAGAIN: something that was seen has lost its name again since `since`. */
static int append(struct worker *w, const struct record *recs, unsigned n, uint64_t since)
{
	int ret = n ? store_append(w, recs, n, since) : 0;

	if (ret < 0 && ret != -EAGAIN)
		log_limited(LOG_LEVEL_WARN, "map: a change of a name was not recorded: %s",
			    strerror(-ret));
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
	return store_record(rec, RECORD_SEEN, &h->minted, &h->looked, cache_rowid(parent), name) ==
	       0;
}

/* Another daemon has renamed or unlinked it meanwhile: what is there is told, whatever it is. */
static void look_again(struct worker *w, struct node *dir, const char *name)
{
	struct looked looked;
	struct node *n = NULL;

	if (entry_look(w, dir, name, &looked, &n) == 0)
		cache_put(w->x->cache, n);
}

int export_unlink(struct worker *w, struct node *parent, const char *name, int at_flags)
{
	struct held h;
	struct record rec;
	bool gone;
	int ret = held_open(w, parent, name, w->unlinks_open, &h);

	if (ret)
		return ret;
	if (unlinkat(node_fd(w, parent), name, at_flags) < 0) {
		ret = errno_neg();
		goto out;
	}
	gone = held_gone(&h, at_flags & AT_REMOVEDIR);
	append(w, &rec, record_lost(&rec, &h, parent, name, gone), store_since(w));
	held_lost_name(w, &h, parent, name, gone);
	/* Another daemon may have given it this name again, and told of that before us. */
	if (!gone)
		look_again(w, parent, name);
out:
	held_close(w, &h);
	return ret;
}

/* Two names of one file: rename(2) does nothing then. */
static bool same_object(const struct held *a, const struct held *b)
{
	return a->fd >= 0 && b->fd >= 0 && a->looked.dev == b->looked.dev &&
	       a->looked.stx.stx_ino == b->looked.stx.stx_ino;
}

static void renamed(struct worker *w, struct node *from, const char *name, struct node *to,
		    const char *newname, bool exchange, struct held *a, struct held *b,
		    uint64_t since)
{
	struct record recs[4];
	const uint32_t mark = store_mark(w);
	unsigned n = 0, lost;
	bool gone = false, raced;

	/* The old name first: what is seen after that stands. */
	n += record_lost(&recs[n], a, from, name, false);
	if (b->fd >= 0) {
		gone = !exchange && held_gone(b, S_ISDIR(b->looked.stx.stx_mode));
		n += record_lost(&recs[n], b, to, newname, gone);
	}
	lost = n;
	n += record_seen(&recs[n], a, to, newname);
	if (exchange && b->fd >= 0)
		n += record_seen(&recs[n], b, from, name);
	held_take_name(w, a, to, newname);
	if (exchange && b->fd >= 0)
		held_take_name(w, b, from, name);
	raced = append(w, recs, n, since) == -EAGAIN;
	if (raced)
		append(w, recs, lost, since);

	if (b->fd >= 0)
		held_lost_name(w, b, to, newname, gone);
	if (raced) {
		/* Whatever we believed that the map knows of it, others may have taken back. */
		struct node *node = held_node(w, a);

		if (node)
			cache_clear_name(w->x->cache, node);
		cache_put(w->x->cache, node);
		look_again(w, to, newname);
		look_again(w, from, name); /* it may be back, and its name was taken away above */
		return;
	}
	if (exchange && b->fd >= 0)
		held_has_name(w, b, from, name, mark);
	held_has_name(w, a, to, newname, mark);
}

int export_rename(struct worker *w, struct node *from, const char *name, struct node *to,
		  const char *newname, unsigned flags)
{
	struct held a, b = { .fd = -1 };
	uint64_t since = store_since(w);
	int ret, from_fd, to_fd;

	/* A whiteout under the old name is for the map a new object: it gets its row when it is looked up. */
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	ret = held_open(w, from, name, false, &a);
	if (ret)
		return ret;
	ret = held_open(w, to, newname, false, &b);
	if (ret && ret != -ENOENT)
		goto out;
	from_fd = node_fd(w, from);
	to_fd = node_fd(w, to);
	if (from_fd < 0 || to_fd < 0) {
		ret = from_fd < 0 ? from_fd : to_fd;
		goto out;
	}
	ret = renameat2(from_fd, name, to_fd, newname, flags) < 0 ? errno_neg() : 0;
	if (ret == 0 && !same_object(&a, &b))
		renamed(w, from, name, to, newname, flags & RENAME_EXCHANGE, &a, &b, since);
out:
	held_close(w, &a);
	held_close(w, &b);
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
			return errno_neg();
		if (linkat(w->x->proc, path, dir, name, AT_SYMLINK_FOLLOW) < 0)
			return errno_neg();
	}
	/* It may have had this name before, and another daemon have told the map that it lost it. */
	cache_set_recorded(w->x->cache, n, 0);
	return export_lookup(w, parent, name, out);
}
