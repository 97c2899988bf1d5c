/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * core.h - private to export/: what an export and a worker consist of.
 *
 * Order of locks, outermost first: epoch_lock, scan.lock, then those inside of the modules (cache, ring,
 * map_reader), none of which calls back, but for an envelope that meets an unknown key: renew_lock is innermost.
 */
#ifndef HOLDFAST_EXPORT_CORE_H
#define HOLDFAST_EXPORT_CORE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "export/cache.h"
#include "export/drain.h"
#include "export/envelope.h"
#include "export/export.h"
#include "export/hostfs.h"
#include "export/helper.h"
#include "export/keyring.h"
#include "export/keysource.h"
#include "export/map.h"
#include "export/nodeid.h"
#include "export/ring.h"

#define RING_FILE "ring"
#define DAEMONS_LOCK_FILE "daemons.lock"
/* Who has the export open has the first byte of it locked; who read the key once, the second too. */
enum daemons_byte { DAEMONS_BYTE_SERVE, DAEMONS_BYTE_KEY_KEPT };
#define SCAN_LOCK_FILE "scan.lock"

/* A node found in its place is trusted this long (promise 2: at least every second). */
#define CHECK_NS 900000000ULL

/* Directories reconnected by handle in a second, at most. */
#define RECONNECTS_MAX 100

/* Components that the resolver climbs before it calls the map a loop. */
#define DEPTH_MAX 2048

/* Faults that pass: they say nothing about where an object is. */
static inline bool error_passes(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -EIO ||
	       error == -ETIMEDOUT || error == -EBUSY;
}

/* Calls of the resolver within each other (a parent's descriptor, further names): beyond it, "try again". */
#define RESOLVING_MAX 8

/* What belongs to one root generation; the workers that use it hold references. */
struct epoch {
	unsigned refs; /* guarded by export.epoch_lock */
	uint32_t root_generation;
	struct keyring *keyring;
	struct map *map;     /* NULL where nothing persists */
	struct drain *drain; /* NULL likewise, and in an epoch that was left */
};

/*
 * An object that could not be reached, since when, and which scan has the last word on it: so that "try again"
 * is said for a bounded time. What a scan did not find is called stale until the next one, which need not be waited for, or
 * until it is seen. A table with a few entries for each hash; who is pushed out begins anew: the one whose trouble is the oldest.
 */
struct trouble {
	nodeid_t nodeid; /* read without the lock too: stored at once */
	uint64_t since;	 /* clock_ns() */
	uint64_t scans;	 /* a scan after this many */
	bool stale;	 /* one has told */
};
#define TROUBLES 1024
#define TROUBLE_WAYS 8
#define TROUBLE_NS 60000000000ULL

/*
 * Where objects' nodes were found last, by a hash of inode number and device: it spares minting the numbers of what is
 * looked up again and again. A hint: the node found by it must have the identity that was looked at.
 */
#define RECENTS_BITS 15
#define RECENTS ((size_t)1 << RECENTS_BITS)

struct counters {
	atomic_uint_fast64_t lookups, hits, by_name, by_handle, by_path, stale, again, unknown,
		forged;
};

/* Rowids in ascending order, of objects that a whole walk over the share did not find. */
struct missed {
	rowid_t *rowids;
	size_t count, room;
};

/* The scan of the share: a thread that waits for requests. Guarded by `lock`. */
struct scan {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool started, stop, wanted, running;
	bool failed; /* the last one, and not by a fault that passes */
	/* Scans in a row that met faults that pass; who has SCAN_LOCK_FILE locked has it. */
	unsigned faulty;
	uint64_t
		failures; /* objects that the last walk could not look at; who has SCAN_LOCK_FILE locked has it */
	uint64_t finished;   /* scans completed that this process knows of */
	uint64_t not_before; /* clock_ns() before which none is begun on a guest's account */
	unsigned waiting;    /* workers that wait for the end of one */
	atomic_uint_fast64_t objects;
	atomic_bool cancel;
	struct missed missed; /* by the walk before; who has SCAN_LOCK_FILE locked has it */
};

