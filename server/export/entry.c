/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry.c - from what the host shows under a name to a node that the guest may be told of: looked at,
 * numbered, in the cache, recorded. Here stands the promise that no nodeid leaves without its row.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "export/core.h"

#define LOOK_TRIES 6

int entry_vantage(struct worker *w, struct node *dir, struct identity *id, struct vantage *out)
{
	int fd;

	if (cache_type(dir) != DT_DIR)
		return -ENOTDIR;
	if (w->unfit)
		return -ENOMEM; /* nothing can be minted */
	fd = node_fd(w, dir);
	if (fd < 0)
		return fd;
	cache_vantage(dir, fd, id, out);
	return 0;
}

int entry_reopen(struct worker *w, int fd)
{
	char path[32];
	int opened;

	snprintf(path, sizeof(path), "%d", fd);
	opened = openat(w->x->proc, path, O_PATH | O_CLOEXEC);
	return opened < 0 ? errno_neg() : opened;
}

int entry_shown_ino(struct worker *w, const struct looked *looked, const struct identity *id,
		    uint64_t *out)
{
	if (looked->mount_root || looked->subvol_root)
		return mint_inode(w->mint, id, out);
	*out = looked->stx.stx_ino;
	return 0;
}

/* --- objects whose handles persist ------------------------------------------------------------------------------- */

void entry_minted_of(const struct node *n, struct minted *out)
{
	out->rowid = cache_rowid(n);
	out->nodeid = cache_nodeid(n);
	out->generation = cache_generation(n);
	out->tweak = cache_tweak(n);
}

/* The node of a persistent object, if it is in the cache under this nodeid. */
static struct node *cached_as(struct worker *w, const struct looked *looked, nodeid_t nodeid)
{
	struct node *n = cache_find(w->x->cache, nodeid);

	if (n && cache_same_identity(n, &looked->id))
		return n;
	cache_put(w->x->cache, n);
	return NULL;
}

/*
 * The place of an object in the table of nodes found lately. Inode numbers of a directory's files are often neighbours, and so
 * are their places: a line of the processor's cache holds eight.
 */
static atomic_uint_fast64_t *recent_of(struct worker *w, const struct looked *looked)
{
	const uint64_t ino = looked->stx.stx_ino;
	const uint64_t far = (ino >> RECENTS_BITS ^ looked->dev << 40) * 0x9e3779b97f4a7c15ULL;

	return &w->x->recent[(ino + (far >> (64 - RECENTS_BITS))) % RECENTS];
}

static nodeid_t recent_get(struct worker *w, const struct looked *looked)
{
	return (nodeid_t){ atomic_load_explicit(recent_of(w, looked), memory_order_relaxed) };
}

static void recent_set(struct worker *w, const struct looked *looked, nodeid_t nodeid)
{
	atomic_store_explicit(recent_of(w, looked), nodeid.v, memory_order_relaxed);
}

struct node *entry_recent(struct worker *w, const struct looked *looked)
{
	const nodeid_t recent = recent_get(w, looked);

	return recent.v ? cache_find(w->x->cache, recent) : NULL;
}

/* The same under its own; where there is none *minted has the numbers of tweak 0. */
static int cached_node(struct worker *w, const struct looked *looked, struct minted *minted,
		       struct node **out)
{
	const nodeid_t recent = recent_get(w, looked);
	int ret = 0;

	*out = recent.v ? cached_as(w, looked, recent) : NULL;
	if (*out)
		return 0;
	ret = mint_identity(w->mint, &looked->id, looked->stx.stx_ino, 0, minted);
	if (!ret)
		*out = cached_as(w, looked, minted->nodeid);
	if (*out)
		recent_set(w, looked, minted->nodeid);
	return ret;
}

int entry_minted(struct worker *w, const struct looked *looked, struct minted *out)
{
	struct node *n;
	int ret = cached_node(w, looked, out, &n);

	if (ret)
		return ret;
	if (!n)
		return store_assign(w, &looked->id, looked->stx.stx_ino, out, NULL, NULL);
	entry_minted_of(n, out);
	cache_put(w->x->cache, n);
	return 0;
}

int entry_node_minted(struct worker *w, const struct looked *looked, const struct minted *minted,
		      struct node **out)
{
	struct node_spec spec = { .nodeid = minted->nodeid,
				  .generation = minted->generation,
				  .rowid = minted->rowid,
				  .tweak = minted->tweak,
				  .looked = looked,
				  .id = &looked->id,
				  .root_generation = w->epoch->root_generation };
	int ret = entry_shown_ino(w, looked, &looked->id, &spec.shown_ino);

