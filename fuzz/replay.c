/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replay DIRECTORY...: gives each file in them to the fuzz target that it is linked with, so that what was found once is
 * tried by every test run, without a fuzzer.
 */
#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX ((size_t)1 << 20)

static size_t replay_file(const char *directory, const char *name)
{
	char path[4096];
	/* Of just that length, so that ASan sees a byte too many. */
	uint8_t *all = malloc(INPUT_MAX);
	uint8_t *bytes;
	size_t len;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "re");
	if (!f || !all)
		err(1, "%s", path);
	len = fread(all, 1, INPUT_MAX, f);
	(void)fclose(f);
	bytes = malloc(len ? len : 1);
	if (!bytes)
		err(1, "%s", path);
	memcpy(bytes, all, len);
	free(all);
	(void)LLVMFuzzerTestOneInput(bytes, len);
	free(bytes);
	return len;
}

int main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);
		const struct dirent *e;

		if (!d)
			err(1, "%s", argv[i]);
		while ((e = readdir(d))) {
			if (e->d_name[0] == '.')
				continue;
			(void)replay_file(argv[i], e->d_name);
			count++;
		}
		(void)closedir(d);
	}
	if (!count)
		errx(1, "there is no input");
	(void)printf("%u inputs\n", count);
	return 0;
}
