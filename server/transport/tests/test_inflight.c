/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_inflight.c - the record of requests in flight: its bytes, what is made of it after a death
 * at any moment, and records that make no sense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "driver.h"
#include "transport/inflight.h"

#define QUEUES 3
#define SIZE 8	   /* of a queue */
#define STRIDE 192 /* 16 + 8 * 16, rounded up to 64 */
#define NOTE 64	   /* behind the last queue's */

/* The specification's offsets. */
#define AT_VERSION 8
#define AT_DESC_NUM 10
#define AT_LAST_HEAD 12
#define AT_USED_IDX 14
#define AT_DESC(i) (16 + 16 * (size_t)(i))
#define AT_COUNTER(i) (AT_DESC(i) + 8)

struct record {
	int fd;
	uint64_t size;
	uint8_t *at; /* the front-end's mapping */
	struct vring_inflight *f;
};

static void record_open(struct record *r)
{
	driver_guard();
	assert_int_equal(inflight_create(QUEUES, SIZE, &r->fd, &r->size), 0);
	r->at = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	assert_ptr_not_equal(r->at, MAP_FAILED);
	assert_int_equal(inflight_map(r->fd, 0, r->size, QUEUES, SIZE, &r->f), 0);
}

/* Another back-end takes over. */
static void record_again(struct record *r)
{
	inflight_unmap(r->f);
	assert_int_equal(inflight_map(r->fd, 0, r->size, QUEUES, SIZE, &r->f), 0);
}

static void record_close(struct record *r)
{
	inflight_unmap(r->f);
	assert_int_equal(munmap(r->at, r->size), 0);
	assert_int_equal(close(r->fd), 0);
}

static void put16(const struct record *r, unsigned queue, size_t at, uint16_t v)
{
	memcpy(r->at + (size_t)queue * STRIDE + at, &v, sizeof(v));
}

static uint16_t get16(const struct record *r, unsigned queue, size_t at)
{
	uint16_t v;

	memcpy(&v, r->at + (size_t)queue * STRIDE + at, sizeof(v));
	return v;
}

static void put_entry(const struct record *r, unsigned queue, unsigned head, uint64_t counter)
{
	r->at[queue * STRIDE + AT_DESC(head)] = 1;
	memcpy(r->at + queue * STRIDE + AT_COUNTER(head), &counter, sizeof(counter));
}

static unsigned is_in_flight(const struct record *r, unsigned queue, unsigned head)
{
	return r->at[queue * STRIDE + AT_DESC(head)];
}

static int begin(const struct record *r, unsigned queue, uint16_t used_idx, uint16_t *heads)
{
	return inflight_begin(r->f, queue, SIZE, used_idx, heads, SIZE);
}

/* --- the file --- */

static void test_a_record_has_room_for_all_and_is_sealed(void **state)
{
	static const struct {
		unsigned queues, queue_size;
		uint64_t size;
	} rows[] = {
		{ 1, 1, 64 + NOTE },
		{ 1, 3, 64 + NOTE },
		{ 1, 4, 128 + NOTE },
		{ QUEUES, SIZE, (uint64_t)QUEUES * STRIDE + NOTE },
		{ 2, 32768, 2 * (32768 * 16 + 64ULL) + NOTE },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t bytes[256];
		struct stat st;
		uint64_t size;
		int fd;

		assert_int_equal(inflight_create(rows[i].queues, rows[i].queue_size, &fd, &size),
				 0);
		assert_int_equal(size, rows[i].size);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, size);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(ftruncate(fd, 0), -1);
		assert_int_equal(errno, EPERM);
		assert_true(pread(fd, bytes, sizeof(bytes), 0) >= 64);
		for (unsigned k = 0; k < 64; k++)
			assert_int_equal(bytes[k], 0);
		close(fd);
	}
}

