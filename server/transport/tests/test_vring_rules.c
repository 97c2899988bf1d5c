/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vring_rules.c - what a ring may hold and what not: one row, and one test, for each rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "driver.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

#define RING 8 /* the size of the ring that a row is about */
#define TABLE (DATA + 0x100000)

struct rule {
	const char *name;
	void (*prepare)(struct driver *d);
	int result; /* of vring_pop() */
	unsigned readable, writable;
	size_t readable_len, writable_len;
	bool not_indirect; /* not negotiated */
};

static void table(struct driver *d, uint64_t at, uint32_t entries, unsigned flags)
{
	desc_set(&d->desc[0], at, entries * 16, INDIRECT | flags, 0);
	driver_add(d, 0);
}

/* Head 0 is one descriptor. */
static void one(struct driver *d, uint64_t addr, uint32_t len, unsigned flags)
{
	desc_set(&d->desc[0], addr, len, flags, 0);
	driver_add(d, 0);
}

static void two(struct driver *d, unsigned first, unsigned second)
{
	desc_set(&d->desc[0], DATA, 64, first | NEXT, 1);
	desc_set(&d->desc[1], DATA + 64, 32, second, 0);
	driver_add(d, 0);
}

static void avail_jumps(struct driver *d)
{
	d->next = RING;
	driver_add(d, 0);
}

static void avail_goes_back(struct driver *d)
{
	d->next = 65534;
	driver_add(d, 0);
}

static void avail_is_full(struct driver *d)
{
	desc_set(&d->desc[0], DATA, 16, 0, 0);
	d->next = RING - 1;
	driver_add(d, 0);
}

static void head_past_ring(struct driver *d)
{
	desc_set(&d->desc[RING], DATA, 16, 0, 0);
	driver_add(d, RING);
}

static void head_65535(struct driver *d)
{
	driver_add(d, 65535);
}

static void next_past_ring(struct driver *d)
{
	desc_set(&d->desc[0], DATA, 16, NEXT, RING);
	desc_set(&d->desc[RING], DATA, 16, 0, 0);
	driver_add(d, 0);
}

static void next_without_flag(struct driver *d)
{
	desc_set(&d->desc[0], DATA, 16, 0, 65535);
	driver_add(d, 0);
}

static void loop_on_itself(struct driver *d)
{
	desc_set(&d->desc[0], DATA, 16, NEXT, 0);
	driver_add(d, 0);
}

static void loop_of_nothing(struct driver *d)
{
	desc_set(&d->desc[0], DATA, 0, NEXT, 1);
	desc_set(&d->desc[1], DATA, 0, NEXT, 0);
	driver_add(d, 0);
}

static void whole_ring(struct driver *d)
{
	for (unsigned i = 0; i < RING; i++)
		desc_set(&d->desc[i], DATA + 16 * i, 16, i < RING - 1 ? NEXT : 0, i + 1);
	driver_add(d, 0);
}

static void read_then_write(struct driver *d)
{
	two(d, 0, WRITE);
}

static void write_then_read(struct driver *d)
{
	two(d, WRITE, 0);
}

static void below_memory(struct driver *d)
{
	one(d, A_GUEST - 1, 16, 0);
}

static void in_the_gap(struct driver *d)
{
	one(d, B_GUEST + B_SIZE, 1, WRITE);
}

static void past_memory(struct driver *d)
{
	one(d, B_GUEST + B_SIZE - 16, 17, WRITE);
}

static void to_the_last_byte(struct driver *d)
{
	one(d, B_GUEST + B_SIZE - 16, 16, WRITE);
}

static void wraps_around(struct driver *d)
{
	one(d, UINT64_MAX - 7, 16, 0);
}

/* What lies between would be inside if the sum of address and length were all that is looked at. */
static void wraps_into_memory(struct driver *d)
{
	one(d, UINT64_MAX - 0xfff, UINT32_MAX, 0);
}

static void length_of_4g(struct driver *d)
{
	one(d, DATA, UINT32_MAX, WRITE);
}

static void over_two_regions(struct driver *d)
{
	one(d, B_GUEST - 10, 30, 0);
}

