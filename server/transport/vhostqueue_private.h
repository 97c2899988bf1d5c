/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostqueue_private.h - a queue and its hands: for vhostqueue.c (who has the ring) and vhosthand.c (what is done with it).
 */
#ifndef HOLDFAST_TRANSPORT_VHOSTQUEUE_PRIVATE_H
#define HOLDFAST_TRANSPORT_VHOSTQUEUE_PRIVATE_H

#include "transport/vhostqueue.h"

/* Kinds of requests, of each of which one may be held up with a hand of its own: those that look, and those that change. */
enum kind { KIND_LOOKS = 1, KIND_CHANGES = 2 };
/* One for the ring, and one for each kind. */
#define HANDS 3

/*
 * A thread of a queue, with what it needs to carry a request out. At any time one of them has the ring; one watches
 * it, and takes the ring over when it is held up; one that is held up comes back when its request is done.
 */
struct hand {
	struct vhostqueue *q;
	pthread_t thread;
	bool started; /* the thread is there; guarded by q->lock */
	bool held_up; /* guarded by q->lock: has lost the ring to another, and its request is not done */
	/* The thread's own: */
	struct fuse_thread
		*fuse; /* of the first from the start, of the others once they are needed */
	uint8_t *bytes;
	bool relieves; /* has just taken the ring over */
	unsigned pushed;
	size_t pushed_bytes;
	enum kind
		kind; /* of the request in hand: written before its turn, read by who takes the ring over */
	struct vhostrequest request;
	struct vring_chain chain;
	struct iovec pieces[VRING_CHAIN_MAX];
};

struct vhostqueue {
	struct vhostqueue_env *env;
	unsigned index;
	int wake;  /* eventfd: look at `halt` */
	int watch; /* eventfd: the hand that watches is to look */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	bool running, parked, quit;
	struct hand *at;    /* has the ring */
	struct hand *guard; /* watches, or NULL */
	unsigned held_up;   /* hands */

	atomic_bool halt;
	_Atomic int error;
	/*
	 * Odd while a request is in hand. Who has the ring moves it on at each begin and end; who takes the ring over moves it
	 * on in the place of the one that is held up, and that is how it is taken.
	 */
	_Atomic uint64_t turn;
	_Atomic unsigned kinds; /* of requests that are held up: enum kind */
	atomic_bool awake;	/* who has the ring does not sleep on it */
	atomic_bool unwatched;	/* the hand that watches sleeps until `watch` */

	/* Of who has the ring: */
	struct vhostring *ring; /* set by the connection's thread while nobody has it */
	int kick;
	uint64_t window_ns; /* of polling, now */
	unsigned in_vain;   /* windows in a row in which nothing came */
	unsigned pause;	    /* short sleeps until it looks again */

	struct hand hands[HANDS];
};

/* What the hand gets to carry requests out with: 0, or -errno and hand_free() is due. (vhosthand.c) */
int hand_equip(struct hand *h);
void hand_free(struct hand *h);

/*
 * Serves the ring until it is halted (0), broken (-errno), or until another has taken it over while a request was in hand,
 * which is done now (1).
 */
int hand_serve(struct hand *h);

#endif
