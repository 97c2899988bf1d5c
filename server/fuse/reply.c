/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reply.c - what goes back to the guest.
 *
 * Pure conversions but for the reply_*() that send. Called by the operations, in the thread of the request.
 */
#include "fuse/reply.h"

#include <string.h>

#include "base/util.h"
#include "fuse/idmap.h"

#define DAY 86400.0

/* What the host's statx attributes may tell of: nothing about its mounts. */
#define SHOWN_ATTRIBUTES                                                                           \
	(STATX_ATTR_COMPRESSED | STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP |    \
	 STATX_ATTR_ENCRYPTED | STATX_ATTR_VERITY)

static const struct {
	double timeout;
	uint32_t file, directory; /* FOPEN_* */
} policies[] = {
	[CACHE_AUTO] = { 1.0, 0, 0 },
	[CACHE_ALWAYS] = { DAY, FOPEN_KEEP_CACHE, FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE },
	[CACHE_METADATA] = { DAY, FOPEN_DIRECT_IO, FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE },
	[CACHE_NEVER] = { 0.0, FOPEN_DIRECT_IO, 0 },
};

double reply_cache_timeout(enum cache_policy policy)
{
	return policies[policy].timeout;
}

uint32_t reply_open_flags(const struct fuse_thread *t, bool directory)
{
	enum cache_policy policy = fuse_server_config(t->server)->cache;

	return directory ? policies[policy].directory : policies[policy].file;
}

/* Seconds as the protocol has them. */
static void timeout_split(double seconds, uint64_t *whole, uint32_t *nsec)
{
	if (!(seconds > 0))
		seconds = 0;
	*whole = (uint64_t)seconds;
	*nsec = (uint32_t)((seconds - (double)*whole) * 1e9);
}

/* A device number as the kernel's new_encode_dev() writes it. */
static uint32_t encode_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffU) << 12);
}

void reply_fill_attr(const struct fuse_thread *t, const struct statx *stx, struct fuse_attr *out)
{
	const struct fuse_config *config = fuse_server_config(t->server);

	*out = (struct fuse_attr){
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.uid = idmap_to_guest(config->uidmap, stx->stx_uid),
		.gid = idmap_to_guest(config->gidmap, stx->stx_gid),
		.rdev = encode_dev(stx->stx_rdev_major, stx->stx_rdev_minor),
		.blksize = stx->stx_blksize,
	};
}

void reply_fill_attr_out(const struct fuse_thread *t, const struct statx *stx,
			 struct fuse_attr_out *out)
{
	memset(out, 0, sizeof(*out));
	timeout_split(fuse_server_config(t->server)->attr_timeout, &out->attr_valid,
		      &out->attr_valid_nsec);
	reply_fill_attr(t, stx, &out->attr);
}

void reply_fill_entry(const struct fuse_thread *t, const struct entry *entry,
		      struct fuse_entry_out *out)
{
	const struct fuse_config *config = fuse_server_config(t->server);

	memset(out, 0, sizeof(*out));
	out->nodeid = entry->nodeid.v;
	out->generation = entry->generation.v;
	timeout_split(config->entry_timeout, &out->entry_valid, &out->entry_valid_nsec);
	timeout_split(config->attr_timeout, &out->attr_valid, &out->attr_valid_nsec);
	reply_fill_attr(t, &entry->stx, &out->attr);
	if (entry->submount && fuse_server_flags(t->server) & FUSE_SUBMOUNTS)
		out->attr.flags |= FUSE_ATTR_SUBMOUNT;
}

static struct holdfast_sx_time sx_time(struct statx_timestamp ts)
{
	return (struct holdfast_sx_time){ .tv_sec = ts.tv_sec, .tv_nsec = ts.tv_nsec };
}

void reply_fill_statx(const struct fuse_thread *t, const struct statx *stx,
		      struct holdfast_statx_out *out)
{
	const struct fuse_config *config = fuse_server_config(t->server);

	memset(out, 0, sizeof(*out));
	timeout_split(config->attr_timeout, &out->attr_valid, &out->attr_valid_nsec);
	out->stat = (struct holdfast_statx){
		.mask = stx->stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
		.blksize = stx->stx_blksize,
		.attributes = stx->stx_attributes & SHOWN_ATTRIBUTES,
		.attributes_mask = stx->stx_attributes_mask & SHOWN_ATTRIBUTES,
		.nlink = stx->stx_nlink,
		.uid = idmap_to_guest(config->uidmap, stx->stx_uid),
		.gid = idmap_to_guest(config->gidmap, stx->stx_gid),
		.mode = stx->stx_mode,
		.ino = stx->stx_ino,
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = sx_time(stx->stx_atime),
		.btime = sx_time(stx->stx_btime),
		.ctime = sx_time(stx->stx_ctime),
		.mtime = sx_time(stx->stx_mtime),
		.rdev_major = stx->stx_rdev_major,
		.rdev_minor = stx->stx_rdev_minor,
	};
}

void reply_result(fuse_req_t req, int error)
{
	(void)fuse_reply_err(req, -error);
}

void reply_attr(fuse_req_t req, int error, const struct statx *stx)
{
	struct fuse_attr_out out;

	if (error) {
		reply_result(req, error);
		return;
	}
	reply_fill_attr_out(fuse_thread_of(req), stx, &out);
	(void)fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

void reply_entry(fuse_req_t req, int error, const struct entry *entry)
{
	struct fuse_thread *t = fuse_thread_of(req);
	struct fuse_entry_out out;

	if (error) {
		reply_result(req, error);
		return;
	}
	reply_fill_entry(t, entry, &out);
	if (fuse_reply_buf(req, (const char *)&out, sizeof(out)) != 0)
		export_forget(t->worker, entry->nodeid, 1);
}
