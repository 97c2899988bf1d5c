/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lookup.c - what LOOKUP, CREATE, GETATTR and FORGET ask of the core: entries by name and by number, and objects that have
 * no name.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "export/core.h"

int export_lookup(struct worker *w, struct node *parent, const char *name, struct entry *out)
{
	struct looked looked;
	struct node *n;
	int ret = entry_look_for(w, parent, name, -1, 0, &looked, &n, out);

	if (ret)
		return ret < 0 ? ret : 0;
	ret = entry_fill(w, n, &looked.stx, out);
	cache_put(w->x->cache, n);
	return ret;
}

/* An object without a name: it lives in the cache alone, for as long as the guest refers to it. */
static int enter_nameless(struct worker *w, struct node *parent, int fd, struct looked *looked,
			  struct node **out)
{
	struct identity id;
	struct vantage at;
	int ret = entry_vantage(w, parent, &id, &at), held;

	if (!ret && !cache_may_keep(w->x->cache))
		ret = -ENFILE;
	if (!ret)
		ret = hostfs_look_fd(w->x->hostfs, w->mint, &at, "", fd, looked);
	if (!ret)
		ret = entry_node(w, looked, NULL, NULL, fd, out);
	if (ret)
		return ret;
	held = entry_reopen(w, fd);
	ret = held < 0 ? held : cache_give_fd(w->x->cache, *out, held);
	if (ret < 0) {
		cache_put(w->x->cache, *out);
		return ret;
	}
	cache_set_checked(w->x->cache, *out, clock_ns(), looked);
	cache_set_nameless(w->x->cache, *out, true);
	return 0;
}

uint64_t export_position(struct worker *w)
{
	return store_since(w);
}

int export_enter_fd(struct worker *w, struct node *parent, const char *name, int fd, uint64_t since,
		    struct entry *out)
{
	struct looked looked;
	struct node *n;
	int ret = -ESTALE, held;

	if (name)
		ret = entry_look_for(w, parent, name, fd, since, &looked, &n, NULL);
	if (name && ret == 0 && looked.stx.stx_nlink == 0)
		cache_put(w->x->cache, n); /* somebody was quick to unlink it */
	if (!name || (ret == 0 && looked.stx.stx_nlink == 0)) {
		ret = enter_nameless(w, parent, fd, &looked, &n);
	} else if (ret == 0) {
		/* It goes on being open should the host unlink it; at the cap it does without. */
		held = entry_reopen(w, fd);
		if (held >= 0)
			cache_give_fd(w->x->cache, n, held);
	}
	if (ret)
		return ret;
	ret = entry_fill(w, n, &looked.stx, out);
	cache_put(w->x->cache, n);
	return ret;
}

/* What is nowhere under a name that we know, and yet was found: its row is there, or is made with the name that it had last. */
static int record_unseen(struct worker *w, struct node *n, const struct statx *stx, nodeid_t parent,
			 const char *name, uint32_t mark)
{
	struct looked looked = { .stx = *stx };
	const uint64_t since = store_since(w);
	struct found found;
	int ret = store_find(w, cache_rowid(n), &found);

	if (ret && ret != -ENOENT && ret != -EBADMSG)
		return ret;
	if (ret) {
		cache_identity(n, &looked.id);
		ret = entry_tell(w, n, &looked, mint_rowid(w->mint, parent), name, since);
	}
	if (!ret)
		cache_set_recorded(w->x->cache, n, mark);
	return ret == -EAGAIN ? 0 : ret; /* another has told of it since */
}

/*
 * Rows were dropped since this one was recorded (store_mark()), by another daemon's scans maybe while the host had the object
 * elsewhere: it is looked at under its name, and recorded, before anybody is told of it again. 0; or -ENOMEM, that cannot be now.
 */
