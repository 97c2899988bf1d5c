/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * protocol.h - the FUSE protocol: the kernel's header, and what came after Debian 12's copy of it.
 */
#ifndef HOLDFAST_FUSE_PROTOCOL_H
#define HOLDFAST_FUSE_PROTOCOL_H

#include <linux/fuse.h>
#include <stdint.h>

#ifndef FUSE_STATX_OPCODE_KNOWN
#define FUSE_OP_STATX 52 /* since 7.39 */
#define FUSE_OP_MAX 53
#endif

/* INIT flags since 7.38, of the second word */
#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP (1ULL << 34) /* 7.39 */
#endif
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36) /* 7.39 */
#endif

/* Extension with supplementary groups, 7.39: the type of its struct fuse_ext_header, and its body. */
#define FUSE_EXT_GROUPS 32
struct holdfast_supp_groups {
	uint32_t nr_groups;
	uint32_t groups[];
};

/* FUSE_STATX, 7.39 */
struct holdfast_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};
struct holdfast_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t spare0[1];
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct holdfast_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t spare2[14];
};
struct holdfast_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};
struct holdfast_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct holdfast_statx stat;
};

#endif
