/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * siv.c - AES-SIV of RFC 5297, composed of OpenSSL's CMAC and CTR.
 *
 * OpenSSL has an AES-SIV of its own, whose bytes these are (test_siv.c compares them). But it takes one message for
 * each keyed context, which so has to be copied for each message: 2 us, against 0.6 for what is to be computed. And in
 * OpenSSL 3.0 a context that is initialized again without a key lets tampered messages pass. So what RFC 5297 puts around CMAC and
 * CTR is here, over two contexts that are kept.
 *
 *     D = double(CMAC(0)) xor CMAC(associated data)
 *     tag = CMAC(plain text, its last 16 bytes xored with D); below 16 bytes CMAC(double(D) xor padded plain text)
 *     sealed = plain text by CTR from the tag on, bits 31 and 63 from its end cleared
 *
 * Called by envelope.c, on the thread that owns the envelope.
 */
#include "export/siv.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/secret.h"
#include "export/cmac.h"

_Static_assert(SIV_TAG_LEN == CMAC_LEN, "the tag is a CMAC");

/* In the memory of OpenSSL's keys, like all that comes of one. */
struct siv {
	EVP_MAC_CTX *mac;
	EVP_CIPHER_CTX *ctr;
	uint8_t zero[CMAC_LEN]; /* double(CMAC(0)) */
};

/* Twice `block` in the field of 2^128 elements. Whether there is a carry is a secret: no branch. */
static void double_block(uint8_t block[CMAC_LEN])
{
	const uint8_t carry = (uint8_t)(block[0] >> 7);

	for (size_t i = 0; i + 1 < CMAC_LEN; i++)
		block[i] = (uint8_t)(block[i] << 1 | block[i + 1] >> 7);
	block[CMAC_LEN - 1] = (uint8_t)(block[CMAC_LEN - 1] << 1 ^ (0x87 & (uint8_t)-carry));
}

static void xor_bytes(uint8_t *to, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] ^= from[i];
}

static EVP_CIPHER_CTX *ctr_new(const uint8_t *key, size_t key_len)
{
	EVP_CIPHER *cipher =
		EVP_CIPHER_fetch(NULL, key_len == 32 ? "AES-256-CTR" : "AES-128-CTR", NULL);
	EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;

	if (ctx && EVP_EncryptInit_ex2(ctx, cipher, key, NULL, NULL) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	EVP_CIPHER_free(cipher);
	return ctx;
}

int siv_new(const uint8_t *key, size_t key_len, struct siv **out)
{
	static const uint8_t zeros[CMAC_LEN];
	struct siv *s;

	*out = NULL;
	if (key_len != 64 && key_len != 32)
		return -EIO;
	s = OPENSSL_zalloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->mac = cmac_new(key, key_len / 2);
	s->ctr = ctr_new(key + key_len / 2, key_len / 2);
	if (!s->mac || !s->ctr || cmac_tag(s->mac, zeros, sizeof(zeros), NULL, 0, s->zero)) {
		siv_free(s);
		return -EIO;
	}
	double_block(s->zero);
	*out = s;
	return 0;
}

void siv_free(struct siv *s)
{
	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->ctr);
	EVP_MAC_CTX_free(s->mac);
	OPENSSL_clear_free(s, sizeof(*s));
}

/* S2V over one string of associated data and the plain text. */
static int make_tag(struct siv *s, const uint8_t *ad, size_t ad_len, const uint8_t *plain,
		    size_t len, uint8_t tag[SIV_TAG_LEN])
{
	uint8_t d[CMAC_LEN];

	if (cmac_tag(s->mac, ad, ad_len, NULL, 0, d))
		return -EIO;
	xor_bytes(d, s->zero, sizeof(d));
	if (len >= sizeof(d)) {
		xor_bytes(d, plain + len - sizeof(d), sizeof(d));
		return cmac_tag(s->mac, plain, len - sizeof(d), d, sizeof(d), tag);
	}
	double_block(d);
	xor_bytes(d, plain, len);
	d[len] ^= 0x80;
	return cmac_tag(s->mac, d, sizeof(d), NULL, 0, tag);
}

/* Encrypts or decrypts, which is the same. */
static int stream(struct siv *s, const uint8_t tag[SIV_TAG_LEN], const uint8_t *in, size_t len,
		  uint8_t *out)
{
	uint8_t first[SIV_TAG_LEN];
	int n = 0;

	memcpy(first, tag, sizeof(first));
	first[8] &= 0x7f;
	first[12] &= 0x7f;
	/* Without a key: the same one. */
	if (EVP_EncryptInit_ex2(s->ctr, NULL, NULL, first, NULL) != 1 ||
	    EVP_EncryptUpdate(s->ctr, out, &n, in, (int)len) != 1 || n != (int)len)
		return -EIO;
	return 0;
}

int siv_seal(struct siv *s, const uint8_t *ad, size_t ad_len, const uint8_t *plain, size_t len,
	     uint8_t tag[SIV_TAG_LEN], uint8_t *out)
{
	/* Empty strings mean something else than none in RFC 5297: nobody here needs either. */
	assert(ad_len >= 1 && len >= 1 && len <= SIV_LEN_MAX);

	return make_tag(s, ad, ad_len, plain, len, tag) ? -EIO : stream(s, tag, plain, len, out);
}

int siv_open(struct siv *s, const uint8_t *ad, size_t ad_len, const uint8_t tag[SIV_TAG_LEN],
	     const uint8_t *sealed, size_t len, uint8_t *out)
{
	uint8_t is[SIV_TAG_LEN];
	int ret = -EIO;

	assert(ad_len >= 1 && len >= 1 && len <= SIV_LEN_MAX);

	if (!stream(s, tag, sealed, len, out) && !make_tag(s, ad, ad_len, out, len, is))
		ret = CRYPTO_memcmp(is, tag, sizeof(is)) ? -EBADMSG : 0;
	if (ret)
		secret_wipe(out, len);
	return ret;
}
