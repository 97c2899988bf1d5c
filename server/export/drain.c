/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drain.c - the drainer's thread: when it works, how it waits, what it says. Its work is drain_desk.c's.
 *
 * One thread for each daemon. It always begins at ring_drained(), and moves that on after the commit:
 * who dies in between leaves records that the next one applies again, which changes nothing.
 *
 * The office is an OFD lock: the kernel takes it from a dead process. It is kept until the drainer
 * stops. Who has none looks whether it is free, often while something waits to be drained, once a
 * second while nothing does.
 *
 * Between batches it sees to the map: rows under a new sealing key, and rows of older root generations
 * thrown out, a step at a time (map_reseal.c).
 *
 * `lock` guards stop, deadline, the readers' table and the stats; it is never held while SQLite works,
 * but for giving back snapshots.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "export/drain_private.h"

#define LINGER_MS 60u			   /* a batch may form in: each page is written once */
#define LINGER_BYTES ((uint64_t)512 << 10) /* unless as much as this waits already */
#define IDLE_MS 1000u
#define OFFICE_POLL_MS 75u
#define BACKOFF_MIN_MS 10u
#define BACKOFF_MAX_MS 1000u
#define RELAX_AGE_MS 200u
#define RELAX_EVERY_MS 50u
#define COMPLAIN_EVERY_S 60u
#define NICE 10
#define NS_PER_MS 1000000ull

struct drain {
	struct desk desk; /* the thread's alone while it runs */
	struct map *map;
	bool strict;
	uint64_t relaxed_ns;
	int complained; /* the error that was logged last; 0: none since all was well */
	uint64_t complained_ns;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	uint64_t deadline_ns; /* for what is left when stopping */
	uint64_t upkeep_ns;   /* not before, after a failure; the thread's alone */
	struct map_reader *readers[DRAIN_READERS_MAX];
	struct drain_stats stats;
};

/* --- the thread --------------------------------------------------------------------------------- */

static bool drain_stopping(struct drain *d)
{
	bool stop;

	(void)pthread_mutex_lock(&d->lock);
	stop = d->stop;
	(void)pthread_mutex_unlock(&d->lock);
	return stop;
}

/* Sleeps, until drain_stop() at most. */
static void drain_pause(struct drain *d, unsigned ms)
{
	uint64_t until = clock_ns() + ms * NS_PER_MS;
	struct timespec ts = { .tv_sec = (time_t)(until / (1000 * NS_PER_MS)),
			       .tv_nsec = (long)(until % (1000 * NS_PER_MS)) };

	(void)pthread_mutex_lock(&d->lock);
	while (!d->stop && pthread_cond_timedwait(&d->wake, &d->lock, &ts) == 0)
		;
	(void)pthread_mutex_unlock(&d->lock);
}

/* Lets the WAL be taken in: gives back what this process's readers left standing. */
static void drain_relax(struct drain *d)
{
	uint64_t now = clock_ns();

	if (now - d->relaxed_ns < RELAX_EVERY_MS * NS_PER_MS)
		return;
	d->relaxed_ns = now;
	(void)pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < DRAIN_READERS_MAX; i++)
		if (d->readers[i])
			map_reader_relax(d->readers[i], RELAX_AGE_MS);
	(void)pthread_mutex_unlock(&d->lock);
}

/* One line when it begins to fail, when the reason changes, each minute, and when it is over. */
static void drain_complain(struct drain *d, int err)
{
	uint64_t now = clock_ns();

	if (!err) {
		if (d->complained)
			log_info("map %s: records are taken in again", d->desk.name);
		d->complained = 0;
		return;
	}
	if (d->complained == err && now - d->complained_ns < COMPLAIN_EVERY_S * 1000 * NS_PER_MS)
		return;
	d->complained = err;
	d->complained_ns = now;
	log_warn("map %s: cannot take records in: %s; they wait in the ring, trying again",
		 d->desk.name, strerror(-err));
}

static void drain_account(struct drain *d, int result, const struct tally *t)
{
	(void)pthread_mutex_lock(&d->lock);
	d->stats.office = d->desk.office;
	if (result > 0) {
		d->stats.drained += t->records;
		d->stats.dropped += t->dropped;
		d->stats.damaged += t->damaged;
		d->stats.last_error = 0;
	} else if (result < 0) {
		d->stats.failures++;
		d->stats.last_error = result;
	}
	(void)pthread_mutex_unlock(&d->lock);
	if (result)
		drain_complain(d, result < 0 ? result : 0);
}

