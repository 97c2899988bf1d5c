/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * siv.c - AES-SIV by OpenSSL.
 *
 * OpenSSL 3.0's SIV takes one message for each keyed context: with a context that is initialized
 * again without a key, the second message's Update fails while Final reports success, for tampered
 * input too. So a template for each direction is keyed once, is never used itself, and is copied
 * for each message (1 us; keying anew takes three). And every result is checked: the verdict on a
 * message is that of Update and Final both.
 *
 * Called by envelope.c, on the thread that owns the envelope.
 */
#include "export/siv.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

struct siv {
	EVP_CIPHER_CTX *seal_template;
	EVP_CIPHER_CTX *open_template;
	EVP_CIPHER_CTX *scratch; /* a template's copy, for the present message */
};

/* A keyed context, or NULL. */
static EVP_CIPHER_CTX *template_new(const EVP_CIPHER *cipher, const uint8_t *key, int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && EVP_CipherInit_ex2(ctx, cipher, key, NULL, encrypt, NULL) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

int siv_new(const char *cipher, const uint8_t *key, size_t key_len, struct siv **out)
{
	struct siv *s = calloc(1, sizeof(*s));
	EVP_CIPHER *evp = NULL;
	int ret = -ENOMEM;

	*out = NULL;
	if (!s)
		goto out;
	ret = -EIO;
	evp = EVP_CIPHER_fetch(NULL, cipher, NULL);
	if (!evp || (size_t)EVP_CIPHER_get_key_length(evp) != key_len)
		goto out;
	s->seal_template = template_new(evp, key, 1);
	s->open_template = template_new(evp, key, 0);
	s->scratch = EVP_CIPHER_CTX_new();
	if (!s->seal_template || !s->open_template || !s->scratch)
		goto out;

	*out = s;
	s = NULL;
	ret = 0;
out:
	EVP_CIPHER_free(evp);
	siv_free(s);
	return ret;
}

void siv_free(struct siv *s)
{
	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->scratch);
	EVP_CIPHER_CTX_free(s->open_template);
	EVP_CIPHER_CTX_free(s->seal_template);
	free(s);
}

/* One string of associated data into the scratch context. */
static int take_ad(struct siv *s, const uint8_t *ad, size_t len)
{
	int n = 0;

	return EVP_CipherUpdate(s->scratch, NULL, &n, ad, (int)len) == 1 ? 0 : -EIO;
}

/* The message, all at once, and the end of it. */
static int take_message(struct siv *s, const uint8_t *in, size_t len, uint8_t *out)
{
	int n = 0;
	int rest = 0;

	if (EVP_CipherUpdate(s->scratch, out, &n, in, (int)len) != 1 || n != (int)len)
		return -EIO;
	/* There is nothing left to be written: `out + n` has no room. */
	if (EVP_CipherFinal_ex(s->scratch, out + n, &rest) != 1 || rest != 0)
		return -EIO;
	return 0;
}

int siv_seal(struct siv *s, const uint8_t *ad, size_t ad_len, const uint8_t *plain, size_t len,
	     uint8_t tag[SIV_TAG_LEN], uint8_t *out)
{
	/* Empty strings mean something else than none in RFC 5297, and OpenSSL mixed them up. */
	assert(ad_len >= 1 && ad_len <= INT_MAX && len >= 1 && len <= INT_MAX);

	if (EVP_CIPHER_CTX_copy(s->scratch, s->seal_template) != 1)
		return -EIO;
	if (take_ad(s, ad, ad_len) || take_message(s, plain, len, out))
		return -EIO;
	if (EVP_CIPHER_CTX_ctrl(s->scratch, EVP_CTRL_AEAD_GET_TAG, SIV_TAG_LEN, tag) != 1)
		return -EIO;
	return 0;
}

int siv_open(struct siv *s, const uint8_t *ad, size_t ad_len, const uint8_t tag[SIV_TAG_LEN],
	     const uint8_t *sealed, size_t len, uint8_t *out)
{
	uint8_t wanted[SIV_TAG_LEN];

	assert(ad_len >= 1 && ad_len <= INT_MAX && len >= 1 && len <= INT_MAX);

	/* The control call's pointer is not const. */
	memcpy(wanted, tag, sizeof(wanted));
	if (EVP_CIPHER_CTX_copy(s->scratch, s->open_template) != 1)
		return -EIO;
	if (EVP_CIPHER_CTX_ctrl(s->scratch, EVP_CTRL_AEAD_SET_TAG, SIV_TAG_LEN, wanted) != 1)
		return -EIO;
	if (take_ad(s, ad, ad_len))
		return -EIO;
	if (take_message(s, sealed, len, out)) {
		secret_wipe(out, len);
		return -EBADMSG;
	}
	return 0;
}
