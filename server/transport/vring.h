/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring.h - one split virtqueue (virtio 1.x, 2.7), from the device's side: chains of descriptors
 * out, used elements in.
 *
 * All that lies in the ring is the guest's and may change at any moment: each field is read once,
 * into our own memory, and checked there. A ring that breaks the rules gives -EPROTO, and is of no
 * use from then on.
 *
 * Threads: vring_pop(), vring_enable_kicks(), vring_disable_kicks() by the queue's thread alone.
 * vring_push() and vring_should_notify() by any thread, under the ring's used lock (inside).
 * Setting up and tearing down when no thread uses it.
 */
#ifndef HOLDFAST_TRANSPORT_VRING_H
#define HOLDFAST_TRANSPORT_VRING_H

#include "transport/guestmem.h"

#define VRING_SIZE_MAX 32768
/* Pieces of a chain in our memory: 1024 descriptors, and two that lie across regions. */
#define VRING_CHAIN_MAX 1026

struct vring;
/* inflight.h: the shared record of requests in flight; NULL where none is agreed on. */
struct vring_inflight;

/*
 * A chain of descriptors, as pieces of our address space: first what we may read, then what we may
 * write.
 */
struct vring_chain {
	uint16_t head;
	/* Pieces: iov[0 .. readable), then iov[readable .. readable + writable). */
	unsigned readable, writable;
	size_t readable_len, writable_len;
	struct iovec iov[VRING_CHAIN_MAX];
};

/* How a ring is laid out, all from the front-end. */
struct vring_setup {
	unsigned size; /* SET_VRING_NUM: a power of two, at most VRING_SIZE_MAX */
	frontend_addr_t desc, avail, used;
	/*
	 * SET_VRING_BASE: the next index of the available ring to look at. With a record of
	 * requests in flight it follows from that and the used index instead: after a death the
	 * front-end knows no better than the used index.
	 */
	uint16_t base;
	bool event_idx, indirect;	 /* VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC */
	struct vring_inflight *inflight; /* borrowed */
	unsigned inflight_queue;
};

/*
 * A ring over `memory` (a reference is taken). 0, -EINVAL (size), -EFAULT (a part of it is not in
 * the memory or not aligned), -EPROTO (the record of requests in flight makes no sense), -ENOMEM.
 */
int vring_new(const struct vring_setup *setup, struct guestmem *memory, struct vring **out);
/* Takes NULL. Chains that were popped and not pushed are forgotten. */
void vring_free(struct vring *r);

/*
 * The memory was changed (nobody uses the ring meanwhile): the ring's parts are found again in it.
 * As vring_new().
 */
int vring_set_memory(struct vring *r, struct guestmem *memory);
struct guestmem *vring_memory(const struct vring *r); /* borrowed */

/*
 * The next chain: 1; 0 when none is available; -EPROTO for anything that a ring must not hold
 * (loops, heads and next past the ring, an avail index that jumps, addresses outside the memory,
 * lengths that overflow, writable before readable, broken indirect tables, a head that is in flight
 * already). With inflight, what was left by an earlier back-end comes first, in its order, and
 * keeps its age in the record. What is refused is not in flight. Takes no lock, but when a head
 * comes back while another thread is at the end of its vring_push().
 */
int vring_pop(struct vring *r, struct vring_chain *chain);

/* Is a chain available? One load; for polling. */
bool vring_has_work(const struct vring *r);

/*
 * Gives a chain back with `len` bytes written; the guest sees it at once. Once for each head that
 * was popped; one that is not in flight is left alone.
 */
void vring_push(struct vring *r, uint16_t head, uint32_t len);

/*
 * Does the guest want to be notified of what was pushed since the last call? (EVENT_IDX, or its
 * flag.)
 */
bool vring_should_notify(struct vring *r);

/*
 * Asks the guest for kicks, before sleeping: true if there is work after all. And tells it that we
 * look by ourselves.
 */
bool vring_enable_kicks(struct vring *r);
void vring_disable_kicks(struct vring *r);

/* For GET_VRING_BASE: the index of the next chain. */
uint16_t vring_base(const struct vring *r);
/* Chains that were popped and not pushed. */
unsigned vring_in_flight(const struct vring *r);

/* Has the memory, or the record of requests in flight, gone away below us? */
bool vring_lost(const struct vring *r);

/* Is `setup` where and what this ring is (but for the base)? */
bool vring_same(const struct vring *r, const struct vring_setup *setup);
/* The index of the used ring of `setup` as the guest has it in `memory` now: 0 or -EFAULT. */
int vring_used_index(const struct vring_setup *setup, const struct guestmem *memory, uint16_t *out);

#endif
