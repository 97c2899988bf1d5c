/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard.h - the wire guard: nothing that a guest sent reaches an operation before it passed here.
 *
 * libfuse 3.14 trusts its input: it looks for names and data behind a request that is too short.
 * The guard is a pure function over bytes in private memory, with one table that says what each
 * opcode looks like.
 */
#ifndef HOLDFAST_FUSE_GUARD_H
#define HOLDFAST_FUSE_GUARD_H

#include "fuse/fuse.h"

/* Limits that hold for every guest. */
#define GUARD_IO_MAX ((uint32_t)1 << 20)    /* READ and WRITE, as INIT announces it in max_write */
#define GUARD_XATTR_MAX ((uint32_t)1 << 16) /* XATTR_SIZE_MAX and XATTR_LIST_MAX of Linux */
#define GUARD_IOCTL_MAX ((uint32_t)1 << 16) /* data of an ioctl, each way */
#define GUARD_NAME_MAX 255
#define GUARD_TARGET_MAX 4095 /* of a symlink */

/* What INIT agreed on: it decides about layouts and extensions. */
struct guard_terms {
	uint64_t flags; /* FUSE_* of INIT, both words */
	uint32_t minor; /* of major 7; before INIT FUSE_KERNEL_MINOR_VERSION */
};

enum guard_verdict {
	GUARD_PASS,   /* `request` may be handed on */
	GUARD_REFUSE, /* to be answered with `error` */
	GUARD_DROP,   /* malformed, of a kind that is never answered */
};

struct guard_result {
	enum guard_verdict verdict;
	int error;	 /* with GUARD_REFUSE: negative errno */
	uint32_t opcode; /* as in the header, always */
	uint64_t unique; /* as in the header, always */
	bool answered;	 /* the opcode gets a reply: all but FORGET, BATCH_FORGET and INTERRUPT */
	struct fuse_request request; /* with GUARD_PASS */
};

/*
 * Judges one request of `len` >= sizeof(struct fuse_in_header) bytes. With GUARD_PASS request.in is
 * 8-aligned, complete, laid out as libfuse 3.14 and the wire layer expect it, and lies in `bytes`,
 * or in `scratch` (8-aligned, FUSE_REQUEST_MAX bytes) where something had to change:
 *   - extensions behind the arguments are read into `request` and cut off
 *   - SETXATTR with FUSE_SETXATTR_EXT is brought to its 8-byte form
 *   - SETATTR: the bits of `valid` that libfuse takes for something else are taken out (always a
 *     copy: libfuse writes into it)
 *   - a size of GETXATTR, LISTXATTR, READDIR, READDIRPLUS over the limit is brought down to it
 *   - `bytes` is not 8-aligned
 * Errors: EINVAL; ENOSYS (unknown or unused opcode); ENAMETOOLONG; E2BIG (SETXATTR); ESTALE (nodeid
 * 0). Extensions' pointers in `request` lie in `bytes`. Nothing behind bytes + len is ever read.
 * `outside`: bytes of the request that follow elsewhere, unseen; only a WRITE's data may (EINVAL).
 */
void guard_check(const struct guard_terms *terms, const void *bytes, size_t len, size_t outside,
		 uint8_t *scratch, struct guard_result *out);

/* "LOOKUP", ...; "opcode" for one that the table does not have. */
const char *guard_opcode_name(uint32_t opcode);

#endif