static void of_no_length(struct driver *d)
{
	one(d, DATA, 0, 0);
}

static void of_no_length_nowhere(struct driver *d)
{
	one(d, 0, 0, WRITE);
}

static void nothing_between(struct driver *d)
{
	desc_set(&d->desc[0], DATA, 16, NEXT, 1);
	desc_set(&d->desc[1], 0, 0, NEXT, 2);
	desc_set(&d->desc[2], DATA + 64, 16, WRITE, 0);
	driver_add(d, 0);
}

static void unknown_flags(struct driver *d)
{
	one(d, DATA, 16, 0xfff8);
}

static void table_of_two(struct driver *d)
{
	struct vring_desc *t = driver_table(d, TABLE);

	desc_set(&t[0], DATA, 40, NEXT, 1);
	desc_set(&t[1], DATA + 100, 24, WRITE, 0);
	table(d, TABLE, 2, 0);
}

static void table_writable(struct driver *d)
{
	table_of_two(d);
	d->desc[0].flags |= htole16(WRITE);
}

static void table_and_next(struct driver *d)
{
	table_of_two(d);
	d->desc[0].flags |= htole16(NEXT);
	desc_set(&d->desc[1], DATA, 16, WRITE, 0);
	d->desc[0].next = htole16(1);
}

static void table_after_direct(struct driver *d)
{
	table_of_two(d);
	d->desc[3] = d->desc[0];
	desc_set(&d->desc[0], DATA + 500, 8, NEXT, 3);
}

static void table_reads_after_write(struct driver *d)
{
	table_after_direct(d);
	d->desc[0].flags |= htole16(WRITE);
}

static void table_write_then_read(struct driver *d)
{
	struct vring_desc *t = driver_table(d, TABLE);

	table_of_two(d);
	t[0].flags |= htole16(WRITE);
	t[1].flags = 0;
}

static void table_backwards(struct driver *d)
{
	struct vring_desc *t = driver_table(d, TABLE);

	desc_set(&t[0], DATA, 10, NEXT, 2);
	desc_set(&t[2], DATA, 20, NEXT, 1);
	desc_set(&t[1], DATA, 40, 0, 0);
	table(d, TABLE, 3, 0);
}

static void table_empty(struct driver *d)
{
	table_of_two(d);
	d->desc[0].len = 0;
}

static void table_of_40_bytes(struct driver *d)
{
	table_of_two(d);
	d->desc[0].len = htole32(40);
}

static void table_too_long(struct driver *d)
{
	table_of_two(d);
	d->desc[0].len = htole32((VRING_CHAIN_MAX + 1) * 16);
}

static void table_of_4g(struct driver *d)
{
	table_of_two(d);
	d->desc[0].len = htole32(0xfffffff0);
}

/* `count` entries, each of `len` bytes at `addr`; the last has `last`. */
static void long_table(struct driver *d, unsigned count, uint64_t addr, uint32_t len, uint32_t last)
{
	struct vring_desc *t = driver_table(d, TABLE);

	for (unsigned i = 0; i < count; i++)
		desc_set(&t[i], addr, i < count - 1 ? len : last, i < count - 1 ? NEXT : 0, i + 1);
	table(d, TABLE, count, 0);
}

static void table_longer_than_ring(struct driver *d)
{
	long_table(d, 20, DATA, 16, 16);
}

static void table_of_the_most(struct driver *d)
{
	long_table(d, VRING_CHAIN_MAX, DATA, 16, 16);
}

static void pieces_of_the_most(struct driver *d)
{
	long_table(d, VRING_CHAIN_MAX / 2, B_GUEST - 8, 16, 16);
}

static void one_piece_too_many(struct driver *d)
{
	long_table(d, VRING_CHAIN_MAX / 2 + 1, B_GUEST - 8, 16, 8);
}

static void sum_just_fits(struct driver *d)
{
	long_table(d, 1024, A_GUEST, A_SIZE, A_SIZE - 1);
}

static void sum_overflows(struct driver *d)
{
	long_table(d, 1024, A_GUEST, A_SIZE, A_SIZE);
}

