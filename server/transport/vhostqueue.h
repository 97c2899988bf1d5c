/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostqueue.h - the thread of a virtqueue: takes requests from the ring, has them carried out, polls and sleeps.
 *
 * Made parked. The connection's thread lets it run on a ring and halts it again; between the two only the queue's thread
 * touches the ring's available side.
 */
#ifndef HOLDFAST_TRANSPORT_VHOSTQUEUE_H
#define HOLDFAST_TRANSPORT_VHOSTQUEUE_H

#include "transport/vhostpool.h"

struct vhostqueue;

/* What the queues of a device share; outlives them. */
struct vhostqueue_env {
	struct fuse_server *server;
	struct vhostpool *pool; /* or NULL: the queues do all themselves */
	unsigned poll_us;
	unsigned pollers_max; /* queues that may poll at once */
	atomic_uint pollers;
	int broken; /* eventfd: a queue has stopped by itself; see vhostqueue_error() */
	atomic_uint_fast64_t kicks, notifications;
};

/* Queue `index`; 0 is the high-priority one, which neither polls nor gives away. 0 or -errno. */
int vhostqueue_new(struct vhostqueue_env *env, unsigned index, struct vhostqueue **out);
void vhostqueue_free(struct vhostqueue *q); /* halts it first; takes NULL */

/* Serves `ring` (a reference is taken until it is halted); `kick` is an eventfd, or -1: looks every millisecond. */
void vhostqueue_run(struct vhostqueue *q, struct vhostring *ring, int kick);
/* Returns when the request in hand is done and given to nobody else but the pool. */
void vhostqueue_halt(struct vhostqueue *q);
bool vhostqueue_running(const struct vhostqueue *q); /* was told to, that is */

/* 0, or why it stopped by itself: -EPROTO (the ring is broken), -EFAULT (memory is lost). */
int vhostqueue_error(const struct vhostqueue *q);

#endif
