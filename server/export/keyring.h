/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keyring.h - the key file: export UUID, root generation, nodeid key, sealing keys.
 *
 * The file is authenticated as a whole and never changed in place: a new one is written beside it,
 * synced, and renamed over. Its layout is documented in keyring.c. A keyring is immutable once other
 * threads can see it, so it needs no lock.
 */
#ifndef HOLDFAST_EXPORT_KEYRING_H
#define HOLDFAST_EXPORT_KEYRING_H

#include <stddef.h>
#include <stdint.h>

#include "export/types.h"

#define KEYRING_SEALING_LEN 64 /* AES-256-SIV takes two keys of 256 bits */
#define KEYRING_DERIVED_LEN 32
#define KEYRING_RETIRED_MAX 15

struct keyring; /* lives in secret memory */

/* A new keyring in memory: random UUID and keys, root generation 1. 0, -EIO (no randomness), -ENOMEM. */
int keyring_generate(struct keyring **out);

/*
 * Reads `name` in the directory `dirfd`. -ENOENT; -EPERM (others than the owner may read or write
 * it, or the owner is neither we nor root); -EBADMSG (not a key file, truncated, or not authentic);
 * -EPROTO (a newer version than this program knows); -ELOOP (a symlink); another -errno of open,
 * fstat or read.
 */
int keyring_load(int dirfd, const char *name, struct keyring **out);

/* Writes the file, mode 0600, atomically and synced. With `exclusive`, -EEXIST if there is one. */
int keyring_store(const struct keyring *k, int dirfd, const char *name, bool exclusive);

/* Wipes and frees; takes NULL. */
void keyring_free(struct keyring *k);

/* A copy of its own, to be changed and stored. */
int keyring_copy(const struct keyring *k, struct keyring **out);

const uint8_t *keyring_uuid(const struct keyring *k); /* HOLDFAST_UUID_LEN bytes */
uint32_t keyring_root_generation(const struct keyring *k);

/* Raises the root generation by one; -EOVERFLOW at the last. */
int keyring_raise(struct keyring *k);

/* A new sealing key; the present one is retired (opens only). -ENOSPC when KEYRING_RETIRED_MAX are kept. */
int keyring_rotate(struct keyring *k);

/* Id of the key that seals, and the key with an id (active or retired; KEYRING_SEALING_LEN bytes) or NULL. */
uint8_t keyring_active(const struct keyring *k);
const uint8_t *keyring_sealing_key(const struct keyring *k, uint8_t id);

/*
 * Derives a key from the nodeid key: HKDF-SHA256 (RFC 5869), info = label | export UUID | root
 * generation (0 unless `bound`, so that only bound keys change with a revoke). 0 or -EIO.
 */
int keyring_derive(const struct keyring *k, const char *label, bool bound,
		   uint8_t out[KEYRING_DERIVED_LEN]);

#endif