/* A batch with all that belongs to it; gives what desk_batch() gave. */
static int drain_step(struct drain *d)
{
	struct tally t;
	int result = desk_batch(&d->desk, &t);

	/* Revoked, and our daemon has not had a request since: another one that has must not wait for that. */
	if (result == -ESTALE)
		desk_retire(&d->desk);
	drain_account(d, result, &t);
	if (result > 0) {
		int err = map_checkpoint(d->desk.writer);

		/* Readers in the way, or no room: nothing is lost, the next batch tries again. */
		if (err)
			log_limited(LOG_LEVEL_DEBUG, "map %s: checkpoint: %s", d->desk.name,
				    strerror(-err));
	}
	return result;
}

/* Is there more to see to? A failure is tried again when the next second is over. */
static bool drain_upkeep(struct drain *d)
{
	uint64_t rows = 0;
	int ret;

	if (clock_ns() < d->upkeep_ns)
		return false;
	ret = desk_upkeep(&d->desk, d->map, &rows);
	if (d->desk.resealing && d->desk.sealed_by) {
		log_info("map %s: everything is sealed with key %u", d->desk.name,
			 d->desk.sealed_by);
		d->desk.resealing = false;
	}
	if (rows)
		(void)ring_shared_add(d->desk.ring, RING_RESEALED, rows);
	if (ret < 0) {
		log_limited(LOG_LEVEL_WARN, "map %s: cannot be sealed anew or swept: %s",
			    d->desk.name, strerror(-ret));
		d->upkeep_ns = clock_ns() + IDLE_MS * NS_PER_MS;
	} else if (ret > 0) {
		(void)map_checkpoint(d->desk.writer); /* what fails is in the WAL all the same */
	}
	return ret > 0;
}

static unsigned backoff_next(unsigned ms)
{
	return ms * 2 < BACKOFF_MAX_MS ? ms * 2 : BACKOFF_MAX_MS;
}

static void drain_serve(struct drain *d)
{
	struct desk *k = &d->desk;
	unsigned backoff = BACKOFF_MIN_MS;

	while (!drain_stopping(d)) {
		bool more;

		drain_relax(d);
		/* Whoever has the office: a rotation is to be known here before rows are met. */
		(void)map_active_key(d->map);
		if (!desk_take_office(k)) {
			if (desk_has_work(k))
				drain_pause(d, OFFICE_POLL_MS);
			else
				ring_wait_work(k->ring, IDLE_MS);
			continue;
		}
		more = drain_upkeep(d);
		if (!desk_has_work(k)) {
			drain_account(d, 0, NULL);
			if (!more)
				ring_wait_work(k->ring, IDLE_MS);
		}
		if (!d->strict && ring_tail(k->ring) - ring_drained(k->ring) < LINGER_BYTES &&
		    desk_has_work(k))
			drain_pause(d, LINGER_MS);
		if (drain_step(d) >= 0) {
			backoff = BACKOFF_MIN_MS;
			continue;
		}
		drain_pause(d, backoff);
		backoff = backoff_next(backoff);
	}
}

/* What was in the ring when the stop came, within the deadline. */
static void drain_rest(struct drain *d)
{
	struct desk *k = &d->desk;
	uint64_t target = ring_tail(k->ring);
	unsigned backoff = BACKOFF_MIN_MS;
	int result = 0;

	/* Without the helper that has the keys nothing can be done any more: it waits for the next daemon. */
	while (ring_drained(k->ring) < target && clock_ns() < d->deadline_ns &&
	       result != -EOWNERDEAD) {
		if (!desk_take_office(k)) {
			(void)ring_wait_drained(k->ring, target, BACKOFF_MIN_MS);
		} else if ((result = drain_step(d)) < 0) {
			struct timespec ts = { .tv_nsec =
						       (long)(backoff * NS_PER_MS % 1000000000u) };

			(void)nanosleep(&ts, NULL);
			backoff = backoff_next(backoff) < BACKOFF_MAX_MS ? backoff_next(backoff)
									 : backoff;
		}
	}
}

