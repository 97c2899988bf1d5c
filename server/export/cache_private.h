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

struct node {
	/* immutable */
	nodeid_t nodeid;
	generation_t generation;
	rowid_t rowid;
	uint64_t ino; /* the host's */
	uint64_t shown_ino;
	uint64_t dev;
	uint64_t attachment;
	uint8_t type; /* DT_* */
	uint8_t tweak;
	uint8_t kind; /* enum hostfs_kind */
	bool persistent, anonymous, wildcard, submount;
	/* guarded by the shard's lock */
	bool nameless, recorded, touched, dead;
	int fd; /* O_PATH, or -1 */
	unsigned refs;
	size_t slot;	  /* in the shard's clock */
	uint64_t lookups; /* replies that named it, less FORGETs */
	uint64_t mount;
	uint64_t checked; /* clock_ns() of when it was last found in its place; 0: never */
	nodeid_t parent;
	char *name; /* NULL: not known */
	struct node *next;
	/* guarded by cache.inode_lock */
	struct node *inode_next;
	/* immutable: the canonical identity */
	uint16_t id_len;
	uint8_t id[];
};

struct shard {
	pthread_mutex_t lock;
	struct node **buckets;
	size_t bucket_count;
	struct node **clock;
	size_t count, room, hand, fd_hand;
};

struct cache {
	size_t max_nodes, max_fds;
	atomic_size_t fds, pinned, nameless;
	atomic_uint_fast32_t root_generation; /* numbers of older ones are not taken */
	struct shard shards[SHARDS];
	pthread_mutex_t inode_lock; /* guards by_inode; taken before a shard's lock */
	struct node **by_inode;
};

static inline struct shard *shard_of(struct cache *c, nodeid_t id)
{
	/* nodeids come out of a permutation: any bits will do */
	return &c->shards[(id.v >> 7) % SHARDS];
}

#endif
