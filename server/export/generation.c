/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * generation.c - what `revoke` writes where the key itself cannot be written.
 *
 * The higher of the two generations counts, that of the key and that of the file. The file is not the map: an older
 * map put back undoes no revoke. An older *file* put back is noticed as an older key file would be: the
 * map and the ring remember the last generation, too, and who comes with less is refused.
 *
 * The file, numbers little-endian:
 *      0      8  magic "HOLDFGEN"
 *      8      2  version, 1
 *     10      2  zero
 *     12      4  root generation
 *     16     16  UUID of the export
 *     32     32  HMAC-SHA256 over all that is before, by a key derived from the nodeid key
 */
#include "export/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#include "base/replace.h"
#include "base/secret.h"
#include "base/util.h"

#define LABEL "holdfast root generation v1"
#define VERSION 1

#define OFFSET_VERSION 8
#define OFFSET_GENERATION 12
#define OFFSET_UUID 16
#define OFFSET_MAC 32
#define MAC_LEN 32
#define FILE_LEN (OFFSET_MAC + MAC_LEN)

static const uint8_t magic[OFFSET_VERSION] = { 'H', 'O', 'L', 'D', 'F', 'G', 'E', 'N' };

static int image_make(const struct keyring *k, uint32_t generation, uint8_t image[FILE_LEN])
{
	uint8_t key[KEYRING_DERIVED_LEN];
	size_t len = 0;
	int ret = keyring_derive(k, LABEL, false, key);

	memset(image, 0, FILE_LEN);
	memcpy(image, magic, sizeof(magic));
	put_le16(image + OFFSET_VERSION, VERSION);
	put_le32(image + OFFSET_GENERATION, generation);
	memcpy(image + OFFSET_UUID, keyring_uuid(k), HOLDFAST_UUID_LEN);
	if (!ret && (!EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, sizeof(key), image,
				OFFSET_MAC, image + OFFSET_MAC, MAC_LEN, &len) ||
		     len != MAC_LEN))
		ret = -EIO;
	secret_wipe(key, sizeof(key));
	return ret;
}

int generation_apply(int statedir, struct keyring *k)
{
	CLEANUP_FD int fd = openat(statedir, GENERATION_FILE,
				   O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	uint8_t have[FILE_LEN], right[FILE_LEN];
	struct stat st;
	int ret;

	if (fd < 0)
		return errno == ENOENT ? 0 : errno_neg();
	if (fstat(fd, &st))
		return errno_neg();
	if (!S_ISREG(st.st_mode) || st.st_size != FILE_LEN)
		return -EUCLEAN;
	ret = pread_full(fd, have, sizeof(have), 0);
	if (!ret)
		ret = image_make(k, get_le32(have + OFFSET_GENERATION), right);
	if (!ret && CRYPTO_memcmp(have, right, sizeof(have)) != 0)
		ret = -EUCLEAN;
	if (!ret)
		keyring_raise_to(k, get_le32(have + OFFSET_GENERATION));
	secret_wipe(right, sizeof(right));
	return ret;
}

int generation_store(int statedir, const struct keyring *k)
{
	uint8_t image[FILE_LEN];
	int ret = image_make(k, keyring_root_generation(k), image);

	return ret ? ret : file_replace(statedir, GENERATION_FILE, image, sizeof(image), false);
}
