/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops.c - the table of operations for libfuse, and how a handler gets and lets go of what it works on.
 *
 * Called by libfuse in the thread of the request.
 */
#include "fuse/ops.h"

#include <errno.h>

#include "fuse/reopen.h"

const struct fuse_lowlevel_ops holdfast_ops = {
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.setattr = op_setattr,
	.access = op_access,
	.statfs = op_statfs,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.symlink = op_symlink,
	.create = op_create,
	.link = op_link,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.flush = op_flush,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.fsyncdir = op_fsyncdir,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.getlk = op_getlk,
	.setlk = op_setlk,
	.flock = op_flock,
	.ioctl = op_ioctl,
};

void held_drop(struct held *held)
{
	if (held->file)
		file_put(held->t->worker, fuse_server_files(held->t->server), held->file);
	if (held->node)
		node_put(held->t->worker, held->node);
}

int held_get(struct fuse_thread *t, uint64_t nodeid, struct held *held)
{
	*held = (struct held){ .t = t };
	return node_get(t->worker, (nodeid_t){ nodeid }, &held->node);
}

/* The open file of an fh, which may be one of an earlier daemon. */
static int open_file_of(struct fuse_thread *t, uint64_t nodeid, uint64_t fh, enum file_kind kind,
			struct open_file **out)
{
	const nodeid_t id = { nodeid };
	int error = file_get(t->worker, fuse_server_files(t->server), fh, id, kind, out);
	struct reopened *r = error == -EBADF ? fuse_server_reopened(t->server) : NULL;

	return r ? reopen_get(t, r, fh, id, kind, out) : error;
}

int held_file(struct fuse_thread *t, uint64_t nodeid, uint64_t fh, enum file_kind kind,
	      struct held *held)
{
	*held = (struct held){ .t = t };
	return open_file_of(t, nodeid, fh, kind, &held->file);
}

int held_either(struct fuse_thread *t, uint64_t nodeid, const struct fuse_file_info *fi,
		struct held *held)
{
	int error = held_get(t, nodeid, held);

	if (!error && fi)
		error = open_file_of(t, nodeid, fi->fh, FILE_ANY, &held->file);
	return error;
}

int held_fd(const struct held *held)
{
	return node_fd(held->t->worker, held->node);
}

int check_writable(const struct fuse_thread *t)
{
	return fuse_server_config(t->server)->readonly ? -EROFS : 0;
}

int call_result(long result)
{
	return result < 0 ? -errno : 0;
}
