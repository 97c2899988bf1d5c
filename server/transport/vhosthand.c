/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhosthand.c - what is done with a queue's ring: requests are taken from it, carried out, answered; and the waiting for more.
 *
 * Requests are carried out where they are taken from the ring; what may block long goes to the pool. Every answer is in
 * the used ring at once; the guest is notified when the ring is empty, or when a batch is done. Waking a thread on
 * another CPU takes longer than most requests, so before it sleeps the queue looks at the ring for a while. How long
 * follows from what came of it: twice as long where something came, half as long, and soon not at all, where
 * nothing did. Looking in vain although requests come as soon as the queue sleeps means that it keeps the guest from running, on
 * a processor that both share: after each time in a row it does without for twice as many requests.
 *
 * Called by the hand that has the ring.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/vhostqueue_private.h"

#define IO_ALIGN 4096
/* Answers, or bytes of them, after which the guest is told though there is more to do. */
#define BATCH 16
#define BATCH_BYTES ((size_t)64 << 10)
/* Looks at the ring between two looks at the clock. */
#define LOOKS 32
#define WINDOW_MIN_NS 1000U
#define IN_VAIN_MAX 10
/*
 * The pool keeps a copy of what waits for it, for each chain of a ring; longer requests of what goes there are not right, but
 * attributes and lists of FORGET, which have this much and hardly ever wait.
 */
#define POOLED_LONG_MAX ((size_t)256)
#define POOLED_ANY_MAX ((size_t)72 << 10)

int hand_equip(struct hand *h)
{
	h->bytes = aligned_alloc(IO_ALIGN, FUSE_REQUEST_MAX);
	if (!h->bytes)
		return -ENOMEM;
	return fuse_thread_new(h->q->env->server, &vhostrequest_ops, &h->fuse);
}

void hand_free(struct hand *h)
{
	fuse_thread_free(h->fuse);
	free(h->bytes);
	h->fuse = NULL;
	h->bytes = NULL;
}

/* --- requests ---------------------------------------------------------------------------------------- */

static void flush(struct hand *h)
{
	if (!h->pushed)
		return;
	h->pushed = 0;
	h->pushed_bytes = 0;
	vhostring_notify(h->q->ring);
}

/* Has the pool do it. Where that cannot be, the guest may try again. */
static void give_away(struct hand *h, const struct fuse_message *message)
{
	if (vhostpool_give(h->q->env->pool, &h->request, message))
		vhostrequest_fail(&h->request, message->bytes, message->len, -ENOMEM);
}

/*
 * Is it to be given to the pool unseen? What may block long is; and while a request of one kind is held up, so is all
 * that comes of that kind, or it would hold up the next hand.
 */
static bool belongs_to_pool(const struct hand *h, const struct fuse_message *message)
{
	const unsigned kinds = atomic_load_explicit(&h->q->kinds, memory_order_relaxed);

	if (!h->q->env->pool)
		return false;
	if (kinds & h->kind)
		return message->len <= POOLED_ANY_MAX && fuse_message_may_be_late(message);
	return h->q->index && message->len <= POOLED_LONG_MAX && fuse_message_is_long(message);
}

static void carry_out(struct hand *h, const struct fuse_message *message)
{
	int result;

	if (belongs_to_pool(h, message)) {
		give_away(h, message);
		return;
	}
	result = fuse_thread_request(h->fuse, message);
	if (result == FUSE_REQUEST_BLOCKS)
		give_away(h, message);
	else if (result == FUSE_REQUEST_SILENT)
		vhostrequest_done(&h->request, 0);
	else if (result < 0)
		vhostrequest_fail(&h->request, message->bytes, message->len, -EIO);
}

/* The chain that was taken. False: it took so long that another has the ring now. */
static bool take_turn(struct hand *h)
{
	struct vhostqueue *q = h->q;
	const uint64_t mine = atomic_load_explicit(&q->turn, memory_order_relaxed) + 1;
	uint64_t turn = mine;
	struct fuse_message message;

	vhostrequest_parse(&h->chain, h->bytes, h->pieces, &message);
	h->request.head = h->chain.head;
	h->request.writable = h->chain.iov + h->chain.readable;
	h->request.count = h->chain.writable;
	h->request.room = h->chain.writable_len;
	message.token = &h->request;
	message.may_block = !q->index || !q->env->pool;
	h->kind = fuse_message_only_looks(&message) ? KIND_LOOKS : KIND_CHANGES;
	atomic_store_explicit(&q->turn, mine, memory_order_release);
	carry_out(h, &message);
	if (!atomic_compare_exchange_strong(&q->turn, &turn, mine + 1))
		return false;
	h->pushed_bytes += h->chain.readable_len + h->chain.writable_len;
	if (h->pushed >= BATCH || h->pushed_bytes >= BATCH_BYTES)
		flush(h);
	return true;
}

