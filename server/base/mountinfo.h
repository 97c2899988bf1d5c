/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mountinfo.h - the mounts of this process's namespace, as proc_pid_mountinfo(5) tells them.
 */
#ifndef HOLDFAST_BASE_MOUNTINFO_H
#define HOLDFAST_BASE_MOUNTINFO_H

#include <stdbool.h>
#include <sys/types.h>

struct mountinfo {
	int id;	   /* the number that is used again after the mount has gone */
	dev_t dev; /* st_dev of the file system */
	const char *
		root; /* the mounted directory, as a path in its file system ("/" whichever it is, with NFS) */
	const char *point; /* path from the process's root, escapes undone */
	const char *type;  /* "ext4", "fuse.holdfast", ... */
};

/*
 * The table is read from its beginning, by `fd`, a descriptor of it that may be in use elsewhere (poll, other threads), or
 * of the present namespace with -1. Calls `each` for one mount after the other, the oldest first, until it gives false; what it is given is
 * valid during the call. 0, or -errno when the table cannot be read. Asks no file system anything.
 */
typedef bool mountinfo_fn(void *arg, const struct mountinfo *m);
int mountinfo_each(int fd, mountinfo_fn *each, void *arg);

#endif
