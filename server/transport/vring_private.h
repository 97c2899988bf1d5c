/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring_private.h - the inside of struct vring, for vring.c and vring_chain.c.
 */
#ifndef HOLDFAST_TRANSPORT_VRING_PRIVATE_H
#define HOLDFAST_TRANSPORT_VRING_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "transport/vring.h"

/*
 * The layout of virtio 1.x, 2.7, little-endian. (<linux/virtio_ring.h> has a struct vring of its
 * own.)
 */
#define VRING_DESC_F_NEXT 1
#define VRING_DESC_F_WRITE 2
#define VRING_DESC_F_INDIRECT 4
#define VRING_AVAIL_F_NO_INTERRUPT 1
#define VRING_USED_F_NO_NOTIFY 1

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vring_avail {
	uint16_t flags, idx, ring[];
};

struct vring_used_elem {
	uint32_t id, len;
};

struct vring_used {
	uint16_t flags, idx;
	struct vring_used_elem ring[];
};

/*
 * The ring's parts in our address space; all that they hold is the guest's to change at any time.
 */
struct vring_parts {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t *used_event;  /* behind the available ring: when the guest wants to be notified */
	uint16_t *avail_event; /* behind the used ring: when we want a kick */
};

struct vring {
	struct vring_setup setup;
	struct guestmem *memory; /* a reference */
	struct vring_parts parts;

	/* The queue's thread: */
	uint16_t next_avail;
	uint16_t *left; /* heads that an earlier back-end left, oldest first */
	unsigned left_count, left_at;
	struct vring_desc table[VRING_CHAIN_MAX]; /* the indirect table in hand */

	/* Any thread: */
	atomic_bool *busy; /* by head: popped and not pushed */
	/* In flight is what was popped and not pushed; each has one writer at a time. */
	atomic_uint popped; /* the queue's thread */
	atomic_uint pushed; /* under used_lock */

	pthread_mutex_t used_lock; /* guards what follows, and the used ring */
	uint16_t used_idx;
	uint16_t notified; /* used_idx at the last vring_should_notify() */
	bool notified_valid;
};

/* Reads the chain of chain->head: 0 or -EPROTO. (vring_chain.c) */
int vring_read_chain(struct vring *r, struct vring_chain *chain);

#endif
