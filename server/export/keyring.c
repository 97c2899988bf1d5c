/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keyring.c - the key file and the keys in memory.
 *
 * Loaded at start (after the last fork: secret memory does not pass to children) and again after a
 * revoke or a rotation; changed by the administrator's commands only. One thread makes or changes a
 * keyring; afterwards any may read it, and take the sealing keys of a rotation over (`lock`).
 *
 * The file, numbers little-endian:
 *
 *     offset  bytes
 *          0      8  magic "HOLDFKEY"
 *          8      2  version, 1
 *         10      1  number n of sealing keys, 1..16
 *         11      1  id of the active one
 *         12      4  root generation, from 1
 *         16     16  UUID of the export
 *         32     32  nodeid key
 *         64   66*n  sealing keys: id (1, never 0), state (1: 1 active, 2 retired), key (64)
 *    64+66*n     32  HMAC-SHA256 over all that is before
 *
 * The key of the HMAC is derived from the nodeid key as by keyring_derive(), with a label of its
 * own, no UUID and no generation. Exactly one key is active, ids differ, nothing follows the HMAC.
 * Whoever knows the nodeid key may write a file: the HMAC is against damage and against files that
 * were patched together without it.
 */
#include "export/keyring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/replace.h"
#include "base/secret.h"
#include "base/util.h"

#define FILE_VERSION 1
#define FILE_HEAD 64
#define FILE_ENTRY (2 + KEYRING_SEALING_LEN)
#define FILE_MAC 32
#define FILE_SIZE(n) (FILE_HEAD + FILE_ENTRY * (size_t)(n) + FILE_MAC)

#define OFFSET_VERSION 8
#define OFFSET_COUNT 10
#define OFFSET_ACTIVE 11
#define OFFSET_GENERATION 12
#define OFFSET_UUID 16
#define OFFSET_NODEID_KEY 32

#define NODEID_KEY_LEN 32
#define SEALING_MAX (1 + KEYRING_RETIRED_MAX)
#define LABEL_MAX 64
#define FILE_LABEL "holdfast key file v1"

static const uint8_t magic[OFFSET_VERSION] = { 'H', 'O', 'L', 'D', 'F', 'K', 'E', 'Y' };

enum key_state { KEY_ACTIVE = 1, KEY_RETIRED = 2 };

struct sealing_key {
	uint8_t id; /* 1..255, never used for two keys of one file */
	uint8_t state;
	uint8_t key[KEYRING_SEALING_LEN];
};

struct keyring {
	uint8_t uuid[HOLDFAST_UUID_LEN];
	uint32_t root_generation;
	uint8_t nodeid_key[NODEID_KEY_LEN];
	pthread_mutex_t lock;  /* guards `count` and `sealing` */
	unsigned count;	       /* of `sealing` in use, oldest first */
	atomic_uint active;    /* an id */
	atomic_uint version;   /* of what `lock` guards */
	struct helper *helper; /* has the sealing keys; ours are zeros then */
	keyring_renew_fn *renew;
	void *renew_arg;
	struct sealing_key sealing[SEALING_MAX];
};

_Static_assert(FILE_SIZE(SEALING_MAX) == KEYRING_FILE_MAX,
	       "the longest file is as long as promised");

/* --- in memory ------------------------------------------------------------------------------ */

static int random_key(uint8_t *out, int len)
{
	return RAND_priv_bytes(out, len) == 1 ? 0 : -EIO;
}

static struct keyring *keyring_new(void)
{
	struct keyring *k = secret_alloc(sizeof(*k));

	/* A mutex of the default kind has no reason to fail. */
	if (k && pthread_mutex_init(&k->lock, NULL)) {
		secret_free(k, sizeof(*k));
		return NULL;
	}
	return k;
}

