/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_attr.c - attributes: GETATTR, STATX, SETATTR, and the small questions ACCESS, STATFS, READLINK.
 *
 * Attributes are changed as the daemon, not as the caller: the guest's kernel has judged. Objects that are
 * not open are reached by their O_PATH descriptor and AT_EMPTY_PATH, so that no name and no symlink is
 * followed.
 *
 * Called by libfuse, and fuse_wire_getattr() and fuse_wire_statx() by the session, in the thread of the request.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "base/util.h"
#include "fuse/creds.h"
#include "fuse/idmap.h"
#include "fuse/ops.h"
#include "fuse/reply.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* Linux 6.6; the number is the same on all architectures but alpha */
#endif

#define NSEC_MAX 999999999L

/* ---- asking ---------------------------------------------------------------------------------------- */

static int attributes(const struct held *held, unsigned mask, struct statx *stx)
{
	return export_getattr(held->t->worker, held->node, held->file ? held->file->fd : -1, mask,
			      stx);
}

static int do_getattr(struct fuse_thread *t, uint64_t nodeid, const struct fuse_file_info *fi,
		      unsigned mask, struct statx *stx)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error = held_either(t, nodeid, fi, &held);

	return error ? error : attributes(&held, mask, stx);
}

void fuse_wire_getattr(struct fuse_thread *t)
{
	const struct fuse_in_header *header = t->request.in;
	struct fuse_file_info fi = { 0 };
	struct fuse_getattr_in in;
	struct fuse_attr_out out;
	struct statx stx;
	int error;

	memcpy(&in, t->request.args, sizeof(in));
	fi.fh = in.fh;
	error = do_getattr(t, header->nodeid, in.getattr_flags & FUSE_GETATTR_FH ? &fi : NULL,
			   STATX_BASIC_STATS, &stx);
	if (!error)
		reply_fill_attr_out(t, &stx, &out);
	(void)fuse_thread_reply(t, header->unique, error, error ? NULL : &out,
				error ? 0 : sizeof(out));
}

void fuse_wire_statx(struct fuse_thread *t)
{
	struct fuse_file_info fi = { 0 };
	struct holdfast_statx_out out;
	struct holdfast_statx_in in;
	struct statx stx;
	int error;

	memcpy(&in, t->request.args, sizeof(in));
	fi.fh = in.fh;
	error = do_getattr(t, t->request.in->nodeid,
			   in.getattr_flags & FUSE_GETATTR_FH ? &fi : NULL,
			   STATX_BASIC_STATS | STATX_BTIME, &stx);
	if (!error)
		reply_fill_statx(t, &stx, &out);
	fuse_thread_reply(t, t->request.in->unique, error, error ? NULL : &out,
			  error ? 0 : sizeof(out));
}

static int do_access(struct fuse_thread *t, uint64_t nodeid, int mask)
{
	CLEANUP_HELD struct held held = { .t = t };
	struct creds saved;
	int error, fd;

	if (mask & ~(R_OK | W_OK | X_OK))
		return -EINVAL;
	if (mask & W_OK && check_writable(t))
		return -EROFS;
	error = held_get(t, nodeid, &held);
	if (error)
		return error;
	fd = held_fd(&held);
	if (fd < 0)
		return fd;
	error = creds_enter(t, 0, &saved);
	if (error)
		return error;
	error = call_result(faccessat(fd, "", mask, AT_EMPTY_PATH | AT_EACCESS));
	creds_leave(&saved);
	return error;
}

void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	reply_result(req, do_access(fuse_thread_of(req), ino, mask));
}

static int do_statfs(struct fuse_thread *t, uint64_t nodeid, struct statvfs *out)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error = held_get(t, nodeid, &held);
	int fd = error ? error : held_fd(&held);

	return fd < 0 ? fd : call_result(fstatvfs(fd, out));
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int error = do_statfs(fuse_thread_of(req), ino, &st);

	if (error)
		reply_result(req, error);
	else
		(void)fuse_reply_statfs(req, &st);
}

/* Length of the target in t->io, or -errno. */
static ssize_t do_readlink(struct fuse_thread *t, uint64_t nodeid)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error = held_get(t, nodeid, &held);
	ssize_t len;
	int fd;

	if (error)
		return error;
	if (node_type(held.node) != S_IFLNK)
		return -EINVAL;
	fd = held_fd(&held);
	if (fd < 0)
		return fd;
	len = readlinkat(fd, "", (char *)t->io, PATH_MAX);
	return len < 0 ? -errno : len;
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fuse_thread *t = fuse_thread_of(req);
	ssize_t len = do_readlink(t, ino);

	if (len < 0)
		reply_result(req, (int)len);
	else
		(void)fuse_reply_buf(req, (const char *)t->io, (size_t)len);
}

