/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_siv.c - AES-SIV against the vector of RFC 5297 and an independent implementation, many
 * messages on one key, and that nothing which was touched opens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "export/siv.h"

#define MESSAGE_MAX 128

/* The second was made by S2V and CTR written out over the plain block cipher. */
static const struct {
	const char *cipher, *key, *ad, *plain, *tag, *sealed;
} vectors[] = {
	{ "AES-128-SIV", "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
	  "101112131415161718191a1b1c1d1e1f2021222324252627", "112233445566778899aabbccddee",
	  "85632d07c6e8f37f950acd320a2ecc93", "40c02b9690c4dc04daef7f6afe5c" },
	{ "AES-256-SIV",
	  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	  "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
	  "6173736f6369617465642064617461",
	  "6120706c61696e2074657874206f66206d6f7265207468616e2074776f20626c6f636b73",
	  "6eb89b5a9b62a89c62302ad4a09db255",
	  "1edaa4ef8febf4ee2d2aab1238e3f07b9336139a5c73e281b693d06f67d7b5e5e97ce44b" },
};

static size_t unhex(const char *hex, uint8_t out[MESSAGE_MAX])
{
	ssize_t n = hex_decode(hex, strlen(hex), out, MESSAGE_MAX);

	assert_true(n > 0);
	return (size_t)n;
}

static struct siv *vector_siv(size_t i)
{
	uint8_t key[MESSAGE_MAX];
	size_t len = unhex(vectors[i].key, key);
	struct siv *s;

	assert_int_equal(siv_new(vectors[i].cipher, key, len, &s), 0);
	return s;
}

static void test_the_vectors_seal_and_open_again_and_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		uint8_t ad[MESSAGE_MAX];
		uint8_t plain[MESSAGE_MAX];
		uint8_t want[MESSAGE_MAX];
		uint8_t want_tag[MESSAGE_MAX];
		uint8_t tag[SIV_TAG_LEN];
		uint8_t out[MESSAGE_MAX];
		struct siv *s = vector_siv(i);
		size_t ad_len = unhex(vectors[i].ad, ad);
		size_t len = unhex(vectors[i].plain, plain);

		assert_int_equal(unhex(vectors[i].sealed, want), len);
		assert_int_equal(unhex(vectors[i].tag, want_tag), SIV_TAG_LEN);
		/* The pitfall is in the second message on a context. */
		for (unsigned again = 0; again < 3; again++) {
			assert_int_equal(siv_seal(s, ad, ad_len, plain, len, tag, out), 0);
			assert_memory_equal(tag, want_tag, SIV_TAG_LEN);
			assert_memory_equal(out, want, len);
			assert_int_equal(siv_open(s, ad, ad_len, want_tag, want, len, out), 0);
			assert_memory_equal(out, plain, len);
		}
		siv_free(s);
	}
}

/* Fails, leaves nothing of the plain text, and the good message opens right after. */
static void assert_refused(struct siv *s, const uint8_t *ad, size_t ad_len, const uint8_t *tag,
			   const uint8_t *sealed, size_t len)
{
	static const uint8_t zeros[MESSAGE_MAX];
	uint8_t out[MESSAGE_MAX];

	memset(out, 0xee, sizeof(out));
	assert_int_equal(siv_open(s, ad, ad_len, tag, sealed, len, out), -EBADMSG);
	assert_memory_equal(out, zeros, len);
}

static void test_no_bit_can_be_changed(void **state)
{
	uint8_t bytes[MESSAGE_MAX]; /* associated data, tag, sealed */
	uint8_t plain[MESSAGE_MAX];
	uint8_t out[MESSAGE_MAX];
	struct siv *s = vector_siv(1);
	size_t ad_len = unhex(vectors[1].ad, bytes);
	size_t len = unhex(vectors[1].plain, plain);
	uint8_t *tag = bytes + ad_len;
	uint8_t *sealed = tag + SIV_TAG_LEN;
	size_t total = ad_len + SIV_TAG_LEN + len;

	(void)state;
	assert_true(total <= sizeof(bytes));
	assert_int_equal(siv_seal(s, bytes, ad_len, plain, len, tag, sealed), 0);
	for (size_t bit = 0; bit < total * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(s, bytes, ad_len, tag, sealed, len);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(siv_open(s, bytes, ad_len, tag, sealed, len, out), 0);
	}
	for (size_t shorter = 1; shorter < len; shorter++)
		assert_refused(s, bytes, ad_len, tag, sealed, shorter);
	for (size_t shorter = 1; shorter < ad_len; shorter++)
		assert_refused(s, bytes, shorter, tag, sealed, len);
	siv_free(s);
}

static void test_another_key_does_not_open(void **state)
{
	uint8_t key[64] = { 0 };
	uint8_t ad[1] = { 0 };
	uint8_t plain[20] = { 1 };
	uint8_t tag[SIV_TAG_LEN];
	uint8_t sealed[20];
	struct siv *a;
	struct siv *b;

	(void)state;
	assert_int_equal(siv_new("AES-256-SIV", key, sizeof(key), &a), 0);
	assert_int_equal(siv_seal(a, ad, 1, plain, sizeof(plain), tag, sealed), 0);
	for (size_t byte = 0; byte < sizeof(key); byte++) {
		key[byte] = 1;
		assert_int_equal(siv_new("AES-256-SIV", key, sizeof(key), &b), 0);
		assert_refused(b, ad, 1, tag, sealed, sizeof(sealed));
		siv_free(b);
		key[byte] = 0;
	}
	siv_free(a);
}

static void test_a_wrong_cipher_or_key_length_makes_none(void **state)
{
	uint8_t key[64] = { 0 };
	struct siv *s = (struct siv *)key;

	(void)state;
	assert_int_equal(siv_new("AES-256-SIV", key, 32, &s), -EIO);
	assert_null(s);
	assert_int_equal(siv_new("no such cipher", key, 64, &s), -EIO);
	assert_null(s);
	siv_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_vectors_seal_and_open_again_and_again),
		cmocka_unit_test(test_no_bit_can_be_changed),
		cmocka_unit_test(test_another_key_does_not_open),
		cmocka_unit_test(test_a_wrong_cipher_or_key_length_makes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