static void test_numbers_that_make_no_sense_are_refused(void **state)
{
	static const unsigned wrong[][2] = {
		{ 0, 8 }, { 1, 0 }, { 1, 32769 }, { 65535, 65535 }, { 1025, 8 }
	};
	struct vring_inflight *f;
	struct record r;

	(void)state;
	record_open(&r);
	for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
		uint64_t size;
		int fd;

		assert_int_equal(inflight_create(wrong[i][0], wrong[i][1], &fd, &size), -EINVAL);
		assert_int_equal(inflight_map(r.fd, 0, r.size, wrong[i][0], wrong[i][1], &f),
				 -EINVAL);
	}
	assert_int_equal(inflight_map(r.fd, 0, r.size - NOTE - 1, QUEUES, SIZE, &f), -EINVAL);
	assert_int_equal(inflight_map(r.fd, 0, r.size, QUEUES + 1, SIZE, &f), -EINVAL);
	assert_int_equal(inflight_map(r.fd, 0, r.size, QUEUES, 2 * SIZE, &f), -EINVAL);
	assert_int_equal(inflight_map(r.fd, 64, r.size, QUEUES, SIZE, &f), -EINVAL);
	assert_int_equal(inflight_map(r.fd, 8, STRIDE, 1, SIZE, &f), -EINVAL);
	assert_int_equal(inflight_map(r.fd, UINT64_MAX - 63, r.size, QUEUES, SIZE, &f), -EINVAL);
	assert_int_equal(inflight_map(r.fd, 0, UINT64_MAX, QUEUES, SIZE, &f), -EINVAL);
	/* A part of it, at a place that is no page's beginning. */
	assert_int_equal(inflight_map(r.fd, STRIDE, STRIDE, 1, SIZE, &f), 0);
	assert_int_equal(inflight_begin(f, 0, SIZE, 5, (uint16_t[SIZE]){ 0 }, SIZE), 0);
	assert_int_equal(get16(&r, 1, AT_VERSION), 1);
	inflight_unmap(f);
	inflight_unmap(NULL);
	record_close(&r);
}

/* --- its bytes --- */

static void test_its_bytes_are_those_of_the_specification(void **state)
{
	uint16_t heads[SIZE];
	uint64_t counter;
	struct record r;

	(void)state;
	record_open(&r);
	assert_int_equal(begin(&r, 1, 65535, heads), 0);
	assert_int_equal(get16(&r, 1, AT_VERSION), 1);
	assert_int_equal(get16(&r, 1, AT_DESC_NUM), SIZE);
	assert_int_equal(get16(&r, 1, AT_USED_IDX), 65535);
	inflight_take(r.f, 1, 6);
	inflight_take(r.f, 1, 2);
	assert_int_equal(is_in_flight(&r, 1, 6), 1);
	assert_int_equal(is_in_flight(&r, 1, 2), 1);
	memcpy(&counter, r.at + STRIDE + AT_COUNTER(6), sizeof(counter));
	assert_int_equal(counter, 1);
	memcpy(&counter, r.at + STRIDE + AT_COUNTER(2), sizeof(counter));
	assert_int_equal(counter, 2);
	inflight_giving(r.f, 1, 6);
	assert_int_equal(get16(&r, 1, AT_LAST_HEAD), 6);
	assert_int_equal(is_in_flight(&r, 1, 6), 1);
	assert_int_equal(get16(&r, 1, AT_USED_IDX), 65535);
	inflight_given(r.f, 1, 6, 0);
	assert_int_equal(is_in_flight(&r, 1, 6), 0);
	assert_int_equal(is_in_flight(&r, 1, 2), 1);
	assert_int_equal(get16(&r, 1, AT_USED_IDX), 0);
	/* The other queues' parts are as they were. */
	for (unsigned i = 0; i < STRIDE; i++) {
		assert_int_equal(r.at[i], 0);
		assert_int_equal(r.at[2 * STRIDE + i], 0);
	}
	record_close(&r);
}

