/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_wait.c - sleeping and waking over the ring, and the numbers that daemons share.
 *
 * A sleeper raises its flag, looks once more whether there is a reason to stay awake, and sleeps on a
 * sequence number; a waker changes the state, then looks at the flag. Sequential consistency makes one
 * of the two see the other. Who finds no flag makes no system call: so an append costs none while the
 * drainer is awake. The futexes are process-shared. What stands in the file can only wake us too often
 * or let us sleep to the end of the given time.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/util.h"
#include "export/ring_private.h"

#define NS_PER_MS 1000000ull

/* Sleeps while *word is `seen`, until `deadline` (clock_ns()) at most. */
static void futex_sleep(uint32_t *word, uint32_t seen, uint64_t deadline)
{
	uint64_t now = clock_ns();
	struct timespec left;

	if (now >= deadline)
		return;
	left.tv_sec = (time_t)((deadline - now) / (1000 * NS_PER_MS));
	left.tv_nsec = (long)((deadline - now) % (1000 * NS_PER_MS));
	/* Every outcome (woken, changed, timeout, signal) is met by looking again. */
	(void)syscall(SYS_futex, word, FUTEX_WAIT, seen, &left, NULL, 0);
}

static void futex_wake_all(uint32_t *word)
{
	(void)__atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
	(void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Wakes the sleepers of `seq`, if one has raised `flag` since the last time. */
static void notify(uint32_t *seq, uint32_t *flag)
{
	if (__atomic_load_n(flag, __ATOMIC_SEQ_CST) &&
	    __atomic_exchange_n(flag, 0, __ATOMIC_SEQ_CST))
		futex_wake_all(seq);
}

void ring_notify_work(struct ring *r)
{
	notify(&r->header->work_seq, &r->header->work_sleeping);
}

void ring_set_drained(struct ring *r, uint64_t position)
{
	uint64_t seen = shared_load(&r->header->drained);

	/* Only forward, and never past what was appended, whatever the caller was told. */
	if (position > shared_load(&r->header->tail))
		return;
	while (seen < position &&
	       !__atomic_compare_exchange_n(&r->header->drained, &seen, position, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	notify(&r->header->drained_seq, &r->header->drained_waiting);
}

int ring_wait_drained(struct ring *r, uint64_t position, unsigned timeout_ms)
{
	uint64_t deadline = clock_ns() + timeout_ms * NS_PER_MS;

	for (;;) {
		uint32_t seq = __atomic_load_n(&r->header->drained_seq, __ATOMIC_SEQ_CST);

		__atomic_store_n(&r->header->drained_waiting, 1, __ATOMIC_SEQ_CST);
		if (shared_load(&r->header->drained) >= position)
			return 0;
		if (clock_ns() >= deadline)
			return -ETIMEDOUT;
		futex_sleep(&r->header->drained_seq, seq, deadline);
	}
}

void ring_wait_work(struct ring *r, unsigned timeout_ms)
{
	uint64_t deadline = clock_ns() + timeout_ms * NS_PER_MS;

	do {
		uint32_t seq = __atomic_load_n(&r->header->work_seq, __ATOMIC_SEQ_CST);

		__atomic_store_n(&r->header->work_sleeping, 1, __ATOMIC_SEQ_CST);
		/* The flag stays up: another process may sleep by it. It costs one wake too many. */
		if (__atomic_exchange_n(&r->woken, 0, __ATOMIC_SEQ_CST) ||
		    ring_tail(r) != ring_drained(r))
			return;
		futex_sleep(&r->header->work_seq, seq, deadline);
	} while (clock_ns() < deadline);
}

void ring_wake(struct ring *r)
{
	__atomic_store_n(&r->woken, 1, __ATOMIC_SEQ_CST);
	futex_wake_all(&r->header->work_seq);
}

uint64_t ring_shared_get(const struct ring *r, enum ring_shared which)
{
	return shared_load(&r->header->shared[which]);
}

void ring_shared_set(struct ring *r, enum ring_shared which, uint64_t value)
{
	shared_store(&r->header->shared[which], value);
}

void ring_shared_settle(struct ring *r, enum ring_shared which, uint64_t expected)
{
	(void)__atomic_compare_exchange_n(&r->header->shared[which], &expected, 0, false,
					  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

uint64_t ring_shared_add(struct ring *r, enum ring_shared which, uint64_t add)
{
	return __atomic_add_fetch(&r->header->shared[which], add, __ATOMIC_SEQ_CST);
}
