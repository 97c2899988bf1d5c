/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drain.h - the thread that takes records from the ring into the map, in batches.
 *
 * Every daemon of an export has one; the office (an OFD lock on a file in the state directory) lets one
 * work at a time and passes on when its holder dies. It also checkpoints, and relaxes the snapshots of
 * this process's readers.
 */
#ifndef HOLDFAST_EXPORT_DRAIN_H
#define HOLDFAST_EXPORT_DRAIN_H

#include "export/map.h"

#define DRAIN_LOCK_FILE "drainer.lock"
/*
 * A thread each: three hands for each of 65 virtqueues and 64 threads of their pool (transport/vhostuser.h), the scan and
 * the like.
 */
#define DRAIN_READERS_MAX (3 * 65 + 64 + 8)

struct drain;

struct drain_stats {
	uint64_t drained;  /* records taken in by this process */
	uint64_t dropped;  /* that were there already */
	uint64_t damaged;  /* slots that made no sense */
	uint64_t failures; /* transactions that failed and were tried again */
	int last_error;	   /* 0, or what SQLite said last, negative errno */
	bool office;	   /* this process is the drainer */
};

/* Starts the thread. `statedir` is the directory with the lock file. 0 or -errno. */
int drain_start(struct map *m, struct ring *r, int statedir, struct drain **out);

/* Drains what is there (for at most `timeout_ms`), stops the thread, frees. 0, or -ETIMEDOUT when
 * records are left in the ring (another daemon, or the next run, takes them in). Takes NULL. */
int drain_stop(struct drain *d, unsigned timeout_ms);

/* The thread relaxes these readers' snapshots; unregister before map_reader_free. -ENOSPC over the max. */
int drain_register(struct drain *d, struct map_reader *r);
void drain_unregister(struct drain *d, struct map_reader *r);

void drain_stats(struct drain *d, struct drain_stats *out);

/*
 * Without a thread, for `rotate-key`: seals everything anew, if the office is free (-EBUSY else). `progress` gets
 * the objects of each step, and ends it by other than 0, which is given back. `r` may be NULL.
 */
typedef int drain_progress_fn(void *arg, uint64_t rows);
int drain_reseal(struct map *m, struct ring *r, int statedir, drain_progress_fn *progress,
		 void *arg);

/* Without a thread, for tools: drains all that is there with `w`, if the office is free (-EBUSY else). */
int drain_once(struct map *m, struct ring *r, int statedir);

#endif