static void test_heads_come_again_by_age(void **state)
{
	static const uint16_t order[] = { 5, 0, 7, 3 };
	uint16_t heads[SIZE];
	struct record r;

	(void)state;
	record_open(&r);
	assert_int_equal(begin(&r, 2, 0, heads), 0);
	for (unsigned i = 0; i < ARRAY_LEN(order); i++)
		inflight_take(r.f, 2, order[i]);
	for (unsigned again = 0; again < 2; again++) {
		record_again(&r);
		assert_int_equal(begin(&r, 2, 0, heads), ARRAY_LEN(order));
		assert_memory_equal(heads, order, sizeof(order));
	}
	/* What is taken now is younger than all that was left. */
	inflight_take(r.f, 2, 1);
	record_again(&r);
	assert_int_equal(begin(&r, 2, 0, heads), ARRAY_LEN(order) + 1);
	assert_int_equal(heads[ARRAY_LEN(order)], 1);
	assert_int_equal(begin(&r, 1, 0, heads), 0);
	record_close(&r);
}

static void test_a_death_between_used_index_and_record_is_mended(void **state)
{
	uint16_t heads[SIZE];
	struct record r;

	(void)state;
	record_open(&r);
	assert_int_equal(begin(&r, 0, 9, heads), 0);
	inflight_take(r.f, 0, 4);
	inflight_take(r.f, 0, 5);
	/* Before the used index moved: it is to be served again. */
	inflight_giving(r.f, 0, 4);
	record_again(&r);
	assert_int_equal(begin(&r, 0, 9, heads), 2);
	/* After: not. */
	record_again(&r);
	assert_int_equal(begin(&r, 0, 10, heads), 1);
	assert_int_equal(heads[0], 5);
	assert_int_equal(is_in_flight(&r, 0, 4), 0);
	assert_int_equal(get16(&r, 0, AT_USED_IDX), 10);
	record_again(&r);
	assert_int_equal(begin(&r, 0, 10, heads), 1);
	record_close(&r);
}

static void test_what_was_cleared_does_not_come_again(void **state)
{
	uint16_t heads[SIZE];
	struct record r;

	(void)state;
	for (unsigned all = 0; all < 2; all++) {
		record_open(&r);
		for (unsigned q = 0; q < QUEUES; q++) {
			assert_int_equal(begin(&r, q, 9, heads), 0);
			inflight_take(r.f, q, 4);
			inflight_take(r.f, q, 5);
		}
		if (all)
			inflight_clear(r.f);
		else
			inflight_clear_queue(r.f, 1);
		inflight_clear_queue(r.f, QUEUES); /* there is none */
		/* By us or by the next; for good. */
		if (all)
			record_again(&r);
		for (unsigned q = 0; q < QUEUES; q++)
			assert_int_equal(begin(&r, q, q == 1 || all ? 0 : 9, heads),
					 q == 1 || all ? 0 : 2);
		inflight_take(r.f, 1, 3);
		record_again(&r);
		assert_int_equal(begin(&r, 1, 0, heads), 1);
		assert_int_equal(heads[0], 3);
		record_close(&r);
	}
}

/* --- records that make no sense --- */

static void test_a_record_that_makes_no_sense_is_refused(void **state)
{
	uint16_t heads[SIZE];
	struct record r;

	(void)state;
	record_open(&r);
	assert_int_equal(begin(&r, QUEUES, 0, heads), -EPROTO);
	assert_int_equal(inflight_begin(r.f, 0, 2 * SIZE, 0, heads, 2 * SIZE), -EPROTO);
	assert_int_equal(begin(&r, 0, 0, heads), 0);
	put16(&r, 0, AT_VERSION, 2);
	assert_int_equal(begin(&r, 0, 0, heads), -EPROTO);
	put16(&r, 0, AT_VERSION, 1);
	put16(&r, 0, AT_DESC_NUM, SIZE + 1);
	assert_int_equal(begin(&r, 0, 0, heads), -EPROTO);
	put16(&r, 0, AT_DESC_NUM, SIZE);
	put16(&r, 0, AT_LAST_HEAD, SIZE);
	assert_int_equal(begin(&r, 0, 0, heads), 0); /* not looked at */
	assert_int_equal(begin(&r, 0, 1, heads), -EPROTO);
	put16(&r, 0, AT_LAST_HEAD, 65535);
	assert_int_equal(begin(&r, 0, 1, heads), -EPROTO);
	record_close(&r);
}