int keyring_generate(struct keyring **out)
{
	struct keyring *k = keyring_new();

	*out = NULL;
	if (!k)
		return -ENOMEM;

	k->root_generation = 1;
	k->count = 1;
	k->active = 1;
	k->sealing[0].id = 1;
	k->sealing[0].state = KEY_ACTIVE;
	if (RAND_bytes(k->uuid, HOLDFAST_UUID_LEN) != 1 ||
	    random_key(k->nodeid_key, NODEID_KEY_LEN) ||
	    random_key(k->sealing[0].key, KEYRING_SEALING_LEN)) {
		keyring_free(k);
		return -EIO;
	}
	/* RFC 4122, 4.4: a random UUID says so. */
	k->uuid[6] = (uint8_t)((k->uuid[6] & 0x0f) | 0x40);
	k->uuid[8] = (uint8_t)((k->uuid[8] & 0x3f) | 0x80);
	*out = k;
	return 0;
}

void keyring_free(struct keyring *k)
{
	if (k)
		(void)pthread_mutex_destroy(&k->lock);
	secret_free(k, sizeof(*k));
}

/* The lock is no part of what a keyring is to its readers. */
static void keyring_lock(const struct keyring *k)
{
	(void)pthread_mutex_lock((pthread_mutex_t *)&k->lock);
}

static void keyring_unlock(const struct keyring *k)
{
	(void)pthread_mutex_unlock((pthread_mutex_t *)&k->lock);
}

int keyring_copy(const struct keyring *k, struct keyring **out)
{
	struct keyring *copy = keyring_new();

	*out = copy;
	if (!copy)
		return -ENOMEM;
	memcpy(copy->uuid, k->uuid, sizeof(copy->uuid));
	copy->root_generation = k->root_generation;
	memcpy(copy->nodeid_key, k->nodeid_key, sizeof(copy->nodeid_key));
	copy->helper = k->helper;
	keyring_lock(k);
	copy->count = k->count;
	memcpy(copy->sealing, k->sealing, sizeof(copy->sealing));
	atomic_store(&copy->active, atomic_load(&k->active));
	keyring_unlock(k);
	return 0;
}

const uint8_t *keyring_uuid(const struct keyring *k)
{
	return k->uuid;
}

uint32_t keyring_root_generation(const struct keyring *k)
{
	return k->root_generation;
}

uint8_t keyring_active(const struct keyring *k)
{
	return (uint8_t)atomic_load(&k->active);
}

unsigned keyring_sealing_count(const struct keyring *k)
{
	return k->count;
}

const uint8_t *keyring_sealing_key(const struct keyring *k, uint8_t id)
{
	for (unsigned i = 0; i < k->count; i++) {
		if (k->sealing[i].id == id)
			return k->sealing[i].key;
	}
	return NULL;
}

bool keyring_has(const struct keyring *k, uint64_t id)
{
	return id <= UINT8_MAX && keyring_sealing_key(k, (uint8_t)id);
}

int keyring_raise(struct keyring *k)
{
	if (k->root_generation == UINT32_MAX)
		return -EOVERFLOW;
	k->root_generation++;
	return 0;
}

void keyring_raise_to(struct keyring *k, uint32_t generation)
{
	if (generation > k->root_generation)
		k->root_generation = generation;
}

/* The room for one more; the oldest key makes it if there is none. */
static struct sealing_key *sealing_room(struct keyring *k)
{
	if (k->count == SEALING_MAX) {
		memmove(&k->sealing[0], &k->sealing[1], (SEALING_MAX - 1) * sizeof(k->sealing[0]));
		k->count--;
	}
	return &k->sealing[k->count];
}

int keyring_rotate(struct keyring *k)
{
	struct sealing_key fresh = { .state = KEY_ACTIVE, .id = keyring_active(k) };

	/* Ids go round: one that was dropped long ago may come again, one that is kept never. */
	do {
		fresh.id = fresh.id == UINT8_MAX ? 1 : (uint8_t)(fresh.id + 1);
	} while (keyring_sealing_key(k, fresh.id));
	if (random_key(fresh.key, KEYRING_SEALING_LEN)) {
		secret_wipe(&fresh, sizeof(fresh));
		return -EIO;
	}
	*sealing_room(k) = fresh;
	for (unsigned i = 0; i < k->count; i++)
		k->sealing[i].state = KEY_RETIRED;
	k->count++;
	atomic_store(&k->active, fresh.id);
	secret_wipe(&fresh, sizeof(fresh));
	return 0;
}

