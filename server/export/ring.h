/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.h - what was told to the guest and is not yet in SQLite: a ring of records in a file that all
 * daemons of an export map, so that it outlives each of them.
 *
 * Positions are byte offsets that only grow. A record is visible when the tail has passed it, and the
 * tail moves last, under a robust process-shared mutex: what a dying writer left half-written is never
 * seen. Drained records stay readable until they are overwritten, so a reader whose SQLite snapshot is
 * a little old asks the ring for what came since. Everything read from the file is checked: another
 * process may have written it.
 */
#ifndef HOLDFAST_EXPORT_RING_H
#define HOLDFAST_EXPORT_RING_H

#include "export/row.h"

struct ring;

enum record_kind {
	RECORD_SEEN = 1, /* the object was seen under row.name: insert, or move, or add an alias */
	RECORD_UNNAMED = 2, /* row.name is no name of the object any more; the object lives on */
	RECORD_GONE = 3,    /* the object lost its last name: forget the row and its aliases */
};

struct record {
	enum record_kind kind;
	rowid_t rowid;
	generation_t generation;
	struct row row;
};

#define RING_SIZE_DEFAULT ((size_t)16 << 20)

/*
 * Opens or makes the ring file `name` in `dirfd` (mode 0600, preallocated with fallocate and
 * prefaulted, so that a full disk is -ENOSPC here and never SIGBUS later). A ring of another export
 * (`uuid`) or another format is -EBADMSG, one whose size is odd too. `created` tells whether it is new.
 */
int ring_open(int dirfd, const char *name, const uint8_t uuid[HOLDFAST_UUID_LEN], size_t size,
	      struct ring **out, bool *created);
void ring_close(struct ring *r); /* unmaps; the file stays; takes NULL */

uint64_t ring_tail(const struct ring *r);    /* where the next record goes */
uint64_t ring_drained(const struct ring *r); /* everything before is committed in SQLite */
uint64_t ring_capacity(const struct ring *r);

/*
 * Appends `n` (1..4) records as one: all visible at once, in order, or none. `since` is a ring_tail()
 * that the caller read before it looked at the host and probed the map. For each SEEN record, newer
 * records of its rowid (at or after `since`) decide:
 *   same identity, same name, SEEN     -> the record is left out (it is there)
 *   another identity                   -> -EEXIST: a clash that came first
 *   UNNAMED or GONE                    -> -EAGAIN: look at the host again
 * -EAGAIN too when `since` is so old that it was overwritten. -ENOSPC: the ring is full (the drainer
 * is behind or stuck). -ETIMEDOUT: the lock could not be had in a second (its holder is stopped).
 * On success *end is the position behind the last record (for ring_wait_drained).
 */
int ring_append(struct ring *r, const struct record *recs, unsigned n, uint64_t since,
		uint64_t *end);

/*
 * Calls `each` for the records of `rowid` at positions >= since, newest first, until it gives false.
 * Number of records shown, or -EAGAIN when `since` was overwritten, or -ETIMEDOUT. `each` runs under
 * the ring's lock: it is quick and does not come back to the ring.
 */
typedef bool ring_each_fn(void *arg, uint64_t position, const struct record *rec);
int ring_find(struct ring *r, rowid_t rowid, uint64_t since, ring_each_fn *each, void *arg);

/* For the drainer: decodes the record at *position and advances it. 1, or 0 at the tail, or -EBADMSG
 * (a slot that makes no sense; *position is set behind the damage, at worst to the tail). */
int ring_next(struct ring *r, uint64_t *position, struct record *out);
void ring_set_drained(struct ring *r,
		      uint64_t position); /* wakes ring_wait_drained and full appenders */

/* Waits until `position` is drained. 0, -ETIMEDOUT. For --durability=strict, and when the ring is full. */
int ring_wait_drained(struct ring *r, uint64_t position, unsigned timeout_ms);

/* The drainer sleeps here until there is something to drain, or the time is over, or ring_wake(). */
void ring_wait_work(struct ring *r, unsigned timeout_ms);
void ring_wake(struct ring *r);

/*
 * Numbers that the daemons of an export share, next to the ring. Atomic, sequentially consistent.
 * ROOT_GENERATION: raised by revoke; a daemon that sees another than its own takes the new keys.
 * CLASHES: rows in the clash table, 0 spares the probe of it.
 * OVERFLOWED: not 0: records were lost since the last complete scan (ring full and disk full): rebuild.
 * It only grows until then, so that a scan can tell whether more were lost while it ran.
 * SCANS: completed scans of the share.
 * SETTLED: the boot of the host (export_complete.c) in which a daemon last made up its mind whether records were lost before it
 * started. A ring that is new, or outlived the host's end on a disk, and so may be older than the map, has another one.
 * ACTIVE_KEY: id of the key that seals; a daemon that sees another than its own reads the key file.
 * RESEALED: rows sealed anew since the last rotation, for who watches.
 * DROPS: raised whenever a scan is about to look whether objects are nowhere, and to drop their rows, and when one begins
 * because records were lost: who recorded an object before records it again before it is named again.
 */
enum ring_shared {
	RING_ROOT_GENERATION,
	RING_CLASHES,
	RING_OVERFLOWED,
	RING_SCANS,
	RING_SCANNING,
	RING_SETTLED,
	RING_ACTIVE_KEY,
	RING_RESEALED,
	RING_DROPS,
	RING_SHARED_COUNT
};
uint64_t ring_shared_get(const struct ring *r, enum ring_shared which);
void ring_shared_set(struct ring *r, enum ring_shared which, uint64_t value);
/* Makes it 0, unless it is not `expected` any more. */
void ring_shared_settle(struct ring *r, enum ring_shared which, uint64_t expected);
uint64_t ring_shared_add(struct ring *r, enum ring_shared which,
			 uint64_t add); /* gives the new value */

#endif
