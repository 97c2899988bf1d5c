// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.c - the virtio-fs device beside another daemon's, through a front-end without a VM.
 *
 *   device ops DIR SOURCE HOLDFAST OTHER      operations; SOURCE is a source tree to be walked over
 *   device memory DIR FILES HOLDFAST OTHER    memory and descriptors for so many files looked up
 *   device decode DIR HANDLES HOLDFAST        LOOKUP "." of forgotten nodeids; DIR/state: `core rows`
 *
 * OTHER is C virtiofsd, or another holdfast. Environment: ROUNDS, MS (of a round), LINES (only those whose name holds it), DEPTH (only that).
 */
#include "device.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

#define PATH_ROOM (PATH_MAX + 32)

unsigned bench_number(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);
	const unsigned long value = text ? strtoul(text, NULL, 10) : 0;

	return value ? (unsigned)value : otherwise;
}

/*
 * The front-end has the first processor to itself, as a guest's has one that is busy; side_start() gives the daemons all
 * others. Left to itself the scheduler puts both on one processor now and then, and what is measured is its mood.
 */
static void take_processor(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static const char *side_dir(const char *dir, const char *name)
{
	static char paths[2][PATH_ROOM];
	static unsigned used;
	char *path = paths[used++ % 2];

	snprintf(path, PATH_ROOM, "%s/%s", dir, name);
	(void)mkdir(path, 0755);
	return path;
}

int main(int argc, char **argv)
{
	static struct side sides[2];
	static char dir[PATH_MAX];
	int ret = -1;

	/* The daemons may go elsewhere before they look at it. */
	if (argc > 2 && !realpath(argv[2], dir)) {
		fprintf(stderr, "device: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}

	take_processor();
	if (argc == 6) {
		side_init(&sides[0], "holdfast", argv[4], side_dir(dir, "1"));
		side_init(&sides[1], "other", argv[5], side_dir(dir, "2"));
		if (strcmp(argv[1], "ops") == 0)
			ret = bench_operations(dir, argv[3], sides);
		else if (strcmp(argv[1], "memory") == 0)
			ret = bench_memory(dir, (unsigned)atoi(argv[3]), sides);
	} else if (argc == 5 && strcmp(argv[1], "decode") == 0) {
		side_init(&sides[0], "holdfast", argv[4], dir);
		ret = bench_decode(dir, (unsigned)atoi(argv[3]), &sides[0]);
	} else {
		fprintf(stderr, "device: usage: device ops DIR SOURCE HOLDFAST OTHER | "
				"memory DIR FILES HOLDFAST OTHER | decode DIR HANDLES HOLDFAST\n");
		return 2;
	}
	side_stop(&sides[0]);
	side_stop(&sides[1]);
	return ret != 0;
}
