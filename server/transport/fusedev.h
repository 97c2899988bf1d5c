/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fusedev.h - a mount on this machine: /dev/fuse as transport.
 *
 *   fusedev_mount -> fusedev_serve (returns at the end) -> fusedev_unmount -> fusedev_free
 */
#ifndef HOLDFAST_TRANSPORT_FUSEDEV_H
#define HOLDFAST_TRANSPORT_FUSEDEV_H

#include "fuse/fuse.h"

#define FUSEDEV_THREADS_MIN 4
#define FUSEDEV_THREADS_MAX 64

struct fusekeeper;

struct fusedev_config {
	const char *mountpoint; /* an existing directory */
	const char *fsname; /* what mount(8) shows as the source; no commas needed to be escaped */
	bool allow_other;
	bool default_permissions;
	bool readonly;
	unsigned threads; /* 0: twice the CPUs, 4 at least; never more than FUSEDEV_THREADS_MAX */
	const char
		*blkdev; /* NULL, or a block device: a fuseblk mount with its number (root only) */
	/*
	 * A mount that is known by a UUID (blockid.h): the directory for the image, or -1, its path for messages, and at
	 * fusedev_mount() the UUID. The keeper makes the device of it.
	 */
	int uuid_dir;
	const char *uuid_dirpath;
	const uint8_t *uuid;
	struct fusekeeper *keeper; /* who mounts and unmounts; NULL: we ourselves */
};

struct fusedev;

/*
 * Mounts: by mount(2), and where that is not permitted by fusermount3. Nothing is served yet:
 * nobody may look at the mount point before fusedev_serve(); but all that its threads need is open. On failure one
 * line was logged that says what to do. -errno otherwise; the config is not kept, but for the keeper.
 */
int fusedev_mount(const struct fusedev_config *config, struct fuse_server *server,
		  struct fusedev **out);

/*
 * Serves until the file system is unmounted (0), fusedev_stop() is called (0; it is then unmounted,
 * at best while its threads still write back what the kernel has), or the kernel is refused at INIT
 * (-EOPNOTSUPP; see fuse_server_refused). -errno when threads could not be had.
 */
int fusedev_serve(struct fusedev *dev);

/* Makes fusedev_serve() end. Async-signal-safe; before fusedev_serve() too. */
void fusedev_stop(struct fusedev *dev);

/* Unmounts if our mount is still there, lazily if it is busy. 0 or -errno (logged). */
int fusedev_unmount(struct fusedev *dev);

/* Takes NULL. fusedev_serve() must have returned. Closes the device: a mount left over is dead. */
void fusedev_free(struct fusedev *dev);

#endif
