/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostpool.h - threads for requests that may block long, so that the queues' own threads go on.
 *
 * One for each device, shared by its queues; threads are made when they are needed and stay. What waits is bounded by the
 * rings: each job is a chain that the guest does not have back yet.
 */
#ifndef HOLDFAST_TRANSPORT_VHOSTPOOL_H
#define HOLDFAST_TRANSPORT_VHOSTPOOL_H

#include "transport/vhostrequest.h"

struct vhostpool;

/* 0 or -ENOMEM. At most `max` > 0 threads. */
int vhostpool_new(struct fuse_server *server, unsigned max, struct vhostpool **out);
/* Waits for the jobs in hand and ends the threads. Takes NULL. */
void vhostpool_free(struct vhostpool *p);

/*
 * Has a request carried out, and answered, by one of the threads. Token and message, and all they point to, are copied.
 * -ENOMEM, or why no thread could be had: the request is the caller's still.
 */
int vhostpool_give(struct vhostpool *p, const struct vhostrequest *r,
		   const struct fuse_message *message);

/* Waits until no job of the ring is left. Takes NULL. */
void vhostpool_drain(struct vhostpool *p, struct vhostring *ring);

#endif
