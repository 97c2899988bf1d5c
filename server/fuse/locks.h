/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * locks.h - the guest's locks on the host: one descriptor for each (nodeid, lock owner).
 *
 * flock() becomes flock(), POSIX and OFD locks become OFD locks of the owner's descriptor; closing it drops
 * them all. Requests that wait do so in threads of their own, of a bounded number. Knows nothing of FUSE
 * requests: an answer is a call of lock_done_fn.
 */
#ifndef HOLDFAST_FUSE_LOCKS_H
#define HOLDFAST_FUSE_LOCKS_H

#include <fcntl.h>

#include "export/types.h"

struct lock_table;
struct lock; /* a descriptor of the table */

#define LOCK_THREADS_MAX 64

/* A table for at most `max` descriptors. 0, -ENOMEM, -EINVAL (max is 0), or why no signal handler was had. */
int lock_table_new(unsigned max, struct lock_table **out);
/* Stops what waits (-EINTR), drops all locks. Takes NULL. */
void lock_table_free(struct lock_table *table);
unsigned lock_table_count(const struct lock_table *table);

/*
 * Makes the waiting request `unique` end with -EINTR, if it waits; one that is not known is remembered
 * for a while, as it may be about to begin.
 */
void lock_table_interrupt(struct lock_table *table, uint64_t unique);

/*
 * Ends all waiting requests that were begun with `group` (NULL: all), and returns when they have been
 * answered. To be called before what their answers need goes away.
 */
void lock_table_stop(struct lock_table *table, const void *group);

/* lock_table_stop() of all, and every lock dropped: the guest began anew. */
void lock_table_clear(struct lock_table *table);

/* Opens the object for locking: a descriptor, which the table then owns, or -errno. */
typedef int lock_open_fn(void *arg);

/* Whose lock on what. */
struct lock_key {
	nodeid_t nodeid;
	uint64_t owner;
};

/*
 * The descriptor of `key` with a reference; opened if there is none and `open` is given, else *out is
 * NULL. `fh`: the locks die with it at the latest. 0, -ENOLCK at the cap, -ENOMEM, the error of `open`.
 */
int lock_get(struct lock_table *table, struct lock_key key, uint64_t fh, lock_open_fn *open,
	     void *arg, struct lock **out);
void lock_put(struct lock_table *table, struct lock *lock); /* takes NULL */
int lock_fd(const struct lock *lock);

/* FLUSH, and RELEASE with flock-release: all locks of the owner on the object. */
void lock_drop_owner(struct lock_table *table, struct lock_key key);
/* RELEASE: what was last locked by this fh; OFD locks have no other end. */
void lock_drop_fh(struct lock_table *table, nodeid_t nodeid, uint64_t fh);

/* What to do with a descriptor. */
struct lock_op {
	bool is_flock;
	int flock_op;	    /* LOCK_SH, LOCK_EX, LOCK_UN */
	struct flock range; /* else; l_pid is 0 */
};

/* Without waiting: 0, -EAGAIN, or what fcntl(2) and flock(2) say. */
int lock_try(const struct lock *lock, const struct lock_op *op);

/* The answer of a request that waited: 0 or -errno. Called once, by the thread that waited. */
typedef void lock_done_fn(void *arg, int error);

/*
 * Waits for the lock in a thread of its own, which then calls done(arg). Takes the reference `lock`
 * over. On failure (-ENOLCK: too many wait; -EINTR: interrupted before) nothing is taken over and
 * `done` is not called.
 */
struct lock_wait {
	struct lock *lock;
	struct lock_op op;
	uint64_t unique;
	const void *group;
	lock_done_fn *done;
	void *arg;
};
int lock_wait_start(struct lock_table *table, const struct lock_wait *wait);

#endif