int keyring_take_over(struct keyring *k, const struct keyring *fresh)
{
	if (memcmp(k->uuid, fresh->uuid, sizeof(k->uuid)) != 0 ||
	    CRYPTO_memcmp(k->nodeid_key, fresh->nodeid_key, sizeof(k->nodeid_key)) != 0)
		return -EBADE;
	keyring_lock(k);
	k->count = fresh->count;
	memcpy(k->sealing, fresh->sealing, sizeof(k->sealing));
	atomic_store(&k->active, atomic_load(&fresh->active));
	atomic_fetch_add(&k->version, 1);
	keyring_unlock(k);
	return 0;
}

unsigned keyring_version(const struct keyring *k)
{
	return atomic_load_explicit(&k->version, memory_order_acquire);
}

int keyring_each(const struct keyring *k, keyring_each_fn *each, void *arg)
{
	int ret = 0;

	keyring_lock(k);
	for (unsigned i = 0; i < k->count && ret == 0; i++)
		ret = each(arg, k->sealing[i].id, k->sealing[i].key);
	keyring_unlock(k);
	return ret;
}

void keyring_set_renew(struct keyring *k, keyring_renew_fn *renew, void *arg)
{
	k->renew = renew;
	k->renew_arg = arg;
}

int keyring_renew(const struct keyring *k)
{
	return k->renew ? k->renew(k->renew_arg, (struct keyring *)k) : 0;
}

/* UUID | root generation | nodeid key | count | active | ids */
void keyring_to_stripped(const struct keyring *k, uint8_t out[KEYRING_STRIPPED_LEN])
{
	uint8_t *p = out;

	memset(out, 0, KEYRING_STRIPPED_LEN);
	memcpy(p, k->uuid, HOLDFAST_UUID_LEN);
	p += HOLDFAST_UUID_LEN;
	put_le32(p, k->root_generation);
	p += 4;
	memcpy(p, k->nodeid_key, NODEID_KEY_LEN);
	p += NODEID_KEY_LEN;
	*p++ = (uint8_t)k->count;
	*p++ = keyring_active(k);
	for (unsigned i = 0; i < k->count; i++)
		p[i] = k->sealing[i].id;
}

int keyring_from_stripped(const uint8_t in[KEYRING_STRIPPED_LEN], struct keyring **out)
{
	const uint8_t *p = in;
	struct keyring *k = keyring_new();

	*out = k;
	if (!k)
		return -ENOMEM;
	memcpy(k->uuid, p, HOLDFAST_UUID_LEN);
	p += HOLDFAST_UUID_LEN;
	k->root_generation = get_le32(p);
	p += 4;
	memcpy(k->nodeid_key, p, NODEID_KEY_LEN);
	p += NODEID_KEY_LEN;
	k->count = *p < SEALING_MAX ? *p : SEALING_MAX;
	p++;
	atomic_store(&k->active, *p++);
	for (unsigned i = 0; i < k->count; i++)
		k->sealing[i].id = p[i];
	return 0;
}

void keyring_set_helper(struct keyring *k, struct helper *helper)
{
	k->helper = helper;
}

struct helper *keyring_helper(const struct keyring *k)
{
	return k->helper;
}

/* --- derived keys --------------------------------------------------------------------------- */

/* HKDF-SHA256 (RFC 5869) without salt. 0 or -EIO. */
static int hkdf(const uint8_t key[NODEID_KEY_LEN], const uint8_t *info, size_t info_len,
		uint8_t out[KEYRING_DERIVED_LEN])
{
	/* The parameters' pointers are not const, but only read. */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, NODEID_KEY_LEN),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_len),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int ret = -EIO;

	if (ctx && EVP_KDF_derive(ctx, out, KEYRING_DERIVED_LEN, params) == 1)
		ret = 0;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ret;
}