static void test_counters_may_say_anything(void **state)
{
	bool seen[SIZE] = { false };
	uint16_t heads[SIZE];
	struct record r;

	(void)state;
	record_open(&r);
	assert_int_equal(begin(&r, 0, 0, heads), 0);
	for (unsigned i = 0; i < SIZE; i++)
		put_entry(&r, 0, i, i % 2 ? UINT64_MAX : 7);
	r.at[AT_DESC(0)] = 0xff; /* not 0: in flight */
	assert_int_equal(begin(&r, 0, 0, heads), SIZE);
	for (unsigned i = 0; i < SIZE; i++) {
		assert_true(heads[i] < SIZE);
		assert_false(seen[heads[i]]);
		seen[heads[i]] = true;
		assert_int_equal(heads[i] % 2, i >= SIZE / 2);
	}
	inflight_take(r.f, 0, 0);
	/* A ring that is shorter than the record's: what is beyond is not its own. */
	assert_int_equal(inflight_begin(r.f, 0, SIZE / 2, 0, heads, SIZE / 2), SIZE / 2);
	for (unsigned i = 0; i < SIZE / 2; i++)
		assert_true(heads[i] < SIZE / 2);
	record_close(&r);
}

static void test_a_record_that_goes_away_is_noticed(void **state)
{
	struct vring_inflight *f;
	uint16_t heads[SIZE];
	int fd = memfd_create("inflight", MFD_CLOEXEC);

	(void)state;
	driver_guard();
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(inflight_map(fd, 4096, STRIDE, 1, SIZE, &f), 0);
	assert_int_equal(inflight_begin(f, 0, SIZE, 0, heads, SIZE), 0);
	assert_false(inflight_lost(f));
	assert_int_equal(ftruncate(fd, 0), 0);
	inflight_take(f, 0, 3);
	inflight_giving(f, 0, 3);
	inflight_given(f, 0, 3, 1);
	assert_true(inflight_lost(f));
	inflight_unmap(f);
	close(fd);
}

static void test_a_note_is_there_as_a_whole_or_not_at_all(void **state)
{
	struct record r;
	char text[8] = "";
	struct vring_inflight *f;

	(void)state;
	record_open(&r);
	assert_false(inflight_noted(r.f, text, 4));
	inflight_note(r.f, "note", 4);
	assert_true(inflight_noted(r.f, text, 4));
	record_again(&r);
	assert_true(inflight_noted(r.f, text, 4));
	assert_string_equal(text, "note");
	/* Another length, and each byte of it changed. */
	assert_false(inflight_noted(r.f, text, 5));
	for (unsigned i = 0; i < NOTE; i++) {
		r.at[QUEUES * STRIDE + i] ^= 1;
		assert_false(inflight_noted(r.f, text, 4));
		r.at[QUEUES * STRIDE + i] ^= 1;
	}
	assert_true(inflight_noted(r.f, text, 4));
	/* The queues are as they were. */
	for (unsigned i = 0; i < QUEUES * STRIDE; i++)
		assert_int_equal(r.at[i], 0);
	inflight_note(r.f, NULL, 0);
	assert_false(inflight_noted(r.f, text, 4));
	/* A record without room for one. */
	assert_int_equal(inflight_map(r.fd, 0, r.size - 1, QUEUES, SIZE, &f), 0);
	inflight_note(f, "note", 4);
	assert_false(inflight_noted(f, text, 4));
	inflight_unmap(f);
	record_close(&r);
}

/* --- with a ring --- */

static struct vring_chain chain;

struct pair {
	struct driver d;
	struct record r;
};

