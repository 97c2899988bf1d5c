/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * siv.h - AES-SIV (RFC 5297) under one key, which is kept.
 *
 * A `siv` belongs to one thread. Only envelope.c has a use for it.
 */
#ifndef HOLDFAST_EXPORT_SIV_H
#define HOLDFAST_EXPORT_SIV_H

#include <stddef.h>
#include <stdint.h>

#define SIV_TAG_LEN 16
#define SIV_LEN_MAX ((size_t)1 << 20) /* of a message */

struct siv;

/* AES-256-SIV by a key of 64 bytes, AES-128-SIV by one of 32. 0, -ENOMEM, -EIO. */
int siv_new(const uint8_t *key, size_t key_len, struct siv **out);
void siv_free(struct siv *s); /* takes NULL */

/*
 * Seals `len` >= 1 bytes with one string of associated data of `ad_len` >= 1 bytes: `out` gets as
 * many. `out` does not overlap `plain`. 0 or -EIO.
 */
int siv_seal(struct siv *s, const uint8_t *ad, size_t ad_len, const uint8_t *plain, size_t len,
	     uint8_t tag[SIV_TAG_LEN], uint8_t *out);

/*
 * Opens. 0; -EBADMSG: not authentic, `out` holds nothing then; -EIO: could not be tried (memory).
 */
int siv_open(struct siv *s, const uint8_t *ad, size_t ad_len, const uint8_t tag[SIV_TAG_LEN],
	     const uint8_t *sealed, size_t len, uint8_t *out);

#endif
