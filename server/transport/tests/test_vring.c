/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vring.c - rings set up and moved, chains at random against a model, and a guest that changes
 * what is being read. (The rules: test_vring_rules.c. What is given back: test_vring_used.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "driver.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

#define RING 8
#define TABLE (DATA + 0x100000)
#define ROOM 32 /* entries of a random table */

/* --- setting up --- */

static int try_setup(const struct driver *d, const struct vring_setup *setup)
{
	struct vring *r;
	int ret = vring_new(setup, d->memory, &r);

	if (!ret)
		vring_free(r);
	return ret;
}

static void test_only_powers_of_two_are_sizes(void **state)
{
	static const struct {
		unsigned size;
		int result;
	} sizes[] = { { 0, -EINVAL },	    { 1, 0 },		{ 2, 0 },
		      { 3, -EINVAL },	    { 1000, -EINVAL },	{ 32768, 0 },
		      { 32769, -EINVAL },   { 65535, -EINVAL }, { 65536, -EINVAL },
		      { 1U << 31, -EINVAL } };
	struct driver d;

	(void)state;
	driver_open(&d, 1);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		d.setup.size = sizes[i].size;
		assert_int_equal(try_setup(&d, &d.setup), sizes[i].result);
	}
	driver_close(&d);
}

static void test_each_part_must_be_aligned_and_in_one_region(void **state)
{
	/* Where a part of a ring of 8 still fits at the end of region A, and its alignment. */
	static const struct {
		size_t field, len;
		unsigned align;
	} parts[] = {
		{ offsetof(struct vring_setup, desc), 8 * 16, 16 },
		{ offsetof(struct vring_setup, avail), 6 + 8 * 2, 2 },
		{ offsetof(struct vring_setup, used), 6 + 8 * 8, 4 },
	};
	struct driver d;

	(void)state;
	driver_open(&d, 8);
	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		struct vring_setup setup = d.setup;
		frontend_addr_t *addr = (void *)((char *)&setup + parts[i].field);
		uint64_t last = (FRONTEND + A_SIZE - parts[i].len) & ~(parts[i].align - 1ULL);

		addr->v = last;
		assert_int_equal(try_setup(&d, &setup), 0);
		addr->v = last + parts[i].align; /* region C follows here, but it is another */
		assert_int_equal(try_setup(&d, &setup), -EFAULT);
		addr->v = last - parts[i].align / 2;
		assert_int_equal(try_setup(&d, &setup), -EFAULT);
		addr->v = FRONTEND - parts[i].align;
		assert_int_equal(try_setup(&d, &setup), -EFAULT);
		addr->v = UINT64_MAX - parts[i].align + 1;
		assert_int_equal(try_setup(&d, &setup), -EFAULT);
	}
	driver_close(&d);
}

static void test_a_ring_begins_at_its_base(void **state)
{
	static struct vring_chain chain;
	struct driver d;

	(void)state;
	driver_open(&d, RING);
	driver_base(&d, 65533);
	driver_start(&d);
	assert_int_equal(vring_base(d.ring), 65533);
	assert_int_equal(vring_pop(d.ring, &chain), 0);
	assert_false(vring_has_work(d.ring));
	for (unsigned i = 0; i < 6; i++)
		driver_add(&d, i);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(vring_pop(d.ring, &chain), 1);
		assert_int_equal(chain.head, i);
	}
	assert_int_equal(vring_base(d.ring), 3);
	assert_int_equal(vring_in_flight(d.ring), 6);
	driver_close(&d);
}

static void test_a_ring_is_the_same_only_where_and_as_long_as_it_was(void **state)
{
	struct vring_setup other;
	struct driver d;
	uint16_t used = 0;

	(void)state;
	driver_open(&d, RING);
	driver_base(&d, 77);
	driver_start(&d);
	other = d.setup;
	other.base++;
	assert_true(vring_same(d.ring, &other));
	other.size *= 2;
	assert_false(vring_same(d.ring, &other));
	other = d.setup;
	other.event_idx = !other.event_idx;
	assert_false(vring_same(d.ring, &other));
	other = d.setup;
	other.indirect = !other.indirect;
	assert_false(vring_same(d.ring, &other));
	other = d.setup;
	other.desc.v += 16;
	assert_false(vring_same(d.ring, &other));
	other = d.setup;
	other.avail.v += 2;
	assert_false(vring_same(d.ring, &other));
	other = d.setup;
	other.used.v += 4;
	assert_false(vring_same(d.ring, &other));
	assert_int_equal(vring_used_index(&d.setup, d.memory, &used), 0);
	assert_int_equal(used, 77);
	driver_close(&d);
}

