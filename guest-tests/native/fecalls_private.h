/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fecalls_private.h - between fecalls.c and fecalls_file.c: the parts of a request, and a reply of a known size.
 */
#ifndef HOLDFAST_NATIVE_FECALLS_PRIVATE_H
#define HOLDFAST_NATIVE_FECALLS_PRIVATE_H

#include <string.h>

#include "fecalls.h"

#define PART(p, n)                                                                                 \
	{                                                                                          \
		.iov_base = (void *)(uintptr_t)(p), .iov_len = (n)                                 \
	}
#define NAME(s) PART(s, strlen(s) + 1)

/* A reply must be as long as its struct: else -EBADMSG. */
int call_exact(struct fefuse *f, struct fefuse_request *r, void *out, size_t size);

#endif
