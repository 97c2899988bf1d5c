/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_identity.c - one identity, one encoding; and nothing else decodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "export/identity.h"

/* Each combination of the fields that may be absent, short and long handles, narrow and wide types.
 */
enum { VARIANTS = 2 * 2 * 2 * 3 * 3 };

static struct identity variant(unsigned n)
{
	static const int32_t types[] = { 1, 0xff, -2 };
	static const uint8_t lens[] = { 1, 8, IDENTITY_HANDLE_MAX };
	struct identity id;

	memset(&id, 0, sizeof(id));
	for (unsigned i = 0; i < HOLDFAST_UUID_LEN; i++)
		id.place.fsid[i] = (uint8_t)(0x10 + i);
	if (n % 2)
		memset(id.place.subvol, 0x5b, sizeof(id.place.subvol));
	n /= 2;
	id.place.attachment = n % 2 ? UINT64_C(0xa1a2a3a4a5a6a7a8) : 0;
	n /= 2;
	id.btime_ns = n % 2 ? -INT64_C(1234567890123) : IDENTITY_BTIME_NONE;
	n /= 2;
	id.handle_type = types[n % 3];
	n /= 3;
	id.handle_len = lens[n % 3];
	for (unsigned i = 0; i < id.handle_len; i++)
		id.handle[i] = (uint8_t)(0xc0 + i);
	return id;
}

static void test_every_identity_goes_round_in_both_forms(void **state)
{
	uint8_t bytes[IDENTITY_MAX];
	uint8_t local[IDENTITY_LOCAL_MAX];

	(void)state;
	for (unsigned n = 0; n < VARIANTS; n++) {
		struct identity id = variant(n);
		struct identity back;
		size_t len = identity_encode(&id, bytes);

		memset(&back, 0xee, sizeof(back));
		assert_true(len <= IDENTITY_MAX);
		assert_int_equal(identity_decode(bytes, len, &back), len);
		assert_true(identity_equal(&id, &back));

		len = identity_encode_local(&id, local);
		assert_true(len <= IDENTITY_LOCAL_MAX);
		memset(&back, 0xee, sizeof(back));
		back.place = id.place;
		assert_int_equal(identity_decode_local(local, len, &back), len);
		assert_true(identity_equal(&id, &back));
	}
}

static void test_the_longest_identity_fits_exactly(void **state)
{
	struct identity id = variant(VARIANTS - 1);
	uint8_t bytes[IDENTITY_MAX];

	(void)state;
	assert_true(identity_encode(&id, bytes) <= IDENTITY_MAX);
	assert_int_equal(identity_encode_local(&id, bytes), IDENTITY_LOCAL_MAX);
}

static void test_the_layout_is_the_documented_one(void **state)
{
	static const uint8_t want[] = { 0x14, 0,    1,	  2,	3,    4,    5,	  6,   7,
					8,    9,    10,	  11,	12,   13,   14,	  15,  0x15,
					0xcd, 0x85, 0x3d, 0xfe, 0x9c, 0x97, 0x17, 1,   8,
					12,   0,    0,	  0,	0xef, 0xbe, 0xad, 0xde };
	static const uint8_t want_local[] = { 0x24, 0x15, 0xcd, 0x85, 0x3d, 0xfe, 0x9c,
					      0x97, 0x17, 1,	8,    12,   0,	  0,
					      0,    0xef, 0xbe, 0xad, 0xde };
	struct identity id = { .btime_ns = 1700000000123456789, .handle_type = 1, .handle_len = 8 };
	uint8_t bytes[IDENTITY_MAX];

	(void)state;
	for (uint8_t i = 0; i < HOLDFAST_UUID_LEN; i++)
		id.place.fsid[i] = i;
	memcpy(id.handle, want + sizeof(want) - 8, 8);
	assert_int_equal(identity_encode(&id, bytes), sizeof(want));
	assert_memory_equal(bytes, want, sizeof(want));
	assert_int_equal(identity_encode_local(&id, bytes), sizeof(want_local));
	assert_memory_equal(bytes, want_local, sizeof(want_local));
}

