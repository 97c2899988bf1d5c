/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostfs_ids.h - file systems' kinds and ids, and the mount table: what hostfs.c asks by ioctl and /proc.
 */
#ifndef HOLDFAST_EXPORT_HOSTFS_IDS_H
#define HOLDFAST_EXPORT_HOSTFS_IDS_H

#include "export/hostfs.h"

/* The kind of the file system that `fd` is open on, by statfs(2). */
enum hostfs_kind hostfs_kind_of(int fd);

/* Its UUID, by FS_IOC_GETFSUUID (Linux >= 6.9) or the file system's own ioctl; -ENOTTY if it has none. */
int hostfs_fsid(int fd, enum hostfs_kind kind, uint8_t out[HOLDFAST_UUID_LEN]);

/* UUID of the btrfs subvolume that `fd` is in. The top-level subvolume has all zero. */
int hostfs_subvol(int fd, uint8_t out[HOLDFAST_UUID_LEN]);

/* Is a file system with this st_dev mounted? True when it cannot be told. */
bool hostfs_dev_mounted(int mountinfo, uint64_t dev);

/* Is anything mounted below the directory? True when it cannot be told. */
bool hostfs_mounts_below(int mountinfo, int proc, int root);

#endif
