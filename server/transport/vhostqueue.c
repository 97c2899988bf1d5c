/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostqueue.c - the hands of a queue, and which of them has the ring.
 *
 * The ring is served by one thread, which carries requests out by itself: handing each to another would take longer than
 * most of them. But any of them may last: a disk that is slow or gone, a frozen file system, a deleted file of a terabyte. So a
 * second thread watches while the first is awake, and when it finds it in the same request at two looks in a row, it
 * takes the ring over, and a third watches. While a request is held up so, others of its kind go to the pool
 * unseen (vhosthand.c): as there are two kinds, the third hand is never held up. Without a pool there is one hand.
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
#include "transport/vhostqueue_private.h"

/* Between two looks of the hand that watches. A request that is found twice has lasted once to twice as long. */
#define WATCH_MS 20

/* --- taking over ------------------------------------------------------------------------------------- */

static unsigned kinds_held_up(const struct vhostqueue *q)
{
	unsigned kinds = 0;

	for (unsigned i = 0; i < HANDS; i++)
		if (q->hands[i].held_up)
			kinds |= q->hands[i].kind;
	return kinds;
}

static int start_hand(struct hand *h);

/* Takes the ring from who was in a request at `turn`; false: it is done after all. With the lock held. */
static bool take_over(struct hand *h, uint64_t turn)
{
	struct vhostqueue *q = h->q;

	if (q->at == h || !atomic_compare_exchange_strong(&q->turn, &turn, turn + 1))
		return false;
	q->at->held_up = true;
	q->held_up++;
	atomic_store(&q->kinds, kinds_held_up(q));
	q->at = h;
	h->relieves = true;
	return true;
}

/* Without what it takes to serve the queue stands until the request is done. */
static bool relieve(struct hand *h, uint64_t turn)
{
	struct vhostqueue *q = h->q;
	int error = h->fuse ? 0 : hand_equip(h);
	bool taken;

	if (error) {
		hand_free(h);
		log_limited(LOG_LEVEL_WARN, "vhost-user: queue %u: a thread cannot serve: %s",
			    q->index, strerror(-error));
		return false;
	}
	pthread_mutex_lock(&q->lock);
	taken = take_over(h, turn);
	for (unsigned i = 0; taken && i < HANDS; i++)
		if (!q->hands[i].started && start_hand(&q->hands[i]))
			break; /* nobody watches: the next that is held up holds up the queue */
	pthread_mutex_unlock(&q->lock);
	if (taken)
		log_debug("vhost-user: queue %u: a request lasts long; another thread goes on",
			  q->index);
	return taken;
}

static bool quits(struct vhostqueue *q)
{
	bool quit;

	pthread_mutex_lock(&q->lock);
	quit = q->quit;
	pthread_mutex_unlock(&q->lock);
	return quit;
}

/* Sleeps until the next look is due: at most every WATCH_MS, however often the queue sleeps and wakes. */
static void sleep_on_watch(struct vhostqueue *q)
{
	struct pollfd p = { .fd = q->watch, .events = POLLIN };
	eventfd_t value;

	if (!atomic_load(&q->awake)) {
		/* It wakes us, or we see that it woke (vhosthand.c). */
		atomic_store(&q->unwatched, true);
		if (!atomic_load(&q->awake))
			(void)poll(&p, 1, -1);
		atomic_store(&q->unwatched, false);
		(void)eventfd_read(q->watch, &value);
	}
	if (!quits(q))
		(void)poll(&p, 1, WATCH_MS);
	/* It may have written after we were awake already; one that nobody reads would keep us so. */
	(void)eventfd_read(q->watch, &value);
}

/* Watches until it has taken the ring over, or all is to end. */
static void watch(struct hand *h)
{
	struct vhostqueue *q = h->q;
	uint64_t seen = 0; /* even: no request */

	while (!quits(q)) {
		const uint64_t turn = atomic_load_explicit(&q->turn, memory_order_acquire);

		if (turn & 1 && turn == seen && relieve(h, turn))
			return;
		seen = turn;
		sleep_on_watch(q);
	}
}

/* --- the threads ------------------------------------------------------------------------------------- */

/* Serves the ring, which this hand has, until it is to be parked or was lost. With the lock held, which is let go meanwhile. */
static void serve(struct hand *h)
{
	struct vhostqueue *q = h->q;
	int ret;

	pthread_mutex_unlock(&q->lock);
	ret = hand_serve(h);
	pthread_mutex_lock(&q->lock);
	if (ret == 1) {
		h->held_up = false;
		q->held_up--;
		atomic_store(&q->kinds, kinds_held_up(q));
	} else {
		if (ret) {
			atomic_store(&q->error, ret);
			(void)eventfd_write(q->env->broken, 1);
		}
		q->parked = true;
	}
	pthread_cond_broadcast(&q->changed);
}

static void *hand_main(void *arg)
{
	struct hand *h = arg;
	struct vhostqueue *q = h->q;

	pthread_mutex_lock(&q->lock);
	while (!q->quit) {
		if (q->at == h && q->running && !q->parked) {
			serve(h);
		} else if (q->at != h && !q->guard) {
			q->guard = h;
			pthread_mutex_unlock(&q->lock);
			watch(h);
			pthread_mutex_lock(&q->lock);
			q->guard = NULL;
			pthread_cond_broadcast(&q->changed);
		} else {
			pthread_cond_wait(&q->changed, &q->lock);
		}
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* Signals are for the main thread, but those that threads send each other. With the lock held. */
static int start_hand(struct hand *h)
{
	sigset_t all;
	sigset_t before;
	int error;

	sigfillset(&all);
	sigdelset(&all, SIGURG);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(&h->thread, NULL, hand_main, h);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	h->started = error == 0;
	return error;
}

/* --- for the connection's thread ------------------------------------------------------------------------ */

static void queue_free(struct vhostqueue *q)
{
	for (unsigned i = 0; i < HANDS; i++)
		hand_free(&q->hands[i]);
	(void)fd_close(q->watch);
	(void)fd_close(q->wake);
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static void end_hands(struct vhostqueue *q)
{
	pthread_mutex_lock(&q->lock);
	q->quit = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	(void)eventfd_write(q->watch, 1);
	/* Who is started by a hand is started while the queue runs: none comes any more. */
	for (unsigned i = 0; i < HANDS; i++)
		if (q->hands[i].started)
			(void)pthread_join(q->hands[i].thread, NULL);
}

int vhostqueue_new(struct vhostqueue_env *env, unsigned index, struct vhostqueue **out)
{
	struct vhostqueue *q = calloc(1, sizeof(*q));
	int error;

	if (!q)
		return -ENOMEM;
	q->env = env;
	q->index = index;
	q->kick = -1;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->changed, NULL);
	for (unsigned i = 0; i < HANDS; i++)
		q->hands[i].q = q;
	q->at = &q->hands[0];
	q->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->watch = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = q->wake < 0 || q->watch < 0 ? errno_neg() : hand_equip(&q->hands[0]);
	for (unsigned i = 0; !error && i < (env->pool ? 2 : 1); i++) {
		pthread_mutex_lock(&q->lock);
		error = start_hand(&q->hands[i]);
		pthread_mutex_unlock(&q->lock);
	}
	if (error) {
		end_hands(q);
		queue_free(q);
		return error;
	}
	*out = q;
	return 0;
}

void vhostqueue_free(struct vhostqueue *q)
{
	if (!q)
		return;
	vhostqueue_halt(q);
	end_hands(q);
	queue_free(q);
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
	while (!q->parked || q->held_up)
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
