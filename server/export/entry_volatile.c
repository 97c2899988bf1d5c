/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * entry_volatile.c - nodes of objects whose handles do not persist: those that have none, and those of file systems that do not
 * say who they are.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "export/core.h"

/* New serial numbers, should the numbers made of one be another's. */
#define SERIAL_TRIES 6

/* Made-up handles of objects that have none: this type is no kernel's. */
#define ANONYMOUS_HANDLE_TYPE 0x7f00

/* Made up for an anonymous object: the serial number tells it from the next on the same inode. */
static void anonymous_identity(struct worker *w, const struct looked *looked, struct identity *id)
{
	memset(id, 0, sizeof(*id));
	memcpy(id->place.fsid, w->x->run_id, sizeof(id->place.fsid));
	id->place.attachment = looked->attachment;
	id->btime_ns = IDENTITY_BTIME_NONE;
	id->handle_type = ANONYMOUS_HANDLE_TYPE;
	id->handle_len = 24;
	put_le64(id->handle, looked->dev);
	put_le64(id->handle + 8, looked->stx.stx_ino);
	put_le64(id->handle + 16, atomic_fetch_add(&w->x->serial, 1));
}

/* Its node holds its inode by a descriptor from the beginning, so that the number is not used again. */
static int anonymous_open(struct worker *w, const struct looked *looked, struct node *parent,
			  const char *name, int fd)
{
	struct identity id;
	struct vantage at;
	struct statx stx;
	int opened, ret;

	if (fd >= 0)
		return entry_reopen(w, fd);
	ret = entry_vantage(w, parent, &id, &at);
	if (ret)
		return ret;
	assert(name);
	opened = openat(at.fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (opened < 0)
		return errno_neg();
	if (statx(opened, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_INO, &stx) < 0 ||
	    stx.stx_ino != looked->stx.stx_ino || stx.stx_dev_minor != looked->stx.stx_dev_minor ||
	    stx.stx_dev_major != looked->stx.stx_dev_major) {
		fd_close(opened);
		return -EAGAIN;
	}
	return opened;
}

/* A node with numbers that nobody else has: not in the cache, nor in the map. */
static int volatile_enter(struct worker *w, const struct looked *looked, const struct identity *id,
			  unsigned tweak, struct node **out)
{
	struct node_spec spec = { .looked = looked,
				  .id = id,
				  .tweak = tweak,
				  .root_generation = w->epoch->root_generation };
	struct minted minted;
	struct found found;
	int ret = mint_identity(w->mint, id, looked->stx.stx_ino, tweak, &minted);

	if (!ret)
		ret = entry_shown_ino(w, looked, id, &spec.shown_ino);
	if (ret)
		return ret;
	*out = cache_find(w->x->cache, minted.nodeid);
	if (*out && cache_same_identity(*out, id))
		return 0;
	cache_put(w->x->cache, *out);
	*out = NULL;
	if (w->reader && store_find(w, minted.rowid, &found) != -ENOENT)
		return -EEXIST;
	spec.nodeid = minted.nodeid;
	spec.generation = minted.generation;
	spec.rowid = minted.rowid;
	return cache_enter(w->x->cache, &spec, out);
}

int entry_anonymous(struct worker *w, const struct looked *looked, struct node *parent,
		    const char *name, int fd, struct node **out)
{
	struct export *x = w->x;
	struct node *n =
		cache_find_inode(x->cache, looked->dev, looked->stx.stx_ino, looked->attachment);
	int ret = -EEXIST, held;

	if (n) {
		*out = n;
		return 0;
	}
	held = anonymous_open(w, looked, parent, name, fd);
	if (held < 0)
		return held;
	for (int i = 0; ret == -EEXIST && i < SERIAL_TRIES; i++) {
		struct identity id;

		anonymous_identity(w, looked, &id);
		ret = volatile_enter(w, looked, &id, 0, &n);
	}
	if (ret < 0) {
		fd_close(held);
		return ret;
	}
	ret = cache_give_fd(x->cache, n, held);
	if (ret < 0) {
		cache_put(x->cache, n);
		return ret;
	}
	*out = n;
	return 0;
}

int entry_volatile(struct worker *w, const struct looked *looked, struct node **out)
{
	int ret = -EEXIST;

	for (unsigned tweak = 0; ret == -EEXIST && tweak <= MINT_TWEAK_MAX; tweak++)
		ret = volatile_enter(w, looked, &looked->id, tweak, out);
	return ret;
}
