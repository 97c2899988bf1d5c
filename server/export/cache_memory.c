/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache_memory.c - what nodes are made of: slabs of each shard, under its lock, and the homes that nodes share, which are found
 * without a lock. Called by cache.c.
 */
#include "export/cache_private.h"

#include <dirent.h>
#include <string.h>

#include "base/util.h"

/* --- homes -------------------------------------------------------------------------------------------- */

static struct home *home_find(struct home *h, const struct identity *id, uint64_t dev)
{
	while (h && !(h->dev == dev && place_equal(&h->place, &id->place)))
		h = h->next;
	return h;
}

const struct home *home_get(struct cache *c, const struct identity *id, uint64_t dev)
{
	const uint64_t hash = (get_le64(id->place.fsid) ^ get_le64(id->place.subvol) ^
			       id->place.attachment ^ dev) *
			      0x9e3779b97f4a7c15ULL;
	_Atomic(struct home *) *head = &c->homes[(hash >> 40) % HOME_BUCKETS];
	struct home *h = home_find(atomic_load(head), id, dev);

	if (h)
		return h;
	pthread_mutex_lock(&c->home_lock);
	h = home_find(atomic_load(head), id, dev);
	if (!h) {
		h = malloc(sizeof(*h));
		if (h) {
			*h = (struct home){ .place = id->place,
					    .dev = dev,
					    .next = atomic_load(head) };
			atomic_store(head, h);
		}
	}
	pthread_mutex_unlock(&c->home_lock);
	return h;
}

void homes_free(struct cache *c)
{
	for (unsigned i = 0; i < HOME_BUCKETS; i++)
		for (struct home *h = c->homes[i], *next; h; h = next) {
			next = h->next;
			free(h);
		}
}

/* --- slabs --------------------------------------------------------------------------------------------- */

void slabs_free(struct shard *s)
{
	while (s->slabs) {
		struct slab *slab = s->slabs;

		s->slabs = slab->next;
		free(slab);
	}
}

void node_give_back(struct shard *s, struct node *n)
{
	n->next = s->free;
	s->free = n;
}

/* Memory for a node, or NULL. With the shard's lock. */
static struct node *node_new(struct shard *s)
{
	struct node *n = s->free;

	if (n) {
		s->free = n->next;
		memset(n, 0, sizeof(*n));
		return n;
	}
	if (!s->slabs || s->slab_used == SLAB_NODES) {
		struct slab *slab = calloc(1, sizeof(*slab));

		if (!slab)
			return NULL;
		slab->next = s->slabs;
		s->slabs = slab;
		s->slab_used = 0;
	}
	return &s->slabs->nodes[s->slab_used++];
}

/* The parts of a node that may take memory of their own: false without that. */
static bool node_fill_handle(struct node *n, const struct identity *id)
{
	uint8_t *to = n->handle.own;

	if (id->handle_len > NODE_HANDLE_ROOM) {
		to = malloc(id->handle_len);
		if (!to)
			return false;
		n->handle.far = to;
	}
	memcpy(to, id->handle, id->handle_len);
	n->handle_len = id->handle_len;
	return true;
}

struct node *node_make(struct shard *s, const struct node_spec *spec, const struct home *home)
{
	struct node *n = node_new(s);

	if (!n)
		return NULL;
	if (!node_fill_handle(n, spec->id)) {
		node_give_back(s, n);
		return NULL;
	}
	n->home = home;
	n->btime_ns = spec->id->btime_ns;
	n->handle_type = spec->id->handle_type;
	n->nodeid = spec->nodeid;
	n->generation = spec->generation;
	n->rowid = spec->rowid;
	n->tweak = (uint8_t)spec->tweak;
	n->ino = spec->looked->stx.stx_ino;
	n->shown_ino = spec->shown_ino;
	n->type = (uint8_t)IFTODT(spec->looked->stx.stx_mode);
	n->kind = spec->looked->kind & 0xf;
	n->persistent = spec->looked->persistent;
	n->anonymous = spec->looked->anonymous;
	n->wildcard = spec->looked->wildcard;
	n->submount = spec->looked->mount_root;
	atomic_init(&n->mount, spec->looked->mount);
	atomic_init(&n->fd, -1);
	n->refs = 1;
	n->touched = true;
	return n;
}
