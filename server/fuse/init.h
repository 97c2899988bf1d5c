/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * init.h - what INIT of a guest's kernel comes to, as a function over structs.
 */
#ifndef HOLDFAST_FUSE_INIT_H
#define HOLDFAST_FUSE_INIT_H

#include "fuse/fuse.h"

#define INIT_MINOR_MIN 31 /* Linux 5.4: MAX_PAGES, CACHE_SYMLINKS and 64-bit time are all older */
#define INIT_MAX_WRITE (1U << 20) /* bytes */
#define INIT_MAX_PAGES 256	  /* of 4 KiB */
#define INIT_MAX_BACKGROUND 64
#define INIT_CONGESTION 48

#define INIT_REFUSAL_MAX 160

struct init_answer {
	int error;			/* 0 or negative errno: the reply's */
	bool settled;			/* false: the kernel is to come again with major 7 */
	struct fuse_init_out out;	/* the reply, when error is 0 */
	uint64_t offered, flags;	/* both words: the kernel's, and agreed */
	uint32_t minor;			/* agreed: the smaller one */
	char refused[INIT_REFUSAL_MAX]; /* with -EOPNOTSUPP: what the kernel does not offer */
};

/*
 * `args` is a struct fuse_init_in as the guard passes it: 8, 16, 64 or more bytes. Other errors:
 * -EPROTO.
 */
void init_negotiate(const struct fuse_config *config, const void *args, size_t len,
		    struct init_answer *out);

#endif
