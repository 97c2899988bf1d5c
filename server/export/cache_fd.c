/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache_fd.c - the O_PATH descriptors that nodes hold: under a cap of their own over all shards, taken away by a clock of their
 * own where others need them, and given up for what the host has deleted. Called from every worker and the scan.
 */
#include "export/cache_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

static bool fd_pinned(const struct node *n)
{
	return n->refs > 0 || nodeid_is_root(n->nodeid) || n->nameless || n->anonymous;
}

/*
 * Takes one descriptor away that nobody needs: it is the caller's to close, without the lock, since the last of a deleted
 * file takes as long as deleting it; -1 if there is none.
 */
static int shard_evict_fd(struct cache *c, struct shard *s)
{
	for (size_t steps = 0; steps < 2 * s->count; steps++) {
		struct node *n;
		int fd;

		s->fd_hand = s->fd_hand + 1 < s->count ? s->fd_hand + 1 : 0;
		n = s->clock[s->fd_hand];
		if (n->fd < 0 || fd_pinned(n))
			continue;
		if (n->touched && steps < s->count) {
			n->touched = false;
			continue;
		}
		fd = n->fd;
		n->fd = -1;
		atomic_fetch_sub(&c->fds, 1);
		return fd;
	}
	return -1;
}

int cache_fd(const struct node *n)
{
	return atomic_load_explicit(&n->fd, memory_order_acquire);
}

/* Makes room for one descriptor: from this shard, or else from any other. */
static bool make_fd_room(struct cache *c, struct shard *own)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[((size_t)(own - c->shards) + i) % SHARDS];
		int fd;

		pthread_mutex_lock(&s->lock);
		fd = shard_evict_fd(c, s);
		pthread_mutex_unlock(&s->lock);
		if (fd >= 0) {
			(void)fd_close(fd);
			return true;
		}
	}
	return false;
}

int cache_give_fd(struct cache *c, struct node *n, int fd)
{
	struct shard *s = shard_of(c, n->nodeid);
	int spare = -1;

	if (atomic_fetch_add(&c->fds, 1) >= c->max_fds && !make_fd_room(c, s)) {
		atomic_fetch_sub(&c->fds, 1);
		fd_close(fd);
		return -ENFILE;
	}
	pthread_mutex_lock(&s->lock);
	if (n->fd >= 0) {
		atomic_fetch_sub(&c->fds, 1);
		spare = fd;
	} else {
		atomic_store_explicit(&n->fd, fd, memory_order_release);
	}
	fd = n->fd;
	pthread_mutex_unlock(&s->lock);
	(void)fd_close(spare);
	return fd;
}

/* The next node from *at on with a descriptor that nobody needs, with a reference; NULL at the end of the shard. */
static struct node *next_spare_fd(struct shard *s, size_t *at)
{
	struct node *n = NULL;

	pthread_mutex_lock(&s->lock);
	while (!n && *at < s->count) {
		n = s->clock[(*at)++];
		if (n->fd < 0 || fd_pinned(n))
			n = NULL;
		else
			n->refs++;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

void cache_let_go(struct cache *c)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];
		struct node *n;
		size_t at = 0;

		while ((n = next_spare_fd(s, &at))) {
			struct statx stx;
			bool gone = statx(n->fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_NLINK,
					  &stx) == 0 &&
				    stx.stx_nlink == 0;
			int fd = -1;

			pthread_mutex_lock(&s->lock);
			/* Ours is the only reference, and others are taken under this lock. */
			if (gone && n->refs == 1) {
				fd = n->fd;
				n->fd = -1;
				atomic_fetch_sub(&c->fds, 1);
			}
			pthread_mutex_unlock(&s->lock);
			(void)fd_close(fd);
			cache_put(c, n);
		}
	}
}