struct export
{
	struct export_config config;
	int root; /* O_PATH descriptor of the share */
	int root_dir; /* the same for open_by_handle_at(2), which takes no O_PATH; -1 if it may not be read */
	int proc;    /* /proc/self/fd */
	int daemons; /* the shared locks on DAEMONS_LOCK_FILE */
	struct hostfs *hostfs;
	struct cache *cache;
	atomic_uint_fast64_t *recent; /* nodeids; RECENTS of them */
	struct node *root_node;
	struct looked root_look;
	struct ring *ring;	    /* NULL where nothing persists */
	struct keysource own_key;   /* where the configuration names none */
	pthread_mutex_t renew_lock; /* one takes a rotation over; guards what follows; innermost */
	uint64_t renew_tried;	    /* an RING_ACTIVE_KEY that reading the key has not led to */
	bool renew_lacks;	    /* what was read then cannot open what that key sealed */
	bool persistent;
	bool can_open_dir; /* directories by handle */
	uint8_t run_id
		[HOLDFAST_UUID_LEN]; /* of this run; in the identities of what does not persist */
	atomic_uint_fast64_t serial; /* of nodes that do not persist */
	atomic_bool complete;	     /* unknown nodeids are stale, not "try again" */
	pthread_mutex_t epoch_lock;
	struct epoch *epoch; /* the present one */
	struct scan scan;
	atomic_uint_fast64_t reconnects; /* second of CLOCK_MONOTONIC << 32 | reconnects in it */
	pthread_mutex_t trouble_lock;	 /* guards `troubles`; innermost */
	struct trouble troubles[TROUBLES];
	atomic_bool any_trouble; /* since the export was opened */
	struct counters count;
};

/*
 * The rowids of one bucket (equal upper 24 bits: neighbours on the disk) as a snapshot of the map had
 * them, so that the objects of a directory that is seen for the first time need no SELECT each.
 */
#define NEIGHBOURS_MAX 1024
struct neighbours {
	uint64_t bucket;
	uint64_t position; /* of the snapshot, in the ring */
	bool valid;	   /* `rowids` holds them all */
	bool missed;	   /* the last probe fell into the bucket and found no row */
	unsigned count;
	rowid_t rowids[NEIGHBOURS_MAX];
};

struct step;
struct worker {
	struct export *x;
	struct epoch *epoch;
	struct mint *mint;
	struct envelope *envelope;
	struct map_reader *reader; /* NULL where nothing persists */
	struct map_writer *writer; /* made when the first clash comes */
	uint64_t clashes_seen;
	struct neighbours neighbours;
	bool unfit;	    /* it could not follow a new root generation, and answers nothing */
	bool scanning;	    /* this is the scan's worker: it waits for no scan */
	bool may_wait;	    /* the request in hand may wait for a scan, or a lease on the host */
	bool would_wait;    /* it would have had to */
	bool unlinks_open;  /* what was unlinked last was open in the cache: a guess for the next */
	struct step *steps; /* the resolver's */
	size_t steps_room, steps_used;
	unsigned resolving; /* depth of resolver calls */
};

/* --- store.c: map and ring as one ----------------------------------------------------------------------- */

#define STORE_NAMES 8
struct found {
	struct row row; /* row.name is names[0], if there is any */
	unsigned count;
	struct name names[STORE_NAMES]; /* newest first */
};

/* -ENOENT: no such row (or deleted a moment ago); -EBADMSG: it does not authenticate; else a fault. */
int store_find(struct worker *w, rowid_t rowid, struct found *out);

/*
 * The numbers of an object: those of tweak 0, unless they clash with another's. `known`, if not NULL,
 * tells whether there is a row, and `found` then holds it. *out comes with what mint_identity() gave for
 * tweak 0.
 */
