/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * side.h - one of the two daemons that are compared: started, connected to, looked at, ended.
 */
#ifndef HOLDFAST_BENCH_SIDE_H
#define HOLDFAST_BENCH_SIDE_H

#include <sys/types.h>
#include <time.h>

#include "fecalls.h"

struct side {
	const char *name;    /* for the table */
	const char *program; /* a holdfast, or a C virtiofsd */
	const char *dir;     /* for socket, log and state */
	bool holdfast;
	pid_t started;	 /* 0: not running */
	pid_t pid;	 /* who serves: the last of the line of children */
	clockid_t clock; /* its CPU time, of all its threads */
	struct fedevice dev;
	struct fefuse fuse;
};

/* What the process holds at the moment. */
struct side_memory {
	uint64_t rss_kb, anon_kb, file_kb, shmem_kb; /* as /proc/PID/status has it */
	unsigned fds;
};

/* `program` is taken for a holdfast if its name says so. The strings are borrowed. */
void side_init(struct side *s, const char *name, const char *program, const char *dir);

/*
 * Starts the daemon on `share` and connects to it: one request queue of 1024 descriptors, INIT done. A holdfast keeps its
 * state in `state` below the side's directory, from run to run. 0 or -errno, with a line on stderr.
 */
int side_start(struct side *s, const char *share, const char *state);
void side_stop(struct side *s); /* takes one that is not running */

uint64_t side_cpu_ns(const struct side *s);
int side_memory(const struct side *s, struct side_memory *out);

#endif
