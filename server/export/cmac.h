/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmac.h - AES-CMAC (SP 800-38B, RFC 4493) under one key that is kept, block by block through OpenSSL.
 *
 * A `cmac` belongs to one thread. For nodeid.c's PRF and for siv.c.
 */
#ifndef HOLDFAST_EXPORT_CMAC_H
#define HOLDFAST_EXPORT_CMAC_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#define AES_BLOCK_LEN 16

struct cmac;

/* AES on whole blocks, each for itself, with a key of 16, 24 or 32 bytes; NULL if that cannot be had. */
EVP_CIPHER_CTX *aes_new(const uint8_t *key, size_t key_len);
/* `len`: a multiple of AES_BLOCK_LEN. `out` may be `in`. 0 or -EIO. */
int aes_blocks(EVP_CIPHER_CTX *aes, const uint8_t *in, size_t len, uint8_t *out);

/* 0, -ENOMEM, -EIO. */
int cmac_new(const uint8_t *key, size_t key_len, struct cmac **out);
void cmac_free(struct cmac *c); /* takes NULL */

/* The tag of `len` bytes, which may be none. 0 or -EIO. */
int cmac_tag(struct cmac *c, const uint8_t *in, size_t len, uint8_t tag[AES_BLOCK_LEN]);

/*
 * The tag of `in` whose last 16 bytes are xored with `end`: what RFC 5297 asks for its longer strings. `len` is at least
 * 16. 0 or -EIO.
 */
int cmac_tag_xorend(struct cmac *c, const uint8_t *in, size_t len, const uint8_t end[AES_BLOCK_LEN],
		    uint8_t tag[AES_BLOCK_LEN]);

/* Twice `block` in the field of 2^128 elements, as CMAC and S2V count. */
void cmac_double(uint8_t block[AES_BLOCK_LEN]);

#endif
