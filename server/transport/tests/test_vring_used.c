/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vring_used.c - chains given back, by one thread and by several; kicks and notifications;
 * rings whose memory goes away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "driver.h"

#define RING 8

static struct vring_chain chain;

/* A ring whose every descriptor is a chain of 16 readable bytes. */
static void open_simple(struct driver *d, unsigned size)
{
	driver_open(d, size);
	for (unsigned i = 0; i < size; i++)
		desc_set(&d->desc[i], DATA + 16 * (i % 1024), 16, 0, 0);
}

/* Makes a head available and takes it. */
static void take(struct driver *d, unsigned head)
{
	driver_add(d, head);
	assert_int_equal(vring_pop(d->ring, &chain), 1);
	assert_int_equal(chain.head, head);
}

/* --- giving back --- */

static void test_what_is_given_back_is_in_the_used_ring(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_start(&d);
	take(&d, 5);
	take(&d, 2);
	assert_int_equal(driver_used_idx(&d), 0);
	vring_push(d.ring, 2, 4711);
	assert_int_equal(driver_used_idx(&d), 1);
	assert_int_equal(le32toh(d.used->ring[0].id), 2);
	assert_int_equal(le32toh(d.used->ring[0].len), 4711);
	assert_int_equal(vring_in_flight(d.ring), 1);
	vring_push(d.ring, 5, UINT32_MAX);
	assert_int_equal(driver_used_idx(&d), 2);
	assert_int_equal(le32toh(d.used->ring[1].id), 5);
	assert_int_equal(le32toh(d.used->ring[1].len), UINT32_MAX);
	assert_int_equal(vring_in_flight(d.ring), 0);
	driver_close(&d);
}

static void test_a_head_in_flight_is_refused_until_it_is_back(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_start(&d);
	take(&d, 3);
	driver_add(&d, 3);
	assert_int_equal(vring_pop(d.ring, &chain), -EPROTO);
	assert_int_equal(vring_in_flight(d.ring), 1);
	vring_push(d.ring, 3, 0);
	take(&d, 3);
	driver_close(&d);
}

static void test_a_head_is_given_back_once(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_start(&d);
	take(&d, 3);
	vring_push(d.ring, 3, 1);
	vring_push(d.ring, 3, 2);
	vring_push(d.ring, 4, 3);
	assert_int_equal(driver_used_idx(&d), 1);
	assert_int_equal(vring_in_flight(d.ring), 0);
	driver_close(&d);
}

/* Through 65536 and beyond, with one descriptor and with several. */
static void test_indices_wrap_around(void **state)
{
	static const unsigned sizes[] = { 1, 4, 256 };

	(void)state;
	for (unsigned s = 0; s < ARRAY_LEN(sizes); s++) {
		unsigned size = sizes[s];
		struct driver d;

		open_simple(&d, size);
		driver_base(&d, 60000);
		driver_start(&d);
		for (unsigned i = 0; i < 70000; i++) {
			uint16_t at = driver_used_idx(&d);

			take(&d, i % size);
			vring_push(d.ring, chain.head, i);
			assert_int_equal((uint16_t)(60000 + i), at);
			assert_int_equal(le32toh(d.used->ring[at % size].id), i % size);
			assert_int_equal(le32toh(d.used->ring[at % size].len), i);
		}
		assert_int_equal(driver_used_idx(&d), (uint16_t)(60000 + 70000));
		assert_int_equal(vring_base(d.ring), (uint16_t)(60000 + 70000));
		driver_close(&d);
	}
}

static void test_the_largest_ring_may_be_in_flight_as_a_whole(void **state)
{
	const unsigned size = VRING_SIZE_MAX;
	struct driver d;

	(void)state;
	open_simple(&d, size);
	driver_base(&d, 50000);
	driver_start(&d);
	for (unsigned i = 0; i < size; i++)
		driver_add(&d, (i * 7) % size);
	for (unsigned i = 0; i < size; i++) {
		assert_int_equal(vring_pop(d.ring, &chain), 1);
		assert_int_equal(chain.head, (i * 7) % size);
	}
	assert_int_equal(vring_pop(d.ring, &chain), 0);
	assert_int_equal(vring_in_flight(d.ring), size);
	for (unsigned i = size; i-- > 0;)
		vring_push(d.ring, (uint16_t)i, i);
	assert_int_equal(driver_used_idx(&d), (uint16_t)(50000 + size));
	for (unsigned i = 0; i < size; i++)
		assert_int_equal(le32toh(d.used->ring[(50000 + i) % size].id), size - 1 - i);
	assert_int_equal(vring_in_flight(d.ring), 0);
	driver_close(&d);
}

