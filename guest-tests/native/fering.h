/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fering.h - a split virtqueue (virtio 1.x, 2.7) from the driver's side.
 *
 * The usual way: fering_add() puts a chain into the ring and fering_kick() shows what was added and kicks if the device wants
 * it; fering_wait() and fering_reap() take what came back. Many chains may be in flight, each with the caller's token.
 *
 * The fast way (bench): fering_prepare() writes a chain once; fering_submit() makes it available again and again, which
 * writes two bytes. What the descriptors say may be changed in between through fering_piece().
 *
 * The raw way (hostile cases): all parts of the ring are in the struct for the caller to write, and fering_submit() takes any
 * number for a head.
 *
 * One thread for each ring. Little-endian machines only, as the ring is. Eventfds are made here and may be replaced.
 */
#ifndef HOLDFAST_NATIVE_FERING_H
#define HOLDFAST_NATIVE_FERING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>

#include "femem.h"

#define FERING_TABLE_MAX 64 /* pieces that an indirect table of ours has room for */

struct fering_piece {
	uint64_t addr; /* of the guest */
	uint32_t len;
};

struct fering_slot {
	void *token;
	uint16_t count; /* of descriptors in the ring */
	bool used;	/* not free: is the head of a chain */
	bool kept;	/* prepared: stays when it comes back */
	bool in_flight;
};

struct fering {
	unsigned size;
	bool event_idx, indirect;
	struct femem *mem; /* borrowed */
	uint64_t at;	   /* of the descriptors; the rest follows it */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t *used_event;  /* ours: when we want a call */
	uint16_t *avail_event; /* the device's: when it wants a kick */
	int kick, call;	       /* owned */
	struct fering_slot *slots;
	uint64_t tables; /* of the guest: size tables of FERING_TABLE_MAX */
	struct vring_desc *table;

	uint16_t next_avail; /* behind the last chain submitted */
	uint16_t kicked;     /* next_avail at the last fering_kick() */
	uint16_t next_used;  /* to be reaped */
	uint16_t free_head;
	unsigned free_count, in_flight;
	uint64_t kicks, sleeps; /* counted */
};

struct fering_done {
	void *token;
	uint16_t head;
	uint32_t len; /* as the used ring says */
};

/*
 * Lays out an empty ring of `size` descriptors (a power of two) in the region at `region`. With `indirect`, chains of 2 to
 * FERING_TABLE_MAX pieces take one descriptor.
 */
int fering_new(struct fering *r, struct femem *mem, uint64_t region, unsigned size, bool event_idx,
	       bool indirect);
void fering_free(struct fering *r);
/* Empty again, as after a reset of the device; prepared chains are gone. */
void fering_reset(struct fering *r);
/* What was made available and not reaped, is available still: for a device that begins at the used index. */
uint16_t fering_base(const struct fering *r);

/*
 * Writes a chain: first `readable` pieces that the device reads, then `writable` ones. Its head, or -ENOSPC. With `kept` it
 * stays when it comes back. Not available yet.
 */
int fering_prepare(struct fering *r, const struct fering_piece *pieces, unsigned readable,
		   unsigned writable, bool kept, void *token);
/* The descriptor of a piece of a prepared chain. */
struct vring_desc *fering_piece(struct fering *r, uint16_t head, unsigned i);
/* Gives a prepared chain back, that is not in flight. */
void fering_release(struct fering *r, uint16_t head);
/* Makes a head available; shown by the next fering_kick(). */
void fering_submit(struct fering *r, uint16_t head);
/* fering_prepare() and fering_submit(): 0 or -ENOSPC. */
int fering_add(struct fering *r, const struct fering_piece *pieces, unsigned readable,
	       unsigned writable, void *token);
/* Shows what was submitted; kicks if the device asked for it, or `force`. Was there a kick? */
bool fering_kick(struct fering *r, bool force);

/* What came back, at most `max`: how many; -EPROTO: the device gave what was not in flight. */
int fering_reap(struct fering *r, struct fering_done *out, unsigned max);
/* How many wait to be reaped. */
unsigned fering_ready(const struct fering *r);
/*
 * Until `n` wait to be reaped: looks at the ring for `spin_us`, then asks for a call and sleeps, for at most `timeout_ms`.
 * 0 or -ETIMEDOUT.
 */
int fering_wait(struct fering *r, unsigned n, unsigned spin_us, int timeout_ms);

#endif
