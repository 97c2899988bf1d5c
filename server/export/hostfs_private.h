/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostfs_private.h - private to hostfs*.c: the file systems and mounts that were met.
 */
#ifndef HOLDFAST_EXPORT_HOSTFS_PRIVATE_H
#define HOLDFAST_EXPORT_HOSTFS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/sysmacros.h>

#include "export/hostfs.h"

#define HOSTFS_SUBVOL_ROOT_INO 256 /* of btrfs */

struct fs_entry {
	uint64_t dev;
	enum hostfs_kind kind;
	bool persistent;
	uint8_t fsid[HOLDFAST_UUID_LEN];
	uint8_t subvol[HOLDFAST_UUID_LEN];
};

struct mount_entry {
	uint64_t mount;
	uint64_t attachment;
};

struct hostfs {
	bool handles; /* wanted at all */
	int proc;     /* /proc/self/fd */
	uint8_t run_id[HOLDFAST_UUID_LEN];
	bool unique_ids;       /* the kernel gives mount ids that are never used again */
	pthread_rwlock_t lock; /* guards the tables and their sizes */
	struct fs_entry *fs;
	size_t fs_count;
	struct mount_entry *mounts;
	size_t mounts_count;
	pthread_mutex_t mountinfo_lock; /* guards the three below */
	int mountinfo;
	bool has_submounts;
	bool submounts_known;
	/* what the last poll came to, so that a READDIR need not poll for each entry: clock_ns() << 1 | has */
	atomic_uint_fast64_t submounts_seen;
};

static inline uint64_t hostfs_dev(const struct statx *stx)
{
	return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

/* --- hostfs_tables.c --- */

/*
 * The file system of an object, asked for when its device is new, when the object is the root of a btrfs
 * subvolume, or if `anew`. -EMFILE, -ENFILE, -ENOMEM; -ENOTTY: it cannot be told now, *out claims nothing.
 */
int hostfs_fs_of(struct hostfs *h, const struct statx *stx, int dirfd, const char *name, int fd,
		 bool anew, struct fs_entry *out);

/* The mount is the one with this attachment, from now on. 0 or -ENOMEM. */
int hostfs_mount_note(struct hostfs *h, uint64_t mount, uint64_t attachment);

/* What was noted of the mount: 0 or -EXDEV. */
int hostfs_mount_find(struct hostfs *h, uint64_t mount, uint64_t *attachment);

#endif
