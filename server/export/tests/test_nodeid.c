/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_nodeid.c - the mint: its numbers are the same for ever, in range, and depend on all they
 * should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/log.h"
#include "export/nodeid.h"
#include "export/tests/golden.h"

#define INO UINT64_C(0x123456789)
#define PRF40 ((UINT64_C(1) << 40) - 1)

struct fixture {
	struct keyring *keyring;
	struct mint *mint;
	struct identity id;
};

static struct identity golden_identity(void)
{
	static const uint8_t handle[] = { 0x0c, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde };
	struct identity id = { .btime_ns = 1700000000123456789, .handle_type = 1, .handle_len = 8 };

	golden_fill(id.place.fsid, sizeof(id.place.fsid), 0);
	memcpy(id.handle, handle, sizeof(handle));
	return id;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	log_init(LOG_LEVEL_OFF, false);
	assert_int_equal(unsetenv(MINT_TEST_ENV), 0);
	f->keyring = golden_keyring();
	assert_int_equal(mint_new(f->keyring, &f->mint), 0);
	f->id = golden_identity();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	mint_free(f->mint);
	keyring_free(f->keyring);
	free(f);
	return unsetenv(MINT_TEST_ENV);
}

static struct minted mint(struct fixture *f, const struct identity *id, uint64_t ino,
			  unsigned tweak)
{
	struct minted out;

	assert_int_equal(mint_identity(f->mint, id, ino, tweak, &out), 0);
	assert_int_equal(out.tweak, tweak);
	assert_true(out.rowid.v > 1);
	assert_true(out.nodeid.v > 1);
	assert_true(out.generation.v != 0);
	assert_int_equal(mint_rowid(f->mint, out.nodeid).v, out.rowid.v);
	return out;
}

/* The mint is made anew with the mask in the environment. */
static void remint(struct fixture *f, const char *mask)
{
	mint_free(f->mint);
	f->mint = NULL;
	assert_int_equal(setenv(MINT_TEST_ENV, mask, 1), 0);
	assert_int_equal(mint_new(f->keyring, &f->mint), 0);
}

/* Computed by an independent implementation. These are in guests' handles: they never change. */
static void test_the_numbers_are_the_same_for_ever(void **state)
{
	static const struct {
		unsigned tweak;
		uint64_t rowid;
		uint64_t nodeid;
	} golden[] = {
		{ 0, 0x23456774e73fc6f3, 0x78e8f0cc89e95151 },
		{ 1, 0x2345679f07073be2, 0xdbcb07d16d9d3b59 },
		{ 15, 0x23456715f8ec1ef9, 0x7f8ab933efd4933d },
	};
	struct fixture *f = *state;
	uint64_t number;

	for (unsigned again = 0; again < 3; again++) {
		for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
			struct minted m = mint(f, &f->id, INO, golden[i].tweak);

			assert_true(m.rowid.v == golden[i].rowid);
			assert_true(m.nodeid.v == golden[i].nodeid);
			assert_int_equal(m.generation.v, 0x9b1fdb57);
		}
		assert_int_equal(mint_attachment(f->mint, &f->id, "mnt", &number), 0);
		assert_true(number == 0x9c2dc37a5f691077);
		assert_int_equal(mint_inode(f->mint, &f->id, &number), 0);
		assert_true(number == 0x51e4c3e6);
	}
}

static void test_every_part_of_the_identity_counts(void **state)
{
	struct fixture *f = *state;
	struct minted base = mint(f, &f->id, INO, 0);
	struct identity other[7];

	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		other[i] = f->id;
	other[0].place.fsid[15] ^= 1;
	other[1].place.subvol[15] ^= 1;
	other[2].place.attachment = 1;
	other[3].btime_ns++;
	other[4].btime_ns = IDENTITY_BTIME_NONE;
	other[5].handle_type++;
	other[6].handle[7] ^= 0x80;
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		struct minted m = mint(f, &other[i], INO, 0);

		assert_true((m.rowid.v & PRF40) != (base.rowid.v & PRF40));
		assert_true(m.generation.v != base.generation.v);
	}
	/* What is in the buffer behind the handle does not. */
	other[0] = f->id;
	other[0].handle[8] = 1;
	assert_true(mint(f, &other[0], INO, 0).nodeid.v == base.nodeid.v);
}

static void test_neighbours_stay_together(void **state)
{
	struct fixture *f = *state;

	for (uint64_t ino = 0; ino < 2048; ino++)
		assert_true(mint(f, &f->id, ino, 0).rowid.v >> 40 == ino >> 8);
	assert_true(mint(f, &f->id, UINT64_MAX, 0).rowid.v >> 40 == 0xffffff);
	assert_true(mint(f, &f->id, UINT64_C(0x100000000), 0).rowid.v >> 40 == 0);
}

