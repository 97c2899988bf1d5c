/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache.c - the node cache. See cache.h for what it promises and which lock guards what.
 *
 * Each shard is a chained hash table and a clock: an array of its nodes with a hand that goes round and
 * takes away what has not been touched since it came by last. Called from every worker and the scan.
 */
#include "export/cache_private.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "export/glance.h"

#define BUCKETS_MIN 64
#define INODE_BUCKETS 4096

static struct node **bucket_of(struct shard *s, nodeid_t id)
{
	return &s->buckets[(id.v >> 11) & (s->bucket_count - 1)];
}

static struct node **inode_bucket(struct cache *c, uint64_t dev, uint64_t ino)
{
	uint64_t h = (ino ^ dev << 20) * 0x9e3779b97f4a7c15ULL;

	return &c->by_inode[(h >> 40) & (INODE_BUCKETS - 1)];
}

int cache_new(size_t max_nodes, size_t max_fds, struct cache **out)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->max_nodes = max_nodes < SHARDS * 16 ? SHARDS * 16 : max_nodes;
	c->max_fds = max_fds < 32 ? 32 : max_fds;
	pthread_mutex_init(&c->inode_lock, NULL);
	pthread_mutex_init(&c->home_lock, NULL);
	for (unsigned i = 0; i < SHARDS; i++)
		pthread_mutex_init(&c->shards[i].lock, NULL);
	c->by_inode = calloc(INODE_BUCKETS, sizeof(struct node *));
	for (unsigned i = 0; i < SHARDS; i++) {
		c->shards[i].bucket_count = BUCKETS_MIN;
		c->shards[i].buckets = calloc(BUCKETS_MIN, sizeof(struct node *));
		if (!c->shards[i].buckets || !c->by_inode) {
			cache_free(c);
			return -ENOMEM;
		}
	}
	*out = c;
	return 0;
}

/* Gives back what a node holds but its memory, for when nobody finds it any more. */
static void node_end(struct cache *c, struct node *n)
{
	if (n->fd >= 0) {
		fd_close(n->fd);
		atomic_fetch_sub(&c->fds, 1);
	}
	if (n->lookups > 0 && (n->nameless || !n->persistent))
		atomic_fetch_sub(&c->pinned, 1); /* dropped before its FORGET */
	if (n->nameless)
		atomic_fetch_sub(&c->nameless, 1);
	node_free_parts(n);
}

static void node_free(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);

	node_end(c, n);
	pthread_mutex_lock(&s->lock);
	node_give_back(s, n);
	pthread_mutex_unlock(&s->lock);
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];

		for (size_t k = 0; k < s->count; k++)
			node_end(c, s->clock[k]);
		slabs_free(s);
		free(s->clock);
		free(s->buckets);
		pthread_mutex_destroy(&s->lock);
	}
	homes_free(c);
	pthread_mutex_destroy(&c->home_lock);
	pthread_mutex_destroy(&c->inode_lock);
	free(c->by_inode);
	free(c);
}

/* --- under the shard's lock ------------------------------------------------------------------------- */

static bool node_pinned(const struct node *n)
{
	return nodeid_is_root(n->nodeid) || n->refs > 0 ||
	       ((n->nameless || !n->persistent) && n->lookups > 0);
}

static struct node *shard_find(struct shard *s, nodeid_t id)
{
	for (struct node *n = *bucket_of(s, id); n; n = n->next)
		if (nodeid_equal(n->nodeid, id))
			return n;
	return NULL;
}

static void shard_unlink(struct shard *s, struct node *n)
{
	struct node **at = bucket_of(s, n->nodeid);

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	s->clock[n->slot] = s->clock[--s->count];
	s->clock[n->slot]->slot = n->slot;
	n->dead = true;
}

static int shard_grow(struct shard *s)
{
	size_t buckets = s->bucket_count * 2;
	const size_t room = s->room ? s->room + s->room / 2 : 256;
	struct node **clock = realloc(s->clock, room * sizeof(*clock));
	struct node **table;

	if (!clock)
		return -ENOMEM;
	s->clock = clock;
	s->room = room;
	if (s->room < s->bucket_count)
		return 0;
	table = calloc(buckets, sizeof(*table));
	if (!table)
		return 0; /* longer chains will do */
	free(s->buckets);
	s->buckets = table;
	s->bucket_count = buckets;
	for (size_t i = 0; i < s->count; i++) {
		struct node **at = bucket_of(s, s->clock[i]->nodeid);

		s->clock[i]->next = *at;
		*at = s->clock[i];
	}
	return 0;
}

