/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scan_thread.c - when the share is scanned: the thread that does it, who asks for it and who waits.
 *
 * Guests can ask for scans by using handles of objects that are not where the map says; so those have a rate limit: at
 * most a tenth of the time is spent on them. When there is nothing to scan, the thread sees to it that the cache keeps
 * nothing of what the host has deleted, and looks whether records were lost that nobody else scans for.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"

#define WAIT_MS 1500  /* a request waits so long for the end of a scan, */
#define WAITING_MAX 2 /* if no more than so many wait already */
#define PAUSE_MIN_NS 1000000000ULL
#define PAUSE_FACTOR 10
#define LET_GO_NS 5000000000ULL /* between two looks for descriptors of what was deleted */

/* --- the thread ------------------------------------------------------------------------------------------------- */

static void say_progress(void *arg, uint64_t objects)
{
	(void)arg;
	log_info("scan: %llu objects so far", (unsigned long long)objects);
}

/* Waits for something to do; true: for so long that it is time to see what the cache holds for nothing. */
static bool wait_idle(struct scan *scan)
{
	const uint64_t end = clock_ns() + LET_GO_NS;
	const struct timespec until = { .tv_sec = (time_t)(end / 1000000000),
					.tv_nsec = (long)(end % 1000000000) };

	return pthread_cond_timedwait(&scan->changed, &scan->lock, &until) == ETIMEDOUT;
}

static void let_go(struct export *x)
{
	pthread_mutex_unlock(&x->scan.lock);
	cache_let_go(x->cache);
	pthread_mutex_lock(&x->scan.lock);
}

static void *scan_main(void *arg)
{
	struct export *x = arg;
	struct scan *scan = &x->scan;
	struct worker *w = NULL;

	pthread_mutex_lock(&scan->lock);
	while (!scan->stop) {
		uint64_t begun, scans;
		int ret;

		if (!scan->wanted) {
			if (!wait_idle(scan))
				continue;
			let_go(x);
			/* The drainer met damage, or another daemon lost records and has left. */
			if (ring_shared_get(x->ring, RING_OVERFLOWED))
				scan->wanted = true;
			continue;
		}
		if (clock_ns() < scan->not_before) {
			struct timespec until = { .tv_sec = (time_t)(scan->not_before / 1000000000),
						  .tv_nsec =
							  (long)(scan->not_before % 1000000000) };

			pthread_cond_timedwait(&scan->changed, &scan->lock, &until);
			continue;
		}
		scan->wanted = false;
		scan->running = true;
		pthread_mutex_unlock(&scan->lock);

		begun = clock_ns();
		scans = ring_shared_get(x->ring, RING_SCANS);
		ret = w ? 0 : worker_new(x, &w);
		if (!ret) {
			worker_begin(w, true);
			ret = w->unfit ? -ENOMEM : scan_run(w, say_progress, NULL);
		}
		/*
		 * Another daemon of the export scans. That one may have passed what we look for; the result of one that
		 * began after it is ours.
		 */
		while (ret == -EBUSY && !atomic_load(&scan->cancel)) {
			struct timespec nap = { .tv_nsec = 50000000 };

			nanosleep(&nap, NULL);
			if (ring_shared_get(x->ring, RING_SCANS) - scans >= 2)
				ret = 0;
			else
				ret = scan_run(w, say_progress, NULL);
		}
		if (!ret)
			atomic_store(&x->complete, true);
		else if (ret != -ECANCELED)
			log_warn("scan: not finished: %s; it is tried again", strerror(-ret));
		pthread_mutex_lock(&scan->lock);
		scan->running = false;
		scan->failed = ret && ret != -ECANCELED && ret != -EAGAIN;
		if ((ret && ret != -ECANCELED) || ring_shared_get(x->ring, RING_OVERFLOWED))
			scan->wanted = true;
		if (!ret)
			scan->finished++;
		scan->not_before = clock_ns() + PAUSE_FACTOR * (clock_ns() - begun);
		if (scan->not_before < clock_ns() + PAUSE_MIN_NS / 4)
			scan->not_before = clock_ns() + (ret ? PAUSE_MIN_NS : PAUSE_MIN_NS / 4);
		pthread_cond_broadcast(&scan->changed);
	}
	pthread_mutex_unlock(&scan->lock);
	worker_free(w);
	return NULL;
}

int scan_start(struct export *x)
{
	pthread_condattr_t attr;
	int ret;

	pthread_mutex_init(&x->scan.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&x->scan.changed, &attr);
	pthread_condattr_destroy(&attr);
	ret = pthread_create(&x->scan.thread, NULL, scan_main, x);
	x->scan.started = ret == 0;
	return -ret;
}

void scan_stop(struct export *x)
{
	if (!x->scan.started)
		return;
	atomic_store(&x->scan.cancel, true);
	pthread_mutex_lock(&x->scan.lock);
	x->scan.stop = true;
	pthread_cond_broadcast(&x->scan.changed);
	pthread_mutex_unlock(&x->scan.lock);
	pthread_join(x->scan.thread, NULL);
	pthread_cond_destroy(&x->scan.changed);
	pthread_mutex_destroy(&x->scan.lock);
	x->scan.started = false;
}

void scan_want(struct export *x)
{
	if (!x->scan.started)
		return;
	pthread_mutex_lock(&x->scan.lock);
	x->scan.wanted = true;
	pthread_cond_broadcast(&x->scan.changed);
	pthread_mutex_unlock(&x->scan.lock);
}

uint64_t scan_finished(struct export *x)
{
	uint64_t finished;

	if (!x->scan.started)
		return 0;
	pthread_mutex_lock(&x->scan.lock);
	/* One that runs now may have passed the place already: only one begun later counts. */
	finished = x->scan.finished + (x->scan.running ? 1 : 0);
	pthread_mutex_unlock(&x->scan.lock);
	return finished;
}

int scan_consult(struct worker *w, uint64_t finished)
{
	struct scan *scan = &w->x->scan;
	struct timespec until;
	uint64_t end = clock_ns() + WAIT_MS * 1000000ULL;
	int ret = -ENOMEM;

	if (!scan->started)
		return -ESTALE;
	until.tv_sec = (time_t)(end / 1000000000);
	until.tv_nsec = (long)(end % 1000000000);
	pthread_mutex_lock(&scan->lock);
	if (scan->finished <= finished) {
		scan->wanted = true;
		pthread_cond_broadcast(&scan->changed);
	}
	if (!w->may_wait && scan->finished <= finished) {
		w->would_wait = true;
	} else if (scan->waiting < WAITING_MAX) {
		scan->waiting++;
		while (!scan->stop && scan->finished <= finished && clock_ns() < end)
			pthread_cond_timedwait(&scan->changed, &scan->lock, &until);
		scan->waiting--;
	}
	if (scan->finished > finished)
		ret = 0;
	else if (scan->running || (scan->wanted && !scan->failed))
		ret = -EINPROGRESS; /* one that is due may have to wait for its time: longer than a minute, in a large share */
	pthread_mutex_unlock(&scan->lock);
	return ret;
}