static void sum_of_both_overflows(struct driver *d)
{
	struct vring_desc *t = driver_table(d, TABLE);

	long_table(d, 1024, A_GUEST, A_SIZE, A_SIZE);
	for (unsigned i = 512; i < 1024; i++)
		t[i].flags |= htole16(WRITE);
}

static void table_next_past_end(struct driver *d)
{
	struct vring_desc *t = driver_table(d, TABLE);

	table_of_two(d);
	t[0].next = htole16(2);
	desc_set(&t[2], DATA, 16, 0, 0);
}

static void table_loops(struct driver *d)
{
	struct vring_desc *t = driver_table(d, TABLE);

	table_of_two(d);
	t[1].flags |= htole16(NEXT);
	t[1].next = htole16(1);
}

static void table_loops_over_nothing(struct driver *d)
{
	struct vring_desc *t = driver_table(d, TABLE);

	desc_set(&t[0], DATA, 0, NEXT, 1);
	desc_set(&t[1], DATA, 0, NEXT, 0);
	table(d, TABLE, 2, 0);
}

static void table_in_table(struct driver *d)
{
	struct vring_desc *t = driver_table(d, TABLE);

	table_of_two(d);
	desc_set(&t[1], TABLE + 1024, 16, INDIRECT, 0);
	desc_set(&t[64], DATA, 16, 0, 0);
}

static void table_over_regions(struct driver *d)
{
	struct vring_desc t[3];
	const uint8_t *bytes = (const uint8_t *)t;
	uint64_t at = B_GUEST - 21; /* unaligned besides */

	desc_set(&t[0], DATA, 1, NEXT, 1);
	desc_set(&t[1], DATA, 2, NEXT, 2);
	desc_set(&t[2], DATA, 4, WRITE, 0);
	for (unsigned i = 0; i < sizeof(t); i++)
		*driver_at(d, at + i) = bytes[i];
	table(d, at, 3, 0);
}

static void table_outside(struct driver *d)
{
	table(d, A_GUEST - 16, 1, 0);
}

static void table_half_outside(struct driver *d)
{
	struct vring_desc *t = driver_table(d, B_GUEST + B_SIZE - 16);

	desc_set(t, DATA, 16, 0, 0);
	table(d, B_GUEST + B_SIZE - 16, 2, 0);
}

static void table_entry_outside(struct driver *d)
{
	struct vring_desc *t = driver_table(d, TABLE);

	table_of_two(d);
	t[1].addr = htole64(A_GUEST - 4096);
}

#define REFUSED .result = -EPROTO, .readable = 0
#define TAKEN(r, w, r_len, w_len)                                                                  \
	.result = 1, .readable = (r), .writable = (w), .readable_len = (r_len),                    \
	.writable_len = (w_len)

