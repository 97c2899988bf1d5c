/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * export.h - what the programs that open an export in their own process share.
 */
#ifndef HOLDFAST_BENCH_EXPORT_H
#define HOLDFAST_BENCH_EXPORT_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "export/core.h"

/*
 * Opens DIR/share with its state in DIR/state and the ring there too, or in `run` (NULL: there). With a cache that is as good as none:
 * every decode is cold. `key`: the sealing key in a helper's process, which makes no key, so that a run without
 * must come first; or NULL. 0 or -errno.
 */
static inline int bench_open(const char *dir, const char *run, struct keysource *key,
			     struct export **x, struct worker **w)
{
	static char share[4096], state[4096];
	struct export_config config = { .share = share,
					.statepath = state,
					.handles = HANDLES_PREFER,
					.max_nodes = 256,
					.max_fds = 64 };
	int code, ret = 0;

	snprintf(share, sizeof(share), "%s/share", dir);
	snprintf(state, sizeof(state), "%s/state", dir);
	if (mkdir(state, 0700) < 0 && errno != EEXIST)
		return -errno;
	config.statedir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	config.rundir = run ? open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : config.statedir;
	if (key)
		ret = helper_start(key, config.statedir, &config.helper);
	if (!ret)
		ret = export_open(&config, x, &code);
	if (!ret)
		ret = worker_new(*x, w);
	return ret;
}

#endif
