/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fusekeeper.h - a process that mounts and unmounts for the daemon, which may then give the rights to do so up.
 *
 *   fusekeeper_start -> fusekeeper_mount -> fusekeeper_unmount -> fusekeeper_end
 */
#ifndef HOLDFAST_TRANSPORT_FUSEKEEPER_H
#define HOLDFAST_TRANSPORT_FUSEKEEPER_H

#include "transport/fusedev.h"

struct fusekeeper;

/*
 * Forks. To be called while there is one thread, with SIGINT, SIGTERM and SIGHUP blocked. The configuration is taken along.
 * 0 or -errno (logged).
 */
int fusekeeper_start(const struct fusedev_config *config, struct fusekeeper **out);

/*
 * Mounts; *fd is the connection, /dev/fuse. With a `uuid` (BLOCKID_UUID_LEN bytes, else NULL) as a mount that is known by
 * it. 0, or -errno after one line in the log.
 */
int fusekeeper_mount(struct fusekeeper *k, const uint8_t *uuid, int *fd);

/* Unmounts if our mount is still there, lazily if it is busy. Threads may serve meanwhile. 0 or -errno (logged). */
int fusekeeper_unmount(struct fusekeeper *k);

/* The process ends; the mount stays as it is. Takes NULL. */
void fusekeeper_end(struct fusekeeper *k);

#endif
