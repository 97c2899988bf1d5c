/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drain_private.h - private to drain*.c: the desk. Nothing here takes a lock; a desk is one thread's.
 */
#ifndef HOLDFAST_EXPORT_DRAIN_PRIVATE_H
#define HOLDFAST_EXPORT_DRAIN_PRIVATE_H

#include "export/drain.h"

/* What it takes to drain, with or without a thread. */
struct desk {
	struct ring *ring;
	struct map_writer *writer;
	const char *name; /* of the map, for messages */
	int fd;		  /* the lock file */
	bool office;	  /* fd is locked */
	bool retired;	  /* it drains no more: the map is another root generation's */
	struct record *records;
	uint16_t *order;
	uint8_t sealed_by; /* everything is sealed by this key; 0: not known yet */
	bool resealing;	   /* rows are being sealed anew */
	bool swept;	   /* nothing is left of older root generations */
};

/* What one batch came to. */
struct tally {
	unsigned records, dropped, damaged;
};

/* For the map and its ring; no office yet. 0 or -errno, and nothing is kept. */
int desk_open(struct desk *k, struct map *m, struct ring *r, int statedir);
/* Gives the office back too. */
void desk_close(struct desk *k);

/* Gives the office back for good: the map is of a newer root generation, and only daemons that have moved on can drain. */
void desk_retire(struct desk *k);

/* Is the office ours, or free, so that it is ours now? Never of one that is retired. */
bool desk_take_office(struct desk *k);

bool desk_has_work(const struct desk *k);

/* Takes one batch in: > 0 if there was something, 0 if not, -errno (and all is as it was). With the office. */
int desk_batch(struct desk *k, struct tally *t);

/*
 * One step of what is not urgent. With the office. 1: there is more; 0: nothing left to do; or -errno. *rows: objects
 * that were sealed anew.
 */
int desk_upkeep(struct desk *k, struct map *m, uint64_t *rows);

#endif