/* Takes one node out that nobody needs; false if there is none. The caller frees *victim. */
static bool shard_evict(struct shard *s, struct node **victim)
{
	for (size_t steps = 0; steps < 2 * s->count; steps++) {
		struct node *n;

		s->hand = s->hand + 1 < s->count ? s->hand + 1 : 0;
		n = s->clock[s->hand];
		/* those that do not persist are taken out by cache_forget() and cache_put() alone */
		if (node_pinned(n) || !n->persistent)
			continue;
		if (n->touched) {
			n->touched = false;
			continue;
		}
		shard_unlink(s, n);
		*victim = n;
		return true;
	}
	return false;
}

/* --- finding and making ------------------------------------------------------------------------------ */

struct node *cache_find(struct cache *c, nodeid_t id)
{
	struct shard *s = shard_of(c, id);
	struct node *n;

	pthread_mutex_lock(&s->lock);
	n = shard_find(s, id);
	if (n) {
		n->refs++;
		n->touched = true;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* Is what was seen this node's object? With the shard's lock. */
static bool node_is_seen(const struct node *n, const struct seen *seen)
{
	if (!seen->glance)
		return cache_same_identity(n, &seen->looked->id);
	return glance_unchanged(seen->looked, &(struct object_was){ .ino = n->ino,
								    .dev = n->home->dev,
								    .mount = n->mount,
								    .btime_ns = n->btime_ns,
								    .steady_ns = n->steady_ns });
}

bool cache_see(struct cache *c, nodeid_t id, const struct seen *seen, struct sighting *out)
{
	struct shard *s = shard_of(c, id);
	bool usual = false;
	struct node *n;

	pthread_mutex_lock(&s->lock);
	n = shard_find(s, id);
	if (n && n->recorded == seen->mark && n->persistent && !n->nameless &&
	    node_has_name(n, seen->parent, seen->name) && node_is_seen(n, seen)) {
		if (seen->glance)
			atomic_store_explicit(&n->checked, seen->stamp, memory_order_relaxed);
		else
			node_found(n, seen->stamp, seen->looked);
		n->touched = true;
		n->lookups++;
		*out = (struct sighting){ .nodeid = n->nodeid,
					  .generation = cache_told_generation(n),
					  .shown_ino = n->shown_ino,
					  .submount = n->submount };
		usual = true;
	}
	pthread_mutex_unlock(&s->lock);
	return usual;
}

bool cache_unchanged(struct cache *c, struct node *n, const struct seen *seen)
{
	struct shard *s = shard_of(c, n->nodeid);
	bool same;

	pthread_mutex_lock(&s->lock);
	same = n->persistent && !n->dead && node_has_name(n, seen->parent, seen->name) &&
	       node_is_seen(n, seen);
	if (same)
		atomic_store_explicit(&n->checked, seen->stamp, memory_order_relaxed);
	pthread_mutex_unlock(&s->lock);
	return same;
}

/* With a reference for the caller, who has inode_lock. */
static struct node *inode_find(struct cache *c, uint64_t dev, uint64_t ino, uint64_t attachment)
{
	struct node *n;

	for (n = *inode_bucket(c, dev, ino); n; n = n->inode_next)
		if (n->home->dev == dev && n->ino == ino && n->home->place.attachment == attachment)
			break;
	if (n) {
		struct shard *s = shard_of(c, n->nodeid);

		pthread_mutex_lock(&s->lock);
		n->refs++;
		pthread_mutex_unlock(&s->lock);
	}
	return n;
}

struct node *cache_find_inode(struct cache *c, uint64_t dev, uint64_t ino, uint64_t attachment)
{
	struct node *n;

	pthread_mutex_lock(&c->inode_lock);
	n = inode_find(c, dev, ino, attachment);
	pthread_mutex_unlock(&c->inode_lock);
	return n;
}

int cache_enter(struct cache *c, const struct node_spec *spec, struct node **out)
{
	struct shard *s = shard_of(c, spec->nodeid);
	const struct home *home = home_get(c, spec->id, spec->looked->dev);
	struct node *n, *victim = NULL;
	bool by_inode = spec->looked->anonymous && !nodeid_is_root(spec->nodeid);
	int ret = 0;

	if (!home)
		return -ENOMEM;
	if (by_inode) {
		/* Two threads may see it for the first time at once: it gets one node. */
		pthread_mutex_lock(&c->inode_lock);
		n = inode_find(c, home->dev, spec->looked->stx.stx_ino, home->place.attachment);
		if (n) {
			pthread_mutex_unlock(&c->inode_lock);
			*out = n;
			return 0;
		}
	}
	pthread_mutex_lock(&s->lock);
	n = shard_find(s, spec->nodeid);
	if (n) {
		if (!cache_same_identity(n, spec->id)) {
			ret = -EEXIST;
			goto out;
		}
		n->refs++;
		n->touched = true;
		*out = n;
		goto out;
	}
	/* Under the lock: what comes in before cache_drop_all() has been here is dropped by it. */
	if (spec->root_generation < atomic_load(&c->root_generation)) {
		ret = -ESTALE;
		goto out;
	}
	if (s->count >= c->max_nodes / SHARDS && !shard_evict(s, &victim)) {
		ret = -ENFILE;
		goto out;
	}
	if (s->count == s->room && shard_grow(s) < 0) {
		ret = -ENOMEM;
		goto out;
	}
	n = node_make(s, spec, home);
	if (!n) {
		ret = -ENOMEM;
		goto out;
	}
	n->next = *bucket_of(s, n->nodeid);
	*bucket_of(s, n->nodeid) = n;
	n->slot = (uint32_t)s->count;
	s->clock[s->count++] = n;
	if (by_inode) {
		struct node **at = inode_bucket(c, n->home->dev, n->ino);

		n->inode_next = *at;
		*at = n;
	}
	*out = n;
out:
	pthread_mutex_unlock(&s->lock);
	if (by_inode)
		pthread_mutex_unlock(&c->inode_lock);
	if (victim)
		node_free(c, victim);
	return ret;
}

static void inode_unlink(struct cache *c, struct node *n)
{
	for (struct node **at = inode_bucket(c, n->home->dev, n->ino); *at; at = &(*at)->inode_next)
		if (*at == n) {
			*at = n->inode_next;
			return;
		}
}

/*
 * Runs `change` on the node under the locks that taking it out needs, and takes it out if it then is of
 * no use: dead, or a node that does not persist, or has no name, that neither guest nor we refer to.
 */
static void node_change(struct cache *c, struct node *n, struct shard *s,
			void (*change)(struct cache *, struct shard *, struct node *, uint64_t),
			uint64_t arg)
{
	bool by_inode = n->anonymous && !nodeid_is_root(n->nodeid);
	bool unpinned, gone;

	if (by_inode)
		pthread_mutex_lock(&c->inode_lock);
	pthread_mutex_lock(&s->lock);
	change(c, s, n, arg);
	unpinned = !n->dead && !node_pinned(n) && (n->nameless || !n->persistent);
	if (unpinned)
		shard_unlink(s, n);
	if (by_inode && n->dead)
		inode_unlink(c, n);
	gone = n->dead && n->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (by_inode)
		pthread_mutex_unlock(&c->inode_lock);
	if (gone)
		node_free(c, n);
}

static void change_put(struct cache *c, struct shard *s, struct node *n, uint64_t arg)
{
	(void)c;
	(void)s;
	(void)arg;
	assert(n->refs > 0);
	n->refs--;
}

static void change_drop(struct cache *c, struct shard *s, struct node *n, uint64_t arg)
{
	(void)c;
	(void)arg;
	if (!n->dead && !nodeid_is_root(n->nodeid))
		shard_unlink(s, n);
}

void cache_ref(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	n->refs++;
	pthread_mutex_unlock(&s->lock);
}

void cache_put(struct cache *c, struct node *n)
{
	struct shard *s;
	bool easy;

	if (!n)
		return;
	s = shard_of(c, n->nodeid);
	/* The usual case: a live node that stays in the cache. */
	pthread_mutex_lock(&s->lock);
	easy = n->refs > 1 || (!n->dead && n->persistent && !n->nameless) ||
	       nodeid_is_root(n->nodeid);
	if (easy)
		n->refs--;
	pthread_mutex_unlock(&s->lock);
	if (!easy)
		node_change(c, n, s, change_put, 0);
}

void cache_drop(struct cache *c, struct node *n)
{
	node_change(c, n, shard_of(c, n->nodeid), change_drop, 0);
}

void cache_drop_all(struct cache *c, uint32_t root_generation)
{
	atomic_store(&c->root_generation, root_generation);
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];

		for (;;) {
			struct node *n = NULL;

			pthread_mutex_lock(&s->lock);
			for (size_t k = 0; k < s->count && !n; k++)
				if (!nodeid_is_root(s->clock[k]->nodeid))
					n = s->clock[k];
			if (n)
				n->refs++;
			pthread_mutex_unlock(&s->lock);
			if (!n)
				break;
			cache_drop(c, n);
			cache_put(c, n);
		}
	}
}