/* --- waiting ----------------------------------------------------------------------------------------- */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Looks at the ring for the length of the window: did something come? */
static bool poll_ring(struct vhostqueue *q)
{
	uint64_t end;
	bool came = false;

	if (q->window_ns < WINDOW_MIN_NS)
		return false;
	if (atomic_fetch_add(&q->env->pollers, 1) < q->env->pollers_max) {
		end = clock_ns() + q->window_ns;
		do {
			for (unsigned i = 0; i < LOOKS && !came; i++) {
				relax();
				came = vring_has_work(q->ring->ring);
			}
		} while (!came && !atomic_load_explicit(&q->halt, memory_order_relaxed) &&
			 clock_ns() < end);
	}
	atomic_fetch_sub(&q->env->pollers, 1);
	return came;
}

/* What comes now is to be watched: either this sees that the one who watches sleeps, or that one sees us awake. */
static void wake_up(struct vhostqueue *q)
{
	atomic_store(&q->awake, true);
	if (atomic_load(&q->unwatched) && atomic_exchange(&q->unwatched, false))
		(void)eventfd_write(q->watch, 1);
}

/* Sleeps until a kick. */
static void sleep_on_kick(struct vhostqueue *q)
{
	struct pollfd fds[2] = { { .fd = q->wake, .events = POLLIN },
				 { .fd = q->kick, .events = POLLIN } };
	eventfd_t value;
	int n;

	atomic_store_explicit(&q->awake, false, memory_order_relaxed);
	n = poll(fds, ARRAY_LEN(fds), q->kick < 0 ? 1 : -1);
	if (n > 0 && fds[1].revents) {
		atomic_fetch_add_explicit(&q->env->kicks, 1, memory_order_relaxed);
		/* One that gives nothing, or ends, would keep us awake for ever. */
		if (eventfd_read(q->kick, &value) < 0 && errno != EAGAIN && errno != EINTR)
			atomic_store(&q->error, -EPROTO);
	}
	wake_up(q);
}

/* Waits for the next request, or for `halt`. */
static void wait_for_work(struct vhostqueue *q)
{
	const uint64_t longest = q->index ? q->env->poll_us * 1000ULL : 0;
	const bool looks = q->window_ns >= WINDOW_MIN_NS;
	uint64_t begun;

	if (poll_ring(q)) {
		q->window_ns = 2 * q->window_ns < longest ? 2 * q->window_ns : longest;
		q->in_vain = 0;
		return;
	}
	q->window_ns /= 2;
	if (looks && q->in_vain < IN_VAIN_MAX)
		q->in_vain++;
	if (looks)
		q->pause = (1U << q->in_vain) - 2;
	if (!vring_enable_kicks(q->ring->ring)) {
		begun = longest ? clock_ns() : 0;
		sleep_on_kick(q);
		/* It slept about as long as it could have looked: the next time it does. */
		if (longest && clock_ns() - begun < 2 * longest) {
			if (q->pause)
				q->pause--;
			else
				q->window_ns = longest;
		}
	}
	vring_disable_kicks(q->ring->ring);
}

/* --- the ring ------------------------------------------------------------------------------------------ */

static int serve_ring(struct hand *h)
{
	struct vhostqueue *q = h->q;
	struct vring *ring = q->ring->ring;

	while (!atomic_load_explicit(&q->halt, memory_order_relaxed)) {
		int ret = vring_pop(ring, &h->chain);

		if (ret == 1) {
			if (!take_turn(h))
				return 1;
			continue;
		}
		flush(h);
		if (vring_lost(ring))
			return -EFAULT;
		if (ret)
			return ret;
		wait_for_work(q);
		if (atomic_load_explicit(&q->error, memory_order_relaxed))
			return -EPROTO;
	}
	return 0;
}

int hand_serve(struct hand *h)
{
	struct vhostqueue *q = h->q;
	int ret;

	h->request = (struct vhostrequest){ .ring = q->ring, .pushed = &h->pushed };
	q->window_ns = 0;
	q->in_vain = q->pause = 0;
	vring_disable_kicks(q->ring->ring);
	wake_up(q);
	/* Answers that the one who was held up had not told the guest of. */
	if (h->relieves)
		vhostring_notify(q->ring);
	h->relieves = false;
	ret = serve_ring(h);
	if (ret != 1)
		atomic_store(&q->awake, false);
	flush(h);
	/* Whoever goes on with this ring looks at it before it sleeps. */
	if (!ret)
		(void)vring_enable_kicks(q->ring->ring);
	return ret;
}
