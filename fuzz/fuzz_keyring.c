/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_keyring.c - key files: one of ours with bytes exchanged, cut off or gone on, or bytes from nowhere. What is not just
 * what was written is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "export/keyring.h"
#include "fuzz.h"

#define FILE_MAX 4096

static int directory = -1;
static uint8_t good[FILE_MAX];
static size_t good_len;

static void prepare(void)
{
	struct keyring *k;
	ssize_t n;
	int fd;

	if (directory >= 0)
		return;
	log_init(LOG_LEVEL_OFF, false);
	directory = open(fuzz_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(directory >= 0);
	MUST(keyring_generate(&k) == 0 && keyring_rotate(k) == 0);
	MUST(keyring_store(k, directory, "good", true) == 0);
	keyring_free(k);
	fd = openat(directory, "good", O_RDONLY | O_CLOEXEC);
	n = read(fd, good, sizeof(good));
	MUST(n > 0 && n < (ssize_t)sizeof(good));
	good_len = (size_t)n;
	(void)close(fd);
}

static int load(const uint8_t *bytes, size_t len)
{
	int fd = openat(directory, "bad", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct keyring *k = NULL;
	int ret;

	MUST(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	(void)close(fd);
	ret = keyring_load(directory, "bad", &k);
	if (!ret)
		keyring_free(k);
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { .at = data, .left = size };
	uint8_t bytes[FILE_MAX + UINT8_MAX];
	size_t len;
	int ret;

	prepare();
	if (fuzz_take8(&in) % 2) {
		len = in.left < FILE_MAX ? in.left : FILE_MAX;
		fuzz_take(&in, bytes, len);
	} else {
		memcpy(bytes, good, good_len);
		len = good_len;
		for (unsigned i = fuzz_take8(&in) % 8; i > 0; i--)
			bytes[fuzz_take16(&in) % good_len] ^= fuzz_take8(&in);
		if (fuzz_take8(&in) % 4 == 0)
			len -= fuzz_take16(&in) % good_len;
		else if (in.left) {
			size_t more = in.left < UINT8_MAX ? in.left : UINT8_MAX;

			fuzz_take(&in, bytes + len, more);
			len += more;
		}
	}
	ret = load(bytes, len);
	if (len == good_len && memcmp(bytes, good, len) == 0)
		MUST(ret == 0);
	else
		MUST(ret == -EBADMSG || ret == -EPROTO);
	return 0;
}
