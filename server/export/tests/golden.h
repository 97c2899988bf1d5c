/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * golden.h - a key file with known keys, for tests that compare bytes with what an independent
 * implementation (of HKDF, CMAC, S2V, CTR over plain AES) has made of the same keys.
 */
#ifndef HOLDFAST_EXPORT_TESTS_GOLDEN_H
#define HOLDFAST_EXPORT_TESTS_GOLDEN_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "export/keyring.h"

#define GOLDEN_GENERATION 7
#define GOLDEN_RETIRED 3
#define GOLDEN_ACTIVE 9
#define GOLDEN_SIZE 228
#define GOLDEN_MAC "bb96bcd1982a8254b77060f0c9af59c9b68bc15c93bc5930827d5b580cc703b2"

static inline void golden_fill(uint8_t *p, size_t len, uint8_t from)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(from + i);
}

/* The file, written by hand from the layout in keyring.c. */
static inline void golden_image(uint8_t image[GOLDEN_SIZE])
{
	static const uint8_t magic[8] = { 'H', 'O', 'L', 'D', 'F', 'K', 'E', 'Y' };

	memcpy(image, magic, sizeof(magic));
	put_le16(image + 8, 1);
	image[10] = 2;
	image[11] = GOLDEN_ACTIVE;
	put_le32(image + 12, GOLDEN_GENERATION);
	golden_fill(image + 16, 16, 0xa0);
	golden_fill(image + 32, 32, 0x20);
	image[64] = GOLDEN_RETIRED;
	image[65] = 2;
	golden_fill(image + 66, 64, 0x40);
	image[130] = GOLDEN_ACTIVE;
	image[131] = 1;
	golden_fill(image + 132, 64, 0x80);
	if (hex_decode(GOLDEN_MAC, strlen(GOLDEN_MAC), image + 196, 32) != 32)
		abort();
}

/* A directory of the test's own, open. The test removes it. */
static inline int golden_dir(char path[64])
{
	int fd;

	(void)snprintf(path, 64, "/tmp/holdfast-test-XXXXXX");
	if (!mkdtemp(path))
		abort();
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		abort();
	return fd;
}

static inline void golden_write(int dir, const char *name, const uint8_t *bytes, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || pwrite_full(fd, bytes, len, 0))
		abort();
	(void)fd_close(fd);
}

static inline struct keyring *golden_keyring(void)
{
	uint8_t image[GOLDEN_SIZE];
	char path[64];
	int dir = golden_dir(path);
	struct keyring *k;

	golden_image(image);
	golden_write(dir, "key", image, sizeof(image));
	if (keyring_load(dir, "key", &k) || unlinkat(dir, "key", 0) || rmdir(path))
		abort();
	(void)fd_close(dir);
	return k;
}

#endif