static void pair_open(struct pair *p, uint16_t base)
{
	record_open(&p->r);
	driver_open(&p->d, SIZE);
	driver_base(&p->d, base);
	for (unsigned i = 0; i < SIZE; i++)
		desc_set(&p->d.desc[i], DATA, 16, 0, 0);
	p->d.setup.inflight = p->r.f;
	p->d.setup.inflight_queue = 1;
	driver_start(&p->d);
}

/* The back-end dies, and another begins; the front-end knows the used index alone. */
static void pair_again(struct pair *p)
{
	vring_free(p->d.ring);
	p->d.ring = NULL;
	record_again(&p->r);
	p->d.setup.inflight = p->r.f;
	p->d.setup.base = driver_used_idx(&p->d);
	driver_start(&p->d);
}

static void pair_close(struct pair *p)
{
	driver_close(&p->d);
	record_close(&p->r);
}

static void pop(const struct pair *p, unsigned head)
{
	assert_int_equal(vring_pop(p->d.ring, &chain), 1);
	assert_int_equal(chain.head, head);
	assert_int_equal(is_in_flight(&p->r, 1, head), 1);
}

static void test_what_was_left_is_served_first_and_then_what_follows(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, 65534);
	for (unsigned i = 0; i < 6; i++)
		driver_add(&p.d, (i * 3) % SIZE); /* 0 3 6 1 4 7 */
	pop(&p, 0);
	pop(&p, 3);
	pop(&p, 6);
	pop(&p, 1);
	vring_push(p.d.ring, 3, 0);
	assert_int_equal(is_in_flight(&p.r, 1, 3), 0);
	assert_int_equal(get16(&p.r, 1, AT_LAST_HEAD), 3);
	assert_int_equal(get16(&p.r, 1, AT_USED_IDX), 65535);

	pair_again(&p);
	assert_int_equal(vring_base(p.d.ring), 2);
	assert_true(vring_has_work(p.d.ring));
	pop(&p, 0);
	pop(&p, 6);
	pair_again(&p); /* in the midst of it */
	pop(&p, 0);
	pop(&p, 6);
	pop(&p, 1);
	assert_int_equal(vring_in_flight(p.d.ring), 3);
	pop(&p, 4);
	pop(&p, 7);
	assert_int_equal(vring_pop(p.d.ring, &chain), 0);
	vring_push(p.d.ring, 0, 0);
	vring_push(p.d.ring, 6, 0);
	vring_push(p.d.ring, 1, 0);
	vring_push(p.d.ring, 4, 0);
	vring_push(p.d.ring, 7, 0);
	assert_int_equal(driver_used_idx(&p.d), 4);

	pair_again(&p);
	assert_int_equal(vring_base(p.d.ring), 4);
	assert_false(vring_has_work(p.d.ring));
	pair_close(&p);
}

static void test_a_head_of_the_record_is_not_taken_twice(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, 0);
	driver_add(&p.d, 2);
	pop(&p, 2);
	pair_again(&p);
	pop(&p, 2);
	driver_add(&p.d, 2);
	assert_int_equal(vring_pop(p.d.ring, &chain), -EPROTO);
	pair_close(&p);
}

/* What the record does not say was read from the ring is read from it. */
static void test_a_chain_that_is_refused_is_not_recorded(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, 0);
	desc_set(&p.d.desc[2], 0, 16, 0, 0);
	driver_add(&p.d, 2);
	assert_int_equal(vring_pop(p.d.ring, &chain), -EPROTO);
	assert_int_equal(is_in_flight(&p.r, 1, 2), 0);
	assert_int_equal(vring_in_flight(p.d.ring), 0);
	desc_set(&p.d.desc[2], DATA, 16, 0, 0);
	driver_add(&p.d, 2);
	pop(&p, 2);
	pair_close(&p);
}