static void test_different_identities_have_different_bytes(void **state)
{
	uint8_t a[IDENTITY_MAX];
	uint8_t b[IDENTITY_MAX];

	(void)state;
	for (unsigned i = 0; i < VARIANTS; i++) {
		struct identity id = variant(i);
		size_t alen = identity_encode(&id, a);

		for (unsigned j = 0; j < VARIANTS; j++) {
			struct identity other = variant(j);
			size_t blen = identity_encode(&other, b);

			assert_true(identity_equal(&id, &other) == (i == j));
			assert_true((alen == blen && !memcmp(a, b, alen)) == (i == j));
		}
	}
}

static void test_bytes_behind_the_handle_do_not_count(void **state)
{
	struct identity a = variant(12);
	struct identity b = a;
	uint8_t ea[IDENTITY_MAX];
	uint8_t eb[IDENTITY_MAX];
	size_t len;

	(void)state;
	b.handle[b.handle_len] = 1;
	assert_true(identity_equal(&a, &b));
	len = identity_encode(&a, ea);
	assert_int_equal(identity_encode(&b, eb), len);
	assert_memory_equal(ea, eb, len);
}

static void test_each_field_makes_another_identity(void **state)
{
	struct identity base = variant(4 + 8 * 3);
	struct identity o[7];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(o); i++)
		o[i] = base;
	o[0].place.fsid[0] ^= 1;
	o[1].place.subvol[0] ^= 1;
	o[2].place.attachment ^= 1;
	o[3].btime_ns++;
	o[4].handle_type++;
	o[5].handle_len--;
	o[6].handle[base.handle_len - 1] ^= 1;
	for (size_t i = 0; i < ARRAY_LEN(o); i++) {
		assert_false(identity_equal(&base, &o[i]));
		assert_true(place_equal(&base.place, &o[i].place) == (i >= 3));
	}
}

static void test_no_truncated_and_no_extended_identity_decodes(void **state)
{
	uint8_t bytes[IDENTITY_MAX + 1];
	struct identity back;

	(void)state;
	for (unsigned n = 0; n < VARIANTS; n++) {
		struct identity id = variant(n);
		size_t len = identity_encode(&id, bytes);

		for (size_t shorter = 0; shorter < len; shorter++)
			assert_int_equal(identity_decode(bytes, shorter, &back), -EBADMSG);
		bytes[len] = 0;
		assert_int_equal(identity_decode(bytes, len + 1, &back), -EBADMSG);

		/* The local form may be followed by more, but not cut; and is no full form. */
		len = identity_encode_local(&id, bytes);
		for (size_t shorter = 0; shorter < len; shorter++)
			assert_int_equal(identity_decode_local(bytes, shorter, &back), -EBADMSG);
		assert_int_equal(identity_decode_local(bytes, len + 1, &back), len);
		assert_int_equal(identity_decode(bytes, len, &back), -EBADMSG);
		len = identity_encode(&id, bytes);
		assert_int_equal(identity_decode_local(bytes, len, &back), -EBADMSG);
	}
}

/* Whatever decodes is what the encoder makes of it: no byte has two readings. */
static void test_what_decodes_encodes_to_the_same_bytes(void **state)
{
	uint8_t bytes[IDENTITY_MAX];
	uint8_t again[IDENTITY_MAX];
	struct identity back;

	(void)state;
	for (unsigned n = 0; n < VARIANTS; n++) {
		struct identity id = variant(n);
		size_t len = identity_encode(&id, bytes);

		for (size_t i = 0; i < len * 256; i++) {
			uint8_t old = bytes[i / 256];

			bytes[i / 256] = (uint8_t)i;
			if (identity_decode(bytes, len, &back) == (ssize_t)len) {
				assert_int_equal(identity_encode(&back, again), len);
				assert_memory_equal(bytes, again, len);
			}
			bytes[i / 256] = old;
		}
	}
}

