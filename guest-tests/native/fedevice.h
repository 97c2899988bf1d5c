/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fedevice.h - a virtio-fs device as a front-end has it: connection, memory and rings, negotiated and started.
 *
 * Ring 0 is the high-priority queue, 1 and up are request queues. The parts may be used directly in between (dev->fe,
 * dev->mem, dev->rings): each step of the start is a function of its own.
 */
#ifndef HOLDFAST_NATIVE_FEDEVICE_H
#define HOLDFAST_NATIVE_FEDEVICE_H

#include "fering.h"
#include "frontend.h"

#define FEDEVICE_RINGS_MAX 65
#define FEDEVICE_MEMORY (192ULL << 20)
#define FEDEVICE_BASE 0x40000000ULL /* of the guest: where memory of the usual layout begins */

struct fedevice_options {
	unsigned request_queues; /* 0: 1 */
	unsigned size;		 /* of each ring; 0: 128 */
	bool no_event_idx, no_indirect, no_reply_ack, no_mem_slots;
	bool inflight; /* agree on INFLIGHT_SHMFD, and use it */
	/*
	 * A region of FEDEVICE_MEMORY bytes is made at FEDEVICE_BASE unless dev->mem has regions already (femem_init() and
	 * femem_add() before fedevice_open()); rings go to the one at `ring_region` (0: the first).
	 */
	uint64_t ring_region;
};

struct fedevice {
	struct fedevice_options options;
	struct frontend fe;
	struct femem mem;
	struct fering rings[FEDEVICE_RINGS_MAX];
	unsigned ring_count; /* with the high-priority queue */
	int inflight_fd;     /* -1: none */
	union vhost_payload inflight;
};

/* Before fedevice_open(): no connection, no memory, no rings. */
void fedevice_init(struct fedevice *dev, const struct fedevice_options *options);
/* Connects to `path`, negotiates, makes memory and rings, tells of them and starts them. */
int fedevice_open(struct fedevice *dev, const char *path);
/* The same over a connected socket, which is taken over. */
int fedevice_open_socket(struct fedevice *dev, int sock);
/* Closes the connection; memory, rings and the record of requests in flight stay. */
void fedevice_hang_up(struct fedevice *dev);
/*
 * A connection to the next back-end with the same memory and rings, which begin at their used index; with a record of
 * requests in flight, what was not answered is served again, else it is lost.
 */
int fedevice_reconnect(struct fedevice *dev, const char *path);
void fedevice_close(struct fedevice *dev);

/* --- steps ------------------------------------------------------------------------------------------------ */

int fedevice_negotiate(struct fedevice *dev);
int fedevice_make_rings(struct fedevice *dev);
/* SET_MEM_TABLE, or ADD_MEM_REG for each region where there are more than eight. */
int fedevice_share_memory(struct fedevice *dev);
/* GET_INFLIGHT_FD if there is none yet, and SET_INFLIGHT_FD. */
int fedevice_share_inflight(struct fedevice *dev);

/* Hot-plug: the region at `guest` is in dev->mem already, and is told; is told and then taken out of dev->mem. */
int fedevice_plug(struct fedevice *dev, uint64_t guest);
int fedevice_unplug(struct fedevice *dev, uint64_t guest);

/* The messages of one ring. */
int fedevice_ring_num(struct fedevice *dev, unsigned ring);
int fedevice_ring_base(struct fedevice *dev, unsigned ring, uint16_t base);
int fedevice_ring_addr(struct fedevice *dev, unsigned ring);
int fedevice_ring_kick(struct fedevice *dev, unsigned ring);
int fedevice_ring_call(struct fedevice *dev, unsigned ring);
int fedevice_ring_enable(struct fedevice *dev, unsigned ring, bool enable);
/* All of them in QEMU's order, with this base; kicks once, for what was made available before. */
int fedevice_ring_start(struct fedevice *dev, unsigned ring, uint16_t base);
/* GET_VRING_BASE: stops it. */
int fedevice_ring_stop(struct fedevice *dev, unsigned ring, uint16_t *base);

#endif
