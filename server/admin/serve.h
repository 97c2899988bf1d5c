/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve.h - the daemon: a share, served at a mount point until a signal or an unmount ends it.
 */
#ifndef HOLDFAST_ADMIN_SERVE_H
#define HOLDFAST_ADMIN_SERVE_H

#include "admin/config.h"

/*
 * Closes what the daemon inherited and does not use: a sandbox would be left open by it. First of all, before anything is
 * opened. (serve_process.c)
 */
void serve_close_inherited(const struct config *c);

/* Serves in the foreground; the exit code. */
int serve(const struct config *c);

/* How RLIMIT_NOFILE is divided. */
struct serve_limits {
	uint64_t files; /* open files and directories of the guest */
	uint64_t locks; /* descriptors of lock owners */
	uint64_t nodes; /* O_PATH descriptors of nodes */
};

/*
 * Of `nofile` descriptors SERVE_RESERVED are kept for ourselves: SQLite, the ring, sockets, /dev/fuse for each
 * thread, and what a request opens for its own duration. Of the rest the guest's open files get a half, lock
 * owners an eighth, nodes what is left, but no more than there may be nodes. Open files and lock owners have a
 * bound of their own: a limit may be in the thousand millions, and the table of open files is made at the start.
 */
#define SERVE_RESERVED 192
#define SERVE_OPEN_MAX ((uint64_t)1 << 20)
void serve_divide(uint64_t nofile, uint64_t max_nodes, struct serve_limits *out);

#endif