static void test_a_ring_does_not_begin_with_a_wrong_record(void **state)
{
	struct pair p;
	struct vring *ring;

	(void)state;
	pair_open(&p, 0);
	put16(&p.r, 1, AT_VERSION, 3);
	assert_int_equal(vring_new(&p.d.setup, p.d.memory, &ring), -EPROTO);
	put16(&p.r, 1, AT_VERSION, 1);
	p.d.setup.inflight_queue = QUEUES;
	assert_int_equal(vring_new(&p.d.setup, p.d.memory, &ring), -EPROTO);
	pair_close(&p);
}

/* --- a head that comes back at once --- */

#define LONG 512
#define FAR 300 /* its entry is in the second page, the numbers of the queue in the first */
#define PAGE 4096

static atomic_bool reached;

/* vring_push() is at the entry: long enough for whoever does not wait for its end. */
static void on_fault(int number)
{
	struct timespec while_it_is_popped = { .tv_nsec = 50000000 };

	(void)number;
	atomic_store(&reached, true);
	(void)nanosleep(&while_it_is_popped, NULL);
}

static void *push_far(void *arg)
{
	vring_push(arg, FAR, 0);
	return NULL;
}

/*
 * The guest sees the used index, and its head is taken again, before the other thread is done with
 * the record.
 */
static void test_a_head_that_comes_back_at_once_stays_recorded(void **state)
{
	struct sigaction fault = { .sa_handler = on_fault };
	struct vring_inflight *f;
	struct driver d;
	pthread_t thread;
	uint8_t *at;
	uint64_t size;
	uint64_t end;
	int fd;

	(void)state;
	driver_open(&d, LONG);
	desc_set(&d.desc[FAR], DATA, 16, 0, 0);
	assert_int_equal(inflight_create(1, LONG, &fd, &size), 0);
	assert_int_equal(inflight_map(fd, 0, size, 1, LONG, &f), 0);
	d.setup.inflight = f;
	driver_start(&d);
	driver_add(&d, FAR);
	assert_int_equal(vring_pop(d.ring, &chain), 1);
	at = ((struct guestmem_mapping *)(void *)f)->at; /* its first member */
	assert_int_equal(at[AT_DESC(FAR)], 1);

	assert_int_equal(sigaction(SIGSEGV, &fault, NULL), 0);
	assert_int_equal(mprotect(at + PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(pthread_create(&thread, NULL, push_far, d.ring), 0);
	end = clock_ns() + 5000000000;
	while (!atomic_load(&reached))
		assert_true(clock_ns() < end);
	assert_int_equal(mprotect(at + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(driver_used_idx(&d), 1);
	driver_add(&d, FAR);
	assert_int_equal(vring_pop(d.ring, &chain), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(at[AT_DESC(FAR)], 1);
	assert_int_equal(vring_in_flight(d.ring), 1);
	driver_close(&d);
	inflight_unmap(f);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_has_room_for_all_and_is_sealed),
		cmocka_unit_test(test_numbers_that_make_no_sense_are_refused),
		cmocka_unit_test(test_its_bytes_are_those_of_the_specification),
		cmocka_unit_test(test_heads_come_again_by_age),
		cmocka_unit_test(test_a_death_between_used_index_and_record_is_mended),
		cmocka_unit_test(test_what_was_cleared_does_not_come_again),
		cmocka_unit_test(test_a_record_that_makes_no_sense_is_refused),
		cmocka_unit_test(test_counters_may_say_anything),
		cmocka_unit_test(test_a_record_that_goes_away_is_noticed),
		cmocka_unit_test(test_a_note_is_there_as_a_whole_or_not_at_all),
		cmocka_unit_test(test_what_was_left_is_served_first_and_then_what_follows),
		cmocka_unit_test(test_a_head_of_the_record_is_not_taken_twice),
		cmocka_unit_test(test_a_chain_that_is_refused_is_not_recorded),
		cmocka_unit_test(test_a_ring_does_not_begin_with_a_wrong_record),
		cmocka_unit_test(test_a_head_that_comes_back_at_once_stays_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