/* --- lookups and FORGET ------------------------------------------------------------------------------- */

void cache_remember(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	if (n->lookups++ == 0 && (n->nameless || !n->persistent))
		atomic_fetch_add(&c->pinned, 1);
	pthread_mutex_unlock(&s->lock);
}

void cache_hold(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	if (n->lookups == 0) {
		n->lookups = 1;
		if (n->nameless || !n->persistent)
			atomic_fetch_add(&c->pinned, 1);
	}
	pthread_mutex_unlock(&s->lock);
}

static void change_forget(struct cache *c, struct shard *s, struct node *n, uint64_t count)
{
	bool was = n->lookups > 0 && (n->nameless || !n->persistent);

	(void)s;
	n->refs--;
	/*
	 * The guest's kernel forgets all at once when it lets an inode go. If we have lost count, more
	 * than we know of is that; and for others a count too large is nothing but all.
	 */
	n->lookups = count >= n->lookups ? 0 : n->lookups - count;
	if (was && n->lookups == 0)
		atomic_fetch_sub(&c->pinned, 1);
}

void cache_forget(struct cache *c, nodeid_t id, uint64_t count)
{
	struct node *n;

	if (nodeid_is_root(id))
		return;
	n = cache_find(c, id);
	if (n)
		node_change(c, n, shard_of(c, id), change_forget, count);
}

