/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostqueue.h - a virtqueue's threads, of which one at a time has the ring: takes requests from it, has them carried out, polls
 * and sleeps. When one of its requests lasts long, another thread goes on with the ring.
 *
 * Made parked. The connection's thread lets it run on a ring and halts it again; between the two only the thread that has
 * the ring touches its available side.
 */
#ifndef HOLDFAST_TRANSPORT_VHOSTQUEUE_H
#define HOLDFAST_TRANSPORT_VHOSTQUEUE_H

#include "transport/vhostpool.h"

struct vhostqueue;

/* What the queues of a device share; outlives them. */
struct vhostqueue_env {
	struct fuse_server *server;
	struct vhostpool *pool; /* or NULL: each queue has one thread, which does all */
	unsigned poll_us;
	unsigned pollers_max; /* queues that may poll at once */
	atomic_uint pollers;
	int broken; /* eventfd: a queue has stopped by itself; see vhostqueue_error() */
	atomic_uint_fast64_t kicks, notifications;
};

/*
 * Queue `index`; 0 is the high-priority one, which does not poll, and gives away only what is of a kind that holds it up. 0 or
 * -errno.
 */
int vhostqueue_new(struct vhostqueue_env *env, unsigned index, struct vhostqueue **out);
void vhostqueue_free(struct vhostqueue *q); /* halts it first; takes NULL */

/* Serves `ring` (a reference is taken until it is halted); `kick` is an eventfd, or -1: looks every millisecond. */
void vhostqueue_run(struct vhostqueue *q, struct vhostring *ring, int kick);
/* Returns when the requests in hand are done or given to the pool. */
void vhostqueue_halt(struct vhostqueue *q);
bool vhostqueue_running(const struct vhostqueue *q); /* was told to, that is */

/* 0, or why it stopped by itself: -EPROTO (the ring is broken), -EFAULT (memory is lost). */
int vhostqueue_error(const struct vhostqueue *q);

#endif
