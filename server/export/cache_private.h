/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache_private.h - nodes and their table as cache.c (which node there is) and cache_node.c (what is known of it)
 * see them. Nobody else includes this.
 */
#ifndef HOLDFAST_EXPORT_CACHE_PRIVATE_H
#define HOLDFAST_EXPORT_CACHE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "export/cache.h"

#define SHARDS 16
#define HOME_BUCKETS 256

/*
 * What the nodes of one file system (of one subvolume, at one attachment) have in common. Made when the first of them
 * comes, freed with the cache: there are as many as there are such places in the share.
 */
struct home {
	struct place place;
	uint64_t dev;
	struct home *next;
};

/* Handles and names up to these lengths take no memory of their own. */
#define NODE_HANDLE_ROOM 20
#define NODE_NAME_ROOM 24

struct node {
	/* immutable */
	nodeid_t nodeid;
	rowid_t rowid;
	uint64_t ino; /* the host's */
	uint64_t shown_ino;
	int64_t btime_ns;
	const struct home *home;
	generation_t generation;
	int32_t handle_type;
	uint8_t handle_len;
	uint8_t type; /* DT_* */
	uint8_t tweak;
	uint8_t kind : 4; /* enum hostfs_kind */
	bool persistent : 1, anonymous : 1, wildcard : 1, submount : 1;
	/* guarded by the shard's lock; not of one memory location with what may be read without */
	uint32_t : 0;
	uint32_t recorded : 30; /* store_mark() of when; 0: the map is not known to have it */
	uint32_t touched : 1, dead : 1;
	unsigned refs;
	uint32_t slot;	  /* in the shard's clock */
	uint64_t lookups; /* replies that named it, less FORGETs */
	nodeid_t parent;
	uint64_t steady_ns; /* as looked.steady_ns of the last whole look; 0: not known */
	struct node *next;
	/* guarded by cache.inode_lock */
	struct node *inode_next;
	/*
	 * Changed under the shard's lock. Who holds a reference may read them without: while it does `fd` only goes from
	 * -1 to a descriptor, and of the others each value is right by itself.
	 */
	_Atomic int fd; /* O_PATH, or -1 */
	atomic_bool nameless;
	atomic_uint_fast64_t mount;
	atomic_uint_fast64_t
		checked; /* clock_ns() of when it was last found in its place; 0: never */
	/* immutable: by handle_len */
	union {
		uint8_t own[NODE_HANDLE_ROOM];
		uint8_t *far;
	} handle;
	/* guarded by the shard's lock: by name_room */
	uint16_t name_room; /* 0: NODE_NAME_ROOM bytes of its own */
	bool named;	    /* false: the name is not known */
	union {
		char own[NODE_NAME_ROOM];
		char *far;
	} name;
};

/* Nodes come out of slabs, which are kept: as many as the cap asks for at most. So large that malloc() maps each by itself. */
#define SLAB_NODES 768
struct slab {
	struct slab *next;
	struct node nodes[SLAB_NODES];
};

struct shard {
	pthread_mutex_t lock;
	struct node **buckets;
	size_t bucket_count;
	struct node **clock;
	size_t count, room, hand, fd_hand;
	struct slab *slabs;
	unsigned slab_used; /* nodes of the first slab that were ever in use */
	struct node *free;  /* by `next` */
};

struct cache {
	size_t max_nodes, max_fds;
	atomic_size_t fds, pinned, nameless;
	atomic_uint_fast32_t root_generation; /* numbers of older ones are not taken */
	struct shard shards[SHARDS];
	pthread_mutex_t inode_lock; /* guards by_inode; taken before a shard's lock */
	struct node **by_inode;
	pthread_mutex_t
		home_lock; /* for adding to `homes`, whose entries never change; innermost */
	_Atomic(struct home *) homes[HOME_BUCKETS];
};

static inline struct shard *shard_of(struct cache *c, nodeid_t id)
{
	/* nodeids come out of a permutation: any bits will do */
	return &c->shards[(id.v >> 7) % SHARDS];
}

static inline const uint8_t *node_handle(const struct node *n)
{
	return n->handle_len > NODE_HANDLE_ROOM ? n->handle.far : n->handle.own;
}

/* With the shard's lock: found in its place at this time, in this mount. */
static inline void node_found(struct node *n, uint64_t stamp, const struct looked *looked)
{
	atomic_store_explicit(&n->checked, stamp, memory_order_relaxed);
	atomic_store_explicit(&n->mount, looked->mount, memory_order_relaxed);
	n->steady_ns = looked->steady_ns;
}

/* With the shard's lock: its name, or NULL. */
static inline const char *node_name(const struct node *n)
{
	if (!n->named)
		return NULL;
	return n->name_room ? n->name.far : n->name.own;
}

/* With the shard's lock: is this its name? */
bool node_has_name(const struct node *n, nodeid_t parent, const char *name);
/* With the shard's lock: keeps name and parent; without memory the name is not known, and the map is asked. */
void node_keep_name(struct node *n, nodeid_t parent, const char *name);
/* Gives back what a node has of memory besides itself. */
void node_free_parts(struct node *n);

/* --- cache_memory.c */

/* The home of an object, found or made; NULL without memory. */
const struct home *home_get(struct cache *c, const struct identity *id, uint64_t dev);
void homes_free(struct cache *c);
/* A node with one reference, in no table yet; NULL without memory. With the shard's lock. */
struct node *node_make(struct shard *s, const struct node_spec *spec, const struct home *home);
/* Its memory, for the next; what else it held is given back. With the shard's lock. */
void node_give_back(struct shard *s, struct node *n);
void slabs_free(struct shard *s);

#endif
