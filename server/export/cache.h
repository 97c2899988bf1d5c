/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache.h - the node cache: what we hold of objects at the moment, bounded whatever the guest asks for.
 *
 * A cache over the map, not a mirror of the guest: a node nobody refers to may go at any time and comes
 * back through the resolver. Pinned, and so counted against the caps until FORGET: nodes without a name
 * (unlinked, O_TMPFILE) and nodes whose handle does not persist. Those without name or without any handle
 * (anonymous) keep their descriptor too: nothing else would tell them from a later object.
 *
 * Locks: each shard has one mutex, which guards its hash table, its clock and the mutable fields of its
 * nodes; `by_inode` (live anonymous nodes, by device and inode number) has another, taken
 * before a shard's. No two shards are locked at once, except by trylock.
 */
#ifndef HOLDFAST_EXPORT_CACHE_H
#define HOLDFAST_EXPORT_CACHE_H

#include <sys/stat.h>

#include "export/hostfs.h"
#include "export/row.h"

struct cache;
struct node;

/* What makes a node; copied by cache_enter(). */
struct node_spec {
	nodeid_t nodeid;
	generation_t generation;
	rowid_t rowid;
	unsigned tweak;
	const struct looked *looked;
	const struct identity
		*id; /* as minted: looked->id, or a made-up one where that does not persist */
	uint64_t shown_ino;
	uint32_t root_generation; /* that the numbers were minted in */
};

int cache_new(size_t max_nodes, size_t max_fds, struct cache **out);
void cache_free(struct cache *c); /* all references are back; takes NULL */

/* A reference to the node, or NULL. */
struct node *cache_find(struct cache *c, nodeid_t id);

/*
 * A reference to the node of spec->nodeid, made if it is not there. -EEXIST: it is there with another
 * identity. -ENFILE: every node of a full cache is pinned or in use. -ESTALE: of a root generation before
 * that of cache_drop_all(). -ENOMEM. An object without a handle has one node: the one that its inode has already, if any,
 * whatever spec->nodeid is.
 */
int cache_enter(struct cache *c, const struct node_spec *spec, struct node **out);

/*
 * The usual lookup, all under one lock: the node `id` is here, persistent, has the identity that was looked at, and the map
 * knows it under (parent, name). Then all that cache_settle() does is done, one lookup is counted (cache_remember()), and
 * *out says what the guest is told. False: nothing was done, the long way is to be gone.
 */
struct sighting {
	nodeid_t nodeid;
	generation_t generation;
	uint64_t shown_ino;
	bool submount;
};
struct seen {
	nodeid_t parent;
	const char *name;
	uint64_t stamp; /* cache_stamp() of the parent */
	const struct looked *looked;
	uint32_t mark; /* store_mark() after the look */
	bool glance; /* of `looked` hostfs_glance() has filled what it fills, and the node must be unchanged */
};
bool cache_see(struct cache *c, nodeid_t id, const struct seen *seen, struct sighting *out);

/* Is the node, which the caller holds, unchanged by a glance at (seen->parent, seen->name)? Then it is as fresh as that. */
bool cache_unchanged(struct cache *c, struct node *n, const struct seen *seen);

/* A reference to the live node, anonymous, of this inode; or NULL. */
struct node *cache_find_inode(struct cache *c, uint64_t dev, uint64_t ino, uint64_t attachment);

void cache_ref(struct cache *c, struct node *n); /* one more, for who has one */
void cache_put(struct cache *c, struct node *n); /* takes NULL */

/* Takes the node out: nobody finds it any more; freed when the last reference is back. */
void cache_drop(struct cache *c, struct node *n);

/* All nodes but the root are dropped, and none of an older root generation comes in any more. */
void cache_drop_all(struct cache *c, uint32_t root_generation);

/* One lookup more, so that FORGET balances; and FORGET itself. */
void cache_remember(struct cache *c, struct node *n);
void cache_forget(struct cache *c, nodeid_t id, uint64_t count);
/* Every lookup is forgotten: whoever had them is gone, or began anew. */
void cache_forget_all(struct cache *c);

/*
 * The node's descriptor, or -1. While the caller holds its reference it stays open.
 * cache_give_fd() hands one over: it is kept, or closed if another thread was first; the node's is given
 * back. -ENFILE at the cap, with everything else in use (`fd` is closed then).
 */
int cache_fd(const struct node *n);
int cache_give_fd(struct cache *c, struct node *n, int fd);

