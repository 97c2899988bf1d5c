/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * status.h - what a daemon does at the moment: its control socket, and the command that asks all of them.
 * The format is documented in include/holdfast/status.h.
 */
#ifndef HOLDFAST_ADMIN_STATUS_H
#define HOLDFAST_ADMIN_STATUS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct export;
struct fuse_server;
struct status_server;
struct vhostuser;

/* What a daemon tells about; all of it outlives the server. */
struct status_source {
	struct export *export;
	struct fuse_server *fuse;
	long pid; /* of the process that was started; in a sandbox it waits outside */
	const char *share;
	const char *mount;  /* NULL: a device */
	const char *socket; /* of a device: its path, or "" */
	const char *sandbox, *capabilities, *seccomp;
	struct vhostuser *vhost; /* of a device */
	bool readonly;
	int64_t started;     /* time(2) */
	uint64_t started_ns; /* clock_ns() */
};

/* A path on one line, whatever bytes it has. (status.c) */
void status_put_path(FILE *to, const char *path);

/* One daemon's part, as JSON on one line or as text. (status.c) */
void status_write(FILE *to, const struct status_source *source, bool json);

/*
 * Opens the socket of the daemon `pid` in `rundir`, a descriptor that the caller keeps; then starts the thread that
 * answers. 0 or -errno. The first needs /proc; the second does not. (status_server.c)
 */
int status_server_new(int rundir, long pid, struct status_server **out);
int status_server_start(struct status_server *s, const struct status_source *source);
/* Before status_server_start(): frees and closes, and leaves the socket file to another process; takes NULL. */
void status_server_abandon(struct status_server *s);
void status_server_stop(struct status_server *s); /* takes NULL */

/* Connects to the control socket `name` in `rundir`: a descriptor or -errno. (status_server.c) */
int status_connect(int rundir, const char *name);

#endif
