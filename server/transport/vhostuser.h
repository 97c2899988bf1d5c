/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostuser.h - a virtio-fs device: the back-end of a vhost-user connection as transport.
 *
 *   vhostuser_new -> vhostuser_serve (returns at the end) -> vhostuser_free
 *
 * One connection at a time. The thread in vhostuser_serve() speaks with the front-end (QEMU); each virtqueue
 * has a thread of its own that serves its requests; a pool takes over what may block for long.
 */
#ifndef HOLDFAST_TRANSPORT_VHOSTUSER_H
#define HOLDFAST_TRANSPORT_VHOSTUSER_H

#include "fuse/fuse.h"

/* virtio-fs: the high-priority queue, and as many request queues as a front-end may want. */
#define VHOSTUSER_QUEUES_MAX 65
#define VHOSTUSER_TAG_MAX 36
#define VHOSTUSER_POOL_MAX 64
#define VHOSTUSER_POLL_US_MAX 1000

struct vhostuser_config {
	int socket;	/* a listening UNIX stream socket, or a connected one; kept by the caller */
	bool listening; /* which of the two */
	bool persist;	/* when a front-end hangs up, wait for the next one */
	const char *tag;  /* NULL, or what GET_CONFIG shows (at most VHOSTUSER_TAG_MAX bytes) */
	unsigned pool;	  /* threads for what may block long; 0: the queues' own threads do it */
	unsigned poll_us; /* a queue polls its ring at most this long before it sleeps; 0: never */
};

struct vhostuser;

/* For status. */
struct vhostuser_stats {
	bool connected;
	uint64_t connections,
		refused; /* those that ended because of what the front-end or guest sent */
	unsigned queues; /* running */
	uint64_t requests, kicks, notifications;
};

/* 0, -ENOMEM, -EINVAL (a tag that is too long), or the errno of what could not be had. */
int vhostuser_new(const struct vhostuser_config *config, struct fuse_server *server,
		  struct vhostuser **out);

/*
 * Serves until vhostuser_stop() (0), or the front-end hangs up without `persist` (0). What a front-end
 * or guest does wrong ends its connection with one line in the log: -EPROTO without `persist`. -errno
 * when threads or descriptors cannot be had.
 */
int vhostuser_serve(struct vhostuser *dev);

/* Makes vhostuser_serve() end at once. Async-signal-safe; before vhostuser_serve() too. */
void vhostuser_stop(struct vhostuser *dev);

void vhostuser_stats(struct vhostuser *dev, struct vhostuser_stats *out); /* any thread */

void vhostuser_free(struct vhostuser *dev); /* takes NULL; vhostuser_serve() has returned */

#endif
