/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fusemount.h - mounting and unmounting /dev/fuse, as root and as an ordinary user.
 */
#ifndef HOLDFAST_TRANSPORT_FUSEMOUNT_H
#define HOLDFAST_TRANSPORT_FUSEMOUNT_H

#include "transport/fusedev.h"

#define FUSEMOUNT_SUBTYPE "holdfast" /* mount(8) shows fuse.holdfast */

struct fusemount {
	char *path; /* absolute, no symlinks */
	int id;	    /* the kernel's number of the mount (first field of mountinfo) */
	int fd;	    /* /dev/fuse, its connection */
};

/* 0, or -errno with one line in the log. On success `out` is to be ended with fusemount_clear(). */
int fusemount_mount(const struct fusedev_config *config, struct fusemount *out);

/* Is our mount still what is seen at its path? */
bool fusemount_present(const struct fusemount *m);

/* Unmounts; lazily if it is busy. 0 if it is gone; -errno with a line in the log. */
int fusemount_unmount(struct fusemount *m);

/* Closes the descriptor, frees the path. */
void fusemount_clear(struct fusemount *m);

#endif
