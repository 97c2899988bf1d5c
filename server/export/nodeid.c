/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nodeid.c - the mint of rowids, nodeids and generations.
 *
 * What is computed here is in handles that guests keep for years: inputs, labels and rounds may
 * never change. One mint for each thread; called by the resolver and the cache for each object that
 * a reply names, and with each request's nodeid.
 *
 * PRF: AES-256-CMAC (SP 800-38B) over
 *      1  domain: 1 node, 2 attachment, 3 inode number
 *      1  tweak; 0 for the other domains
 *      n  identity, full form (identity.c); it tells its own length
 *      n  attachment only: the name of the mount point
 * Of the 16 bytes: node 0..4 the rowid's low 40 bits, 8..11 the generation; attachment 0..7; inode
 * number 0..3; all little-endian. Nodes have a key bound to the root generation, the others one
 * that is not: an object's place must not change with a revoke.
 *
 * rowid = (inode number >> 8, 24 bits) << 40 | 40 bits of the PRF.
 *
 * Permutation of 64 bits: a balanced Feistel network of six rounds (Luby and Rackoff; with six,
 * Patarin's bound against chosen nodeids is that of the 32-bit half itself), its round function
 * AES-256 over round (1) | zeros (3) | half (4) | zeros (8), first 4 bytes. 0 and 1 do not belong
 * to its domain: a walk goes on until it is back in it.
 */
#include "export/nodeid.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "base/util.h"
#include "export/cmac.h"

#define BOUND_LABEL "holdfast nodeid prf v1"
#define UNBOUND_LABEL "holdfast place prf v1"
#define PERMUTATION_LABEL "holdfast nodeid permutation v1"

#define ROUNDS 6

#define PRF_HEAD 2
#define PRF_MAX (PRF_HEAD + IDENTITY_MAX + HOLDFAST_NAME_MAX)

#define ROWID_PRF_BITS 40
#define ROWID_PRF_MASK ((UINT64_C(1) << ROWID_PRF_BITS) - 1)
#define ROWID_INO_SHIFT 8
#define ROWID_INO_MASK UINT64_C(0xffffff)
/* Set in what would be rowid 0 or 1. */
#define ROWID_STEP (UINT64_C(1) << (ROWID_PRF_BITS - 1))

#define OFFSET_GENERATION 8

#define INODE_BASE UINT32_C(0x40000000)
#define INODE_MASK UINT32_C(0x3fffffff)

enum prf_domain { PRF_NODE = 1, PRF_ATTACHMENT = 2, PRF_INODE = 3 };

struct mint {
	EVP_MAC_CTX *bound;   /* PRF of nodes */
	EVP_MAC_CTX *unbound; /* PRF of what outlives a revoke */
	EVP_CIPHER_CTX *aes;  /* round function */
	uint64_t test_mask;   /* all ones: no test */
};

/* --- construction --------------------------------------------------------------------------- */

static EVP_MAC_CTX *prf_new(const struct keyring *k, const char *label, bool bound)
{
	uint8_t key[KEYRING_DERIVED_LEN];
	EVP_MAC_CTX *c = keyring_derive(k, label, bound, key) ? NULL : cmac_new(key, sizeof(key));

	secret_wipe(key, sizeof(key));
	return c;
}

static EVP_CIPHER_CTX *rounds_new(const struct keyring *k)
{
	uint8_t key[KEYRING_DERIVED_LEN];
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
	EVP_CIPHER_CTX *ctx = cipher ? EVP_CIPHER_CTX_new() : NULL;

	if (ctx && (keyring_derive(k, PERMUTATION_LABEL, true, key) ||
		    EVP_EncryptInit_ex2(ctx, cipher, key, NULL, NULL) != 1 ||
		    EVP_CIPHER_CTX_set_padding(ctx, 0) != 1)) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	secret_wipe(key, sizeof(key));
	EVP_CIPHER_free(cipher);
	return ctx;
}

/* The test hook's mask, or all ones. Not for a process with more rights than who started it. */
static uint64_t test_mask(void)
{
	const char *text = secure_getenv(MINT_TEST_ENV);
	char *end;
	uint64_t mask;

	if (!text || !*text)
		return ROWID_PRF_MASK;
	mask = strtoull(text, &end, 16) & ROWID_PRF_MASK;
	if (*end) {
		log_warn("mint: %s is no hexadecimal number: ignored", MINT_TEST_ENV);
		return ROWID_PRF_MASK;
	}
	log_warn("mint: %s is set: nodeids are made to clash. For tests only.", MINT_TEST_ENV);
	return mask;
}

int mint_new(const struct keyring *k, struct mint **out)
{
	struct mint *m = calloc(1, sizeof(*m));

	*out = NULL;
	if (!m)
		return -ENOMEM;

	m->bound = prf_new(k, BOUND_LABEL, true);
	m->unbound = prf_new(k, UNBOUND_LABEL, false);
	m->aes = rounds_new(k);
	if (!m->bound || !m->unbound || !m->aes) {
		mint_free(m);
		return -EIO;
	}
	m->test_mask = test_mask();
	*out = m;
	return 0;
}

void mint_free(struct mint *m)
{
	if (!m)
		return;
	EVP_CIPHER_CTX_free(m->aes);
	EVP_MAC_CTX_free(m->unbound);
	EVP_MAC_CTX_free(m->bound);
	free(m);
}

/* --- the PRF -------------------------------------------------------------------------------- */

/* Domain, tweak and identity; length. */
static size_t prf_input(enum prf_domain domain, unsigned tweak, const struct identity *id,
			uint8_t in[PRF_MAX])
{
	in[0] = (uint8_t)domain;
	in[1] = (uint8_t)tweak;
	return PRF_HEAD + identity_encode(id, in + PRF_HEAD);
}

/* The rowid's 40 bits for a tweak, from the PRF's block. */
static uint64_t rowid_bits(const struct mint *m, const uint8_t block[CMAC_LEN], unsigned tweak)
{
	uint64_t bits = get_le64(block) & ROWID_PRF_MASK;

	return tweak == 0 ? bits & m->test_mask : bits;
}

int mint_identity(struct mint *m, const struct identity *id, uint64_t ino, unsigned tweak,
		  struct minted *out)
{
	uint8_t in[PRF_MAX];
	uint8_t block[CMAC_LEN];
	size_t len = prf_input(PRF_NODE, 0, id, in);
	uint64_t rowid;
	uint32_t generation;

	assert(tweak <= MINT_TWEAK_MAX);

	/* The generation is always that of tweak 0. */
	if (cmac_tag(m->bound, in, len, NULL, 0, block))
		return -EIO;
	generation = get_le32(block + OFFSET_GENERATION);
	if (tweak) {
		in[1] = (uint8_t)tweak;
		if (cmac_tag(m->bound, in, len, NULL, 0, block))
			return -EIO;
	}

	rowid = (ino >> ROWID_INO_SHIFT & ROWID_INO_MASK) << ROWID_PRF_BITS;
	rowid |= rowid_bits(m, block, tweak);
	if (rowid <= ROWID_ROOT.v)
		rowid |= ROWID_STEP;

	out->rowid = (rowid_t){ rowid };
	out->nodeid = mint_nodeid(m, out->rowid);
	out->generation = (generation_t){ generation ? generation : 1 };
	out->tweak = tweak;
	return out->nodeid.v ? 0 : -EIO;
}

int mint_attachment(struct mint *m, const struct identity *parent, const char *name, uint64_t *out)
{
	uint8_t in[PRF_MAX];
	uint8_t block[CMAC_LEN];
	size_t len = prf_input(PRF_ATTACHMENT, 0, parent, in);
	size_t name_len = strnlen(name, HOLDFAST_NAME_MAX + 1);

	if (name_len > HOLDFAST_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(in + len, name, name_len);
	if (cmac_tag(m->unbound, in, len + name_len, NULL, 0, block))
		return -EIO;
	*out = get_le64(block);
	if (*out == 0)
		*out = 1;
	return 0;
}

int mint_inode(struct mint *m, const struct identity *id, uint64_t *out)
{
	uint8_t in[PRF_MAX];
	uint8_t block[CMAC_LEN];

	if (cmac_tag(m->unbound, in, prf_input(PRF_INODE, 0, id, in), NULL, 0, block))
		return -EIO;
	*out = INODE_BASE | (get_le32(block) & INODE_MASK);
	return 0;
}

/* --- the permutation ------------------------------------------------------------------------ */

/* Xors the round function of `from` to `to`. 0 or -EIO. */
static int feistel_round(struct mint *m, unsigned round, uint32_t from, uint32_t *to)
{
	uint8_t in[CMAC_LEN] = { (uint8_t)round }; /* a block of AES is as long */
	uint8_t out[CMAC_LEN];
	int n = 0;

	put_le32(in + 4, from);
	if (EVP_EncryptUpdate(m->aes, out, &n, in, CMAC_LEN) != 1 || n != CMAC_LEN)
		return -EIO;
	*to ^= get_le32(out);
	return 0;
}

/* One pass over all 64-bit numbers. */
static int permute(struct mint *m, uint64_t *v)
{
	uint32_t left = (uint32_t)(*v >> 32);
	uint32_t right = (uint32_t)*v;

	for (unsigned round = 0; round < ROUNDS; round += 2) {
		if (feistel_round(m, round, right, &left) ||
		    feistel_round(m, round + 1, left, &right))
			return -EIO;
	}
	*v = (uint64_t)left << 32 | right;
	return 0;
}

static int unpermute(struct mint *m, uint64_t *v)
{
	uint32_t left = (uint32_t)(*v >> 32);
	uint32_t right = (uint32_t)*v;

	for (unsigned round = ROUNDS; round > 0; round -= 2) {
		if (feistel_round(m, round - 1, left, &right) ||
		    feistel_round(m, round - 2, right, &left))
			return -EIO;
	}
	*v = (uint64_t)left << 32 | right;
	return 0;
}

/*
 * A bijection of what is not 0 or 1: both numbers, met on the way, are passed over. It ends, since
 * the pass is a permutation: at worst it comes back to where it began.
 */
static uint64_t walk(struct mint *m, uint64_t v, int (*pass)(struct mint *, uint64_t *))
{
	if (v <= 1)
		return v;
	do {
		if (pass(m, &v))
			return 0;
	} while (v <= 1);
	return v;
}

nodeid_t mint_nodeid(struct mint *m, rowid_t rowid)
{
	return (nodeid_t){ walk(m, rowid.v, permute) };
}

rowid_t mint_rowid(struct mint *m, nodeid_t nodeid)
{
	return (rowid_t){ walk(m, nodeid.v, unpermute) };
}