/* --- several threads --- */

#define MANY 4096
#define TURNS 300

struct giver {
	struct vring *ring;
	unsigned first; /* gives first, first + 2, ... */
	atomic_uint *turn, *done;
};

/* They begin at the same moment: no sleep, from which one would wake when the other is through. */
static void *give(void *arg)
{
	const struct giver *g = arg;

	for (unsigned turn = 1; turn <= TURNS; turn++) {
		while (atomic_load(g->turn) != turn)
			continue;
		for (unsigned i = g->first; i < MANY; i += 2)
			vring_push(g->ring, (uint16_t)i, i + turn);
		atomic_fetch_add(g->done, 1);
	}
	return NULL;
}

static void check_turn(const struct driver *d, unsigned turn)
{
	bool seen[MANY] = { false };

	assert_int_equal(driver_used_idx(d), (uint16_t)(turn * MANY));
	for (unsigned i = 0; i < MANY; i++) {
		uint32_t id = le32toh(d->used->ring[i].id);

		assert_true(id < MANY);
		assert_false(seen[id]);
		seen[id] = true;
		assert_int_equal(le32toh(d->used->ring[i].len), id + turn);
	}
	assert_int_equal(vring_in_flight(d->ring), 0);
}

static void test_two_threads_give_back_at_a_time(void **state)
{
	struct giver givers[2];
	pthread_t threads[2];
	atomic_uint begun = 0;
	atomic_uint done = 0;
	struct driver d;

	(void)state;
	open_simple(&d, MANY);
	driver_start(&d);
	for (unsigned i = 0; i < 2; i++) {
		givers[i] =
			(struct giver){ .ring = d.ring, .first = i, .turn = &begun, .done = &done };
		assert_int_equal(pthread_create(&threads[i], NULL, give, &givers[i]), 0);
	}
	for (unsigned turn = 1; turn <= TURNS; turn++) {
		for (unsigned i = 0; i < MANY; i++)
			take(&d, i);
		atomic_store(&begun, turn);
		while (atomic_load(&done) != 2 * turn)
			(void)usleep(100);
		check_turn(&d, turn);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	driver_close(&d);
}

struct popper {
	struct vring *ring;
	atomic_int result; /* 100: not yet */
};

static void *pop_once(void *arg)
{
	static struct vring_chain theirs;
	struct popper *p = arg;

	atomic_store(&p->result, vring_pop(p->ring, &theirs));
	return NULL;
}

/*
 * What vring_push() of another thread is at once it has moved the used index: under the lock, with
 * the head still busy.
 */
static void pop_during_push(struct driver *d, bool comes_to_its_end, int result)
{
	struct popper p = { .ring = d->ring, .result = 100 };
	struct timespec moment = { .tv_nsec = 20000000 };
	pthread_t thread;

	take(d, 0);
	driver_add(d, 0);
	pthread_mutex_lock(&d->ring->used_lock);
	assert_int_equal(pthread_create(&thread, NULL, pop_once, &p), 0);
	(void)nanosleep(&moment, NULL);
	assert_int_equal(atomic_load(&p.result), 100);
	if (comes_to_its_end)
		atomic_store(&d->ring->busy[0], false);
	pthread_mutex_unlock(&d->ring->used_lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(atomic_load(&p.result), result);
}

static void test_a_head_that_comes_back_at_once_waits_for_the_end_of_its_push(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_start(&d);
	pop_during_push(&d, true, 1);
	driver_close(&d);
	open_simple(&d, RING);
	driver_start(&d);
	pop_during_push(&d, false, -EPROTO);
	driver_close(&d);
}

/* --- kicks --- */

static void test_kicks_are_asked_for_at_the_next_index(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_base(&d, 65535);
	driver_start(&d);
	assert_false(vring_enable_kicks(d.ring));
	assert_int_equal(le16toh(*d.avail_event), 65535);
	take(&d, 0);
	/* It stays behind: no index that comes now passes it. */
	vring_disable_kicks(d.ring);
	assert_int_equal(le16toh(*d.avail_event), 65535);
	assert_false(vring_enable_kicks(d.ring));
	assert_int_equal(le16toh(*d.avail_event), 0);
	driver_add(&d, 1);
	assert_true(vring_enable_kicks(d.ring));
	assert_int_equal(d.used->flags, 0);
	driver_close(&d);
}

static void test_without_event_index_kicks_have_a_flag(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	d.setup.event_idx = false;
	driver_start(&d);
	*d.avail_event = 0x5a5a;
	vring_disable_kicks(d.ring);
	assert_int_equal(le16toh(d.used->flags), VRING_USED_F_NO_NOTIFY);
	assert_false(vring_enable_kicks(d.ring));
	assert_int_equal(le16toh(d.used->flags), 0);
	vring_disable_kicks(d.ring);
	driver_add(&d, 0);
	assert_true(vring_enable_kicks(d.ring));
	assert_int_equal(*d.avail_event, 0x5a5a);
	driver_close(&d);
}

#define SLEEPS 200000

struct sleeper {
	struct driver *d;
	atomic_uint turn;     /* of the driver */
	atomic_uint answered; /* of the queue's thread */
	atomic_bool stop;
	bool has_work;
};

static void *sleeper_run(void *arg)
{
	struct sleeper *s = arg;

	for (unsigned turn = 1;; turn++) {
		while (atomic_load(&s->turn) != turn)
			if (atomic_load(&s->stop))
				return NULL;
		s->has_work = vring_enable_kicks(s->d->ring);
		atomic_store(&s->answered, turn);
	}
}

/*
 * The driver adds a chain while we go to sleep: it sees that we want a kick, or we see the chain.
 * Never neither.
 */
static void test_no_chain_is_missed_between_looking_and_sleeping(void **state)
{
	struct sleeper s = { .has_work = false };
	struct driver d;
	pthread_t thread;
	/* On a machine that is busy each turn may cost both a time slice. */
	uint64_t end = clock_ns() + 2000000000;

	(void)state;
	open_simple(&d, RING);
	driver_start(&d);
	s.d = &d;
	assert_int_equal(pthread_create(&thread, NULL, sleeper_run, &s), 0);
	for (unsigned turn = 1; turn <= SLEEPS && clock_ns() < end; turn++) {
		uint16_t event;
		uint16_t old = d.next;

		__atomic_store_n(d.avail_event, htole16((uint16_t)(old - 1)), __ATOMIC_SEQ_CST);
		atomic_store(&s.turn, turn);
		for (volatile unsigned i = 0; i < turn % 64; i++)
			continue;
		driver_add(&d, turn % RING);
		atomic_thread_fence(memory_order_seq_cst);
		event = le16toh(__atomic_load_n(d.avail_event, __ATOMIC_RELAXED));
		while (atomic_load(&s.answered) != turn)
			continue;
		assert_true(event == old || s.has_work);
		assert_int_equal(vring_pop(d.ring, &chain), 1);
		vring_push(d.ring, chain.head, 0);
	}
	atomic_store(&s.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	driver_close(&d);
}

/* --- notifications --- */

static void test_the_guest_is_notified_when_its_event_is_passed(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_base(&d, 65500);
	driver_start(&d);
	*d.used_event = htole16(65535);
	take(&d, 0);
	vring_push(d.ring, 0, 0);
	assert_true(vring_should_notify(d.ring)); /* the first: nothing is known yet */
	for (unsigned i = 0; i < 500; i++) {
		uint16_t old = driver_used_idx(&d);
		unsigned count = i % 4;
		uint16_t event = (uint16_t)(old - 5 + i * 7 % 11);
		bool passed = false;

		*d.used_event = htole16(event);
		for (unsigned k = 0; k < count; k++) {
			take(&d, k);
			vring_push(d.ring, (uint16_t)k, 0);
			passed = passed || (uint16_t)(old + k) == event;
		}
		assert_int_equal(vring_should_notify(d.ring), passed);
		assert_false(vring_should_notify(d.ring)); /* nothing new */
	}
	assert_int_equal(d.avail->flags, 0);
	driver_close(&d);
}

static void test_the_flag_says_nothing_with_event_index(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_start(&d);
	d.avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT);
	take(&d, 0);
	vring_push(d.ring, 0, 0);
	assert_true(vring_should_notify(d.ring));
	*d.used_event = htole16(1);
	take(&d, 0);
	vring_push(d.ring, 0, 0);
	assert_true(vring_should_notify(d.ring));
	driver_close(&d);
}

static void test_without_event_index_the_guest_has_a_flag(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	d.setup.event_idx = false;
	driver_start(&d);
	*d.used_event = htole16(20000);
	for (unsigned i = 0; i < 3; i++) {
		d.avail->flags = 0;
		take(&d, 0);
		vring_push(d.ring, 0, 0);
		assert_true(vring_should_notify(d.ring));
		d.avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT);
		take(&d, 0);
		vring_push(d.ring, 0, 0);
		assert_false(vring_should_notify(d.ring));
	}
	driver_close(&d);
}

/* --- memory that goes away --- */

static void test_a_ring_whose_memory_goes_away_is_noticed(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_start(&d);
	take(&d, 0);
	take(&d, 1);
	assert_false(guestmem_lost(d.memory));
	assert_int_equal(ftruncate(d.fd, 0), 0);
	vring_push(d.ring, 0, 0); /* writes */
	assert_true(guestmem_lost(d.memory));
	vring_push(d.ring, 1, 0);
	(void)vring_should_notify(d.ring);
	(void)vring_enable_kicks(d.ring);
	vring_disable_kicks(d.ring);
	(void)vring_pop(d.ring, &chain);
	driver_close(&d);
}

static void test_a_ring_that_is_only_read_is_noticed_too(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_start(&d);
	assert_int_equal(ftruncate(d.fd, 0), 0);
	assert_int_equal(vring_pop(d.ring, &chain), 0);
	assert_true(guestmem_lost(d.memory));
	driver_close(&d);
}

/* Region B, with a table and data, is at the end of the file. */
static void test_tables_and_data_that_go_away_are_zeros(void **state)
{
	struct driver d;

	(void)state;
	open_simple(&d, RING);
	driver_start(&d);
	desc_set(driver_table(&d, B_GUEST), DATA, 16, 0, 0);
	desc_set(&d.desc[0], B_GUEST, 16, VRING_DESC_F_INDIRECT, 0);
	memset(driver_at(&d, B_GUEST + 4096), 'x', 4096);
	desc_set(&d.desc[1], B_GUEST + 4096, 4096, 0, 0);
	take(&d, 1);
	assert_int_equal(*(char *)chain.iov[0].iov_base, 'x');
	assert_int_equal(ftruncate(d.fd, (off_t)B_FILE), 0);
	for (size_t i = 0; i < chain.iov[0].iov_len; i++)
		assert_int_equal(((char *)chain.iov[0].iov_base)[i], 0);
	assert_true(guestmem_lost(d.memory));
	/* A table of zeros: one descriptor of no length. */
	take(&d, 0);
	assert_int_equal(chain.readable, 0);
	vring_push(d.ring, 0, 0);
	assert_int_equal(driver_used_idx(&d), 1);
	driver_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_given_back_is_in_the_used_ring),
		cmocka_unit_test(test_a_head_in_flight_is_refused_until_it_is_back),
		cmocka_unit_test(test_a_head_is_given_back_once),
		cmocka_unit_test(test_indices_wrap_around),
		cmocka_unit_test(test_the_largest_ring_may_be_in_flight_as_a_whole),
		cmocka_unit_test(test_two_threads_give_back_at_a_time),
		cmocka_unit_test(test_a_head_that_comes_back_at_once_waits_for_the_end_of_its_push),
		cmocka_unit_test(test_kicks_are_asked_for_at_the_next_index),
		cmocka_unit_test(test_without_event_index_kicks_have_a_flag),
		cmocka_unit_test(test_no_chain_is_missed_between_looking_and_sleeping),
		cmocka_unit_test(test_the_guest_is_notified_when_its_event_is_passed),
		cmocka_unit_test(test_the_flag_says_nothing_with_event_index),
		cmocka_unit_test(test_without_event_index_the_guest_has_a_flag),
		cmocka_unit_test(test_a_ring_whose_memory_goes_away_is_noticed),
		cmocka_unit_test(test_a_ring_that_is_only_read_is_noticed_too),
		cmocka_unit_test(test_tables_and_data_that_go_away_are_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