static int record_again(struct worker *w, struct node *n, const struct statx *stx)
{
	struct cache *c = w->x->cache;
	const uint32_t mark = store_mark(w);
	char name[HOLDFAST_NAME_MAX + 1];
	struct looked looked;
	nodeid_t id;
	struct node *parent, *there;
	bool same = false;
	int ret;

	if (!cache_persistent(n) || nodeid_is_root(cache_nodeid(n)) ||
	    cache_recorded(c, n) == mark || !cache_name(c, n, &id, name))
		return 0;
	ret = node_get(w, id, &parent);
	if (!ret) {
		ret = entry_look(w, parent, name, &looked, &there);
		node_put(w, parent);
	}
	if (!ret) {
		same = there == n;
		cache_put(c, there);
	}
	if (error_passes(ret))
		return -ENOMEM;
	return same || record_unseen(w, n, stx, id, name, mark) == 0 ? 0 : -ENOMEM;
}

int export_lookup_self(struct worker *w, nodeid_t id, struct entry *out)
{
	struct looked looked;
	struct node *n;
	bool fresh = false;
	int ret = resolve(w, id, &n, &looked, &fresh);

	if (ret)
		return ret;
	if (!fresh) {
		int fd = node_fd(w, n);

		ret = fd < 0 ? fd : 0;
		if (!ret && statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
				  STATX_BASIC_STATS | STATX_BTIME, &looked.stx) < 0)
			ret = errno_neg();
	}
	/*
	 * What lost its last name lives on for who has it open, and a guest that has it open does not
	 * need to decode its handle: that is stale for good.
	 */
	if (!ret && looked.stx.stx_nlink == 0) {
		cache_clear_checked(w->x->cache, n);
		ret = -ESTALE;
	}
	if (!ret)
		ret = record_again(w, n, &looked.stx);
	if (!ret)
		ret = entry_fill(w, n, &looked.stx, out);
	/*
	 * Asked for by number it is no crossing of a mount: Linux has a superblock for the submount by then, and would make
	 * another point to mount at instead of finding that one's root.
	 */
	if (!ret)
		out->submount = false;
	node_put(w, n);
	return ret;
}

int export_lookup_parent(struct worker *w, nodeid_t id, struct entry *out)
{
	char name[HOLDFAST_NAME_MAX + 1];
	nodeid_t parent = NODEID_ROOT;
	struct node *n;
	int ret = node_get(w, id, &n);

	if (ret)
		return ret;
	if (cache_type(n) != DT_DIR)
		ret = -ENOTDIR;
	else if (!nodeid_is_root(id) && !cache_name(w->x->cache, n, &parent, name))
		ret = -ESTALE;
	node_put(w, n);
	return ret < 0 ? ret : export_lookup_self(w, parent, out);
}

int export_getattr(struct worker *w, struct node *n, int fd, unsigned mask, struct statx *out)
{
	if (fd < 0)
		fd = node_fd(w, n);
	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, mask, out) < 0)
		return errno_neg();
	out->stx_ino = cache_shown_ino(n);
	return 0;
}

void export_forget(struct worker *w, nodeid_t id, uint64_t count)
{
	cache_forget(w->x->cache, id, count);
}

void export_forget_all(struct worker *w)
{
	cache_forget_all(w->x->cache);
}

int export_shown_ino(struct worker *w, struct node *dir, const char *name, uint64_t d_ino,
		     unsigned char d_type, uint64_t *out)
{
	enum hostfs_kind kind = cache_kind(dir);
	struct looked looked;
	struct identity id;
	struct vantage at;
	int ret;

	*out = d_ino;
	/* Where getdents tells the truth: no mount can be below, no subvolume, no layers. */
	if (!(kind == HOSTFS_OVERLAY || kind == HOSTFS_OTHER ||
	      (kind == HOSTFS_BTRFS && d_type == DT_DIR) ||
	      hostfs_has_submounts(w->x->hostfs, w->x->root)))
		return 0;
	ret = entry_vantage(w, dir, &id, &at);
	if (!ret)
		ret = hostfs_look(w->x->hostfs, w->mint, &at, name, &looked);
	if (ret)
		return ret;
	if (looked.anonymous && (looked.mount_root || looked.subvol_root)) {
		/* Its number comes with its node, which a look alone does not make. */
		struct node *n = cache_find_inode(w->x->cache, looked.dev, looked.stx.stx_ino,
						  looked.attachment);

		*out = n ? cache_shown_ino(n) : looked.stx.stx_ino;
		cache_put(w->x->cache, n);
		return 0;
	}
	return entry_shown_ino(w, &looked, &looked.id, out);
}