/*
 * Closes the descriptors of objects that the host has deleted and nobody uses: else their space would stay taken for
 * as long as nothing else wants the descriptors. From time to time; a system call for each descriptor that is held.
 */
void cache_let_go(struct cache *c);

/* Name and parent. cache_name(): false if the node has none now. */
void cache_set_name(struct cache *c, struct node *n, nodeid_t parent, const char *name);
bool cache_name(struct cache *c, struct node *n, nodeid_t *parent,
		char name[HOLDFAST_NAME_MAX + 1]);
/* Is this its name? */
bool cache_has_name(struct cache *c, struct node *n, nodeid_t parent, const char *name);
/* Is it, and does the map know it, as of this store_mark()? */
bool cache_known_as(struct cache *c, struct node *n, nodeid_t parent, const char *name,
		    uint32_t mark);
/*
 * Seen under this name, which the map knows: all that follows from it. Nothing, if it lost the name since
 * cache_set_name(): then another worker has seen more. `mark`: store_mark() of before it was recorded.
 */
void cache_settle(struct cache *c, struct node *n, nodeid_t parent, const char *name,
		  uint64_t stamp, const struct looked *looked, uint32_t mark);
/* The name is not known any more (another one may be found in the map). */
void cache_clear_name(struct cache *c, struct node *n);
/* It has lost its last name, or never had one: pinned until FORGET. */
void cache_set_nameless(struct cache *c, struct node *n, bool nameless);
bool cache_nameless(const struct node *n);
/*
 * May one more nameless node keep its descriptor? An eighth of the descriptors is for those that come and go, or a guest that
 * unlinks and never forgets would leave none to look anything up by.
 */
bool cache_may_keep(struct cache *c);

/* The guest refers to it for certain, even if its lookups were lost with an earlier node: counts as one. */
void cache_hold(struct cache *c, struct node *n);

/* Does anybody but the caller hold a reference (an open file does)? */
bool cache_in_use(struct cache *c, struct node *n);

/* The largest store_mark() that a node has room for. */
#define CACHE_MARK_MAX ((1U << 30) - 1)

/* Does the map know this name of the node? The store_mark() of before it was recorded, or 0: it is not known to. */
uint32_t cache_recorded(struct cache *c, struct node *n);
void cache_set_recorded(struct cache *c, struct node *n, uint32_t mark);

/*
 * Found in its place at this time (clock_ns()), in this mount. Whoever was found under a parent is as fresh as
 * that, not fresher: or a chain of directories that was moved out would be trusted a second for each link.
 */
void cache_set_checked(struct cache *c, struct node *n, uint64_t stamp,
		       const struct looked *looked);
uint64_t cache_stamp(const struct node *n); /* as of when it is known to be in its place */
/* May it be trusted: checked within `max_age` nanoseconds, or of those that cannot move? */
bool cache_fresh(const struct node *n, uint64_t max_age);
void cache_set_stamp(struct cache *c, struct node *n, uint64_t stamp); /* the mount is the same */
void cache_clear_checked(struct cache *c, struct node *n); /* look again before it is trusted */

struct cache_stats {
	uint64_t nodes, max_nodes, fds, max_fds, pinned;
};
void cache_stats(struct cache *c, struct cache_stats *out);

/* Immutable, no lock. */
nodeid_t cache_nodeid(const struct node *n);
generation_t cache_generation(const struct node *n);
/*
 * Linux gives the root of a submount, which it makes itself, generation 0. A LOOKUP ".." that answers with another one
 * marks that root bad: no directory of the mount opens by its handle then, and soon nothing else does.
 */
generation_t cache_told_generation(const struct node *n);
rowid_t cache_rowid(const struct node *n);
unsigned cache_tweak(const struct node *n);
uint8_t cache_type(const struct node *n); /* DT_* */
bool cache_persistent(const struct node *n);
bool cache_wildcard(const struct node *n);
bool cache_submount(const struct node *n);
uint64_t cache_dev(const struct node *n);
uint64_t cache_ino(const struct node *n);
uint64_t cache_shown_ino(const struct node *n);
enum hostfs_kind cache_kind(const struct node *n);
/* Decodes the identity. */
void cache_identity(const struct node *n, struct identity *out);
bool cache_same_identity(const struct node *n, const struct identity *id);
/* Is this the node's object, as the host shows it now? */
bool cache_is(const struct node *n, const struct looked *looked);
/* For looks into a directory node; `id` is the caller's memory, `fd` the node's. */
void cache_vantage(const struct node *n, int fd, struct identity *id, struct vantage *out);

#endif