static void test_a_ring_follows_its_memory(void **state)
{
	struct guestmem_region a = {
		.guest.v = A_GUEST, .size = A_SIZE, .frontend.v = FRONTEND, .offset = A_FILE
	};
	static struct vring_chain chain;
	struct guestmem *without;
	struct guestmem *again;
	struct driver d;
	uint16_t used;

	(void)state;
	driver_open(&d, RING);
	driver_start(&d);
	desc_set(&d.desc[0], DATA, 16, 0, 0);
	assert_int_equal(guestmem_remove(d.memory, &a, &without), 0);
	assert_int_equal(vring_used_index(&d.setup, without, &used), -EFAULT);
	assert_int_equal(vring_set_memory(d.ring, without), -EFAULT);
	assert_ptr_equal(vring_memory(d.ring), d.memory);

	/* Mapped anew, it is somewhere else; the ring holds the only reference to it. */
	assert_int_equal(guestmem_add(without, &a, d.fd, &again), 0);
	guestmem_unref(without);
	assert_int_equal(vring_set_memory(d.ring, again), 0);
	guestmem_unref(again);
	assert_int_equal(vring_set_memory(d.ring, vring_memory(d.ring)), 0);
	guestmem_unref(d.memory);
	d.memory = NULL;
	driver_add(&d, 0);
	assert_int_equal(vring_pop(d.ring, &chain), 1);
	vring_push(d.ring, 0, 0);
	assert_int_equal(driver_used_idx(&d), 1);
	driver_close(&d);
}

/* --- chains at random --- */

struct model {
	unsigned count, readable, writable;
	size_t readable_len, writable_len;
	struct {
		uint64_t guest;
		size_t len;
	} piece[ROOM * 2];
};

static unsigned below(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

/* Somewhere in the data of the three regions, at times over the border from A to B. */
static void random_place(unsigned *seed, uint64_t *addr, uint32_t *len)
{
	*len = below(seed, 4) ? below(seed, 5000) : 0;
	switch (below(seed, 4)) {
	case 0:
		*addr = DATA + below(seed, (unsigned)MIB - 5000);
		break;
	case 1:
		*addr = B_GUEST - below(seed, 5000);
		break;
	case 2:
		*addr = B_GUEST + B_SIZE - 5000 + below(seed, 5001 - (*len ? *len : 1));
		break;
	default:
		*addr = C_GUEST + below(seed, C_SIZE - 5000);
		break;
	}
}

static void model_piece(struct model *m, uint64_t addr, uint64_t len, bool write)
{
	if (!len)
		return;
	m->piece[m->count].guest = addr;
	m->piece[m->count].len = (size_t)len;
	m->count++;
	*(write ? &m->writable : &m->readable) += 1;
	*(write ? &m->writable_len : &m->readable_len) += (size_t)len;
}

static void model_add(struct model *m, uint64_t addr, uint32_t len, bool write)
{
	uint64_t in_a = addr < B_GUEST && addr + len > B_GUEST ? B_GUEST - addr : 0;

	model_piece(m, addr, in_a, write);
	model_piece(m, addr + in_a, len - in_a, write);
}

/* A permutation of 0 .. n-1. */
static void shuffle(unsigned *seed, unsigned *slots, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned j = below(seed, i + 1);

		slots[i] = slots[j];
		slots[j] = i;
	}
}