int store_assign(struct worker *w, const struct identity *id, uint64_t ino, struct minted *out,
		 bool *known, struct found *found);

/* As store_assign(), knowing that tweak 0 is another's. */
int store_clash(struct worker *w, const struct identity *id, uint64_t ino, struct minted *out);

/*
 * Appends to the ring, and with strict durability waits for the disk. `since`: ring_tail() from before
 * the look. -EAGAIN: look again. -EEXIST: clash. A full ring on a full disk is not an error: the
 * map is marked as incomplete, and a scan will mend it.
 */
int store_append(struct worker *w, const struct record *recs, unsigned n, uint64_t since);

/* Fills a record of an object; `name` may be NULL only for RECORD_GONE. */
int store_record(struct record *rec, enum record_kind kind, const struct minted *minted,
		 const struct looked *looked, rowid_t parent, const char *name);

/*
 * Scans drop rows of what they find nowhere, while a snapshot shows them for a moment more, while caches (those of other daemons
 * too) believe that there is a row, and while the host may move the object back in. A scan takes `since`, raises RING_DROPS, searches for the
 * objects, and drops rows that were not recorded since `since`. So:
 *
 * A node keeps the mark that was read before its record was appended. If the mark is another one when the object was looked at, it is
 * recorded again. If it is the same, the object was there before the scan searched, or its record came after `since`.
 */
uint32_t store_mark(struct worker *w);

/* The mark while no row was ever dropped: that of a row that was found, of which nobody can say since when it is there. */
#define STORE_MARK_FIRST 1

uint64_t store_since(struct worker *w);

/* --- export_key.c ---------------------------------------------------------------------------------------------- */

/* The key as it is now, without sealing keys if a helper has them. As keysource_load(). */
int key_load(struct export *x, struct keyring **out);
/* The key of an export that is being opened; on a first run it is made. 0 or -errno after one line in the log. */
int key_open(struct export *x, struct epoch *e, bool *first_run, int *exit_code);
/* With the ring: says which key seals, or that another daemon's does. 0 or -errno after one line in the log. */
int key_settle(struct export *x, struct epoch *e, int *exit_code);
/* A keyring_renew_fn; `arg` is the export. */
int key_renew(void *arg, struct keyring *k);
/* Does another process have the export open? Asked before we do. */
bool key_others_serve(const struct export *x);
/* Logs that the root generation is lower than one that was seen. */
void key_say_older(const struct export *x);
bool export_state_has(const struct export *x, const char *name);

/* --- export_complete.c ----------------------------------------------------------------------------------------- */

#define DRAIN_TIMEOUT_MS 10000 /* at the end of an epoch */

/*
 * Does the map hold all that guests have seen? Not if it is new although the key is not; if a scan that was due has not ended;
 * or if the host went down under it without strict durability: the ring is lost then, or on a disk and of any age. Sets
 * x->complete and what the next start goes by. 0 or -errno.
 */
int complete_settle(struct export *x, struct epoch *e, bool first_run, bool map_created);
/* Stops the drainer. The last daemon to leave, with everything drained, leaves a clean map. */
void complete_leave(struct export *x);

/* --- entry.c: from what was looked at to a node -------------------------------------------------------------- */

/* A look at (parent, name), recorded: the node, with a reference. */
int entry_look(struct worker *w, struct node *parent, const char *name, struct looked *looked,
	       struct node **out);
/*
 * The same, but with `again` not NULL 1 may be the answer: that has been filled, and there is no node. `fd` >= 0: looks by
 * it; what is open was made after `begun` (store_since()).
 */
int entry_look_for(struct worker *w, struct node *parent, const char *name, int fd, uint64_t begun,
		   struct looked *looked, struct node **out, struct entry *again);

/* Tells the map of the node under this name. As store_append(). */
int entry_tell(struct worker *w, const struct node *n, const struct looked *looked, rowid_t parent,
	       const char *name, uint64_t since);

