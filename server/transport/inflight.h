/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.h - the record of requests in flight that outlives a back-end
 * (VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD).
 *
 * A memfd with one region for each queue, laid out as the vhost-user specification has it for split
 * rings. Whoever serves the rings next finds in it which heads were taken and not given back, and
 * serves them again, first. Behind them is a note, which is ours alone: what the next one must know
 * besides. All its bytes are the front-end's: read once and checked like a ring.
 */
#ifndef HOLDFAST_TRANSPORT_INFLIGHT_H
#define HOLDFAST_TRANSPORT_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vring_inflight;

/*
 * For GET_INFLIGHT_FD: a new memfd (zeros, sealed against shrinking) for this many queues of this
 * size, and a note. 0 or -errno.
 */
int inflight_create(unsigned queues, unsigned queue_size, int *fd, uint64_t *size);

/*
 * For SET_INFLIGHT_FD: maps it; `fd` is not taken over. -EINVAL: too short for what is said, or
 * numbers that make no sense. Registered for SIGBUS as guest memory is.
 */
int inflight_map(int fd, uint64_t offset, uint64_t size, unsigned queues, unsigned queue_size,
		 struct vring_inflight **out);
void inflight_unmap(struct vring_inflight *f); /* takes NULL */

/*
 * A ring starts: brings the record in order with the used ring's index (a back-end may have died
 * between the two), and gives the heads to be served again, oldest first: their number (at most
 * `max`), or -EPROTO.
 */
int inflight_begin(struct vring_inflight *f, unsigned queue, unsigned ring_size, uint16_t used_idx,
		   uint16_t *heads, unsigned max);
/* The rings begin anew, and what was in flight is nobody's: all of them, or one. Nobody serves them. */
void inflight_clear(struct vring_inflight *f);
void inflight_clear_queue(struct vring_inflight *f, unsigned queue);
/*
 * A head was taken from the ring (not one that inflight_begin() gave: that keeps its age); it is
 * being given back (before the used index moves); it was given back. From the one to the other no
 * other thread may take that head.
 */
void inflight_take(struct vring_inflight *f, unsigned queue, uint16_t head);
void inflight_giving(struct vring_inflight *f, unsigned queue, uint16_t head);
void inflight_given(struct vring_inflight *f, unsigned queue, uint16_t head, uint16_t used_idx);

/*
 * The note: up to INFLIGHT_NOTE_MAX bytes, or (len 0) none. It is there as a whole or not at all, whenever this process
 * dies. By one thread at a time.
 */
#define INFLIGHT_NOTE_MAX 40
void inflight_note(struct vring_inflight *f, const void *bytes, size_t len);
/* The note of an earlier back-end; false: none of that length, or one that is not whole. */
bool inflight_noted(const struct vring_inflight *f, void *bytes, size_t len);

/* Has its file been cut short? What is read then is zeros, and what is written nobody's. */
bool inflight_lost(const struct vring_inflight *f);

#endif
