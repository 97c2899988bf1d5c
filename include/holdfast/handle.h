/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfast/handle.h - what programs in the guest and others may rely on: FUSE handles and sealed handles.
 */
#ifndef HOLDFAST_HANDLE_H
#define HOLDFAST_HANDLE_H

/*
 * The read-only extended attribute with an object's sealed handle. Reading it takes CAP_SYS_ADMIN in
 * the guest, as every trusted.* attribute. ENODATA: the object has no handle that persists.
 *
 * Layout: version (1 byte, HOLDFAST_SEALED_VERSION) | key id (1) | SIV tag (16) | ciphertext.
 * Opaque but for the first two bytes. Equal objects give equal bytes, in every run and daemon of the
 * export, until the sealing key is rotated (older bytes open for fifteen more rotations) or the root generation raised. At most 64 bytes for ext4 and
 * xfs, never more than HOLDFAST_SEALED_MAX for the file systems whose handles persist.
 */
#define HOLDFAST_SEALED_XATTR "trusted.holdfast.handle"
#define HOLDFAST_SEALED_VERSION 1
#define HOLDFAST_SEALED_MAX 128

/* A FUSE file handle as Linux makes it (name_to_handle_at): three 32-bit numbers in host byte order... */
#define HOLDFAST_FUSE_HANDLE_TYPE 0x81	      /* nodeid high, nodeid low, generation: 12 bytes */
#define HOLDFAST_FUSE_HANDLE_PARENT_TYPE 0x82 /* ...and the parent's three behind: 24 bytes */

#endif
