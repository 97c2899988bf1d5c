/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keyring.h - the key file: export UUID, root generation, nodeid key, sealing keys.
 *
 * The file is authenticated as a whole and never changed in place: a new one is written beside it,
 * synced, and renamed over. Its layout is documented in keyring.c. A keyring that other threads can see
 * changes in one way only: keyring_take_over() brings in the sealing keys of a rotation, under a lock of
 * its own; everything else needs none.
 */
#ifndef HOLDFAST_EXPORT_KEYRING_H
#define HOLDFAST_EXPORT_KEYRING_H

#include <stddef.h>
#include <stdint.h>

#include "export/types.h"

#define KEYRING_SEALING_LEN 64 /* AES-256-SIV takes two keys of 256 bits */
#define KEYRING_DERIVED_LEN 32
#define KEYRING_RETIRED_MAX 15
#define KEYRING_FILE_MAX 1152 /* bytes of the longest key file of this version */

struct keyring; /* lives in secret memory */
struct helper;	/* the process that has the sealing keys, if there is one (helper.h) */

/* A new keyring in memory: random UUID and keys, root generation 1. 0, -EIO (no randomness), -ENOMEM. */
int keyring_generate(struct keyring **out);

/*
 * Reads `name` in the directory `dirfd`. -ENOENT; -EPERM (others than the owner may read or write
 * it, or the owner is neither we nor root); -EBADMSG (not a key file, truncated, or not authentic);
 * -EPROTO (a newer version than this program knows); -ELOOP (a symlink); another -errno of open,
 * fstat or read.
 */
int keyring_load(int dirfd, const char *name, struct keyring **out);

/*
 * The same from a descriptor, wherever it leads to, up to its end; or from the bytes of a key file. -EBADMSG,
 * -EPROTO, or what read gave.
 */
int keyring_read(int fd, struct keyring **out);
int keyring_decode(const uint8_t *image, size_t len, struct keyring **out);

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

/* To `generation`, if that is higher: where a file beside a read-only key says so (generation.h). */
void keyring_raise_to(struct keyring *k, uint32_t generation);

/*
 * A new sealing key; the present one is retired (opens only). Of more than KEYRING_RETIRED_MAX retired keys
 * the oldest is dropped: what is still sealed with it does not open any more. 0 or -EIO.
 */
int keyring_rotate(struct keyring *k);

/* Id of the key that seals, and the key with an id (active or retired; KEYRING_SEALING_LEN bytes) or NULL. */
uint8_t keyring_active(const struct keyring *k);
const uint8_t *keyring_sealing_key(const struct keyring *k, uint8_t id);
bool keyring_has(const struct keyring *k, uint64_t id); /* one of that id, be it with a helper */
unsigned keyring_sealing_count(const struct keyring *k);

/* --- a rotation while the keyring is in use: any thread ------------------------------------------------ */

/* Takes the sealing keys of `fresh`, the same keyring after a rotation. -EBADE: it is another one. */
int keyring_take_over(struct keyring *k, const struct keyring *fresh);

/* Changes whenever keyring_take_over() has changed something. */
unsigned keyring_version(const struct keyring *k);

/* Calls `each` for each sealing key until it gives other than 0, and gives that; no key changes meanwhile. */
typedef int keyring_each_fn(void *arg, uint8_t id, const uint8_t *key);
int keyring_each(const struct keyring *k, keyring_each_fn *each, void *arg);

/*
 * Who can tell whether there was a rotation, and take it over; set before other threads see the keyring.
 * keyring_renew() asks: somebody met a sealing key that the keyring lacks. Without one it does nothing. 0, or -errno: there was
 * one, and it could not be taken over.
 */
typedef int keyring_renew_fn(void *arg, struct keyring *k);
void keyring_set_renew(struct keyring *k, keyring_renew_fn *renew, void *arg);
int keyring_renew(const struct keyring *k);

/* --- a keyring whose sealing keys are in another process ------------------------------------------------ */

/* All but the sealing keys themselves, as bytes, from one process to another of the same program. */
#define KEYRING_STRIPPED_LEN (HOLDFAST_UUID_LEN + 4 + 32 + 2 + (1 + KEYRING_RETIRED_MAX))
void keyring_to_stripped(const struct keyring *k, uint8_t out[KEYRING_STRIPPED_LEN]);
int keyring_from_stripped(const uint8_t in[KEYRING_STRIPPED_LEN], struct keyring **out);

/* `helper` seals and opens for it. Set before other threads see the keyring; copies have it too. */
void keyring_set_helper(struct keyring *k, struct helper *helper);
struct helper *keyring_helper(const struct keyring *k);

/*
 * Derives a key from the nodeid key: HKDF-SHA256 (RFC 5869), info = label | export UUID | root
 * generation (0 unless `bound`, so that only bound keys change with a revoke). 0 or -EIO.
 */
int keyring_derive(const struct keyring *k, const char *label, bool bound,
		   uint8_t out[KEYRING_DERIVED_LEN]);

#endif
