/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostqueue.c - the loop of a queue's thread.
 *
 * Requests are carried out where they are taken from the ring; what may block long goes to the pool. Every answer is in
 * the used ring at once; the guest is notified when the ring is empty, or when a batch is done. Waking a thread on
 * another CPU takes longer than most requests, so before it sleeps the queue looks at the ring for a while. How long
 * follows from what came of it: twice as long where something came, half as long, and soon not at all, where
 * nothing did. Looking in vain although requests come as soon as the queue sleeps means that it keeps the guest from running, on
 * a processor that both share: after each time in a row it does without for twice as many requests.
 */
#include "transport/vhostqueue.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/util.h"

#define IO_ALIGN 4096
/* Answers, or bytes of them, after which the guest is told though there is more to do. */
#define BATCH 16
#define BATCH_BYTES ((size_t)64 << 10)
/* Looks at the ring between two looks at the clock. */
#define LOOKS 32
#define WINDOW_MIN_NS 1000U
#define IN_VAIN_MAX 10

struct vhostqueue {
	struct vhostqueue_env *env;
	unsigned index;
	pthread_t thread;
	int wake; /* eventfd: look at `halt` */

	pthread_mutex_t lock; /* guards `running`, `parked`, `quit` */
	pthread_cond_t changed;
	bool running, parked, quit;
	atomic_bool halt;
	_Atomic int error;

	/* The thread's own while it runs: */
	struct vhostring *ring;
	int kick;
	struct fuse_thread *fuse;
	uint8_t *bytes;
	uint64_t window_ns; /* of polling, now */
	unsigned in_vain;   /* windows in a row in which nothing came */
	unsigned pause;	    /* short sleeps until it looks again */
	unsigned pushed;
	size_t pushed_bytes;
	struct vhostrequest request;
	struct vring_chain chain;
	struct iovec pieces[VRING_CHAIN_MAX];
};

/* --- requests ---------------------------------------------------------------------------------------- */

static void flush(struct vhostqueue *q)
{
	if (!q->pushed)
		return;
	q->pushed = 0;
	q->pushed_bytes = 0;
	vhostring_notify(q->ring);
}

/* Has the pool do it. Where that cannot be, the guest may try again. */
static void give_away(struct vhostqueue *q, const struct fuse_message *message)
{
	if (vhostpool_give(q->env->pool, &q->request, message))
		vhostrequest_fail(&q->request, message->bytes, message->len, -ENOMEM);
}

