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
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "fuse/idmap.h"
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

/*
 * RENAME_WHITEOUT has left a whiteout under the old name, as the daemon's: it becomes the caller's, as all that a caller
 * makes. It is opened and looked at first, for a host process may have put something else there.
 */
static void whiteout_give(const struct held *dir, const char *name, uid_t uid, gid_t gid)
{
	CLEANUP_FD int fd = openat(held_fd(dir), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != 0)
		return;
	if (st.st_uid == uid && st.st_gid == gid)
		return;
	/* A daemon without privileges may not, and need not: all that it makes is its own. */
	if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return;
}

static int do_rename(struct fuse_thread *t, uint64_t parent, const char *name, uint64_t newparent,
		     const char *newname, unsigned flags)
{
	const struct fuse_config *config = fuse_server_config(t->server);
	CLEANUP_HELD struct held from = { .t = t };
	CLEANUP_HELD struct held to = { .t = t };
	uid_t uid = 0;
	gid_t gid = 0;
	int error = 0;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) ||
	    (flags & RENAME_EXCHANGE && flags != RENAME_EXCHANGE))
		return -EINVAL;
	if (flags & RENAME_WHITEOUT)
		error = idmap_to_host(config->uidmap, t->request.in->uid, &uid);
	if (!error && flags & RENAME_WHITEOUT)
		error = idmap_to_host(config->gidmap, t->request.in->gid, &gid);
	if (!error)
		error = check_writable(t);
	if (!error)
		error = held_get(t, parent, &from);
	if (!error)
		error = held_get(t, newparent, &to);
	if (!error)
		error = export_rename(t->worker, from.node, name, to.node, newname, flags);
	if (!error && flags & RENAME_WHITEOUT)
		whiteout_give(&from, name, uid, gid);
	return error;
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned int flags)
{
	reply_result(req, do_rename(fuse_thread_of(req), parent, name, newparent, newname, flags));
}
