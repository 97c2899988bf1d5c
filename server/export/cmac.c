/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmac.c - AES-CMAC over OpenSSL's AES.
 *
 * OpenSSL has a CMAC, but beginning a message there costs as much as the message (0.27 us for 80 bytes, here half of
 * that), and its AES-SIV, which is made of CMACs, has to be copied for each message (2 us; by siv.c a seventh). Here the
 * one thing that OpenSSL keeps is a keyed AES that takes blocks one by one, so that nothing has to be begun anew, and
 * nothing is left of a message that failed.
 *
 * The subkeys are as good as the key for making tags: they lie where OpenSSL keeps its keys (base/secret_heap.c).
 */
#include "export/cmac.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/secret.h"
#include "base/util.h"

struct cmac {
	EVP_CIPHER_CTX *aes;
	uint8_t whole[AES_BLOCK_LEN]; /* subkey for a last block that is full */
	uint8_t part[AES_BLOCK_LEN];  /* for one that is not */
};

/* --- AES ---------------------------------------------------------------------------------------- */

EVP_CIPHER_CTX *aes_new(const uint8_t *key, size_t key_len)
{
	const char *name = key_len == 32   ? "AES-256-ECB"
			   : key_len == 24 ? "AES-192-ECB"
			   : key_len == 16 ? "AES-128-ECB"
					   : NULL;
	EVP_CIPHER *cipher = name ? EVP_CIPHER_fetch(NULL, name, NULL) : NULL;
	EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;

	if (ctx && (EVP_EncryptInit_ex2(ctx, cipher, key, NULL, NULL) != 1 ||
		    EVP_CIPHER_CTX_set_padding(ctx, 0) != 1)) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	EVP_CIPHER_free(cipher);
	return ctx;
}

int aes_blocks(EVP_CIPHER_CTX *aes, const uint8_t *in, size_t len, uint8_t *out)
{
	int n = 0;

	assert(len % AES_BLOCK_LEN == 0 && len <= INT_MAX);
	return EVP_EncryptUpdate(aes, out, &n, in, (int)len) == 1 && n == (int)len ? 0 : -EIO;
}

/* --- CMAC --------------------------------------------------------------------------------------- */

static void xor_block(uint8_t *to, const uint8_t *from)
{
	put_le64(to, get_le64(to) ^ get_le64(from));
	put_le64(to + 8, get_le64(to + 8) ^ get_le64(from + 8));
}

void cmac_double(uint8_t block[AES_BLOCK_LEN])
{
	/* Whether there is a carry is a secret: no branch. */
	uint8_t carry = (uint8_t)(block[0] >> 7);

	for (size_t i = 0; i + 1 < AES_BLOCK_LEN; i++)
		block[i] = (uint8_t)(block[i] << 1 | block[i + 1] >> 7);
	block[AES_BLOCK_LEN - 1] =
		(uint8_t)(block[AES_BLOCK_LEN - 1] << 1 ^ (0x87 & (uint8_t)-carry));
}

int cmac_new(const uint8_t *key, size_t key_len, struct cmac **out)
{
	struct cmac *c = OPENSSL_zalloc(sizeof(*c));

	*out = NULL;
	if (!c)
		return -ENOMEM;
	c->aes = aes_new(key, key_len);
	if (!c->aes || aes_blocks(c->aes, c->whole, AES_BLOCK_LEN, c->whole)) {
		cmac_free(c);
		return -EIO;
	}
	cmac_double(c->whole);
	memcpy(c->part, c->whole, AES_BLOCK_LEN);
	cmac_double(c->part);
	*out = c;
	return 0;
}

void cmac_free(struct cmac *c)
{
	if (!c)
		return;
	EVP_CIPHER_CTX_free(c->aes);
	OPENSSL_clear_free(c, sizeof(*c));
}

/* Chains the whole blocks at `in`. */
static int chain(struct cmac *c, uint8_t state[AES_BLOCK_LEN], const uint8_t *in, size_t len)
{
	for (; len; in += AES_BLOCK_LEN, len -= AES_BLOCK_LEN) {
		xor_block(state, in);
		if (aes_blocks(c->aes, state, AES_BLOCK_LEN, state))
			return -EIO;
	}
	return 0;
}

/* The bytes of `in` that come before its last block, which is never empty unless all is. */
static size_t before_last(size_t len)
{
	return len ? (len - 1) / AES_BLOCK_LEN * AES_BLOCK_LEN : 0;
}

/* The last block, of `len` bytes. */
static int finish(struct cmac *c, uint8_t state[AES_BLOCK_LEN], const uint8_t *in, size_t len)
{
	uint8_t last[AES_BLOCK_LEN] = { 0 };

	memcpy(last, in, len);
	if (len < AES_BLOCK_LEN)
		last[len] = 0x80;
	xor_block(state, last);
	xor_block(state, len < AES_BLOCK_LEN ? c->part : c->whole);
	return aes_blocks(c->aes, state, AES_BLOCK_LEN, state);
}

int cmac_tag(struct cmac *c, const uint8_t *in, size_t len, uint8_t tag[AES_BLOCK_LEN])
{
	uint8_t state[AES_BLOCK_LEN] = { 0 };
	size_t before = before_last(len);

	if (chain(c, state, in, before) || finish(c, state, in + before, len - before))
		return -EIO;
	memcpy(tag, state, AES_BLOCK_LEN);
	return 0;
}

int cmac_tag_xorend(struct cmac *c, const uint8_t *in, size_t len, const uint8_t end[AES_BLOCK_LEN],
		    uint8_t tag[AES_BLOCK_LEN])
{
	uint8_t state[AES_BLOCK_LEN] = { 0 };
	uint8_t tail[2 * AES_BLOCK_LEN];
	size_t rest, before;

	assert(len >= AES_BLOCK_LEN);
	/* The xored bytes are in the last block, and in the one before it if that is not full. */
	before = before_last(len);
	if (len - before < AES_BLOCK_LEN)
		before -= AES_BLOCK_LEN;
	rest = len - before;
	memcpy(tail, in + before, rest);
	xor_block(tail + rest - AES_BLOCK_LEN, end);
	if (chain(c, state, in, before) || chain(c, state, tail, before_last(rest)) ||
	    finish(c, state, tail + before_last(rest), rest - before_last(rest)))
		return -EIO;
	memcpy(tag, state, AES_BLOCK_LEN);
	return 0;
}