/* ---- changing -------------------------------------------------------------------------------------- */

static int set_mode(const struct held *held, int fd, mode_t mode)
{
	char name[PROC_NAME_LEN];
	int error;

	mode &= 07777;
	if (held->file)
		return call_result(fchmod(fd, mode));
	error = call_result(syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH));
	if (error == -ENOSYS)
		error = call_result(
			fchmodat(worker_proc(held->t->worker), proc_name(fd, name), mode, 0));
	return error;
}

static int set_owner(const struct held *held, int fd, const struct stat *attr, int valid)
{
	const struct fuse_config *config = fuse_server_config(held->t->server);
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	int error = 0;

	if (valid & FUSE_SET_ATTR_UID)
		error = idmap_to_host(config->uidmap, attr->st_uid, &uid);
	if (!error && valid & FUSE_SET_ATTR_GID)
		error = idmap_to_host(config->gidmap, attr->st_gid, &gid);
	if (!error)
		error = call_result(fchownat(fd, "", uid, gid, AT_EMPTY_PATH));
	if (!error)
		xattr_drop_capability(held->t, fd);
	return error;
}

static int set_size(const struct held *held, off_t size)
{
	CLEANUP_FD int own = -1;
	struct fuse_thread *t = held->t;
	struct killpriv saved;
	int fd, error;

	if (size < 0)
		return -EINVAL;
	if (held->file) {
		fd = held->file->fd;
	} else {
		own = node_open(t->worker, held->node, O_WRONLY);
		if (own < 0)
			return own;
		fd = own;
	}
	error = killpriv_enter(t->request.kill_suidgid, &saved);
	if (error)
		return error;
	error = call_result(ftruncate(fd, size));
	killpriv_leave(&saved);
	if (!error)
		xattr_drop_capability(t, fd);
	return error;
}

/* One of the two times: now, given, or left alone. -EINVAL: nanoseconds that are none. */
static int time_wanted(int valid, int set, int now, struct timespec given, struct timespec *out)
{
	*out = (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (valid & now) {
		out->tv_nsec = UTIME_NOW;
	} else if (valid & set) {
		if (given.tv_nsec < 0 || given.tv_nsec > NSEC_MAX)
			return -EINVAL;
		*out = given;
	}
	return 0;
}

static int set_times(int fd, const struct stat *attr, int valid)
{
	struct timespec times[2];
	int error;

	error = time_wanted(valid, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, attr->st_atim,
			    &times[0]);
	if (!error)
		error = time_wanted(valid, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW,
				    attr->st_mtim, &times[1]);
	return error ? error : call_result(utimensat(fd, "", times, AT_EMPTY_PATH));
}

/* The owner before the mode, as chown drops setuid that the same request may give; the size before the times. */
static int set_all(const struct held *held, int fd, const struct stat *attr, int valid)
{
	int error = 0;

	if (valid & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		error = set_owner(held, fd, attr, valid);
	if (!error && valid & FUSE_SET_ATTR_SIZE)
		error = set_size(held, attr->st_size);
	if (!error && valid & FUSE_SET_ATTR_MODE)
		error = set_mode(held, fd, attr->st_mode);
	if (!error && valid & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |
			       FUSE_SET_ATTR_MTIME_NOW))
		error = set_times(fd, attr, valid);
	return error;
}

static int do_setattr(struct fuse_thread *t, uint64_t nodeid, const struct stat *attr, int valid,
		      const struct fuse_file_info *fi, struct statx *stx)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error, fd;

	error = check_writable(t);
	if (!error)
		error = held_either(t, nodeid, fi, &held);
	if (error)
		return error;
	fd = held.file ? held.file->fd : held_fd(&held);
	if (fd < 0)
		return fd;
	error = set_all(&held, fd, attr, valid);
	return error ? error : attributes(&held, STATX_BASIC_STATS, stx);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int valid,
		struct fuse_file_info *fi)
{
	struct statx stx;

	reply_attr(req, do_setattr(fuse_thread_of(req), ino, attr, valid, fi, &stx), &stx);
}
