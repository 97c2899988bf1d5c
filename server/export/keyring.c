/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * keyring.c - the key file and the keys in memory.
 *
 * Loaded at start (after the last fork: secret memory does not pass to children) and again after a
 * revoke or a rotation; changed by the administrator's commands only. One thread makes or changes a
 * keyring; afterwards any may read it.
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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/util.h"

#define FILE_VERSION 1
#define FILE_HEAD 64
#define FILE_ENTRY (2 + KEYRING_SEALING_LEN)
#define FILE_MAC 32
#define FILE_SIZE(n) (FILE_HEAD + FILE_ENTRY * (size_t)(n) + FILE_MAC)
#define FILE_MODE 0600

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
	unsigned count; /* of `sealing` in use, oldest first */
	uint8_t active;
	struct sealing_key sealing[SEALING_MAX];
};

/* --- in memory ------------------------------------------------------------------------------ */

static int random_key(uint8_t *out, int len)
{
	return RAND_priv_bytes(out, len) == 1 ? 0 : -EIO;
}

int keyring_generate(struct keyring **out)
{
	struct keyring *k = secret_alloc(sizeof(*k));

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
	secret_free(k, sizeof(*k));
}

int keyring_copy(const struct keyring *k, struct keyring **out)
{
	struct keyring *copy = secret_alloc(sizeof(*copy));

	*out = copy;
	if (!copy)
		return -ENOMEM;
	*copy = *k;
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
	return k->active;
}

const uint8_t *keyring_sealing_key(const struct keyring *k, uint8_t id)
{
	for (unsigned i = 0; i < k->count; i++) {
		if (k->sealing[i].id == id)
			return k->sealing[i].key;
	}
	return NULL;
}

int keyring_raise(struct keyring *k)
{
	if (k->root_generation == UINT32_MAX)
		return -EOVERFLOW;
	k->root_generation++;
	return 0;
}

int keyring_rotate(struct keyring *k)
{
	struct sealing_key *fresh = &k->sealing[k->count];
	uint8_t id = k->active;

	if (k->count == SEALING_MAX)
		return -ENOSPC;
	do {
		id = id == UINT8_MAX ? 1 : (uint8_t)(id + 1);
	} while (keyring_sealing_key(k, id));
	if (random_key(fresh->key, KEYRING_SEALING_LEN)) {
		secret_wipe(fresh, sizeof(*fresh));
		return -EIO;
	}

	for (unsigned i = 0; i < k->count; i++)
		k->sealing[i].state = KEY_RETIRED;
	fresh->id = id;
	fresh->state = KEY_ACTIVE;
	k->active = id;
	k->count++;
	return 0;
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
	image[OFFSET_ACTIVE] = k->active;
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
		if (key->id != k->active)
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
	k->active = image[OFFSET_ACTIVE];
	k->root_generation = get_le32(image + OFFSET_GENERATION);
	memcpy(k->uuid, image + OFFSET_UUID, HOLDFAST_UUID_LEN);
	memcpy(k->nodeid_key, image + OFFSET_NODEID_KEY, NODEID_KEY_LEN);
	if (k->root_generation == 0)
		return -EBADMSG;
	return image_take_keys(image + FILE_HEAD, k);
}

/* --- reading -------------------------------------------------------------------------------- */

/* Opens the file and sees that it is ours alone; its size in *size. Descriptor or -errno. */
static int key_file_open(int dirfd, const char *name, off_t *size)
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
	*size = st.st_size;
	return fd_take(&fd);
}

int keyring_load(int dirfd, const char *name, struct keyring **out)
{
	const size_t room = FILE_SIZE(SEALING_MAX);
	CLEANUP_FD int fd = -1;
	uint8_t *image = NULL;
	struct keyring *k = NULL;
	off_t size = 0;
	size_t len;
	int ret;

	*out = NULL;
	fd = key_file_open(dirfd, name, &size);
	if (fd < 0)
		return fd;
	image = secret_alloc(room);
	k = secret_alloc(sizeof(*k));
	ret = -ENOMEM;
	if (!image || !k)
		goto out;

	/* Of a file that is too long only the head matters: it may be of a newer version. */
	len = (uint64_t)size > room ? room : (size_t)size;
	ret = pread_full(fd, image, len, 0);
	if (ret == 0)
		ret = image_decode(image, len, k);
	if (ret == 0 && (uint64_t)size > room)
		ret = -EBADMSG;
	if (ret)
		goto out;
	*out = k;
	k = NULL;
out:
	keyring_free(k);
	secret_free(image, room);
	return ret;
}

/* --- writing -------------------------------------------------------------------------------- */

/* Makes the file `temp` with the bytes on disk. 0 or -errno; then there is no `temp`. */
static int write_temp(int dir, const char *temp, const uint8_t *image, size_t len)
{
	CLEANUP_FD int fd =
		openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	int ret;

	if (fd < 0)
		return errno_neg();
	ret = pwrite_full(fd, image, len, 0);
	/* The umask may have taken bits of the owner away. */
	if (ret == 0 && fchmod(fd, FILE_MODE))
		ret = errno_neg();
	if (ret == 0 && fsync(fd))
		ret = errno_neg();
	if (ret)
		(void)unlinkat(dir, temp, 0);
	return ret;
}

/* Gives `temp` its name, and makes that durable. On failure there is no `temp`. */
static int name_temp(int dir, const char *temp, const char *name, bool exclusive)
{
	int ret = 0;

	if (exclusive) {
		/* link(2) is what never replaces; the temporary name goes in any case. */
		if (linkat(dir, temp, dir, name, 0))
			ret = errno_neg();
		if (unlinkat(dir, temp, 0) && ret == 0)
			ret = errno_neg();
	} else if (renameat(dir, temp, dir, name)) {
		ret = errno_neg();
		(void)unlinkat(dir, temp, 0);
	}
	if (ret == 0 && fsync(dir))
		ret = errno_neg();
	return ret;
}

static int store_image(const uint8_t *image, size_t len, int dirfd, const char *name,
		       bool exclusive)
{
	char temp[HOLDFAST_NAME_MAX + 1];
	/* A descriptor of our own: the caller's may be O_PATH, which fsync refuses. */
	CLEANUP_FD int dir = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint8_t random[8];
	int n;
	int ret;

	if (dir < 0)
		return errno_neg();
	if (RAND_bytes(random, sizeof(random)) != 1)
		return -EIO;
	n = snprintf(temp, sizeof(temp), ".%s.%016llx", name, (unsigned long long)get_le64(random));
	if (n < 0 || (size_t)n >= sizeof(temp))
		return -ENAMETOOLONG;

	ret = write_temp(dir, temp, image, len);
	return ret ? ret : name_temp(dir, temp, name, exclusive);
}

int keyring_store(const struct keyring *k, int dirfd, const char *name, bool exclusive)
{
	const size_t room = FILE_SIZE(SEALING_MAX);
	uint8_t *image = secret_alloc(room);
	ssize_t len;
	int ret;

	if (!image)
		return -ENOMEM;
	len = image_encode(k, image);
	ret = len < 0 ? (int)len : store_image(image, (size_t)len, dirfd, name, exclusive);
	secret_free(image, room);
	return ret;
}
