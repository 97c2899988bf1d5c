/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostrequest.h - a request on its way: from a chain of descriptors to the FUSE layer, and its answer back to the ring.
 *
 * struct vhostring is a virtqueue with references: the queue that serves it has one, and each request that is
 * answered from another thread. A ring that was dropped (the guest began anew) takes no more answers; one that is stopped takes
 * none yet: what a waiting request comes to meanwhile is kept until the ring goes on.
 */
#ifndef HOLDFAST_TRANSPORT_VHOSTREQUEST_H
#define HOLDFAST_TRANSPORT_VHOSTREQUEST_H

#include "fuse/fuse.h"
#include "transport/vring.h"

struct vhostring {
	atomic_uint refs;
	struct vring *ring;
	atomic_uint jobs;		     /* in the pool */
	atomic_uint_fast64_t *notifications; /* counter of the device */

	pthread_mutex_t
		lock; /* guards what follows; and late answers against the end of the ring */
	int call;     /* eventfd that notifies the guest, or -1; owned */
	bool dropped, stopped;
	struct late *kept; /* answers for when it goes on */
};

/* Takes the vring over. 0 or -ENOMEM. */
int vhostring_new(struct vring *ring, atomic_uint_fast64_t *notifications, struct vhostring **out);
struct vhostring *vhostring_ref(struct vhostring *r);
void vhostring_unref(struct vhostring *r);	      /* takes NULL */
void vhostring_set_call(struct vhostring *r, int fd); /* takes fd (or -1) over */
/* From now on answers are forgotten: nothing is written to the ring any more. */
void vhostring_drop(struct vhostring *r);
/* From now on late answers are kept: the memory is the front-end's alone. Nobody serves the ring. */
void vhostring_stop(struct vhostring *r);
/* It goes on: what was kept is answered. */
void vhostring_go_on(struct vhostring *r);
/* Notifies the guest of what was pushed, if it wants that. */
void vhostring_notify(struct vhostring *r);

/* The token of a request. */
struct vhostrequest {
	struct vhostring *ring;
	uint16_t head;
	const struct iovec *writable; /* where the answer goes */
	unsigned count;
	size_t room;	  /* bytes of it */
	unsigned *pushed; /* counts what the guest was not notified of yet; NULL: notify at once */
	struct guestmem *memory; /* of one that is late: keeps `writable` mapped; else NULL */
};

/* reply() and detach() for fuse_thread_new(); tokens are struct vhostrequest. */
extern const struct fuse_transport_ops vhostrequest_ops;

/*
 * What the chain holds, as a message: the request is copied to `bytes` (FUSE_REQUEST_MAX of room), but for the data of
 * a WRITE. `pieces` is memory for pieces that begin or end within others; chain->iov is changed.
 */
void vhostrequest_parse(struct vring_chain *chain, uint8_t *bytes,
			struct iovec pieces[VRING_CHAIN_MAX], struct fuse_message *out);

/* Gives the chain back without an answer, `len` bytes written. */
void vhostrequest_done(struct vhostrequest *r, size_t len);

/* An error as the answer to a request of which `len` bytes came; as much as there is room for. */
void vhostrequest_fail(struct vhostrequest *r, const void *bytes, size_t len, int error);

#endif
