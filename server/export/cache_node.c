/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache_node.c - what is known of a node: its names, when it was last found in its place, and what never changes.
 * Each function takes the lock of the node's shard, if it needs one, and no other. Called from every
 * worker and the scan, for a node that the caller holds a reference to.
 */
#include "export/cache_private.h"

#include <assert.h>
#include <string.h>

#include "base/util.h"

/* --- names ------------------------------------------------------------------------------------------------ */

bool node_has_name(const struct node *n, nodeid_t parent, const char *name)
{
	return n->named && nodeid_equal(n->parent, parent) && strcmp(node_name(n), name) == 0;
}

void node_keep_name(struct node *n, nodeid_t parent, const char *name)
{
	const size_t room = strlen(name) + 1;
	char *far;

	n->parent = parent;
	n->recorded = 0;
	n->named = true;
	if (room <= NODE_NAME_ROOM && !n->name_room) {
		memcpy(n->name.own, name, room);
		return;
	}
	if (room > n->name_room) {
		far = malloc(room);
		if (n->name_room)
			free(n->name.far);
		n->name_room = 0;
		n->named = far != NULL;
		if (!far)
			return;
		n->name.far = far;
		n->name_room = (uint16_t)room;
	}
	memcpy(n->name.far, name, room);
}

void node_free_parts(struct node *n)
{
	if (n->name_room)
		free(n->name.far);
	if (n->handle_len > NODE_HANDLE_ROOM)
		free(n->handle.far);
}

void cache_set_name(struct cache *c, struct node *n, nodeid_t parent, const char *name)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	if (!node_has_name(n, parent, name))
		node_keep_name(n, parent, name);
	pthread_mutex_unlock(&s->lock);
}

bool cache_name(struct cache *c, struct node *n, nodeid_t *parent, char name[HOLDFAST_NAME_MAX + 1])
{
	struct shard *s = shard_of(c, n->nodeid);
	bool known;

	pthread_mutex_lock(&s->lock);
	known = n->named;
	if (known) {
		*parent = n->parent;
		memcpy(name, node_name(n), strlen(node_name(n)) + 1);
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

	pthread_mutex_lock(&s->lock);
	n->named = false; /* its memory stays for the next */
	n->checked = 0;
	n->recorded = 0;
	pthread_mutex_unlock(&s->lock);
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

bool cache_known_as(struct cache *c, struct node *n, nodeid_t parent, const char *name,
		    uint32_t mark)
{
	struct shard *s = shard_of(c, n->nodeid);
	bool known;

	pthread_mutex_lock(&s->lock);
	known = n->recorded == mark && node_has_name(n, parent, name);
	pthread_mutex_unlock(&s->lock);
	return known;
}

void cache_settle(struct cache *c, struct node *n, nodeid_t parent, const char *name,
		  uint64_t stamp, const struct looked *looked, uint32_t mark)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	if (node_has_name(n, parent, name)) {
		node_set_nameless(c, n, false);
		n->recorded = mark & CACHE_MARK_MAX;
		node_found(n, stamp, looked);
	}
	pthread_mutex_unlock(&s->lock);
}

bool cache_nameless(const struct node *n)
{
	return n->nameless;
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

uint32_t cache_recorded(struct cache *c, struct node *n)
{
	struct shard *s = shard_of(c, n->nodeid);
	uint32_t recorded;

	pthread_mutex_lock(&s->lock);
	recorded = n->recorded;
	pthread_mutex_unlock(&s->lock);
	return recorded;
}

void cache_set_recorded(struct cache *c, struct node *n, uint32_t mark)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	n->recorded = mark & CACHE_MARK_MAX;
	pthread_mutex_unlock(&s->lock);
}

void cache_set_checked(struct cache *c, struct node *n, uint64_t stamp, const struct looked *looked)
{
	struct shard *s = shard_of(c, n->nodeid);

	pthread_mutex_lock(&s->lock);
	node_found(n, stamp, looked);
	pthread_mutex_unlock(&s->lock);
}

uint64_t cache_stamp(const struct node *n)
{
	if (nodeid_is_root(n->nodeid) || n->nameless)
		return clock_ns();
	return n->checked;
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

bool cache_fresh(const struct node *n, uint64_t max_age)
{
	return nodeid_is_root(n->nodeid) || n->nameless || clock_ns() - n->checked < max_age;
}

/* --- what does not change ----------------------------------------------------------------------------------- */

nodeid_t cache_nodeid(const struct node *n)
{
	return n->nodeid;
}

generation_t cache_told_generation(const struct node *n)
{
	const generation_t none = { 0 };

	return n->submount ? none : n->generation;
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

uint64_t cache_dev(const struct node *n)
{
	return n->home->dev;
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
	out->place = n->home->place;
	out->btime_ns = n->btime_ns;
	out->handle_type = n->handle_type;
	out->handle_len = n->handle_len;
	memcpy(out->handle, node_handle(n), n->handle_len);
	memset(out->handle + n->handle_len, 0, sizeof(out->handle) - n->handle_len);
}

bool cache_same_identity(const struct node *n, const struct identity *id)
{
	return n->btime_ns == id->btime_ns && n->handle_type == id->handle_type &&
	       n->handle_len == id->handle_len &&
	       memcmp(node_handle(n), id->handle, n->handle_len) == 0 &&
	       place_equal(&n->home->place, &id->place);
}

bool cache_is(const struct node *n, const struct looked *looked)
{
	if (n->persistent != looked->persistent || n->anonymous != looked->anonymous)
		return false;
	if (!n->anonymous)
		return cache_same_identity(n, &looked->id);
	/* Its descriptor is held, so its inode number is not used again. */
	return n->home->dev == looked->dev && n->ino == looked->stx.stx_ino &&
	       n->home->place.attachment == looked->attachment;
}

void cache_vantage(const struct node *n, int fd, struct identity *id, struct vantage *out)
{
	cache_identity(n, id);
	out->fd = fd;
	out->id = id;
	out->dev = n->home->dev;
	out->attachment = n->home->place.attachment;
	out->persistent = n->persistent;
	out->mount = n->mount;
}