static void *drain_main(void *arg)
{
	struct drain *d = arg;

	/*
	 * What waits in the ring is safe there: whoever serves requests goes first. But with strict durability they wait
	 * for us. (On Linux a thread has a nice value of its own.)
	 */
	if (!d->strict)
		(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	drain_serve(d);
	drain_rest(d);
	return NULL;
}

/* --- from outside ------------------------------------------------------------------------------- */

static int drain_sync_init(struct drain *d)
{
	pthread_condattr_t attr;
	int err = pthread_condattr_init(&attr);

	if (err)
		return -err;
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!err)
		err = pthread_cond_init(&d->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (err)
		return -err;
	err = pthread_mutex_init(&d->lock, NULL);
	if (err)
		(void)pthread_cond_destroy(&d->wake);
	return -err;
}

static void drain_free(struct drain *d)
{
	(void)pthread_mutex_destroy(&d->lock);
	(void)pthread_cond_destroy(&d->wake);
	free(d);
}

/* Signals are for the thread that started us. */
static int start_thread(struct drain *d)
{
	sigset_t all, old;
	int err;

	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS); /* a system call that the sandbox refuses */
	err = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (err)
		return -err;
	err = pthread_create(&d->thread, NULL, drain_main, d);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int drain_start(struct map *m, struct ring *r, int statedir, struct drain **out)
{
	struct drain *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	err = drain_sync_init(d);
	if (err) {
		free(d);
		return err;
	}
	d->strict = map_strict(m);
	d->map = m;
	err = desk_open(&d->desk, m, r, statedir);
	if (err)
		goto err_free;
	err = start_thread(d);
	if (err)
		goto err_desk;
	*out = d;
	return 0;
err_desk:
	desk_close(&d->desk);
err_free:
	drain_free(d);
	return err;
}

int drain_stop(struct drain *d, unsigned timeout_ms)
{
	uint64_t target;
	int err;

	if (!d)
		return 0;
	target = ring_tail(d->desk.ring);
	(void)pthread_mutex_lock(&d->lock);
	d->deadline_ns = clock_ns() + timeout_ms * NS_PER_MS;
	d->stop = true;
	(void)pthread_cond_broadcast(&d->wake);
	(void)pthread_mutex_unlock(&d->lock);
	ring_wake(d->desk.ring);
	err = pthread_join(d->thread, NULL);
	assert(!err);
	err = ring_drained(d->desk.ring) < target ? -ETIMEDOUT : 0;
	desk_close(&d->desk);
	drain_free(d);
	return err;
}

int drain_register(struct drain *d, struct map_reader *r)
{
	int err = -ENOSPC;

	(void)pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < DRAIN_READERS_MAX && err; i++) {
		if (d->readers[i])
			continue;
		d->readers[i] = r;
		err = 0;
	}
	(void)pthread_mutex_unlock(&d->lock);
	return err;
}

void drain_unregister(struct drain *d, struct map_reader *r)
{
	(void)pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < DRAIN_READERS_MAX; i++)
		if (d->readers[i] == r)
			d->readers[i] = NULL;
	(void)pthread_mutex_unlock(&d->lock);
}

void drain_stats(struct drain *d, struct drain_stats *out)
{
	(void)pthread_mutex_lock(&d->lock);
	*out = d->stats;
	(void)pthread_mutex_unlock(&d->lock);
}

int drain_reseal(struct map *m, struct ring *r, int statedir, drain_progress_fn *progress,
		 void *arg)
{
	struct desk k;
	int err = desk_open(&k, m, r, statedir);

	if (err)
		return err;
	if (!desk_take_office(&k))
		err = -EBUSY;
	while (!err && k.sealed_by != map_active_key(m)) {
		uint64_t rows;

		err = desk_upkeep(&k, m, &rows);
		if (err < 0)
			break;
		if (r && rows)
			(void)ring_shared_add(r, RING_RESEALED, rows);
		(void)map_checkpoint(k.writer); /* what fails here is in the WAL all the same */
		err = progress(arg, rows);
	}
	desk_close(&k);
	return err;
}

int drain_once(struct map *m, struct ring *r, int statedir)
{
	struct tally t;
	struct desk k;
	int err = desk_open(&k, m, r, statedir);

	if (err)
		return err;
	if (!desk_take_office(&k))
		err = -EBUSY;
	while (!err) {
		err = desk_batch(&k, &t);
		if (err <= 0)
			break;
		(void)map_checkpoint(k.writer); /* what fails here is in the WAL all the same */
		err = 0;
	}
	desk_close(&k);
	return err;
}