	if (!ret)
		ret = cache_enter(w->x->cache, &spec, out);
	if (!ret)
		recent_set(w, looked, minted->nodeid);
	return ret;
}

/* The node, which knows whether the map has (parent, name) for it. `name` may be NULL; else it lies in `parent`. */
static int persistent_node(struct worker *w, const struct looked *looked, nodeid_t parent,
			   const struct name *name, struct node **out)
{
	struct export *x = w->x;
	struct minted minted;
	struct found found;
	struct node *n;
	bool known = false;
	int ret;

	ret = cached_node(w, looked, &minted, out);
	if (ret || *out)
		return ret;
	ret = store_assign(w, &looked->id, looked->stx.stx_ino, &minted, &known, &found);
	if (!ret)
		ret = entry_node_minted(w, looked, &minted, &n);
	if (ret == -EEXIST) {
		ret = store_clash(w, &looked->id, looked->stx.stx_ino, &minted);
		if (!ret)
			ret = entry_node_minted(w, looked, &minted, &n);
	}
	if (ret)
		return ret;
	if (known && name) {
		bool multi = looked->stx.stx_nlink > 1 && !S_ISDIR(looked->stx.stx_mode);

		for (unsigned i = 0; i < found.count; i++)
			if (name_equal(&found.names[i], name) && (found.row.multi || !multi)) {
				cache_set_name(x->cache, n, parent, name->text);
				cache_set_recorded(x->cache, n, STORE_MARK_FIRST);
			}
	}
	*out = n;
	return 0;
}

int entry_node(struct worker *w, const struct looked *looked, struct node *parent, const char *name,
	       int fd, struct node **out)
{
	struct name known;
	struct node *root = w->x->root_node;

	/* The share's own root, seen from inside (as a mount of itself it has an attachment). */
	if (S_ISDIR(looked->stx.stx_mode) && cache_is(root, looked)) {
		*out = cache_find(w->x->cache, NODEID_ROOT);
		return 0;
	}
	if (looked->anonymous)
		return entry_anonymous(w, looked, parent, name, fd, out);
	if (!looked->persistent)
		return entry_volatile(w, looked, out);
	if (parent && name && name_set(&known, cache_rowid(parent), name) == 0)
		return persistent_node(w, looked, cache_nodeid(parent), &known, out);
	return persistent_node(w, looked, NODEID_ROOT, NULL, out);
}

int entry_tell(struct worker *w, const struct node *n, const struct looked *looked, rowid_t parent,
	       const char *name, uint64_t since)
{
	struct minted minted;
	struct record rec;
	int ret;

	entry_minted_of(n, &minted);
	ret = store_record(&rec, RECORD_SEEN, &minted, looked, parent, name);
	return ret ? ret : store_append(w, &rec, 1, since);
}

/* Sees to it that the map knows the node under this name, before anybody is told of it. */
static int entry_record(struct worker *w, struct node *n, struct node *parent, const char *name,
			const struct looked *looked, uint64_t since)
{
	struct cache *c = w->x->cache;
	const uint32_t mark = store_mark(w);
	bool recorded = false;
	int ret;

	if (nodeid_is_root(cache_nodeid(n)))
		return 0;
	if (!cache_known_as(c, n, cache_nodeid(parent), name, mark))
		cache_set_name(c, n, cache_nodeid(parent),
			       name); /* first: who takes it away meanwhile wins */
	else
		recorded = true;
	if (cache_persistent(n) && !recorded) {
		ret = entry_tell(w, n, looked, cache_rowid(parent), name, since);
		if (ret)
			return ret;
	}
	cache_settle(c, n, cache_nodeid(parent), name, cache_stamp(parent), looked, mark);
	return 0;
}

/*
 * What was looked at, or glanced at, is what was there last time, and all about it is known: the answer, with its lookup
 * counted. Most lookups end here.
 */
