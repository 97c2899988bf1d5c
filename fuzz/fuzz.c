/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz.c - helpers of the fuzz targets. One thread.
 */
#include "fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char directory[32];

void fuzz_broken(const char *file, int line, const char *what)
{
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

void fuzz_take(struct fuzz_input *in, void *to, size_t len)
{
	size_t have = in->left < len ? in->left : len;

	memset(to, 0, len);
	if (have)
		memcpy(to, in->at, have);
	in->at += have;
	in->left -= have;
}

uint8_t fuzz_take8(struct fuzz_input *in)
{
	uint8_t v;

	fuzz_take(in, &v, sizeof(v));
	return v;
}

uint16_t fuzz_take16(struct fuzz_input *in)
{
	uint8_t v[2];

	fuzz_take(in, v, sizeof(v));
	return (uint16_t)(v[0] | v[1] << 8);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	if (ftw->level > 0)
		(void)remove(path);
	return 0;
}

void fuzz_directory_clear(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void directory_remove(void)
{
	fuzz_directory_clear(directory);
	(void)remove(directory);
}

const char *fuzz_directory(void)
{
	if (!directory[0]) {
		(void)snprintf(directory, sizeof(directory), "/tmp/holdfast-fuzz-XXXXXX");
		MUST(mkdtemp(directory));
		MUST(atexit(directory_remove) == 0);
	}
	return directory;
}
