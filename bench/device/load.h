/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.h - many requests in flight on one ring, for a time or for a number of them, counted and timed.
 *
 * What is asked is an operation's affair (struct op): each slot asks for its next request when its last one came back, so
 * that a slot may go through OPEN, READ, RELEASE at its own pace. One thread; it looks at the ring for as long as a guest's
 * processor is polled for by KVM (halt_poll_ns) before it sleeps.
 */
#ifndef HOLDFAST_BENCH_LOAD_H
#define HOLDFAST_BENCH_LOAD_H

#include "side.h"

#define LOAD_DEPTH_MAX 64
#define LOAD_SPIN_US 200
#define LOAD_IO (128U << 10)
#define LOAD_ARGS 512
#define LOAD_LATENCIES (1U << 20)

struct load;

struct load_slot {
	/* A request whose data goes to the daemon, and one for all others. */
	struct fefuse_template plain, data;
	struct fefuse_template *sent; /* the one in flight, or NULL */
	uint64_t begun;		      /* clock_ns() of when it was shown */
	/* The operation's own: */
	unsigned index, step;
	uint64_t nodeid, fh, offset;
	void *item;
};

struct op {
	const char *name;
	const char *unit;
	/* Puts the slot's next request with load_request(); false: none at the moment. */
	bool (*next)(struct load *l, struct load_slot *s);
	/* Its answer is there: counts (l->count) and keeps what it needs. -errno: not what was due. */
	int (*done)(struct load *l, struct load_slot *s, int error, size_t len);
};

struct load {
	struct side *side;
	const struct op *op;
	unsigned depth;
	struct load_slot slots[LOAD_DEPTH_MAX];
	unsigned in_flight;
	bool prepared;
	bool ending;	     /* the time is over: only what was begun is brought to its end */
	uint64_t count;	     /* of the operation's unit */
	uint64_t requests;   /* that were answered */
	uint32_t *latencies; /* ns each, LOAD_LATENCIES; used at depth 1 */
	unsigned latency_count;
	void *context; /* of the operation */
	struct fuse_forget_one forgets[LOAD_DEPTH_MAX];
	unsigned forget_count;
};

struct load_result {
	double rate;	    /* units a second */
	double cpu_ns;	    /* of the daemon, a unit */
	double median, p99; /* latency of a request in us; depth 1 alone, else 0 */
};

/* Makes the templates of all slots on the side's request queue. */
int load_open(struct load *l, struct side *s);
void load_close(struct load *l);

/*
 * Runs `op` at `depth` until `ms` milliseconds are over (0: until no slot has anything more to ask). The daemon's CPU time is
 * read `settle_ms` after the end, so that what it does behind the answers counts too.
 */
int load_run(struct load *l, const struct op *op, unsigned depth, unsigned ms, unsigned settle_ms,
	     struct load_result *out);

/*
 * The request that next() puts: its arguments (and the data, if `data_len`) are at the returned address, `room` bytes are for
 * the answer behind its header.
 */
uint8_t *load_request(struct load_slot *s, uint32_t opcode, uint64_t nodeid, size_t args_len,
		      size_t data_len, size_t room);
/* The answer behind its header. */
const uint8_t *load_reply(const struct load_slot *s);

/* Notes a node of which one lookup is to be forgotten; sends BATCH_FORGET when there are many, or `flush`. */
int load_forget(struct load *l, uint64_t nodeid, bool flush);

#endif