static const struct rule rules[] = {
	{ "an available index that jumps is refused", avail_jumps, REFUSED },
	{ "an available index that goes back is refused", avail_goes_back, REFUSED },
	{ "a full available ring is taken", avail_is_full, TAKEN(1, 0, 16, 0) },
	{ "a head past the ring is refused", head_past_ring, REFUSED },
	{ "a head far past the ring is refused", head_65535, REFUSED },
	{ "a next past the ring is refused", next_past_ring, REFUSED },
	{ "a next without its flag says nothing", next_without_flag, TAKEN(1, 0, 16, 0) },
	{ "a descriptor that is its own next is refused", loop_on_itself, REFUSED },
	{ "a loop of empty descriptors is refused", loop_of_nothing, REFUSED },
	{ "a chain may be as long as the ring", whole_ring, TAKEN(RING, 0, 16 * RING, 0) },
	{ "readable, then writable", read_then_write, TAKEN(1, 1, 64, 32) },
	{ "writable, then readable is refused", write_then_read, REFUSED },
	{ "an address below the memory is refused", below_memory, REFUSED },
	{ "an address between regions is refused", in_the_gap, REFUSED },
	{ "one byte past a region is refused", past_memory, REFUSED },
	{ "the last bytes of a region may be used", to_the_last_byte, TAKEN(0, 1, 0, 16) },
	{ "an address that wraps around is refused", wraps_around, REFUSED },
	{ "one that wraps around into the memory is refused", wraps_into_memory, REFUSED },
	{ "a length of 2^32 - 1 is refused", length_of_4g, REFUSED },
	{ "two regions that follow each other give two pieces", over_two_regions,
	  TAKEN(2, 0, 30, 0) },
	{ "a descriptor of no length gives no piece", of_no_length, TAKEN(0, 0, 0, 0) },
	{ "nor does one that points nowhere", of_no_length_nowhere, TAKEN(0, 0, 0, 0) },
	{ "nothing between two pieces", nothing_between, TAKEN(1, 1, 16, 16) },
	{ "unknown flags are ignored", unknown_flags, TAKEN(1, 0, 16, 0) },
	{ "an indirect table", table_of_two, TAKEN(1, 1, 40, 24) },
	{ "a table where none was agreed on is refused", table_of_two, REFUSED,
	  .not_indirect = true },
	{ "a table marked writable is a table", table_writable, TAKEN(1, 1, 40, 24) },
	{ "a table with a next is refused", table_and_next, REFUSED },
	{ "a table after a descriptor", table_after_direct, TAKEN(2, 1, 48, 24) },
	{ "a table that reads after a write is refused", table_reads_after_write, REFUSED },
	{ "a write before a read in a table is refused", table_write_then_read, REFUSED },
	{ "a table goes by next, not by order", table_backwards, TAKEN(3, 0, 70, 0) },
	{ "an empty table is refused", table_empty, REFUSED },
	{ "a table of two and a half is refused", table_of_40_bytes, REFUSED },
	{ "a table of one too many is refused", table_too_long, REFUSED },
	{ "a table of 4 GiB is refused", table_of_4g, REFUSED },
	{ "a table may be longer than the ring", table_longer_than_ring, TAKEN(20, 0, 320, 0) },
	{ "a table of the most entries", table_of_the_most,
	  TAKEN(VRING_CHAIN_MAX, 0, 16 * VRING_CHAIN_MAX, 0) },
	{ "a chain of the most pieces", pieces_of_the_most,
	  TAKEN(VRING_CHAIN_MAX, 0, 8 * VRING_CHAIN_MAX, 0) },
	{ "a chain of one piece too many is refused", one_piece_too_many, REFUSED },
	{ "lengths may add up to 2^32 - 1", sum_just_fits, TAKEN(1024, 0, UINT32_MAX, 0) },
	{ "lengths that add up to 2^32 are refused", sum_overflows, REFUSED },
	{ "of what is read and written together", sum_of_both_overflows, REFUSED },
	{ "a next past the table is refused", table_next_past_end, REFUSED },
	{ "a loop in a table is refused", table_loops, REFUSED },
	{ "a loop of nothing in a table is refused", table_loops_over_nothing, REFUSED },
	{ "a table in a table is refused", table_in_table, REFUSED },
	{ "a table may lie over two regions, anyhow", table_over_regions, TAKEN(2, 1, 3, 4) },
	{ "a table outside the memory is refused", table_outside, REFUSED },
	{ "a table that ends outside is refused", table_half_outside, REFUSED },
	{ "an entry that points outside is refused", table_entry_outside, REFUSED },
};

static void test_rule(void **state)
{
	const struct rule *rule = *state;
	struct vring_chain *chain = malloc(sizeof(*chain));
	struct driver d;

	assert_non_null(chain);
	driver_open(&d, RING);
	d.setup.indirect = !rule->not_indirect;
	driver_start(&d);
	rule->prepare(&d);
	assert_true(vring_has_work(d.ring));
	assert_int_equal(vring_pop(d.ring, chain), rule->result);
	if (rule->result == 1) {
		assert_int_equal(chain->readable, rule->readable);
		assert_int_equal(chain->writable, rule->writable);
		assert_int_equal(chain->readable_len, rule->readable_len);
		assert_int_equal(chain->writable_len, rule->writable_len);
	}
	assert_int_equal(vring_in_flight(d.ring), rule->result == 1);
	free(chain);
	driver_close(&d);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(rules)];

	for (unsigned i = 0; i < ARRAY_LEN(rules); i++)
		tests[i] = (struct CMUnitTest){ .name = rules[i].name,
						.test_func = test_rule,
						.initial_state = (void *)&rules[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