static void test_a_tweak_changes_the_rowid_and_not_the_generation(void **state)
{
	struct fixture *f = *state;
	struct minted m[MINT_TWEAK_MAX + 1];

	for (unsigned i = 0; i <= MINT_TWEAK_MAX; i++) {
		m[i] = mint(f, &f->id, INO, i);
		assert_true(m[i].rowid.v >> 40 == (INO >> 8 & 0xffffff));
		assert_int_equal(m[i].generation.v, m[0].generation.v);
		for (unsigned j = 0; j < i; j++)
			assert_true(m[i].rowid.v != m[j].rowid.v);
	}
}

static void test_the_permutation_is_one_and_leaves_the_root_alone(void **state)
{
	static const uint64_t edges[] = {
		2, 3, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX - 1, UINT64_MAX
	};
	struct fixture *f = *state;

	for (uint64_t v = 0; v <= 1; v++) {
		assert_true(mint_nodeid(f->mint, (rowid_t){ v }).v == v);
		assert_true(mint_rowid(f->mint, (nodeid_t){ v }).v == v);
	}
	for (uint64_t v = 2; v < 20000; v++) {
		uint64_t x = v * UINT64_C(0x9e3779b97f4a7c15);
		nodeid_t nodeid = mint_nodeid(f->mint, (rowid_t){ x });

		assert_true(nodeid.v > 1);
		assert_true(mint_rowid(f->mint, nodeid).v == x);
		assert_true(mint_nodeid(f->mint, mint_rowid(f->mint, (nodeid_t){ v })).v == v);
	}
	for (size_t i = 0; i < ARRAY_LEN(edges); i++)
		assert_true(mint_rowid(f->mint, mint_nodeid(f->mint, (rowid_t){ edges[i] })).v ==
			    edges[i]);
}

/*
 * The numbers whose pass meets 0 or 1 cannot be had by chance. As the pass is a bijection of all
 * numbers that the walk makes one of what is above 1, no nodeid is 0 or 1 and none is had twice:
 * seen here for a range of both sides.
 */
static void test_no_two_rowids_share_a_nodeid(void **state)
{
	enum { COUNT = 4096 };
	struct fixture *f = *state;
	uint64_t *seen = calloc(COUNT, sizeof(*seen));

	assert_non_null(seen);
	for (uint64_t v = 0; v < COUNT; v++) {
		seen[v] = mint_nodeid(f->mint, (rowid_t){ v + 2 }).v;
		for (uint64_t w = 0; w < v; w++)
			assert_true(seen[v] != seen[w]);
	}
	free(seen);
}

static void test_a_revoke_changes_every_node_and_no_place(void **state)
{
	struct fixture *f = *state;
	struct minted before = mint(f, &f->id, INO, 0);
	struct minted after;
	uint64_t attachment[2];
	uint64_t inode[2];
	nodeid_t permuted;

	assert_int_equal(mint_attachment(f->mint, &f->id, "mnt", &attachment[0]), 0);
	assert_int_equal(mint_inode(f->mint, &f->id, &inode[0]), 0);
	permuted = mint_nodeid(f->mint, (rowid_t){ INO });
	assert_int_equal(keyring_raise(f->keyring), 0);
	mint_free(f->mint);
	assert_int_equal(mint_new(f->keyring, &f->mint), 0);

	after = mint(f, &f->id, INO, 0);
	assert_true(after.rowid.v != before.rowid.v);
	assert_true(after.generation.v != before.generation.v);
	/* The permutation has changed by itself, not only what goes in. */
	assert_true(mint_nodeid(f->mint, (rowid_t){ INO }).v != permuted.v);
	assert_int_equal(mint_attachment(f->mint, &f->id, "mnt", &attachment[1]), 0);
	assert_int_equal(mint_inode(f->mint, &f->id, &inode[1]), 0);
	assert_true(attachment[0] == attachment[1]);
	assert_true(inode[0] == inode[1]);
	assert_true(mint_nodeid(f->mint, (rowid_t){ 1 }).v == 1);
}

static void test_another_keyring_mints_other_numbers(void **state)
{
	struct fixture *f = *state;
	struct minted before = mint(f, &f->id, INO, 0);
	struct minted after;

	keyring_free(f->keyring);
	assert_int_equal(keyring_generate(&f->keyring), 0);
	mint_free(f->mint);
	assert_int_equal(mint_new(f->keyring, &f->mint), 0);
	after = mint(f, &f->id, INO, 0);
	assert_true(after.rowid.v != before.rowid.v);
	assert_true(after.generation.v != before.generation.v);
}

