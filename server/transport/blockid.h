/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blockid.h - a block device whose only content is a UUID, for a mount to be known by.
 */
#ifndef HOLDFAST_TRANSPORT_BLOCKID_H
#define HOLDFAST_TRANSPORT_BLOCKID_H

#include <stdint.h>

#define BLOCKID_UUID_LEN 16
#define BLOCKID_SIZE 4096 /* bytes of the image; the kernel takes no smaller one for a mount */

struct blockid;

/*
 * The UUID of the mount of an export: SHA-256 over a label and the export's UUID, cut, with the marks of
 * version 8 (RFC 9562). Never the export's own, so that neither is taken for the other. 0 or -EIO.
 */
int blockid_uuid(const uint8_t export_uuid[BLOCKID_UUID_LEN], uint8_t out[BLOCKID_UUID_LEN]);

/*
 * Makes the image `name` in the directory `dirfd` (`dirpath`: its path, for messages), or takes the one that
 * is there, and attaches a free loop device to it (loop(4); root only). The device goes by itself when the
 * last that has it open does: a mount, or this. One process at a time may have it: -EBUSY. 0, or -errno
 * after one line in the log.
 */
int blockid_open(int dirfd, const char *name, const char *dirpath,
		 const uint8_t uuid[BLOCKID_UUID_LEN], struct blockid **out);

/* Path of the device: "/dev/loop3". */
const char *blockid_device(const struct blockid *b);

/* Lets go of it; a mount of it keeps it. Takes NULL. */
void blockid_free(struct blockid *b);

#endif