/* A chain in the ring, in a table, or in both; its head. */
static unsigned random_chain(struct driver *d, unsigned *seed, struct model *m)
{
	unsigned size = d->setup.size;
	unsigned slots[256] = { 0 };
	unsigned entries[ROOM] = { 0 };
	unsigned direct = below(seed, size < ROOM / 2 ? size : ROOM / 2) + 1;
	bool has_table = below(seed, 2);
	unsigned total = has_table ? direct - 1 + below(seed, ROOM / 2) + 1 : direct;
	unsigned reads = below(seed, total + 1);
	struct vring_desc *t = driver_table(d, TABLE);

	memset(m, 0, sizeof(*m));
	shuffle(seed, slots, size);
	shuffle(seed, entries, ROOM);
	/* The first of a table is its first entry. */
	for (unsigned i = 0; i < ROOM; i++)
		if (!entries[i]) {
			entries[i] = entries[0];
			entries[0] = 0;
			break;
		}
	for (unsigned i = 0; i < total; i++) {
		bool in_table = has_table && i >= direct - 1;
		unsigned k = i - (direct - 1);
		unsigned flags = (i < total - 1 ? NEXT : 0) | (i < reads ? 0 : WRITE);
		uint64_t addr;
		uint32_t len;

		random_place(seed, &addr, &len);
		model_add(m, addr, len, i >= reads);
		if (in_table)
			desc_set(&t[entries[k]], addr, len, flags,
				 k + 1 < ROOM ? entries[k + 1] : 0);
		else
			desc_set(&d->desc[slots[i]], addr, len, flags,
				 i + 1 < size ? slots[i + 1] : 0);
	}
	if (has_table)
		desc_set(&d->desc[slots[direct - 1]], TABLE, ROOM * 16, INDIRECT, 0);
	return slots[0];
}

static void compare(const struct driver *d, const struct model *m, const struct vring_chain *chain)
{
	assert_int_equal(chain->readable, m->readable);
	assert_int_equal(chain->writable, m->writable);
	assert_int_equal(chain->readable_len, m->readable_len);
	assert_int_equal(chain->writable_len, m->writable_len);
	for (unsigned i = 0; i < m->count; i++) {
		assert_int_equal(chain->iov[i].iov_len, m->piece[i].len);
		assert_memory_equal(chain->iov[i].iov_base, driver_at(d, m->piece[i].guest),
				    m->piece[i].len);
	}
}

/* HOLDFAST_TEST_SEED repeats a run. */
static unsigned test_seed(void)
{
	const char *given = getenv("HOLDFAST_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10)
			      : (unsigned)(clock_ns() ^ (unsigned)getpid());

	print_message("seed %u\n", seed);
	return seed;
}

static void test_chains_at_random_are_what_a_model_says(void **state)
{
	static struct vring_chain chain;
	static struct model m;
	unsigned seed = test_seed();
	struct driver d;

	(void)state;
	for (unsigned bits = 0; bits <= 8; bits++) {
		driver_open(&d, 1U << bits);
		driver_base(&d, (uint16_t)rand_r(&seed));
		for (uint64_t i = DATA_AT; i < FILE_SIZE; i++)
			d.at[i] = (uint8_t)(i * 2654435761U >> 13 ^ i >> 7);
		driver_start(&d);
		for (unsigned round = 0; round < 1000; round++) {
			unsigned head = random_chain(&d, &seed, &m);
			uint16_t used = driver_used_idx(&d);

			driver_add(&d, head);
			assert_int_equal(vring_pop(d.ring, &chain), 1);
			assert_int_equal(chain.head, head);
			compare(&d, &m, &chain);
			vring_push(d.ring, chain.head, round);
			assert_int_equal((uint16_t)(driver_used_idx(&d) - used), 1);
			assert_int_equal(le32toh(d.used->ring[used % d.setup.size].id), head);
			assert_int_equal(le32toh(d.used->ring[used % d.setup.size].len), round);
		}
		driver_close(&d);
	}
}

/* --- a guest that changes what is read --- */

struct flipper {
	struct driver *d;
	atomic_bool stop;
};

/*
 * Each field is now right, now wrong; all that is read once is judged as what it is then used as.
 */
static void *flip(void *arg)
{
	struct flipper *f = arg;
	struct vring_desc *desc = f->d->desc;
	struct vring_desc *t = driver_table(f->d, TABLE);

	while (!atomic_load_explicit(&f->stop, memory_order_relaxed))
		for (unsigned i = 0; i < 2; i++) {
			struct vring_desc *at = i ? t : &desc[1];

			__atomic_store_n(&at->len, htole32(UINT32_MAX), __ATOMIC_RELAXED);
			__atomic_store_n(&at->len, htole32(16), __ATOMIC_RELAXED);
			__atomic_store_n(&at->addr, htole64(B_GUEST + B_SIZE), __ATOMIC_RELAXED);
			__atomic_store_n(&at->addr, htole64(C_GUEST), __ATOMIC_RELAXED);
			__atomic_store_n(&at->next, htole16(0xffff), __ATOMIC_RELAXED);
			__atomic_store_n(&at->next, htole16(i ? 1 : 2), __ATOMIC_RELAXED);
			__atomic_store_n(&at->flags, htole16(NEXT | WRITE), __ATOMIC_RELAXED);
			__atomic_store_n(&at->flags, htole16(NEXT), __ATOMIC_RELAXED);
			__atomic_store_n(&desc[2].len, htole32(0xfffff0), __ATOMIC_RELAXED);
			__atomic_store_n(&desc[2].len, htole32(32), __ATOMIC_RELAXED);
		}
	return NULL;
}

/* Is each piece in the mapping of region C, and what was said of them the sum? */
static void check_pieces(const struct vring_chain *chain, const struct iovec *c)
{
	size_t total = 0;

	assert_true(chain->readable + chain->writable <= 4);
	for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
		const struct iovec *p = &chain->iov[i];

		assert_true(p->iov_base >= c->iov_base);
		assert_true((char *)p->iov_base + p->iov_len <= (char *)c->iov_base + c->iov_len);
		total += p->iov_len;
	}
	assert_int_equal(total, chain->readable_len + chain->writable_len);
}

