/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_name.c - names that go or change: UNLINK, RMDIR, RENAME.
 *
 * Done as the daemon, the guest's kernel has judged; the core makes the host's call and keeps the map.
 * Called by libfuse in the thread of the request.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "fuse/ops.h"
#include "fuse/reply.h"

static int do_unlink(struct fuse_thread *t, uint64_t parent, const char *name, int at_flags)
{
	CLEANUP_HELD struct held dir = { .t = t };
	int error = check_writable(t);

	if (!error)
		error = held_get(t, parent, &dir);
	return error ? error : export_unlink(t->worker, dir.node, name, at_flags);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_result(req, do_unlink(fuse_thread_of(req), parent, name, 0));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_result(req, do_unlink(fuse_thread_of(req), parent, name, AT_REMOVEDIR));
}

static int do_rename(struct fuse_thread *t, uint64_t parent, const char *name, uint64_t newparent,
		     const char *newname, unsigned flags)
{
	CLEANUP_HELD struct held from = { .t = t };
	CLEANUP_HELD struct held to = { .t = t };
	int error;

	/* RENAME_WHITEOUT too: it would make a device node that the map does not know. */
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	error = check_writable(t);
	if (!error)
		error = held_get(t, parent, &from);
	if (!error)
		error = held_get(t, newparent, &to);
	return error ? error : export_rename(t->worker, from.node, name, to.node, newname, flags);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned int flags)
{
	reply_result(req, do_rename(fuse_thread_of(req), parent, name, newparent, newname, flags));
}
