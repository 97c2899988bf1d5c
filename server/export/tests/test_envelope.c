/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_envelope.c - what was sealed opens; what was touched, moved or made under other
 * circumstances does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "export/envelope.h"
#include "export/tests/golden.h"

#define NUMBER UINT64_C(0x1122334455667788)
#define SEALED_MAX (ENVELOPE_PLAIN_MAX + ENVELOPE_OVERHEAD)

static const uint8_t text[] = "plain text";
#define TEXT_LEN (sizeof(text) - 1)
#define SEALED_LEN (TEXT_LEN + ENVELOPE_OVERHEAD)

static const uint8_t zeros[SEALED_MAX + 1];

struct fixture {
	struct keyring *keyring;
	struct envelope *envelope;
	uint8_t sealed[SEALED_LEN + 1]; /* the text as a row */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->keyring = golden_keyring();
	assert_int_equal(envelope_new(f->keyring, &f->envelope), 0);
	assert_int_equal(envelope_seal(f->envelope, ENVELOPE_ROW, NUMBER, text, TEXT_LEN, f->sealed,
				       sizeof(f->sealed)),
			 SEALED_LEN);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	envelope_free(f->envelope);
	keyring_free(f->keyring);
	free(f);
	return 0;
}

static void assert_opens(struct envelope *e, const uint8_t *sealed)
{
	uint8_t out[64];

	assert_int_equal(envelope_open(e, ENVELOPE_ROW, NUMBER, sealed, SEALED_LEN, out,
				       sizeof(out)),
			 TEXT_LEN);
	assert_memory_equal(out, text, TEXT_LEN);
}

static void assert_refused(struct envelope *e, enum envelope_domain domain, uint64_t number,
			   const uint8_t *sealed, size_t len)
{
	uint8_t out[64];

	memset(out, 0xee, sizeof(out));
	assert_int_equal(envelope_open(e, domain, number, sealed, len, out, sizeof(out)), -EBADMSG);
	assert_memory_equal(out, zeros, sizeof(out));
}

/* The golden keyring after a revoke, a rotation, or both. */
static struct keyring *changed_keyring(bool raise, bool rotate)
{
	struct keyring *k = golden_keyring();

	if (raise)
		assert_int_equal(keyring_raise(k), 0);
	if (rotate)
		assert_int_equal(keyring_rotate(k), 0);
	return k;
}

static void test_sealed_bytes_are_those_of_an_independent_implementation(void **state)
{
	static const char want[] = "0109648d62497ebcdb5e6b5db2f277f985e88b9752878a10a91bb6f7";
	struct fixture *f = *state;
	char hex[2 * SEALED_LEN + 1];

	hex_encode(f->sealed, SEALED_LEN, hex);
	assert_string_equal(hex, want);
	assert_opens(f->envelope, f->sealed);
}

static void test_every_length_goes_round_and_no_other_is_sealed(void **state)
{
	struct fixture *f = *state;
	uint8_t plain[ENVELOPE_PLAIN_MAX + 1];
	uint8_t sealed[SEALED_MAX + 1];
	uint8_t out[ENVELOPE_PLAIN_MAX];

	golden_fill(plain, sizeof(plain), 5);
	for (size_t len = 1; len <= ENVELOPE_PLAIN_MAX; len++) {
		assert_int_equal(envelope_seal(f->envelope, ENVELOPE_META, 1, plain, len, sealed,
					       len + ENVELOPE_OVERHEAD),
				 len + ENVELOPE_OVERHEAD);
		assert_int_equal(envelope_open(f->envelope, ENVELOPE_META, 1, sealed,
					       len + ENVELOPE_OVERHEAD, out, len),
				 len);
		assert_memory_equal(out, plain, len);
		assert_int_equal(envelope_seal(f->envelope, ENVELOPE_META, 1, plain, len, sealed,
					       len + ENVELOPE_OVERHEAD - 1),
				 -ENOBUFS);
	}
	assert_int_equal(envelope_seal(f->envelope, ENVELOPE_META, 1, plain, 0, sealed,
				       sizeof(sealed)),
			 -EINVAL);
	assert_int_equal(envelope_seal(f->envelope, ENVELOPE_META, 1, plain, sizeof(plain), sealed,
				       sizeof(sealed)),
			 -EINVAL);
}

static void test_no_bit_can_be_changed(void **state)
{
	struct fixture *f = *state;

	for (size_t bit = 0; bit < SEALED_LEN * 8; bit++) {
		f->sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(f->envelope, ENVELOPE_ROW, NUMBER, f->sealed, SEALED_LEN);
		f->sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_opens(f->envelope, f->sealed);
	}
}