/* Is it of no use, now that nobody has looked it up? Under the shard's lock. */
static bool node_idle(const struct node *n)
{
	return n->refs == 0 && n->lookups == 0 && (n->nameless || !n->persistent) &&
	       !nodeid_is_root(n->nodeid);
}

/* A reference to the next idle node from *at on, or NULL. */
static struct node *shard_next_idle(struct shard *s, size_t *at)
{
	struct node *n = NULL;

	pthread_mutex_lock(&s->lock);
	for (; *at < s->count && !n; (*at)++)
		if (node_idle(s->clock[*at]))
			n = s->clock[*at];
	if (n) {
		n->refs++;
		(*at)--; /* its slot goes to another */
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

void cache_forget_all(struct cache *c)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];
		struct node *n;
		size_t at = 0;

		pthread_mutex_lock(&s->lock);
		for (size_t k = 0; k < s->count; k++) {
			n = s->clock[k];
			if (n->lookups > 0 && (n->nameless || !n->persistent))
				atomic_fetch_sub(&c->pinned, 1);
			n->lookups = 0;
		}
		pthread_mutex_unlock(&s->lock);
		/* What is open or in hand goes when that ends. */
		while ((n = shard_next_idle(s, &at)))
			cache_put(c, n);
	}
}

/* --- for status -------------------------------------------------------------------------------- */

void cache_stats(struct cache *c, struct cache_stats *out)
{
	out->nodes = 0;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];

		pthread_mutex_lock(&s->lock);
		out->nodes += s->count;
		pthread_mutex_unlock(&s->lock);
	}
	out->max_nodes = c->max_nodes;
	out->max_fds = c->max_fds;
	out->fds = atomic_load(&c->fds);
	out->pinned = atomic_load(&c->pinned);
}
