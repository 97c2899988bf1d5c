/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cmac.c - many messages under one key: OpenSSL's CMAC, keyed once and begun anew for each.
 */
#include "export/cmac.h"

#include <errno.h>
#include <openssl/core_names.h>

EVP_MAC_CTX *cmac_new(const uint8_t *key, size_t key_len)
{
	const char *cipher = key_len == 32 ? "AES-256-CBC" : key_len == 16 ? "AES-128-CBC" : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, (char *)cipher, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = cipher ? EVP_MAC_fetch(NULL, "CMAC", NULL) : NULL;
	EVP_MAC_CTX *c = mac ? EVP_MAC_CTX_new(mac) : NULL;

	if (c && EVP_MAC_init(c, key, key_len, params) != 1) {
		EVP_MAC_CTX_free(c);
		c = NULL;
	}
	EVP_MAC_free(mac);
	return c;
}

int cmac_tag(EVP_MAC_CTX *c, const uint8_t *in, size_t len, const uint8_t *end, size_t end_len,
	     uint8_t tag[CMAC_LEN])
{
	size_t n = 0;

	/* Without a key: the same one, from the start. */
	if (EVP_MAC_init(c, NULL, 0, NULL) != 1 || (len && EVP_MAC_update(c, in, len) != 1) ||
	    (end_len && EVP_MAC_update(c, end, end_len) != 1) ||
	    EVP_MAC_final(c, tag, &n, CMAC_LEN) != 1 || n != CMAC_LEN)
		return -EIO;
	return 0;
}