static void test_no_other_length_opens(void **state)
{
	struct fixture *f = *state;

	for (size_t len = 0; len < SEALED_LEN; len++)
		assert_refused(f->envelope, ENVELOPE_ROW, NUMBER, f->sealed, len);
	for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
		f->sealed[SEALED_LEN] = (uint8_t)byte;
		assert_refused(f->envelope, ENVELOPE_ROW, NUMBER, f->sealed, SEALED_LEN + 1);
	}
	assert_refused(f->envelope, ENVELOPE_ROW, NUMBER, zeros, SEALED_MAX + 1);
}

static void test_no_other_version_or_key_id_opens(void **state)
{
	struct fixture *f = *state;

	for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
		f->sealed[0] = (uint8_t)byte;
		if (byte != 1)
			assert_refused(f->envelope, ENVELOPE_ROW, NUMBER, f->sealed, SEALED_LEN);
	}
	f->sealed[0] = 1;
	for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
		f->sealed[1] = (uint8_t)byte;
		if (byte != GOLDEN_ACTIVE)
			assert_refused(f->envelope, ENVELOPE_ROW, NUMBER, f->sealed, SEALED_LEN);
	}
}

static void test_an_envelope_of_another_domain_or_number_does_not_open(void **state)
{
	struct fixture *f = *state;
	uint8_t sealed[SEALED_LEN];

	for (unsigned a = ENVELOPE_ROW; a <= ENVELOPE_HANDLE; a++) {
		assert_int_equal(envelope_seal(f->envelope, a, NUMBER, text, TEXT_LEN, sealed,
					       sizeof(sealed)),
				 SEALED_LEN);
		for (unsigned b = ENVELOPE_ROW; b <= ENVELOPE_HANDLE; b++) {
			if (a != b)
				assert_refused(f->envelope, b, NUMBER, sealed, SEALED_LEN);
		}
		for (unsigned bit = 0; bit < 64; bit++)
			assert_refused(f->envelope, a, NUMBER ^ UINT64_C(1) << bit, sealed,
				       SEALED_LEN);
	}
}

static void test_a_row_of_another_root_generation_does_not_open(void **state)
{
	struct fixture *f = *state;
	struct keyring *k = changed_keyring(true, false);
	struct envelope *e;

	assert_int_equal(envelope_new(k, &e), 0);
	assert_refused(e, ENVELOPE_ROW, NUMBER, f->sealed, SEALED_LEN);
	envelope_free(e);
	keyring_free(k);
}

static void test_a_row_of_another_export_does_not_open(void **state)
{
	struct fixture *f = *state;
	struct envelope *e;
	struct keyring *k;

	/* With other keys... */
	assert_int_equal(keyring_generate(&k), 0);
	assert_int_equal(envelope_new(k, &e), 0);
	f->sealed[1] = keyring_active(k);
	assert_refused(e, ENVELOPE_ROW, NUMBER, f->sealed, SEALED_LEN);
	envelope_free(e);
	keyring_free(k);

	/* ...and with the same keys under another UUID. */
	f->sealed[1] = GOLDEN_ACTIVE;
	for (unsigned byte = 0; byte < HOLDFAST_UUID_LEN; byte++) {
		uint8_t *uuid;

		k = golden_keyring();
		uuid = (uint8_t *)keyring_uuid(k);
		uuid[byte] ^= 1;
		assert_int_equal(envelope_new(k, &e), 0);
		assert_refused(e, ENVELOPE_ROW, NUMBER, f->sealed, SEALED_LEN);
		envelope_free(e);
		keyring_free(k);
	}
}

static void test_retired_keys_open_and_do_not_seal(void **state)
{
	struct fixture *f = *state;
	struct keyring *k = changed_keyring(false, true);
	struct envelope *e;
	uint8_t sealed[SEALED_LEN];

	assert_int_equal(envelope_new(k, &e), 0);
	assert_opens(e, f->sealed);
	assert_int_equal(envelope_seal(e, ENVELOPE_ROW, NUMBER, text, TEXT_LEN, sealed,
				       sizeof(sealed)),
			 SEALED_LEN);
	assert_int_equal(sealed[1], keyring_active(k));
	assert_int_not_equal(sealed[1], GOLDEN_ACTIVE);
	assert_opens(e, sealed);
	/* Who has not heard of the rotation does not know the key. */
	assert_refused(f->envelope, ENVELOPE_ROW, NUMBER, sealed, SEALED_LEN);
	envelope_free(e);
	keyring_free(k);
}

static void test_what_has_no_room_is_not_opened(void **state)
{
	struct fixture *f = *state;
	uint8_t out[TEXT_LEN];

	assert_int_equal(envelope_open(f->envelope, ENVELOPE_ROW, NUMBER, f->sealed, SEALED_LEN,
				       out, TEXT_LEN - 1),
			 -EBADMSG);
	assert_int_equal(envelope_open(f->envelope, ENVELOPE_ROW, NUMBER, f->sealed, SEALED_LEN,
				       out, TEXT_LEN),
			 TEXT_LEN);
}

