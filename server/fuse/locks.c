/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * locks.c - descriptors that hold the guest's locks, and the threads that wait for locks.
 *
 * One mutex guards all lists; nobody sleeps in fcntl() or flock() with it held. A descriptor lives
 * while it is in the table or a request uses it. A thread that waits is woken by a signal with an empty
 * handler (SIGURG: ignored where nobody handles it). Between its look at `interrupted` and the system
 * call the signal is lost, so whoever interrupts repeats it until the thread has left the call.
 *
 * Called by all threads that serve requests; lock_waiter() is the threads of our own.
 */
#include "fuse/locks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/util.h"

#define LOCK_SIGNAL SIGURG
#define BUCKETS 1024 /* a power of two */
#define EARLY_MAX 16 /* interrupts remembered that found nobody */
#define REPEAT_NS 1000000
#define WAITER_STACK ((size_t)256 * 1024)

struct lock {
	struct lock_key key;
	uint64_t fh; /* the one that locked last */
	int fd;
	unsigned refs; /* being in the table is one */
	struct lock *next;
};

struct waiter {
	struct lock_table *table;
	struct lock_wait wait;
	pthread_t thread;
	bool running; /* `thread` is set */
	bool interrupted;
	bool left; /* is out of the system call for good */
	struct waiter *next;
};

struct lock_table {
	unsigned max;
	atomic_uint count; /* locks in the buckets; read without the mutex */
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* a waiter left or went */
	struct lock *buckets[BUCKETS];
	struct waiter *waiters;
	unsigned waiting;
	uint64_t early[EARLY_MAX];
	unsigned early_next;
};

static void on_signal(int signal_number)
{
	(void)signal_number;
}

int lock_table_new(unsigned max, struct lock_table **out)
{
	struct sigaction action = { .sa_handler = on_signal }; /* without SA_RESTART */
	struct lock_table *table;
	pthread_condattr_t attr;

	if (max == 0)
		return -EINVAL;
	if (sigaction(LOCK_SIGNAL, &action, NULL) != 0)
		return -errno;
	table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	table->max = max;
	pthread_mutex_init(&table->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&table->changed, &attr);
	pthread_condattr_destroy(&attr);
	*out = table;
	return 0;
}

void lock_table_free(struct lock_table *table)
{
	if (!table)
		return;
	lock_table_clear(table);
	pthread_cond_destroy(&table->changed);
	pthread_mutex_destroy(&table->mutex);
	free(table);
}

unsigned lock_table_count(const struct lock_table *table)
{
	return atomic_load_explicit(&table->count, memory_order_acquire);
}

int lock_fd(const struct lock *lock)
{
	return lock->fd;
}

static struct lock **bucket_of(struct lock_table *table, nodeid_t nodeid)
{
	return &table->buckets[(nodeid.v ^ nodeid.v >> 32) & (BUCKETS - 1)];
}

/* With the mutex held. Gives the lock back if it must be closed, after the mutex. */
static struct lock *lock_unref(struct lock *lock)
{
	return --lock->refs == 0 ? lock : NULL;
}

/* Closes a list of locks that nobody refers to any more; without the mutex: close() may take long. */
static void locks_close(struct lock *list)
{
	while (list) {
		struct lock *next = list->next;

		fd_close(list->fd);
		free(list);
		list = next;
	}
}

/* ---- descriptors ----------------------------------------------------------------------------------- */

static struct lock *lock_find(struct lock_table *table, struct lock_key key)
{
	struct lock *lock = *bucket_of(table, key.nodeid);

	while (lock &&
	       !(nodeid_equal(lock->key.nodeid, key.nodeid) && lock->key.owner == key.owner))
		lock = lock->next;
	return lock;
}

/* A reference to what is in the table, or NULL. */
static struct lock *lock_find_ref(struct lock_table *table, struct lock_key key, uint64_t fh)
{
	struct lock *lock;

	pthread_mutex_lock(&table->mutex);
	lock = lock_find(table, key);
	if (lock) {
		lock->refs++;
		lock->fh = fh;
	}
	pthread_mutex_unlock(&table->mutex);
	return lock;
}

/* Enters `made`, with a reference for the caller; or takes the one that another thread entered first. */
static int lock_enter(struct lock_table *table, struct lock *made, struct lock **out)
{
	struct lock *there;
	int error = 0;

	pthread_mutex_lock(&table->mutex);
	there = lock_find(table, made->key);
	if (there) {
		there->refs++;
		*out = there;
	} else if (atomic_load(&table->count) >= table->max) {
		error = -ENOLCK;
	} else {
		struct lock **bucket = bucket_of(table, made->key.nodeid);

		made->refs = 2;
		made->next = *bucket;
		*bucket = made;
		atomic_fetch_add(&table->count, 1);
		*out = made;
	}
	pthread_mutex_unlock(&table->mutex);
	return error;
}

