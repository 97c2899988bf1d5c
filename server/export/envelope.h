/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * envelope.h - sealing and opening: AES-256-SIV (RFC 5297), deterministic, authenticated.
 *
 * An envelope is: version (1 byte) | key id (1 byte) | SIV tag (16) | ciphertext. Associated data:
 * a domain string with a version, the two header bytes, export UUID, root generation, and for rows
 * the rowid. An `envelope` (the keyed contexts) belongs to one thread.
 */
#ifndef HOLDFAST_EXPORT_ENVELOPE_H
#define HOLDFAST_EXPORT_ENVELOPE_H

#include <sys/types.h>

#include "export/identity.h"
#include "export/keyring.h"

#define ENVELOPE_OVERHEAD (2 + 16)
#define ENVELOPE_PLAIN_MAX 1024

struct envelope;

/* What is sealed; each domain has its own associated data, so none passes for another. */
enum envelope_domain {
	ENVELOPE_ROW,	 /* number: rowid */
	ENVELOPE_ALIAS,	 /* number: rowid */
	ENVELOPE_PLACE,	 /* number: the place's number in the map */
	ENVELOPE_CLASH,	 /* number: rowid */
	ENVELOPE_META,	 /* number: which field */
	ENVELOPE_HANDLE, /* number: 0 */
};

/*
 * 0, -ENOMEM, -EIO. The keyring must outlive the envelope, which follows its rotations. Where a helper has the
 * sealing keys (keyring_helper()), it is asked, and every function below may fail with -EOWNERDEAD: it is gone.
 */
int envelope_new(const struct keyring *k, struct envelope **out);
void envelope_free(struct envelope *e); /* takes NULL */

/* Binds what is sealed and opened from now on to this root generation instead of the keyring's. */
void envelope_set_generation(struct envelope *e, uint32_t root_generation);

/*
 * Seals `len` (1..ENVELOPE_PLAIN_MAX) bytes with the active key; bytes written to `out` (room `cap`),
 * or -EINVAL, -ENOBUFS, -EIO.
 */
ssize_t envelope_seal(struct envelope *e, enum envelope_domain domain, uint64_t number,
		      const uint8_t *plain, size_t len, uint8_t *out, size_t cap);

/*
 * Opens; bytes of plain text, or -EBADMSG for whatever does not authenticate (or has no room in `cap`),
 * or -EIO when it could not be tried for want of memory: that says nothing about the bytes. On failure
 * all of `out` is wiped. A key that the keyring lacks makes it ask for a rotation (keyring_renew()).
 */
ssize_t envelope_open(struct envelope *e, enum envelope_domain domain, uint64_t number,
		      const uint8_t *sealed, size_t len, uint8_t *out, size_t cap);

/* Sealed bytes that are to be sealed anew with the active key, where they are: their length stays. */
struct envelope_item {
	uint64_t number;
	uint8_t *sealed;
	size_t len;
	bool changed; /* out: false where it was sealed so already, or does not authenticate */
};

/* 0, or -EIO, -EOWNERDEAD when it could not be tried; then the items are in any state. */
int envelope_reseal(struct envelope *e, enum envelope_domain domain, struct envelope_item *items,
		    size_t n);

/* Id of the key that sealed these bytes, as they say themselves; 0: too short. */
uint8_t envelope_key_id(const uint8_t *sealed, size_t len);

/*
 * The sealed handle (include/holdfast/handle.h): seals the canonical identity alone. -ENOBUFS when it
 * would be longer than `cap` or HOLDFAST_SEALED_MAX (a host handle of more than about 60 bytes).
 */
ssize_t envelope_seal_handle(struct envelope *e, const struct identity *id, uint8_t *out,
			     size_t cap);
int envelope_open_handle(struct envelope *e, const uint8_t *sealed, size_t len,
			 struct identity *out);

#endif
