/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmac.h - OpenSSL's AES-CMAC (SP 800-38B, RFC 4493) under one key that is kept.
 *
 * A context belongs to one thread. For nodeid.c's PRF and for siv.c.
 */
#ifndef HOLDFAST_EXPORT_CMAC_H
#define HOLDFAST_EXPORT_CMAC_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#define CMAC_LEN 16

/* With a key of 16 or 32 bytes; EVP_MAC_CTX_free() is its end. NULL if that cannot be had. */
EVP_MAC_CTX *cmac_new(const uint8_t *key, size_t key_len);

/* The tag of `len` bytes at `in` with `end_len` bytes at `end` behind them; either may be none (NULL, 0). 0 or -EIO. */
int cmac_tag(EVP_MAC_CTX *c, const uint8_t *in, size_t len, const uint8_t *end, size_t end_len,
	     uint8_t tag[CMAC_LEN]);

#endif