static void test_what_changes_while_it_is_read_is_judged_as_it_is_used(void **state)
{
	static struct vring_chain chain;
	unsigned taken = 0;
	unsigned refused = 0;
	struct flipper f;
	struct iovec c;
	struct driver d;
	pthread_t thread;
	uint64_t begun;

	(void)state;
	driver_open(&d, RING);
	driver_start(&d);
	assert_int_equal(guestmem_translate(d.memory, (guest_addr_t){ C_GUEST }, C_SIZE, &c, 1), 1);
	desc_set(&d.desc[0], C_GUEST, 16, NEXT, 1);
	desc_set(&d.desc[2], TABLE, 32, INDIRECT, 0);
	desc_set(&driver_table(&d, TABLE)[1], C_GUEST + 64, 16, WRITE, 0);
	desc_set(&d.desc[0xffff], DATA, 16, 0, 0); /* not C: whoever gets there is seen */
	f = (struct flipper){ .d = &d };
	assert_int_equal(pthread_create(&thread, NULL, flip, &f), 0);
	/* On a machine that is busy it may take a while until both threads run at a time. */
	begun = clock_ns();
	while (clock_ns() - begun < 300000000 ||
	       ((!taken || !refused) && clock_ns() - begun < 20000000000)) {
		int ret;

		driver_add(&d, 0);
		ret = vring_pop(d.ring, &chain);
		if (ret == 1) {
			check_pieces(&chain, &c);
			vring_push(d.ring, 0, 0);
			taken++;
		} else {
			assert_int_equal(ret, -EPROTO);
			refused++;
		}
	}
	atomic_store(&f.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(taken > 0);
	assert_true(refused > 0);
	driver_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_powers_of_two_are_sizes),
		cmocka_unit_test(test_each_part_must_be_aligned_and_in_one_region),
		cmocka_unit_test(test_a_ring_begins_at_its_base),
		cmocka_unit_test(test_a_ring_is_the_same_only_where_and_as_long_as_it_was),
		cmocka_unit_test(test_a_ring_follows_its_memory),
		cmocka_unit_test(test_chains_at_random_are_what_a_model_says),
		cmocka_unit_test(test_what_changes_while_it_is_read_is_judged_as_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
