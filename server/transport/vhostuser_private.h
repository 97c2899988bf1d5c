/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostuser_private.h - a device and its connection: for vhostuser.c (life), vhostdevice.c (messages) and vhostline.c (rings).
 *
 * All of it belongs to the thread in vhostuser_serve(), but for the statistics and the eventfds. Locks are taken in this
 * order, and never two of one kind: vhostqueue.lock | vhostpool.lock, vhostring.lock, the vring's used_lock.
 */
#ifndef HOLDFAST_TRANSPORT_VHOSTUSER_PRIVATE_H
#define HOLDFAST_TRANSPORT_VHOSTUSER_PRIVATE_H

#include "transport/inflight.h"
#include "transport/vhostmsg.h"
#include "transport/vhostqueue.h"
#include "transport/vhostuser.h"

/* A virtqueue as the front-end has described it so far. */
struct vhostline {
	struct vhostqueue *queue; /* its thread, from the first start on */
	struct vhostring *ring;	  /* what it serves, or served until it was stopped; or NULL */
	struct vring_setup setup; /* SET_VRING_NUM, ADDR, BASE */
	bool has_addr, enabled;
	bool has_kick;	     /* SET_VRING_KICK came: the ring is started */
	int kick, call, err; /* owned; -1 */
};

struct vhostuser {
	struct vhostuser_config config;
	struct fuse_server *server;
	char tag[VHOSTUSER_TAG_MAX];
	struct vhostqueue_env env;
	int stop; /* eventfd: vhostuser_stop() */
	int poke; /* epoll of `stop` and env.broken: readable when either is */

	/* For vhostuser_stats(): */
	atomic_bool connected;
	atomic_uint_fast64_t connections, refused;
	atomic_uint queues;

	/* The connection: */
	int sock;
	uint64_t features, protocol; /* agreed on; 0 before */
	struct guestmem *memory;
	struct vring_inflight *inflight;
	struct vhostline lines[VHOSTUSER_QUEUES_MAX];
	char why[VHOST_WHY_MAX]; /* what is wrong, when something gives -EPROTO */
};

/* Virtio and vhost-user feature bits. */
#define VHOST_F_PROTOCOL_FEATURES (1ULL << 30)
#define VIRTIO_F_INDIRECT_DESC (1ULL << 28)
#define VIRTIO_F_EVENT_IDX (1ULL << 29)
#define VIRTIO_F_V1 (1ULL << 32)

/* --- vhostdevice.c --- */

/*
 * Carries a message out and answers it. 0; -EPROTO with dev->why set when it ends the connection; -errno of the socket or for
 * want of memory.
 */
int vhostdevice_message(struct vhostuser *dev, struct vhost_msg *msg);

/* --- vhostline.c --- */

void vhostline_init(struct vhostline *line);
/* Starts the ring if all that it needs is there, and it does not run. 0, -EPROTO (dev->why), -errno. */
int vhostline_start(struct vhostuser *dev, unsigned index);
/* Gives the ring the descriptor that notifies the guest. 0 or -errno. */
int vhostline_share_call(struct vhostline *line);
/* Stops serving; what the pool has of it is done. The ring stays: requests that wait for locks are part of it. */
void vhostline_halt(struct vhostuser *dev, unsigned index);
/* What was stopped does not go on: the next start is that of another ring. */
void vhostline_drop_ring(struct vhostline *line);
/* Puts the queue back to what it was before the first message; what is left of its ring is dropped. */
void vhostline_clear(struct vhostuser *dev, unsigned index);
/* All that run are halted and told of the new memory, which is taken over, and go on. */
int vhostline_new_memory(struct vhostuser *dev, struct guestmem *memory);

#endif