static void test_attachments_depend_on_parent_and_name(void **state)
{
	struct fixture *f = *state;
	struct identity other = f->id;
	char longest[HOLDFAST_NAME_MAX + 2];
	uint64_t a;
	uint64_t b;

	other.handle[0] ^= 1;
	assert_int_equal(mint_attachment(f->mint, &f->id, "mnt", &a), 0);
	assert_int_equal(mint_attachment(f->mint, &f->id, "mnt2", &b), 0);
	assert_true(a != b && a && b);
	assert_int_equal(mint_attachment(f->mint, &other, "mnt", &b), 0);
	assert_true(a != b);

	memset(longest, 'n', sizeof(longest));
	longest[HOLDFAST_NAME_MAX + 1] = '\0';
	assert_int_equal(mint_attachment(f->mint, &f->id, longest, &b), -ENAMETOOLONG);
	longest[HOLDFAST_NAME_MAX] = '\0';
	other.handle_len = IDENTITY_HANDLE_MAX;
	other.place.subvol[0] = 1;
	other.place.attachment = a;
	other.handle_type = -1;
	assert_int_equal(mint_attachment(f->mint, &other, longest, &b), 0);
}

static void test_synthetic_inode_numbers_are_in_their_range(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0;
	uint64_t ino;

	for (unsigned i = 0; i < 256; i++) {
		f->id.handle[0] = (uint8_t)i;
		assert_int_equal(mint_inode(f->mint, &f->id, &ino), 0);
		assert_true(ino >= 0x40000000 && ino <= 0x7fffffff);
		if (i == 0)
			first = ino;
		else
			assert_true(ino != first);
	}
}

static void test_the_test_hook_makes_clashes_that_a_tweak_resolves(void **state)
{
	struct fixture *f = *state;
	struct identity other = f->id;
	struct minted a;
	struct minted b;
	uint64_t plain = mint(f, &f->id, INO, 0).rowid.v;
	uint64_t tweaked = mint(f, &f->id, INO, 1).rowid.v;

	other.handle[0] ^= 1;
	remint(f, "8000000000");
	for (unsigned i = 0; i < 2; i++) {
		f->id.handle[7] = (uint8_t)i;
		a = mint(f, &f->id, INO, 0);
		assert_true((a.rowid.v & PRF40 & ~UINT64_C(0x8000000000)) == 0);
	}
	f->id = golden_identity();
	a = mint(f, &f->id, INO, 0);
	assert_true((a.rowid.v & PRF40) == (plain & 0x8000000000));
	assert_true(mint(f, &f->id, INO, 1).rowid.v == tweaked);

	/* Of four objects under a mask of one bit, two must clash, and the generation tells them
	 * apart. */
	b = mint(f, &other, INO, 0);
	for (unsigned i = 2; a.rowid.v != b.rowid.v && i < 64; i++) {
		other.handle[0] = (uint8_t)(f->id.handle[0] ^ i);
		b = mint(f, &other, INO, 0);
	}
	assert_true(a.rowid.v == b.rowid.v && a.nodeid.v == b.nodeid.v);
	assert_true(a.generation.v != b.generation.v);
	assert_true(mint(f, &f->id, INO, 1).rowid.v != mint(f, &other, INO, 1).rowid.v);
}

static void test_rowids_0_and_1_are_stepped_over(void **state)
{
	struct fixture *f = *state;
	bool seen[2] = { false, false };

	/* With inode numbers below 256 and this mask, nothing but 0 and 1 would come out. */
	remint(f, "1");
	for (unsigned i = 0; i < 64; i++) {
		struct minted m;

		f->id.handle[0] = (uint8_t)i;
		m = mint(f, &f->id, 12, 0);
		assert_true((m.rowid.v & ~UINT64_C(1)) == UINT64_C(1) << 39);
		seen[m.rowid.v & 1] = true;
	}
	assert_true(seen[0] && seen[1]);
}

static void test_a_mask_that_is_no_number_does_nothing(void **state)
{
	static const char *const masks[] = { "", "x", "8z", "8 " };
	struct fixture *f = *state;
	uint64_t plain = mint(f, &f->id, INO, 0).rowid.v;

	for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
		remint(f, masks[i]);
		assert_true(mint(f, &f->id, INO, 0).rowid.v == plain);
	}
	mint_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_numbers_are_the_same_for_ever),
		CASE(test_every_part_of_the_identity_counts),
		CASE(test_neighbours_stay_together),
		CASE(test_a_tweak_changes_the_rowid_and_not_the_generation),
		CASE(test_the_permutation_is_one_and_leaves_the_root_alone),
		CASE(test_no_two_rowids_share_a_nodeid),
		CASE(test_a_revoke_changes_every_node_and_no_place),
		CASE(test_another_keyring_mints_other_numbers),
		CASE(test_attachments_depend_on_parent_and_name),
		CASE(test_synthetic_inode_numbers_are_in_their_range),
		CASE(test_the_test_hook_makes_clashes_that_a_tweak_resolves),
		CASE(test_rowids_0_and_1_are_stepped_over),
		CASE(test_a_mask_that_is_no_number_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