static bool entry_again(struct worker *w, struct node *parent, const char *name,
			const struct looked *looked, bool glance, struct entry *out)
{
	const struct seen seen = { .parent = cache_nodeid(parent),
				   .name = name,
				   .stamp = cache_stamp(parent),
				   .looked = looked,
				   .mark = store_mark(w),
				   .glance = glance };
	struct sighting s;
	nodeid_t nodeid;

	if (w->unfit || (!glance && (!looked->persistent || looked->anonymous)))
		return false;
	nodeid = recent_get(w, looked);
	/* The root is told otherwise. */
	if (!nodeid.v || nodeid_is_root(nodeid) || !cache_see(w->x->cache, nodeid, &seen, &s))
		return false;
	*out = (struct entry){ .nodeid = s.nodeid,
			       .generation = s.generation,
			       .stx = looked->stx,
			       .submount = s.submount };
	out->stx.stx_ino = s.shown_ino;
	trouble_ends(w, s.nodeid);
	return true;
}

/* Looks; 1: a glance was enough, and `again` is filled. */
static int look_or_glance(struct worker *w, struct node *parent, const struct vantage *at,
			  const char *name, int fd, struct looked *looked, struct entry *again)
{
	struct hostfs *h = w->x->hostfs;
	int ret;

	if (fd >= 0)
		return hostfs_look_fd(h, w->mint, at, name, fd, looked);
	ret = hostfs_glance(h, at, name, looked);
	if (ret)
		return ret;
	if (again && entry_again(w, parent, name, looked, true, again))
		return 1;
	return hostfs_look_on(h, w->mint, at, name, looked);
}

/*
 * Was the object, which is open, given another name meanwhile that the map knows of? Then that stands: another daemon has
 * renamed it.
 */
static bool named_elsewhere(struct worker *w, struct node *n, const struct vantage *at,
			    const struct looked *looked, rowid_t parent, const char *name)
{
	struct statx stx;
	struct found found;
	struct name known;

	if (!cache_persistent(n) || name_set(&known, parent, name) ||
	    (statx(at->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_INO, &stx) == 0 &&
	     stx.stx_ino == looked->stx.stx_ino) ||
	    store_find(w, cache_rowid(n), &found) || !found.count ||
	    !identity_equal(&found.row.identity, &looked->id))
		return false;
	for (unsigned i = 0; i < found.count; i++)
		if (name_equal(&found.names[i], &known))
			return false;
	return true;
}

int entry_look_for(struct worker *w, struct node *parent, const char *name, int fd, uint64_t begun,
		   struct looked *looked, struct node **out, struct entry *again)
{
	struct identity id;
	struct vantage at;
	struct node *n;
	int ret = entry_vantage(w, parent, &id, &at);

	if (ret)
		return ret;
	for (int i = 0; i < LOOK_TRIES; i++) {
		uint64_t since = fd >= 0 && !i ? begun : store_since(w);

		ret = look_or_glance(w, parent, &at, name, fd, looked, again);
		if (ret > 0)
			return ret;
		if (!ret && again && entry_again(w, parent, name, looked, false, again))
			return 1;
		if (!ret)
			ret = entry_node(w, looked, parent, name, fd, &n);
		if (ret == -EAGAIN)
			continue;
		if (ret)
			return ret;
		/* What is open may be gone or renamed by now: there is no row, or who did that has told. */
		if (fd < 0 ||
		    (looked->stx.stx_nlink > 0 &&
		     !(i && named_elsewhere(w, n, &at, looked, cache_rowid(parent), name))))
			ret = entry_record(w, n, parent, name, looked, since);
		if (ret == 0) {
			trouble_ends(w, cache_nodeid(n));
			*out = n;
			return 0;
		}
		cache_put(w->x->cache, n);
		if (ret == -EEXIST) {
			/* Another object was given these numbers first: this one gets others. */
			struct minted minted;

			cache_drop(w->x->cache, n);
			ret = store_clash(w, &looked->id, looked->stx.stx_ino, &minted);
			if (ret)
				return ret;
		} else if (ret != -EAGAIN) {
			return ret;
		}
	}
	return -ESTALE;
}

int entry_look(struct worker *w, struct node *parent, const char *name, struct looked *looked,
	       struct node **out)
{
	return entry_look_for(w, parent, name, -1, 0, looked, out, NULL);
}

int entry_fill(struct worker *w, struct node *n, const struct statx *stx, struct entry *out)
{
	out->nodeid = cache_nodeid(n);
	out->generation = node_generation(n);
	out->stx = *stx;
	out->stx.stx_ino = cache_shown_ino(n);
	out->submount = cache_submount(n);
	if (!nodeid_is_root(out->nodeid))
		cache_remember(w->x->cache, n);
	return 0;
}
