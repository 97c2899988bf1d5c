/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nodeid.h - the mint: identity -> rowid, nodeid and generation, and nodeid -> rowid.
 *
 * Deterministic: every daemon of the export in every run mints the same numbers. A mint holds keyed
 * cipher contexts and belongs to one thread.
 */
#ifndef HOLDFAST_EXPORT_NODEID_H
#define HOLDFAST_EXPORT_NODEID_H

#include "export/identity.h"
#include "export/keyring.h"

#define MINT_TWEAK_MAX 15

struct mint;

/* What an identity comes to, with a tweak. */
struct minted {
	rowid_t rowid;
	nodeid_t nodeid;
	generation_t generation; /* does not depend on the tweak */
	unsigned tweak;		 /* 0..MINT_TWEAK_MAX; not 0 only after a clash */
};

/* 0, -ENOMEM, -EIO. The keyring is not kept. */
int mint_new(const struct keyring *k, struct mint **out);
void mint_free(struct mint *m); /* takes NULL */

/*
 * rowid = 24 bits of (ino >> 8) | 40 bits of PRF(identity, tweak), never 0 or 1; nodeid = keyed
 * permutation of rowid, never 0 or 1; generation = 32 bits of PRF(identity), never 0.
 * The PRF is AES-256-CMAC (SP 800-38B) over the canonical identity. 0 or -EIO.
 */
int mint_identity(struct mint *m, const struct identity *id, uint64_t ino, unsigned tweak,
		  struct minted *out);

/* The permutation and its inverse. 0 and 1 give 0 and 1. Should the cipher fail (memory), 0 too. */
nodeid_t mint_nodeid(struct mint *m, rowid_t rowid);
rowid_t mint_rowid(struct mint *m, nodeid_t nodeid);

/*
 * The attachment of what is mounted on `name` in the directory `parent`: 64 bits of a PRF that is
 * not bound to the root generation; never 0. -ENAMETOOLONG, -EIO.
 */
int mint_attachment(struct mint *m, const struct identity *parent, const char *name, uint64_t *out);

/* A synthetic inode number for the root of a mount or subvolume: 0x40000000..0x7fffffff. */
int mint_inode(struct mint *m, const struct identity *id, uint64_t *out);

/*
 * Test hook: the PRF's 40 bits of the rowid are and-ed with a mask for tweak 0, so that
 * clashes can be had at will. Only acts in a process with HOLDFAST_TEST_PRF_MASK in its environment
 * when the mint is made (hex), never otherwise; logged as a warning.
 */
#define MINT_TEST_ENV "HOLDFAST_TEST_PRF_MASK"

#endif
