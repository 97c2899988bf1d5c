/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache_node.c - what is known of a node: its names, when it was last found in its place, and what never changes.
 * Each function takes the lock of the node's shard, if it needs one, and no other. Called from every
 * worker and the scan.
 */
#include "export/cache_private.h"

#include <assert.h>
#include <string.h>

#include "base/util.h"

/* --- names ------------------------------------------------------------------------------------------------ */

static bool node_has_name(const struct node *n, nodeid_t parent, const char *name)
{
	return n->name && nodeid_equal(n->parent, parent) && strcmp(n->name, name) == 0;
}

void cache_set_name(struct cache *c, struct node *n, nodeid_t parent, const char *name)
{
	struct shard *s = shard_of(c, n->nodeid);
	char *copy, *old = NULL;

	if (cache_has_name(c, n, parent, name))
		return;
	copy = strdup(name); /* without memory the name is not known, and the map is asked */
	pthread_mutex_lock(&s->lock);
	old = n->name;
	n->name = copy;
	n->parent = parent;
	n->recorded = false;
	pthread_mutex_unlock(&s->lock);
	free(old);
}

bool cache_name(struct cache *c, struct node *n, nodeid_t *parent, char name[HOLDFAST_NAME_MAX + 1])
{
	struct shard *s = shard_of(c, n->nodeid);
	bool known;

	pthread_mutex_lock(&s->lock);
	known = n->name != NULL;
	if (known) {
		*parent = n->parent;
		memcpy(name, n->name, strlen(n->name) + 1);
	}
	pthread_mutex_unlock(&s->lock);
	return known;
}

bool cache_has_name(struct cache *c, struct node *n, nodeid_t parent, const char *name)
{
	struct shard *s = shard_of(c, n->nodeid);
	bool has;

	pthread_mutex_lock(&s->lock);
	has = node_has_name(n, parent, name);
	pthread_mutex_unlock(&s->lock);
	return has;
}

void cache_clear_name(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);
	char *old;

	pthread_mutex_lock(&s->lock);
	old = n->name;
	n->name = NULL;
	n->checked = 0;
	n->recorded = false;
	pthread_mutex_unlock(&s->lock);
	free(old);
}

static void node_set_nameless(struct cache *c, struct node *n, bool nameless)
{
	if (n->nameless != nameless && n->persistent && n->lookups > 0) {
		if (nameless)
			atomic_fetch_add(&c->pinned, 1);
		else
			atomic_fetch_sub(&c->pinned, 1);
	}
	if (nameless && !n->nameless)
		atomic_fetch_add(&c->nameless, 1);
	else if (!nameless && n->nameless)
		atomic_fetch_sub(&c->nameless, 1);
	n->nameless = nameless;
}

bool cache_may_keep(struct cache *c)
{
	size_t reserve = c->max_fds / 8 + 1;

	return atomic_load(&c->nameless) + reserve < c->max_fds;
}

void cache_set_nameless(struct cache *c, struct node *n, bool nameless)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	node_set_nameless(c, n, nameless);
	pthread_mutex_unlock(&s->lock);
	if (nameless)
		cache_clear_name(c, n);
}

bool cache_known_as(struct cache *c, struct node *n, nodeid_t parent, const char *name)
{
	struct shard *s = shard_of(c, n->nodeid);
	bool known;

	pthread_mutex_lock(&s->lock);
	known = n->recorded && node_has_name(n, parent, name);
	pthread_mutex_unlock(&s->lock);
	return known;
}

void cache_settle(struct cache *c, struct node *n, nodeid_t parent, const char *name,
		  uint64_t stamp, const struct looked *looked)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	if (node_has_name(n, parent, name)) {
		node_set_nameless(c, n, false);
		n->recorded = true;
		n->checked = stamp;
		n->mount = looked->mount;
	}
	pthread_mutex_unlock(&s->lock);
}

bool cache_nameless(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);
	bool nameless;

	pthread_mutex_lock(&s->lock);
	nameless = n->nameless;
	pthread_mutex_unlock(&s->lock);
	return nameless;
}

