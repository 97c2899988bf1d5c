/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * identity.h - what makes an object of the host the same object, and nothing else.
 *
 * Two objects that ever existed in an export have different identities; one object has one identity
 * for as long as it exists. Pure data: nothing here makes a system call.
 */
#ifndef HOLDFAST_EXPORT_IDENTITY_H
#define HOLDFAST_EXPORT_IDENTITY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "export/types.h"

#define IDENTITY_HANDLE_MAX 128 /* MAX_HANDLE_SZ of name_to_handle_at(2) */
#define IDENTITY_BTIME_NONE INT64_MIN

/* Where an object lives: the same for all objects of one file system at one attachment. */
struct place {
	uint8_t fsid[HOLDFAST_UUID_LEN];   /* UUID of the file system */
	uint8_t subvol[HOLDFAST_UUID_LEN]; /* btrfs: UUID of the subvolume; else zero */
	uint64_t attachment; /* mount inside the share: see mint_attachment(); else 0 */
};

struct identity {
	struct place place;
	int64_t btime_ns;    /* birth time, ns since 1970, or IDENTITY_BTIME_NONE */
	int32_t handle_type; /* type of the plain host handle, as the kernel gave it */
	uint8_t handle_len;  /* bytes in use of `handle`, 1..IDENTITY_HANDLE_MAX */
	uint8_t handle[IDENTITY_HANDLE_MAX];
};

/*
 * The canonical bytes of an identity (equal identities, equal bytes; documented byte by byte in
 * identity.c). The place is left out by the _local form, for rows that refer to it by number.
 * Zero fields (subvolume, attachment, birth time) take no room.
 */
#define IDENTITY_LOCAL_MAX (1 + 8 + 4 + 1 + IDENTITY_HANDLE_MAX)
#define IDENTITY_MAX (1 + 16 + 16 + 8 + IDENTITY_LOCAL_MAX)
size_t identity_encode(const struct identity *id, uint8_t out[IDENTITY_MAX]);
size_t identity_encode_local(const struct identity *id, uint8_t out[IDENTITY_LOCAL_MAX]);

/*
 * Strict inverses: bytes consumed, or -EBADMSG for anything that the encoders do not produce.
 * identity_decode() wants all of `len` consumed; the local form may be followed by more, and leaves
 * `out->place` alone.
 */
ssize_t identity_decode(const uint8_t *in, size_t len, struct identity *out);
ssize_t identity_decode_local(const uint8_t *in, size_t len, struct identity *out);

bool identity_equal(const struct identity *a, const struct identity *b);
bool place_equal(const struct place *a, const struct place *b);

#endif
