/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reply.h - what goes back to the guest: attributes, entries, open files, as the protocol's own structs.
 *
 * Sent by fuse_reply_buf(), as libfuse's own replies have no room for attr.flags. Each reply_*() answers
 * the request; none may follow.
 */
#ifndef HOLDFAST_FUSE_REPLY_H
#define HOLDFAST_FUSE_REPLY_H

#include "fuse/fuse.h"

/* Seconds that names and attributes stay valid: auto 1, always and metadata 86400, never 0. */
double reply_cache_timeout(enum cache_policy policy);

/* FOPEN_* flags of an OPEN or OPENDIR reply by the cache policy. */
uint32_t reply_open_flags(const struct fuse_thread *t, bool directory);

void reply_fill_attr(const struct fuse_thread *t, const struct statx *stx, struct fuse_attr *out);
void reply_fill_attr_out(const struct fuse_thread *t, const struct statx *stx,
			 struct fuse_attr_out *out);
void reply_fill_entry(const struct fuse_thread *t, const struct entry *entry,
		      struct fuse_entry_out *out);
void reply_fill_statx(const struct fuse_thread *t, const struct statx *stx,
		      struct holdfast_statx_out *out);

/* CREATE and TMPFILE: the entry and what was opened. */
struct reply_created {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

void reply_result(fuse_req_t req, int error); /* 0 or -errno, no data */
void reply_attr(fuse_req_t req, int error, const struct statx *stx);
/* Gives the lookup back if the reply cannot be sent. */
void reply_entry(fuse_req_t req, int error, const struct entry *entry);

#endif