/* The node of what was looked at, found or made; it is not recorded and has no name yet. */
int entry_node(struct worker *w, const struct looked *looked, struct node *parent, const char *name,
	       int fd, struct node **out);

/* The same for a persistent object whose numbers are known. -EEXIST: they are another node's. */
int entry_node_minted(struct worker *w, const struct looked *looked, const struct minted *minted,
		      struct node **out);

/* The node that this inode number had last, with a reference, or NULL. A hint: nothing of it was compared. */
struct node *entry_recent(struct worker *w, const struct looked *looked);

/* The numbers of a node that persists. */
void entry_minted_of(const struct node *n, struct minted *out);

/* The numbers of a persistent object, from the cache if they are there. */
int entry_minted(struct worker *w, const struct looked *looked, struct minted *out);

int entry_fill(struct worker *w, struct node *n, const struct statx *stx, struct entry *out);

/* The vantage of a directory node: opens it if need be. */
int entry_vantage(struct worker *w, struct node *dir, struct identity *id, struct vantage *out);

/* Another O_PATH descriptor of what is open, or -errno. */
int entry_reopen(struct worker *w, int fd);

/* The inode number that the guest is shown. */
int entry_shown_ino(struct worker *w, const struct looked *looked, const struct identity *id,
		    uint64_t *out);

/* --- entry_volatile.c: nodes of objects whose handles do not persist ------------------------------------------- */

/* It has no handle: its node holds it open. `fd` >= 0: it is open here; else it is opened by (parent, name). */
int entry_anonymous(struct worker *w, const struct looked *looked, struct node *parent,
		    const char *name, int fd, struct node **out);

/* It has a handle, which is good for this run: the node alone is held, not the object. */
int entry_volatile(struct worker *w, const struct looked *looked, struct node **out);

/* --- resolver.c ---------------------------------------------------------------------------------------------- */

/*
 * As node_get(); `looked` (may be NULL) gets what was seen of it, for certain its attributes alone, and *fresh whether that was so. Without
 * `looked` it is taken that a descriptor will be wanted.
 */
int resolve(struct worker *w, nodeid_t id, struct node **out, struct looked *looked, bool *fresh);

/* Is every handle that was ever given out in map or ring? Otherwise nothing is stale for being unknown. */
bool nothing_lost(const struct export *x);

/* It was seen, or is answered: no verdict holds any more, and a later fault is a new one, with all of its time. */
void trouble_ends(struct worker *w, nodeid_t id);

/* Walks a path relative to the share ("a/b/c", "" is the root) component by component. */
int resolve_path(struct worker *w, const char *path, struct node **out);

/* The present path of an open object relative to the share: 0, -EXDEV (outside), -ESTALE (deleted). */
int resolve_fd_path(struct worker *w, int fd, char *path, size_t room);

/* --- scan_thread.c ---------------------------------------------------------------------------------------------- */

int scan_start(struct export *x); /* the thread; no scan yet */
void scan_stop(struct export *x);
void scan_want(struct export *x); /* begins one as soon as may be */

/*
 * An object is not where the map says. 0: more scans than `finished` have ended, look once more. After waiting for a
 * while: -EINPROGRESS, one is running or due; -ENOMEM, the last one failed. -ESTALE: there are no scans. A worker that may
 * not wait gets its answer at once.
 */
int scan_consult(struct worker *w, uint64_t finished);
uint64_t scan_finished(struct export *x);

/* --- scan.c --- */

/*
 * One scan in the calling thread: 0, -EBUSY (another one is under way), -EAGAIN (for a fault that passes something could not be
 * looked at: once more; said a few times in a row at most), -EOPNOTSUPP, -ECANCELED, -ESTALE (revoked), or another errno. Rows of objects that this walk and the one before it have missed are dropped.
 */
int scan_run(struct worker *w, export_progress_fn *progress, void *arg);

/* --- tools.c --- */

/* The ways of the resolver that are open, in words: for the log and for status. */
void export_ways(const struct export *x, char *out, size_t room);

#endif