static void test_fields_that_are_flagged_but_empty_are_refused(void **state)
{
	struct identity id = variant(1 + 2 + 4 + 2 * 8);
	struct identity back;
	uint8_t good[IDENTITY_MAX];
	uint8_t bad[IDENTITY_MAX];
	size_t len = identity_encode(&id, good);
	/* form 1, fsid 16, subvolume 16, attachment 8, birth time 8, type 4, length 1 */
	static const struct {
		size_t offset, len;
		uint8_t bytes[8];
	} cases[] = {
		{ 33, 8, { 0 } },			  /* attachment 0 */
		{ 41, 8, { 0, 0, 0, 0, 0, 0, 0, 0x80 } }, /* no birth time */
		{ 49, 4, { 0xff, 0, 0, 0 } },		  /* a narrow type, wide */
		{ 53, 1, { 0 } },			  /* handle of no bytes */
		{ 53, 1, { IDENTITY_HANDLE_MAX + 1 } },	  /* and of too many */
		{ 0, 1, { 0x0f } },			  /* unknown forms */
		{ 0, 1, { 0x3f } },
	};

	(void)state;
	assert_int_equal(identity_decode(good, len, &back), len);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		memcpy(bad, good, sizeof(bad));
		memcpy(bad + cases[i].offset, cases[i].bytes, cases[i].len);
		assert_int_equal(identity_decode(bad, len, &back), -EBADMSG);
	}
	memcpy(bad, good, sizeof(bad));
	memset(bad + 17, 0, HOLDFAST_UUID_LEN);
	assert_int_equal(identity_decode(bad, len, &back), -EBADMSG);

	/* A handle of no bytes, with none behind it. */
	memcpy(bad, good, sizeof(bad));
	bad[53] = 0;
	assert_int_equal(identity_decode(bad, 54, &back), -EBADMSG);
	bad[53] = 1;
	assert_int_equal(identity_decode(bad, 55, &back), 55);
}

static void test_a_local_form_with_a_place_is_refused(void **state)
{
	struct identity id = variant(4);
	struct identity back;
	uint8_t bytes[IDENTITY_MAX] = { 0 };
	size_t len = identity_encode_local(&id, bytes);

	(void)state;
	for (uint8_t flag = 1; flag <= 2; flag++) {
		bytes[0] ^= flag;
		assert_int_equal(identity_decode_local(bytes, len, &back), -EBADMSG);
		assert_int_equal(identity_decode_local(bytes, sizeof(bytes), &back), -EBADMSG);
		bytes[0] ^= flag;
	}
}

static void test_the_local_form_leaves_the_place_alone(void **state)
{
	struct identity id = variant(4);
	struct identity back = variant(3);
	uint8_t bytes[IDENTITY_LOCAL_MAX];
	size_t len = identity_encode_local(&id, bytes);
	struct place before = back.place;

	(void)state;
	assert_int_equal(identity_decode_local(bytes, len, &back), len);
	assert_true(place_equal(&back.place, &before));
}

static void test_a_birth_time_of_1970_is_one(void **state)
{
	struct identity id = variant(0);
	struct identity back;
	uint8_t bytes[IDENTITY_MAX];
	size_t without = identity_encode(&id, bytes);

	(void)state;
	id.btime_ns = 0;
	assert_int_equal(identity_encode(&id, bytes), without + 8);
	assert_int_equal(identity_decode(bytes, without + 8, &back), without + 8);
	assert_true(back.btime_ns == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_identity_goes_round_in_both_forms),
		cmocka_unit_test(test_the_longest_identity_fits_exactly),
		cmocka_unit_test(test_the_layout_is_the_documented_one),
		cmocka_unit_test(test_different_identities_have_different_bytes),
		cmocka_unit_test(test_bytes_behind_the_handle_do_not_count),
		cmocka_unit_test(test_each_field_makes_another_identity),
		cmocka_unit_test(test_no_truncated_and_no_extended_identity_decodes),
		cmocka_unit_test(test_what_decodes_encodes_to_the_same_bytes),
		cmocka_unit_test(test_fields_that_are_flagged_but_empty_are_refused),
		cmocka_unit_test(test_a_local_form_with_a_place_is_refused),
		cmocka_unit_test(test_the_local_form_leaves_the_place_alone),
		cmocka_unit_test(test_a_birth_time_of_1970_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
