/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * envelope.c - the one place that seals what leaves the process, and the one that opens it.
 *
 * Whatever comes from the map's file, from a ring or from a guest's sealed handle is believed only
 * after envelope_open(). AES-256-SIV is deterministic: equal objects give equal bytes, and a cloned
 * machine has no nonce to repeat. One envelope for each thread.
 *
 * Sealed bytes:
 *      1  version, 1
 *      1  id of the sealing key
 *     16  SIV tag
 *      n  ciphertext, as long as the plain text
 *
 * Associated data, one string of 46 bytes, numbers little-endian:
 *     16  domain string with its version, filled up with zeros
 *      1  version     } as in the
 *      1  key id      } sealed bytes
 *     16  UUID of the export
 *      4  root generation
 *      8  number: rowid, place, field, as the domain says; else 0
 */
#include "export/envelope.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/util.h"
#include "export/helper.h"
#include "export/siv.h"
#include "holdfast/handle.h"

#define VERSION HOLDFAST_SEALED_VERSION

#define OFFSET_KEY_ID 1
#define OFFSET_TAG 2

#define DOMAIN_LEN 16
#define AD_VERSION DOMAIN_LEN
#define AD_KEY_ID (AD_VERSION + 1)
#define AD_UUID (AD_KEY_ID + 1)
#define AD_GENERATION (AD_UUID + HOLDFAST_UUID_LEN)
#define AD_NUMBER (AD_GENERATION + 4)
#define AD_LEN (AD_NUMBER + 8)

_Static_assert(ENVELOPE_OVERHEAD - OFFSET_TAG == SIV_TAG_LEN, "the overhead is head and tag");
_Static_assert(ENVELOPE_PLAIN_MAX >= IDENTITY_MAX, "an identity can be sealed");

static const char domains[][DOMAIN_LEN] = {
	[ENVELOPE_ROW] = "hf row v1",	  [ENVELOPE_ALIAS] = "hf alias v1",
	[ENVELOPE_PLACE] = "hf place v1", [ENVELOPE_CLASH] = "hf clash v1",
	[ENVELOPE_META] = "hf meta v1",	  [ENVELOPE_HANDLE] = "hf handle v1",
};

struct envelope {
	const struct keyring *keyring;
	struct helper *helper;		 /* NULL: the keys are here */
	unsigned version;		 /* of the keyring, when `keys` were made */
	uint8_t active;			 /* id of the key that seals */
	struct siv *keys[UINT8_MAX + 1]; /* by id; NULL: no such key */
	uint8_t ad[AD_LEN]; /* UUID and root generation set, the rest for each message */
};

/* --- keys --------------------------------------------------------------------------------------- */

static void drop_keys(struct envelope *e)
{
	for (unsigned id = 0; id < ARRAY_LEN(e->keys); id++) {
		siv_free(e->keys[id]);
		e->keys[id] = NULL;
	}
}

static int take_key(void *arg, uint8_t id, const uint8_t *key)
{
	struct envelope *e = arg;

	return siv_new(key, KEYRING_SEALING_LEN, &e->keys[id]);
}

/* What the keyring has now; on failure there are no keys, and it is tried again. 0, -ENOMEM, -EIO. */
static int take_keys(struct envelope *e)
{
	int ret;

	do {
		drop_keys(e);
		/* Version first: what changes after that is taken the next time. */
		e->version = keyring_version(e->keyring);
		ret = keyring_each(e->keyring, take_key, e);
		e->active = keyring_active(e->keyring);
	} while (!ret && e->version != keyring_version(e->keyring));
	if (!ret)
		return 0;
	drop_keys(e);
	e->version--;
	return ret;
}

static int follow_keyring(struct envelope *e)
{
	return e->version == keyring_version(e->keyring) ? 0 : take_keys(e);
}

int envelope_new(const struct keyring *k, struct envelope **out)
{
	struct envelope *e = calloc(1, sizeof(*e));
	int ret;

	*out = NULL;
	if (!e)
		return -ENOMEM;

	e->keyring = k;
	e->helper = keyring_helper(k);
	memcpy(e->ad + AD_UUID, keyring_uuid(k), HOLDFAST_UUID_LEN);
	put_le32(e->ad + AD_GENERATION, keyring_root_generation(k));
	ret = e->helper ? 0 : take_keys(e);
	if (ret) {
		envelope_free(e);
		return ret;
	}
	*out = e;
	return 0;
}

void envelope_free(struct envelope *e)
{
	if (!e)
		return;
	drop_keys(e);
	free(e);
}

void envelope_set_generation(struct envelope *e, uint32_t root_generation)
{
	put_le32(e->ad + AD_GENERATION, root_generation);
}

uint8_t envelope_key_id(const uint8_t *sealed, size_t len)
{
	return len > OFFSET_KEY_ID ? sealed[OFFSET_KEY_ID] : 0;
}

/* --- by a key of our own ------------------------------------------------------------------------ */

/* Completes the associated data for one message. */
static const uint8_t *associate(struct envelope *e, enum envelope_domain domain, uint8_t version,
				uint8_t key_id, uint64_t number)
{
	assert((size_t)domain < ARRAY_LEN(domains));

	memcpy(e->ad, domains[domain], DOMAIN_LEN);
	e->ad[AD_VERSION] = version;
	e->ad[AD_KEY_ID] = key_id;
	put_le64(e->ad + AD_NUMBER, number);
	return e->ad;
}

