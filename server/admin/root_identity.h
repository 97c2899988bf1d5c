/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * root_identity.h - by what a shared directory is known again: its file system and itself.
 */
#ifndef HOLDFAST_ADMIN_ROOT_IDENTITY_H
#define HOLDFAST_ADMIN_ROOT_IDENTITY_H

/* Hex digits of an identity and a NUL. */
#define ROOT_IDENTITY_HEX (2 * (16 + 16 + 8 + 4 + 1 + 128) + 1)

/*
 * The identity of the directory `fd` (open for reading, not O_PATH), as hex digits: UUID of the file
 * system (16 bytes), UUID of the btrfs subvolume or zeros (16), birth time in ns or zero (8), type of the
 * host handle (4), its length (1), the handle. Little-endian. Stable over mounts and reboots.
 * "" where there is no such thing: the file system has no UUID or no handles, and the share is only known
 * by its path. 0 or -errno.
 */
int state_root_identity(int fd, char out[ROOT_IDENTITY_HEX]);

#endif