/*
 * info = label | UUID (16) | root generation (4): what follows the label has a fixed length, so no
 * label can be taken for a part of another's.
 */
int keyring_derive(const struct keyring *k, const char *label, bool bound,
		   uint8_t out[KEYRING_DERIVED_LEN])
{
	uint8_t info[LABEL_MAX + HOLDFAST_UUID_LEN + 4];
	size_t len;

	for (len = 0; label[len]; len++) {
		assert(len < LABEL_MAX);
		info[len] = (uint8_t)label[len];
	}
	memcpy(info + len, k->uuid, HOLDFAST_UUID_LEN);
	put_le32(info + len + HOLDFAST_UUID_LEN, bound ? k->root_generation : 0);
	return hkdf(k->nodeid_key, info, len + HOLDFAST_UUID_LEN + 4, out);
}

/* HMAC of the first `len` bytes of an image, with its own nodeid key. 0 or -EIO. */
static int image_mac(const uint8_t *image, size_t len, uint8_t out[FILE_MAC])
{
	uint8_t key[KEYRING_DERIVED_LEN];
	size_t mac_len = 0;
	int ret = hkdf(image + OFFSET_NODEID_KEY, (const uint8_t *)FILE_LABEL, strlen(FILE_LABEL),
		       key);

	if (ret == 0 && (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, sizeof(key), image,
				    len, out, FILE_MAC, &mac_len) ||
			 mac_len != FILE_MAC))
		ret = -EIO;
	secret_wipe(key, sizeof(key));
	return ret;
}

/* --- the file's bytes ----------------------------------------------------------------------- */

/* `image` has room for FILE_SIZE(SEALING_MAX). Bytes used, or -EIO. */
static ssize_t image_encode(const struct keyring *k, uint8_t *image)
{
	uint8_t *p = image + FILE_HEAD;
	int ret;

	memcpy(image, magic, sizeof(magic));
	put_le16(image + OFFSET_VERSION, FILE_VERSION);
	image[OFFSET_COUNT] = (uint8_t)k->count;
	image[OFFSET_ACTIVE] = keyring_active(k);
	put_le32(image + OFFSET_GENERATION, k->root_generation);
	memcpy(image + OFFSET_UUID, k->uuid, HOLDFAST_UUID_LEN);
	memcpy(image + OFFSET_NODEID_KEY, k->nodeid_key, NODEID_KEY_LEN);
	for (unsigned i = 0; i < k->count; i++) {
		*p++ = k->sealing[i].id;
		*p++ = k->sealing[i].state;
		memcpy(p, k->sealing[i].key, KEYRING_SEALING_LEN);
		p += KEYRING_SEALING_LEN;
	}
	ret = image_mac(image, (size_t)(p - image), p);
	return ret ? ret : (ssize_t)FILE_SIZE(k->count);
}