bool cache_in_use(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);
	bool in_use;

	pthread_mutex_lock(&s->lock);
	in_use = n->refs > 1;
	pthread_mutex_unlock(&s->lock);
	return in_use;
}

bool cache_recorded(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);
	bool recorded;

	pthread_mutex_lock(&s->lock);
	recorded = n->recorded;
	pthread_mutex_unlock(&s->lock);
	return recorded;
}

void cache_set_recorded(struct cache *c, struct node *n, bool recorded)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	n->recorded = recorded;
	pthread_mutex_unlock(&s->lock);
}

void cache_set_checked(struct cache *c, struct node *n, uint64_t stamp, const struct looked *looked)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	n->checked = stamp;
	n->mount = looked->mount;
	pthread_mutex_unlock(&s->lock);
}

uint64_t cache_stamp(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);
	uint64_t stamp = clock_ns();

	if (nodeid_is_root(n->nodeid))
		return stamp;
	pthread_mutex_lock(&s->lock);
	if (!n->nameless)
		stamp = n->checked;
	pthread_mutex_unlock(&s->lock);
	return stamp;
}

void cache_set_stamp(struct cache *c, struct node *n, uint64_t stamp)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	n->checked = stamp;
	pthread_mutex_unlock(&s->lock);
}

void cache_clear_checked(struct cache *c, struct node *n)
{
	cache_set_stamp(c, n, 0);
}

bool cache_fresh(struct cache *c, struct node *n, uint64_t max_age)
{
	struct shard *s = shard_of(c, n->nodeid);
	uint64_t now = clock_ns();
	bool fresh;

	if (nodeid_is_root(n->nodeid))
		return true;
	pthread_mutex_lock(&s->lock);
	fresh = n->nameless || now - n->checked < max_age;
	pthread_mutex_unlock(&s->lock);
	return fresh;
}

/* --- what does not change ----------------------------------------------------------------------------------- */

nodeid_t cache_nodeid(const struct node *n)
{
	return n->nodeid;
}

generation_t cache_generation(const struct node *n)
{
	return n->generation;
}

rowid_t cache_rowid(const struct node *n)
{
	return n->rowid;
}

unsigned cache_tweak(const struct node *n)
{
	return n->tweak;
}

uint8_t cache_type(const struct node *n)
{
	return n->type;
}

bool cache_persistent(const struct node *n)
{
	return n->persistent;
}

bool cache_wildcard(const struct node *n)
{
	return n->wildcard;
}

bool cache_submount(const struct node *n)
{
	return n->submount;
}

uint64_t cache_ino(const struct node *n)
{
	return n->ino;
}

uint64_t cache_shown_ino(const struct node *n)
{
	return n->shown_ino;
}

enum hostfs_kind cache_kind(const struct node *n)
{
	return (enum hostfs_kind)n->kind;
}

void cache_identity(const struct node *n, struct identity *out)
{
	ssize_t used = identity_decode(n->id, n->id_len, out);

	assert(used == n->id_len);
	(void)used;
}

bool cache_same_identity(const struct node *n, const struct identity *id)
{
	uint8_t bytes[IDENTITY_MAX];
	size_t len = identity_encode(id, bytes);

	return len == n->id_len && memcmp(bytes, n->id, len) == 0;
}

bool cache_is(const struct node *n, const struct looked *looked)
{
	if (n->persistent != looked->persistent || n->anonymous != looked->anonymous)
		return false;
	if (!n->anonymous)
		return cache_same_identity(n, &looked->id);
	/* Its descriptor is held, so its inode number is not used again. */
	return n->dev == looked->dev && n->ino == looked->stx.stx_ino &&
	       n->attachment == looked->attachment;
}

void cache_vantage(struct cache *c, struct node *n, int fd, struct identity *id,
		   struct vantage *out)
{
	struct shard *s = shard_of(c, n->nodeid);

	cache_identity(n, id);
	out->fd = fd;
	out->id = id;
	out->dev = n->dev;
	out->attachment = n->attachment;
	out->persistent = n->persistent;
	pthread_mutex_lock(&s->lock);
	out->mount = n->mount;
	pthread_mutex_unlock(&s->lock);
}
