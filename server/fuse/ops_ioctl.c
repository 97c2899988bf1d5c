/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_ioctl.c - IOCTL: the attribute flags and the project of files and directories, nothing else.
 *
 * The table is the whole list. FS_IOC_SETVERSION above all is not in it: it would let a guest give a file
 * the identity of one that is gone. Flags are set as the caller, so that a guest's user has no more
 * rights than that user has on the host.
 *
 * Called by libfuse in the thread of the request.
 */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/util.h"
#include "fuse/creds.h"
#include "fuse/ops.h"
#include "fuse/reply.h"

/* What an ioctl reads or writes. */
union argument {
	int flags; /* the kernel takes an int, whatever the name of FS_IOC_GETFLAGS says */
	struct fsxattr fsxattr;
	uint8_t bytes[64];
};

static const struct ioctl_kind {
	unsigned guest; /* as it comes */
	unsigned host;	/* as it is passed on */
	size_t size;
	bool sets;
} ioctl_kinds[] = {
	{ FS_IOC_GETFLAGS, FS_IOC_GETFLAGS, sizeof(int), false },
	{ FS_IOC_SETFLAGS, FS_IOC_SETFLAGS, sizeof(int), true },
	{ FS_IOC32_GETFLAGS, FS_IOC_GETFLAGS, sizeof(int), false },
	{ FS_IOC32_SETFLAGS, FS_IOC_SETFLAGS, sizeof(int), true },
	{ FS_IOC_FSGETXATTR, FS_IOC_FSGETXATTR, sizeof(struct fsxattr), false },
	{ FS_IOC_FSSETXATTR, FS_IOC_FSSETXATTR, sizeof(struct fsxattr), true },
};

static const struct ioctl_kind *ioctl_find(unsigned command)
{
	for (size_t i = 0; i < ARRAY_LEN(ioctl_kinds); i++)
		if (ioctl_kinds[i].guest == command)
			return &ioctl_kinds[i];
	return NULL;
}

static int do_ioctl(struct fuse_thread *t, uint64_t nodeid, uint64_t fh,
		    const struct ioctl_kind *kind, union argument *arg)
{
	CLEANUP_HELD struct held held = { .t = t };
	struct creds saved;
	int error = kind->sets ? check_writable(t) : 0;

	if (!error)
		error = held_file(t, nodeid, fh, FILE_ANY, &held);
	if (error)
		return error;
	if (!kind->sets)
		return call_result(ioctl(held.file->fd, kind->host, arg));
	error = creds_enter(t, 0, &saved);
	if (error)
		return error;
	error = call_result(ioctl(held.file->fd, kind->host, arg));
	creds_leave(&saved);
	return error;
}

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned flags, const void *in_buf, size_t in_size,
	      size_t out_size)
{
	const struct ioctl_kind *kind = ioctl_find(cmd);
	union argument argument = { .bytes = { 0 } };
	int error = kind ? 0 : -ENOTTY;

	(void)arg;
	(void)flags;
	if (!error && (kind->sets ? in_size : out_size) < kind->size)
		error = -EINVAL;
	if (!error && kind->sets)
		memcpy(&argument, in_buf, kind->size);
	if (!error)
		error = do_ioctl(fuse_thread_of(req), ino, fi->fh, kind, &argument);
	if (error)
		reply_result(req, error);
	else
		(void)fuse_reply_ioctl(req, 0, &argument, kind->sets ? 0 : kind->size);
}