int lock_get(struct lock_table *table, struct lock_key key, uint64_t fh, lock_open_fn *open,
	     void *arg, struct lock **out)
{
	struct lock *made;
	int error, fd;

	*out = lock_find_ref(table, key, fh);
	if (*out || !open)
		return 0;
	if (lock_table_count(table) >= table->max)
		return -ENOLCK;
	fd = open(arg);
	if (fd < 0)
		return fd;
	made = calloc(1, sizeof(*made));
	if (!made) {
		fd_close(fd);
		return -ENOMEM;
	}
	made->key = key;
	made->fh = fh;
	made->fd = fd;
	error = lock_enter(table, made, out);
	if (error || *out != made)
		locks_close(made);
	return error;
}

void lock_put(struct lock_table *table, struct lock *lock)
{
	struct lock *gone;

	if (!lock)
		return;
	pthread_mutex_lock(&table->mutex);
	gone = lock_unref(lock);
	pthread_mutex_unlock(&table->mutex);
	if (gone) {
		gone->next = NULL;
		locks_close(gone);
	}
}

/*
 * Gives up all that was locked by a descriptor; the descriptor stays. With the mutex held: neither call waits.
 */
static void lock_release(const struct lock *lock)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	(void)fcntl(lock->fd, F_OFD_SETLK, &all);
	(void)flock(lock->fd, LOCK_UN | LOCK_NB);
}

/*
 * Takes what matches out of one bucket: owner NULL, by fh; both NULL, all. One that is in use, by a thread of its owner that
 * waits, say, while another closes the file, loses its locks and stays where the owner's next close finds it: else what that thread
 * gets would go with the last reference, at once. It is no fh's any more: one that is released later, by a child that had
 * inherited it, is of what was before.
 */
static struct lock *bucket_drop(struct lock_table *table, struct lock **link,
				const nodeid_t *nodeid, const uint64_t *owner, const uint64_t *fh)
{
	struct lock *gone = NULL;

	while (*link) {
		struct lock *lock = *link;

		if ((nodeid && !nodeid_equal(lock->key.nodeid, *nodeid)) ||
		    (owner && lock->key.owner != *owner) || (fh && lock->fh != *fh)) {
			link = &lock->next;
			continue;
		}
		if (nodeid && lock->refs > 1) {
			lock_release(lock);
			lock->fh = 0;
			link = &lock->next;
			continue;
		}
		*link = lock->next;
		atomic_fetch_sub(&table->count, 1);
		if (lock_unref(lock)) {
			lock->next = gone;
			gone = lock;
		}
	}
	return gone;
}

void lock_drop_owner(struct lock_table *table, struct lock_key key)
{
	struct lock *gone;

	if (lock_table_count(table) == 0)
		return;
	pthread_mutex_lock(&table->mutex);
	gone = bucket_drop(table, bucket_of(table, key.nodeid), &key.nodeid, &key.owner, NULL);
	pthread_mutex_unlock(&table->mutex);
	locks_close(gone);
}

void lock_drop_fh(struct lock_table *table, nodeid_t nodeid, uint64_t fh)
{
	struct lock *gone;

	if (lock_table_count(table) == 0)
		return;
	pthread_mutex_lock(&table->mutex);
	gone = bucket_drop(table, bucket_of(table, nodeid), &nodeid, NULL, &fh);
	pthread_mutex_unlock(&table->mutex);
	locks_close(gone);
}

void lock_table_clear(struct lock_table *table)
{
	lock_table_stop(table, NULL);
	/* The next session counts its requests from the beginning again. */
	pthread_mutex_lock(&table->mutex);
	memset(table->early, 0, sizeof(table->early));
	pthread_mutex_unlock(&table->mutex);
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct lock *gone;

		pthread_mutex_lock(&table->mutex);
		gone = bucket_drop(table, &table->buckets[i], NULL, NULL, NULL);
		pthread_mutex_unlock(&table->mutex);
		locks_close(gone);
	}
}

/* ---- locking --------------------------------------------------------------------------------------- */

