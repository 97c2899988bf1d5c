/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_private.h - the ring's file as its own three source files see it (ring.c, ring_file.c,
 * ring_wait.c). Nobody else includes this.
 *
 * The file: one header page; `buckets` numbers of 8 bytes (position + 1 of the newest record whose
 * rowid falls into the bucket, 0: none); `capacity` bytes of records. A record at position p begins at
 * offset p % capacity and may go on at the area's begin. The layout of a record is in ring.c.
 *
 * Who may change what: `tail`, `floor`, the buckets and the records only with `lock` held; `drained`
 * only the holder of the drainer's office; the rest is a number of its own each. All shared numbers are
 * read and written by the sequentially consistent helpers below.
 */
#ifndef HOLDFAST_EXPORT_RING_PRIVATE_H
#define HOLDFAST_EXPORT_RING_PRIVATE_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "export/ring.h"

#define RING_MAGIC "HFring\n\1" /* 8 bytes; the last is the format's version */
#define RING_PAGE ((size_t)4096)
#define RING_CAPACITY_MIN ((uint64_t)16 << 10)
#define RING_CAPACITY_MAX ((uint64_t)1 << 30)
#define RING_ALIGN 8u
#define RING_LINE 64

struct ring_header {
	uint8_t magic[8]; /* written last when the file is made */
	uint8_t uuid[HOLDFAST_UUID_LEN];
	uint64_t capacity; /* bytes in the data area, a power of two */
	alignas(RING_LINE) pthread_mutex_t lock;
	alignas(RING_LINE) uint64_t tail;
	uint64_t floor; /* the buckets know all records at or after this position */
	alignas(RING_LINE) uint64_t drained;
	alignas(RING_LINE) uint32_t work_seq; /* futex: raised to wake drainers */
	uint32_t work_sleeping;		      /* 1: a drainer may be asleep */
	alignas(RING_LINE) uint32_t
		drained_seq; /* futex: raised to wake who waits for the drainer */
	uint32_t drained_waiting;
	alignas(RING_LINE) uint64_t shared[RING_SHARED_COUNT];
};

struct ring {
	int fd; /* holds the lock that says "in use" */
	struct ring_header *header;
	uint64_t *buckets;
	uint8_t *data;
	size_t mapped;	      /* bytes */
	uint64_t capacity;    /* checked when opened; never read from the file again */
	unsigned bucket_bits; /* log2 of the number of buckets */
	uint32_t woken;	      /* ring_wake() of this process came while nobody slept */
	atomic_bool stuck;    /* the lock was waited for in vain, and not got since */
};

static inline uint64_t shared_load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}
static inline void shared_store(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

/* How many buckets a capacity has: one for 256 bytes, within 64..65536. */
static inline unsigned ring_bucket_bits(uint64_t capacity)
{
	unsigned bits = 6;

	while (bits < 16 && (capacity >> 8) > ((uint64_t)1 << bits))
		bits++;
	return bits;
}

/* Can these be positions of a ring that nobody has tampered with? */
static inline bool ring_positions_sane(const struct ring *r, uint64_t tail, uint64_t drained)
{
	return tail % RING_ALIGN == 0 && drained % RING_ALIGN == 0 && drained <= tail &&
	       tail - drained <= r->capacity && tail < (uint64_t)1 << 62;
}

/* A mutex for all processes that map the header, whose dead holder is noticed. 0 or -errno. */
int ring_mutex_init(pthread_mutex_t *lock);

/*
 * Makes the buckets anew from the records between drained and tail. With the lock held, or by the
 * only user of the file. What was drained before is not found any more: `floor` says so.
 */
void ring_reindex(struct ring *r);

/* After an append, behind the new tail: wakes the drainers if one may be asleep. */
void ring_notify_work(struct ring *r);

#endif