/* Magic, version and size; what may be said before the HMAC is checked. */
static int image_check_head(const uint8_t *image, size_t len)
{
	unsigned version;

	if (len < FILE_HEAD || memcmp(image, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	version = get_le16(image + OFFSET_VERSION);
	if (version > FILE_VERSION)
		return -EPROTO;
	if (version < FILE_VERSION)
		return -EBADMSG;
	if (image[OFFSET_COUNT] < 1 || image[OFFSET_COUNT] > SEALING_MAX)
		return -EBADMSG;
	return len == FILE_SIZE(image[OFFSET_COUNT]) ? 0 : -EBADMSG;
}

/* The sealing keys of an authentic image: distinct ids, one active key, the one named. */
static int image_take_keys(const uint8_t *p, struct keyring *k)
{
	unsigned active = 0;

	for (unsigned i = 0; i < k->count; i++, p += FILE_ENTRY) {
		struct sealing_key *key = &k->sealing[i];

		key->id = p[0];
		key->state = p[1];
		memcpy(key->key, p + 2, KEYRING_SEALING_LEN);
		if (key->id == 0 || (key->state != KEY_ACTIVE && key->state != KEY_RETIRED))
			return -EBADMSG;
		for (unsigned j = 0; j < i; j++) {
			if (k->sealing[j].id == key->id)
				return -EBADMSG;
		}
		if (key->state != KEY_ACTIVE)
			continue;
		active++;
		if (key->id != keyring_active(k))
			return -EBADMSG;
	}
	return active == 1 ? 0 : -EBADMSG;
}

static int image_decode(const uint8_t *image, size_t len, struct keyring *k)
{
	uint8_t mac[FILE_MAC];
	int ret = image_check_head(image, len);

	if (ret)
		return ret;
	ret = image_mac(image, len - FILE_MAC, mac);
	if (ret == 0 && CRYPTO_memcmp(mac, image + len - FILE_MAC, FILE_MAC) != 0)
		ret = -EBADMSG;
	/* The right HMAC for a changed file is worth wiping. */
	secret_wipe(mac, sizeof(mac));
	if (ret)
		return ret;

	k->count = image[OFFSET_COUNT];
	atomic_store(&k->active, image[OFFSET_ACTIVE]);
	k->root_generation = get_le32(image + OFFSET_GENERATION);
	memcpy(k->uuid, image + OFFSET_UUID, HOLDFAST_UUID_LEN);
	memcpy(k->nodeid_key, image + OFFSET_NODEID_KEY, NODEID_KEY_LEN);
	if (k->root_generation == 0)
		return -EBADMSG;
	return image_take_keys(image + FILE_HEAD, k);
}

/* --- reading -------------------------------------------------------------------------------- */

/* Opens the file and sees that it is ours alone. Descriptor or -errno. */
static int key_file_open(int dirfd, const char *name)
{
	/* O_NONBLOCK: a FIFO in its place must not hold the start up. */
	CLEANUP_FD int fd =
		openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return errno_neg();
	if (fstat(fd, &st))
		return errno_neg();
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	/* With a POSIX ACL the group bits show its mask, so they speak for named users too. */
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return -EPERM;
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return -EPERM;
	return fd_take(&fd);
}

int keyring_decode(const uint8_t *image, size_t len, struct keyring **out)
{
	struct keyring *k = keyring_new();
	int ret = k ? 0 : -ENOMEM;

	*out = NULL;
	/* Of one that is too long only the head matters: it may be of a newer version. */
	if (!ret)
		ret = image_decode(image, len, k);
	if (ret) {
		keyring_free(k);
		return ret;
	}
	*out = k;
	return 0;
}

int keyring_read(int fd, struct keyring **out)
{
	const size_t room = KEYRING_FILE_MAX + 1;
	uint8_t *image = secret_alloc(room);
	size_t len = 0;
	int ret = image ? 0 : -ENOMEM;

	*out = NULL;
	while (!ret && len < room) {
		ssize_t n = read(fd, image + len, room - len);

		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
		else if (errno != EINTR)
			ret = errno_neg();
	}
	if (!ret)
		ret = keyring_decode(image, len, out);
	secret_free(image, room);
	return ret;
}

int keyring_load(int dirfd, const char *name, struct keyring **out)
{
	CLEANUP_FD int fd = key_file_open(dirfd, name);

	*out = NULL;
	return fd < 0 ? fd : keyring_read(fd, out);
}

/* --- writing -------------------------------------------------------------------------------- */

int keyring_store(const struct keyring *k, int dirfd, const char *name, bool exclusive)
{
	const size_t room = KEYRING_FILE_MAX;
	uint8_t *image = secret_alloc(room);
	ssize_t len;
	int ret;

	if (!image)
		return -ENOMEM;
	len = image_encode(k, image);
	ret = len < 0 ? (int)len : file_replace(dirfd, name, image, (size_t)len, exclusive);
	secret_free(image, room);
	return ret;
}