static int lock_call(const struct lock *lock, const struct lock_op *op, bool wait)
{
	int result;

	if (op->is_flock) {
		result = flock(lock->fd, op->flock_op | (wait ? 0 : LOCK_NB));
	} else {
		struct flock range = op->range;

		result = fcntl(lock->fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &range);
	}
	if (result == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno; /* fcntl(2) may say either */
}

int lock_try(const struct lock *lock, const struct lock_op *op)
{
	return lock_call(lock, op, false);
}

/* Waits until the lock is had or the waiter interrupted. */
static int waiter_lock(struct waiter *w)
{
	for (;;) {
		bool interrupted;
		int error;

		pthread_mutex_lock(&w->table->mutex);
		interrupted = w->interrupted;
		pthread_mutex_unlock(&w->table->mutex);
		if (interrupted)
			return -EINTR;
		error = lock_call(w->wait.lock, &w->wait.op, true);
		if (error != -EINTR)
			return error;
	}
}

static void waiter_unlink(struct lock_table *table, struct waiter *w)
{
	struct waiter **link = &table->waiters;

	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	table->waiting--;
}

/* The thread of one waiter. Answers before it leaves the list, so that lock_table_stop() can rely on it. */
static void *lock_waiter(void *arg)
{
	struct waiter *w = arg;
	struct lock_table *table = w->table;
	sigset_t only_ours;
	int error;

	sigemptyset(&only_ours);
	sigaddset(&only_ours, LOCK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &only_ours, NULL);
	pthread_mutex_lock(&table->mutex);
	w->thread = pthread_self();
	w->running = true;
	pthread_mutex_unlock(&table->mutex);

	error = waiter_lock(w);

	pthread_mutex_lock(&table->mutex);
	w->left = true;
	pthread_cond_broadcast(&table->changed);
	pthread_mutex_unlock(&table->mutex);
	lock_put(table, w->wait.lock);
	w->wait.done(w->wait.arg, error);

	pthread_mutex_lock(&table->mutex);
	waiter_unlink(table, w);
	pthread_cond_broadcast(&table->changed);
	pthread_mutex_unlock(&table->mutex);
	free(w);
	return NULL;
}

/* Was `unique` interrupted before it came here? With the mutex held. */
static bool early_take(struct lock_table *table, uint64_t unique)
{
	for (unsigned i = 0; i < EARLY_MAX; i++) {
		if (table->early[i] == unique && unique != 0) {
			table->early[i] = 0;
			return true;
		}
	}
	return false;
}

/* A detached thread in which all signals but ours are left to others. */
static int waiter_thread(struct waiter *w)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int error;

	error = pthread_attr_init(&attr);
	if (error)
		return -ENOLCK;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, WAITER_STACK);
	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	sigdelset(&all, SIGBUS); /* it answers into a guest's memory */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&thread, &attr, lock_waiter, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return error ? -ENOLCK : 0;
}

int lock_wait_start(struct lock_table *table, const struct lock_wait *wait)
{
	struct waiter *w = calloc(1, sizeof(*w));
	int error = 0;

	if (!w)
		return -ENOLCK;
	w->table = table;
	w->wait = *wait;
	pthread_mutex_lock(&table->mutex);
	if (early_take(table, wait->unique))
		error = -EINTR;
	else if (table->waiting >= LOCK_THREADS_MAX)
		error = -ENOLCK;
	else
		error = waiter_thread(w); /* it begins with our mutex */
	if (!error) {
		w->next = table->waiters;
		table->waiters = w;
		table->waiting++;
	}
	pthread_mutex_unlock(&table->mutex);
	if (error)
		free(w);
	return error;
}

/* ---- interrupting ---------------------------------------------------------------------------------- */

/* Marks a waiter and wakes it if it can be; with the mutex held. */
static void waiter_wake(struct waiter *w)
{
	w->interrupted = true;
	if (w->running && !w->left)
		pthread_kill(w->thread, LOCK_SIGNAL);
}

/* Sleeps until a waiter has changed, or it is time to send the signal again. */
static void changed_wait(struct lock_table *table)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += REPEAT_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	(void)pthread_cond_timedwait(&table->changed, &table->mutex, &until);
}

static struct waiter *waiter_find(struct lock_table *table, uint64_t unique)
{
	struct waiter *w = table->waiters;

	while (w && (w->wait.unique != unique || w->left))
		w = w->next;
	return w;
}

void lock_table_interrupt(struct lock_table *table, uint64_t unique)
{
	struct waiter *w;

	pthread_mutex_lock(&table->mutex);
	w = waiter_find(table, unique);
	if (!w) {
		table->early[table->early_next] = unique;
		table->early_next = (table->early_next + 1) % EARLY_MAX;
	}
	for (; w; w = waiter_find(table, unique)) {
		waiter_wake(w);
		changed_wait(table);
	}
	pthread_mutex_unlock(&table->mutex);
}

void lock_table_stop(struct lock_table *table, const void *group)
{
	bool some;

	pthread_mutex_lock(&table->mutex);
	do {
		some = false;
		for (struct waiter *w = table->waiters; w; w = w->next) {
			if (!group || w->wait.group == group) {
				waiter_wake(w);
				some = true;
			}
		}
		if (some)
			changed_wait(table);
	} while (some);
	pthread_mutex_unlock(&table->mutex);
}
