/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_siv.c - AES-SIV against the vector of RFC 5297 and OpenSSL's, many messages on one key, and that
 * nothing which was touched opens. The same for the CMAC below it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "export/cmac.h"
#include "export/siv.h"

#define MESSAGE_MAX 128

/* The second was made by S2V and CTR written out over the plain block cipher. */
static const struct {
	const char *key, *ad, *plain, *tag, *sealed;
} vectors[] = {
	{ "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
	  "101112131415161718191a1b1c1d1e1f2021222324252627", "112233445566778899aabbccddee",
	  "85632d07c6e8f37f950acd320a2ecc93", "40c02b9690c4dc04daef7f6afe5c" },
	{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
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

	assert_int_equal(siv_new(key, len, &s), 0);
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
	assert_int_equal(siv_new(key, sizeof(key), &a), 0);
	assert_int_equal(siv_seal(a, ad, 1, plain, sizeof(plain), tag, sealed), 0);
	for (size_t byte = 0; byte < sizeof(key); byte++) {
		key[byte] = 1;
		assert_int_equal(siv_new(key, sizeof(key), &b), 0);
		assert_refused(b, ad, 1, tag, sealed, sizeof(sealed));
		siv_free(b);
		key[byte] = 0;
	}
	siv_free(a);
}

static void test_a_wrong_key_length_makes_none(void **state)
{
	static const size_t wrong[] = { 0, 1, 16, 31, 33, 63, 66, 128 };
	uint8_t key[128] = { 0 };
	struct siv *s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		s = (struct siv *)key;
		assert_int_equal(siv_new(key, wrong[i], &s), -EIO);
		assert_null(s);
	}
	siv_free(NULL);
}

/* --- beside OpenSSL's ---------------------------------------------------------------------------- */

#define LENGTH_MAX 600 /* longer than what is enciphered at once */

static void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(random() >> 7);
}

static void openssl_seal(size_t key_len, const uint8_t *key, const uint8_t *ad, size_t ad_len,
			 const uint8_t *plain, size_t len, uint8_t tag[SIV_TAG_LEN], uint8_t *out)
{
	EVP_CIPHER *cipher =
		EVP_CIPHER_fetch(NULL, key_len == 64 ? "AES-256-SIV" : "AES-128-SIV", NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0;

	assert_int_equal(EVP_EncryptInit_ex2(ctx, cipher, key, NULL, NULL), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, ad, (int)ad_len), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, out, &n, plain, (int)len), 1);
	assert_int_equal(n, len);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, out + n, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SIV_TAG_LEN, tag), 1);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
}

static void assert_same_as_openssl(struct siv *s, size_t key_len, const uint8_t *key, size_t ad_len,
				   size_t len)
{
	uint8_t ad[LENGTH_MAX], plain[LENGTH_MAX], out[LENGTH_MAX], want[LENGTH_MAX];
	uint8_t tag[SIV_TAG_LEN], want_tag[SIV_TAG_LEN];

	fill(ad, ad_len);
	fill(plain, len);
	openssl_seal(key_len, key, ad, ad_len, plain, len, want_tag, want);
	assert_int_equal(siv_seal(s, ad, ad_len, plain, len, tag, out), 0);
	assert_memory_equal(tag, want_tag, SIV_TAG_LEN);
	assert_memory_equal(out, want, len);
	assert_int_equal(siv_open(s, ad, ad_len, want_tag, want, len, out), 0);
	assert_memory_equal(out, plain, len);
}

static void test_the_bytes_are_those_of_openssl(void **state)
{
	static const size_t key_lens[] = { 32, 64 };

	(void)state;
	srandom(1);
	for (size_t k = 0; k < ARRAY_LEN(key_lens); k++) {
		uint8_t key[64];
		struct siv *s;

		fill(key, key_lens[k]);
		assert_int_equal(siv_new(key, key_lens[k], &s), 0);
		for (size_t len = 1; len <= LENGTH_MAX; len++) {
			assert_same_as_openssl(s, key_lens[k], key, 46, len);
			assert_same_as_openssl(s, key_lens[k], key, len,
					       1 + (size_t)random() % LENGTH_MAX);
		}
		siv_free(s);
	}
}

/* RFC 4493, its second and third example. */
static void test_the_vectors_of_the_cmac(void **state)
{
	static const struct {
		const char *in, *tag;
	} examples[] = {
		{ "6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144f79bdd9dd04a287c" },
		{ "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce41"
		  "1",
		  "dfa66747de9ae63030ca32611497c827" },
	};
	uint8_t key[MESSAGE_MAX], in[MESSAGE_MAX], want[MESSAGE_MAX], tag[CMAC_LEN];
	EVP_MAC_CTX *c;

	(void)state;
	c = cmac_new(key, unhex("2b7e151628aed2a6abf7158809cf4f3c", key));
	assert_non_null(c);
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		const size_t len = unhex(examples[i].in, in);

		assert_int_equal(unhex(examples[i].tag, want), sizeof(tag));
		/* In one piece, and in two. */
		for (size_t end = 0; end <= len; end++) {
			memset(tag, 0, sizeof(tag));
			assert_int_equal(cmac_tag(c, in, len - end, in + len - end, end, tag), 0);
			assert_memory_equal(tag, want, sizeof(tag));
		}
	}
	EVP_MAC_CTX_free(c);
	assert_null(cmac_new(key, 17));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_vectors_seal_and_open_again_and_again),
		cmocka_unit_test(test_no_bit_can_be_changed),
		cmocka_unit_test(test_another_key_does_not_open),
		cmocka_unit_test(test_a_wrong_key_length_makes_none),
		cmocka_unit_test(test_the_bytes_are_those_of_openssl),
		cmocka_unit_test(test_the_vectors_of_the_cmac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