static ssize_t seal_here(struct envelope *e, enum envelope_domain domain, uint64_t number,
			 const uint8_t *plain, size_t len, uint8_t *out)
{
	const uint8_t *ad;

	if (follow_keyring(e))
		return -EIO;
	out[0] = VERSION;
	out[OFFSET_KEY_ID] = e->active;
	ad = associate(e, domain, VERSION, e->active, number);
	if (siv_seal(e->keys[e->active], ad, AD_LEN, plain, len, out + OFFSET_TAG,
		     out + ENVELOPE_OVERHEAD)) {
		secret_wipe(out, ENVELOPE_OVERHEAD + len);
		return -EIO;
	}
	return (ssize_t)(ENVELOPE_OVERHEAD + len);
}

/* -ENOKEY: there is no such key, but there may be one after a rotation. */
static ssize_t open_here(struct envelope *e, enum envelope_domain domain, uint64_t number,
			 const uint8_t *sealed, size_t len, uint8_t *out)
{
	uint8_t id = sealed[OFFSET_KEY_ID];
	size_t plain_len = len - ENVELOPE_OVERHEAD;
	int ret;

	if (follow_keyring(e))
		return -EIO;
	if (!e->keys[id])
		return -ENOKEY;
	ret = siv_open(e->keys[id], associate(e, domain, sealed[0], id, number), AD_LEN,
		       sealed + OFFSET_TAG, sealed + ENVELOPE_OVERHEAD, plain_len, out);
	return ret ? ret : (ssize_t)plain_len;
}

static int reseal_here(struct envelope *e, enum envelope_domain domain, struct envelope_item *items,
		       size_t n)
{
	uint8_t plain[ENVELOPE_PLAIN_MAX];
	ssize_t ret = 0;

	for (size_t i = 0; i < n && ret != -EIO; i++) {
		struct envelope_item *item = &items[i];

		item->changed = false;
		ret = envelope_open(e, domain, item->number, item->sealed, item->len, plain,
				    sizeof(plain));
		if (ret < 0 || item->sealed[OFFSET_KEY_ID] == e->active)
			continue;
		ret = seal_here(e, domain, item->number, plain, (size_t)ret, item->sealed);
		item->changed = ret > 0;
	}
	return ret == -EIO ? -EIO : 0;
}

/* --- wherever the keys are ---------------------------------------------------------------------- */

ssize_t envelope_seal(struct envelope *e, enum envelope_domain domain, uint64_t number,
		      const uint8_t *plain, size_t len, uint8_t *out, size_t cap)
{
	if (len < 1 || len > ENVELOPE_PLAIN_MAX)
		return -EINVAL;
	if (cap < ENVELOPE_OVERHEAD + len)
		return -ENOBUFS;
	if (e->helper)
		return helper_seal(e->helper, get_le32(e->ad + AD_GENERATION), domain, number,
				   plain, len, out);
	return seal_here(e, domain, number, plain, len, out);
}

static ssize_t open_once(struct envelope *e, enum envelope_domain domain, uint64_t number,
			 const uint8_t *sealed, size_t len, uint8_t *out)
{
	if (e->helper)
		return helper_open(e->helper, get_le32(e->ad + AD_GENERATION), domain, number,
				   sealed, len, out);
	return open_here(e, domain, number, sealed, len, out);
}

ssize_t envelope_open(struct envelope *e, enum envelope_domain domain, uint64_t number,
		      const uint8_t *sealed, size_t len, uint8_t *out, size_t cap)
{
	ssize_t ret = -EBADMSG;
	int renewed = 0;

	if (len > ENVELOPE_OVERHEAD && len <= ENVELOPE_OVERHEAD + ENVELOPE_PLAIN_MAX &&
	    len - ENVELOPE_OVERHEAD <= cap && sealed[0] == VERSION)
		ret = open_once(e, domain, number, sealed, len, out);
	if (ret == -ENOKEY) {
		renewed = keyring_renew(e->keyring);
		ret = open_once(e, domain, number, sealed, len, out);
	}
	if (ret > 0)
		return ret;
	/* Nobody shall go on with what an earlier message left there. */
	secret_wipe(out, cap);
	/* Sealed by a key that we could not read just now: that makes it no forgery. */
	return ret == -ENOKEY ? renewed < 0 ? -EIO : -EBADMSG : ret;
}

int envelope_reseal(struct envelope *e, enum envelope_domain domain, struct envelope_item *items,
		    size_t n)
{
	if (e->helper)
		return helper_reseal(e->helper, get_le32(e->ad + AD_GENERATION), domain, items, n);
	return reseal_here(e, domain, items, n);
}

ssize_t envelope_seal_handle(struct envelope *e, const struct identity *id, uint8_t *out,
			     size_t cap)
{
	uint8_t plain[IDENTITY_MAX];
	size_t len = identity_encode(id, plain);

	return envelope_seal(e, ENVELOPE_HANDLE, 0, plain, len, out,
			     cap > HOLDFAST_SEALED_MAX ? HOLDFAST_SEALED_MAX : cap);
}

int envelope_open_handle(struct envelope *e, const uint8_t *sealed, size_t len,
			 struct identity *out)
{
	uint8_t plain[IDENTITY_MAX];
	ssize_t n;

	if (len > HOLDFAST_SEALED_MAX)
		return -EBADMSG;
	n = envelope_open(e, ENVELOPE_HANDLE, 0, sealed, len, plain, sizeof(plain));
	if (n < 0)
		return (int)n;
	return identity_decode(plain, (size_t)n, out) < 0 ? -EBADMSG : 0;
}