static void carry_out(struct vhostqueue *q)
{
	struct fuse_message message;
	struct vhostpool *pool = q->index ? q->env->pool : NULL;
	int result;

	vhostrequest_parse(&q->chain, q->bytes, q->pieces, &message);
	q->request.head = q->chain.head;
	q->request.writable = q->chain.iov + q->chain.readable;
	q->request.count = q->chain.writable;
	q->request.room = q->chain.writable_len;
	message.token = &q->request;
	message.may_block = !pool;
	if (pool && fuse_message_is_long(&message)) {
		give_away(q, &message);
		return;
	}
	result = fuse_thread_request(q->fuse, &message);
	if (result == FUSE_REQUEST_BLOCKS)
		give_away(q, &message);
	else if (result == FUSE_REQUEST_SILENT)
		vhostrequest_done(&q->request, 0);
	else if (result < 0)
		vhostrequest_fail(&q->request, message.bytes, message.len, -EIO);
	q->pushed_bytes += q->chain.readable_len + q->chain.writable_len;
	if (q->pushed >= BATCH || q->pushed_bytes >= BATCH_BYTES)
		flush(q);
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

/* Sleeps until a kick. */
static void sleep_on_kick(struct vhostqueue *q)
{
	struct pollfd fds[2] = { { .fd = q->wake, .events = POLLIN },
				 { .fd = q->kick, .events = POLLIN } };
	eventfd_t value;
	int n = poll(fds, ARRAY_LEN(fds), q->kick < 0 ? 1 : -1);

	if (n > 0 && fds[1].revents) {
		atomic_fetch_add_explicit(&q->env->kicks, 1, memory_order_relaxed);
		/* One that gives nothing, or ends, would keep us awake for ever. */
		if (eventfd_read(q->kick, &value) < 0 && errno != EAGAIN && errno != EINTR)
			atomic_store(&q->error, -EPROTO);
	}
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

/* --- the thread -------------------------------------------------------------------------------------- */

/* Until it is halted, or the ring is broken. */
static int serve_ring(struct vhostqueue *q)
{
	struct vring *ring = q->ring->ring;

	q->request = (struct vhostrequest){ .ring = q->ring, .pushed = &q->pushed };
	q->window_ns = 0;
	q->in_vain = q->pause = 0;
	vring_disable_kicks(ring);
	while (!atomic_load_explicit(&q->halt, memory_order_relaxed)) {
		int ret = vring_pop(ring, &q->chain);

		if (ret == 1) {
			carry_out(q);
			continue;
		}
		flush(q);
		if (guestmem_lost(vring_memory(ring)))
			return -EFAULT;
		if (ret)
			return ret;
		wait_for_work(q);
		if (atomic_load_explicit(&q->error, memory_order_relaxed))
			return -EPROTO;
	}
	flush(q);
	/* Whoever goes on with this ring looks at it before it sleeps. */
	(void)vring_enable_kicks(ring);
	return 0;
}

static void *serve(void *arg)
{
	struct vhostqueue *q = arg;
	int error;

	pthread_mutex_lock(&q->lock);
	for (;;) {
		while (!q->quit && (!q->running || q->parked))
			pthread_cond_wait(&q->changed, &q->lock);
		if (q->quit)
			break;
		pthread_mutex_unlock(&q->lock);
		error = serve_ring(q);
		if (error) {
			atomic_store(&q->error, error);
			(void)eventfd_write(q->env->broken, 1);
		}
		pthread_mutex_lock(&q->lock);
		q->parked = true;
		pthread_cond_broadcast(&q->changed);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* --- for the connection's thread ------------------------------------------------------------------------ */

static int start_thread(struct vhostqueue *q)
{
	sigset_t all;
	sigset_t before;
	int error;

	/* Signals are for the main thread, but those that threads send each other. */
	sigfillset(&all);
	sigdelset(&all, SIGURG);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(&q->thread, NULL, serve, q);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

int vhostqueue_new(struct vhostqueue_env *env, unsigned index, struct vhostqueue **out)
{
	struct vhostqueue *q = calloc(1, sizeof(*q));
	int error = -ENOMEM;

	if (!q)
		return error;
	q->env = env;
	q->index = index;
	q->kick = -1;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->changed, NULL);
	q->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->wake < 0) {
		error = errno_neg();
		goto err;
	}
	q->bytes = aligned_alloc(IO_ALIGN, FUSE_REQUEST_MAX);
	if (!q->bytes)
		goto err;
	error = fuse_thread_new(env->server, &vhostrequest_ops, &q->fuse);
	if (error)
		goto err;
	error = start_thread(q);
	if (error)
		goto err;
	*out = q;
	return 0;

err:
	fuse_thread_free(q->fuse);
	free(q->bytes);
	(void)fd_close(q->wake);
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(q);
	return error;
}

void vhostqueue_free(struct vhostqueue *q)
{
	if (!q)
		return;
	vhostqueue_halt(q);
	pthread_mutex_lock(&q->lock);
	q->quit = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	(void)pthread_join(q->thread, NULL);
	fuse_thread_free(q->fuse);
	free(q->bytes);
	(void)fd_close(q->wake);
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

void vhostqueue_run(struct vhostqueue *q, struct vhostring *ring, int kick)
{
	eventfd_t value;

	vhostqueue_halt(q);
	(void)eventfd_read(q->wake, &value);
	pthread_mutex_lock(&q->lock);
	q->ring = vhostring_ref(ring);
	q->kick = kick;
	atomic_store(&q->halt, false);
	atomic_store(&q->error, 0);
	q->running = true;
	q->parked = false;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

void vhostqueue_halt(struct vhostqueue *q)
{
	if (!q->running)
		return;
	atomic_store(&q->halt, true);
	(void)eventfd_write(q->wake, 1);
	pthread_mutex_lock(&q->lock);
	while (!q->parked)
		pthread_cond_wait(&q->changed, &q->lock);
	q->running = false;
	pthread_mutex_unlock(&q->lock);
	vhostring_unref(q->ring);
	q->ring = NULL;
}

bool vhostqueue_running(const struct vhostqueue *q)
{
	return q->running;
}

int vhostqueue_error(const struct vhostqueue *q)
{
	return atomic_load(&q->error);
}