/* The identity that the golden handle was made of. */
static struct identity golden_identity(void)
{
	static const uint8_t handle[] = { 0x0c, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde };
	struct identity id = { .btime_ns = 1700000000123456789, .handle_type = 1, .handle_len = 8 };

	golden_fill(id.place.fsid, sizeof(id.place.fsid), 0);
	memcpy(id.handle, handle, sizeof(handle));
	return id;
}

static void test_a_sealed_handle_goes_round_and_is_as_short_as_promised(void **state)
{
	static const char want[] =
		"010911eef82c86d04faa7ca91d9264708954f00361f894ab0da49b950749975fccb7ce26c2bc1b7534"
		"849c9251fd9a0f1c4e44651a";
	struct fixture *f = *state;
	struct identity id = golden_identity();
	struct identity back;
	uint8_t sealed[256];
	char hex[2 * sizeof(sealed) + 1];
	ssize_t n = envelope_seal_handle(f->envelope, &id, sealed, sizeof(sealed));

	/* ext4 */
	assert_true(n > 0 && n <= 64);
	hex_encode(sealed, (size_t)n, hex);
	assert_string_equal(hex, want);
	assert_int_equal(envelope_open_handle(f->envelope, sealed, (size_t)n, &back), 0);
	assert_true(identity_equal(&id, &back));

	/* xfs */
	id.handle_len = 12;
	id.handle_type = 0x81;
	n = envelope_seal_handle(f->envelope, &id, sealed, 64);
	assert_true(n > 0 && n <= 64);

	/* btrfs with a subvolume, at a mount inside the share */
	id.handle_len = 20;
	id.place.subvol[0] = 1;
	id.place.attachment = 1;
	n = envelope_seal_handle(f->envelope, &id, sealed, 128);
	assert_true(n > 0 && n <= 128);
	assert_int_equal(envelope_open_handle(f->envelope, sealed, (size_t)n, &back), 0);
	assert_true(identity_equal(&id, &back));

	/* Longer than a handle may be, though there is room. */
	id.handle_len = IDENTITY_HANDLE_MAX;
	assert_int_equal(envelope_seal_handle(f->envelope, &id, sealed, sizeof(sealed)), -ENOBUFS);
	id.handle_len = 20;
	assert_int_equal(envelope_seal_handle(f->envelope, &id, sealed, 64), -ENOBUFS);
}

static void test_no_forged_handle_opens(void **state)
{
	struct fixture *f = *state;
	struct identity id = golden_identity();
	struct identity back;
	uint8_t sealed[SEALED_MAX];
	uint8_t plain[IDENTITY_MAX];
	size_t n = (size_t)envelope_seal_handle(f->envelope, &id, sealed, sizeof(sealed));

	for (size_t bit = 0; bit < n * 8; bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(envelope_open_handle(f->envelope, sealed, n, &back), -EBADMSG);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < sizeof(sealed); len++) {
		int ret = envelope_open_handle(f->envelope, sealed, len, &back);

		assert_int_equal(ret, len == n ? 0 : -EBADMSG);
	}

	/* Sealed by us, but longer than a handle may be. */
	id.handle_len = IDENTITY_HANDLE_MAX;
	n = identity_encode(&id, plain);
	n = (size_t)envelope_seal(f->envelope, ENVELOPE_HANDLE, 0, plain, n, sealed,
				  sizeof(sealed));
	assert_int_equal(envelope_open_handle(f->envelope, sealed, n, &back), -EBADMSG);

	/* Sealed by us, but no identity. */
	n = (size_t)envelope_seal(f->envelope, ENVELOPE_HANDLE, 0, text, TEXT_LEN, sealed,
				  sizeof(sealed));
	assert_int_equal(envelope_open_handle(f->envelope, sealed, n, &back), -EBADMSG);
}

static void test_nothing_is_freed_without_complaint(void **state)
{
	(void)state;
	envelope_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_sealed_bytes_are_those_of_an_independent_implementation),
		CASE(test_every_length_goes_round_and_no_other_is_sealed),
		CASE(test_no_bit_can_be_changed),
		CASE(test_no_other_length_opens),
		CASE(test_no_other_version_or_key_id_opens),
		CASE(test_an_envelope_of_another_domain_or_number_does_not_open),
		CASE(test_a_row_of_another_root_generation_does_not_open),
		CASE(test_a_row_of_another_export_does_not_open),
		CASE(test_retired_keys_open_and_do_not_seal),
		CASE(test_what_has_no_room_is_not_opened),
		CASE(test_a_sealed_handle_goes_round_and_is_as_short_as_promised),
		CASE(test_no_forged_handle_opens),
		CASE(test_nothing_is_freed_without_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
