/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_file.c - open files: OPEN, COPY_FILE_RANGE, FALLOCATE and the rest up to RELEASE; READ and WRITE are in
 * ops_data.c. Opening is done as the daemon, the guest's kernel has judged; only regular files
 * are opened, whatever the guest takes an object for.
 *
 * Called by libfuse, and fuse_wire_*() by the session, in the thread of the request.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/util.h"
#include "fuse/creds.h"
#include "fuse/ops.h"
#include "fuse/reopen.h"
#include "fuse/reply.h"

/* All else that a guest may ask for is the business of its own kernel. */
#define GUEST_FLAGS (O_ACCMODE | O_APPEND | O_TRUNC | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME)

/* ---- opening and closing --------------------------------------------------------------------------- */

int open_flags(const struct fuse_thread *t, int guest)
{
	const struct fuse_config *config = fuse_server_config(t->server);
	int flags = guest & GUEST_FLAGS;

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if (config->readonly && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC))
		return -EROFS;
	if (!config->direct_io_allowed)
		flags &= ~O_DIRECT;
	/* Only the owner may: the daemon would be refused for files of others, or bend the rule. */
	if (!config->preserve_noatime)
		flags &= ~O_NOATIME;
	/* The guest's kernel reads what it writes back in parts, and knows itself where the end is. */
	if (agreed(t, FUSE_WRITEBACK_CACHE)) {
		if ((flags & O_ACCMODE) == O_WRONLY)
			flags = (flags & ~O_ACCMODE) | O_RDWR;
		flags &= ~O_APPEND;
	}
	return flags;
}

/* Enters a descriptor of either kind; what is taken over goes where there is no room. */
static int enter(struct fuse_thread *t, struct node *node, struct file_spec spec, uint64_t *fh)
{
	int error;

	/* The table keeps a reference of its own to the node; the caller's is the handler's. */
	spec.nodeid = node_nodeid(node);
	spec.node = node_ref(t->worker, node);
	error = file_table_add(fuse_server_files(t->server), &spec, fh);
	if (error) {
		node_put(t->worker, spec.node);
		fd_close(spec.fd);
	}
	return error;
}

int open_enter(struct fuse_thread *t, struct node *node, int fd, int flags, uint64_t *fh)
{
	return enter(t, node, (struct file_spec){ .fd = fd, .flags = flags, .kind = FILE_REGULAR },
		     fh);
}

int open_enter_dir(struct fuse_thread *t, struct node *node, int fd, uint64_t *fh)
{
	return enter(t, node,
		     (struct file_spec){ .fd = fd, .flags = O_RDONLY, .kind = FILE_DIRECTORY }, fh);
}

/* Without FUSE_HANDLE_KILLPRIV_V2 the guest's kernel sees to setuid and setgid, but for what an OPEN truncates. */
static bool truncation_kills(const struct fuse_thread *t)
{
	return agreed(t, FUSE_HANDLE_KILLPRIV_V2) ? t->request.open_flags_kill
						  : t->request.in->uid != 0;
}

int open_node(struct fuse_thread *t, struct node *node, int guest, uint64_t *fh)
{
	int flags = open_flags(t, guest);
	struct killpriv saved;
	int fd, error;

	if (flags < 0)
		return flags;
	if (node_type(node) != S_IFREG)
		return node_type(node) == S_IFDIR   ? -EISDIR
		       : node_type(node) == S_IFLNK ? -ELOOP
						    : -ENXIO;
	error = killpriv_enter(flags & O_TRUNC && truncation_kills(t), &saved);
	if (error)
		return error;
	fd = node_open(t->worker, node, flags);
	killpriv_leave(&saved);
	if (fd < 0)
		return fd;
	if (flags & O_TRUNC)
		xattr_drop_capability(t, fd);
	return open_enter(t, node, fd, flags, fh);
}

static int do_open(struct fuse_thread *t, uint64_t nodeid, int flags, uint64_t *fh)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error = held_get(t, nodeid, &held);

	return error ? error : open_node(t, held.node, flags, fh);
}

static int do_opendir(struct fuse_thread *t, uint64_t nodeid, uint64_t *fh)
{
	CLEANUP_HELD struct held held = { .t = t };
	int fd, error = held_get(t, nodeid, &held);

	if (error)
		return error;
	if (node_type(held.node) != S_IFDIR)
		return -ENOTDIR;
	fd = node_open(t->worker, held.node, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	return open_enter_dir(t, held.node, fd, fh);
}

void fuse_wire_open(struct fuse_thread *t)
{
	const struct fuse_in_header *header = t->request.in;
	const bool directory = header->opcode == FUSE_OPENDIR;
	struct fuse_open_out out = { .open_flags = reply_open_flags(t, directory) };
	struct fuse_open_in in;
	int error;

	memcpy(&in, t->request.args, sizeof(in));
	error = directory ? do_opendir(t, header->nodeid, &out.fh)
			  : do_open(t, header->nodeid, (int)in.flags, &out.fh);
	/* An fh that nobody learns of is released. */
	if (fuse_thread_reply(t, header->unique, error, error ? NULL : &out,
			      error ? 0 : sizeof(out)) != 0 &&
	    !error)
		(void)file_release(t->worker, fuse_server_files(t->server), out.fh,
				   (nodeid_t){ header->nodeid },
				   directory ? FILE_DIRECTORY : FILE_REGULAR);
}

void fuse_wire_release(struct fuse_thread *t)
{
	const struct fuse_in_header *header = t->request.in;
	const nodeid_t nodeid = { header->nodeid };
	const enum file_kind kind =
		header->opcode == FUSE_RELEASEDIR ? FILE_DIRECTORY : FILE_REGULAR;
	struct fuse_release_in in;
	struct reopened *r;
	int error;

	memcpy(&in, t->request.args, sizeof(in));
	error = file_release(t->worker, fuse_server_files(t->server), in.fh, nodeid, kind);
	r = error == -EBADF ? fuse_server_reopened(t->server) : NULL;
	if (r)
		error = reopen_release(t, r, in.fh, nodeid, kind);
	if (!error)
		locks_release(t, header->nodeid, &in);
	(void)fuse_thread_reply(t, header->unique, error, NULL, 0);
}

/* ---- copies and space -------------------------------------------------------------------------------- */

/*
 * Requests that write without a flag for it: with FUSE_HANDLE_KILLPRIV_V2 the guest's kernel leaves setuid and setgid to
 * us here too. Whether the caller has CAP_FSETID is not said; root is taken to have it, as on the host.
 */
static bool kills_unsaid(const struct fuse_thread *t)
{
	return agreed(t, FUSE_HANDLE_KILLPRIV_V2) && t->request.in->uid != 0;
}

static ssize_t do_copy(struct fuse_thread *t, uint64_t from, uint64_t from_fh, off_t from_off,
		       uint64_t to, uint64_t to_fh, off_t to_off, size_t len)
{
	CLEANUP_HELD struct held in = { .t = t };
	CLEANUP_HELD struct held out = { .t = t };
	struct killpriv saved;
	ssize_t n;
	int error = check_writable(t);

	if (!error)
		error = held_file(t, from, from_fh, FILE_REGULAR, &in);
	if (!error)
		error = held_file(t, to, to_fh, FILE_REGULAR, &out);
	if (error)
		return error;
	error = killpriv_enter(kills_unsaid(t), &saved);
	if (error)
		return error;
	n = copy_file_range(in.file->fd, &from_off, out.file->fd, &to_off, len, 0);
	if (n < 0)
		n = -errno;
	/* O_APPEND of an open file that F_SETFL has taken it from in the guest, or it would not ask: it copies by itself then. */
	if (n == -EBADF && out.file->flags & O_APPEND)
		n = -EOPNOTSUPP;
	killpriv_leave(&saved);
	if (n > 0)
		xattr_drop_capability(t, out.file->fd);
	return n;
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			struct fuse_file_info *fi_out, size_t len, int flags)
{
	ssize_t n = -EINVAL;

	/* The reply counts with 32 bits; a shorter copy is legal. */
	if (len > INT_MAX)
		len = INT_MAX & ~4095;
	if (flags == 0)
		n = do_copy(fuse_thread_of(req), ino_in, fi_in->fh, off_in, ino_out, fi_out->fh,
			    off_out, len);
	if (n < 0)
		reply_result(req, (int)n);
	else
		(void)fuse_reply_write(req, (size_t)n);
}

static int do_fallocate(struct fuse_thread *t, uint64_t nodeid, uint64_t fh, int mode, off_t offset,
			off_t length)
{
	CLEANUP_HELD struct held held = { .t = t };
	struct killpriv saved;
	int error = check_writable(t);

	if (!error)
		error = held_file(t, nodeid, fh, FILE_REGULAR, &held);
	if (!error)
		error = killpriv_enter(kills_unsaid(t), &saved);
	if (error)
		return error;
	error = call_result(fallocate(held.file->fd, mode, offset, length));
	killpriv_leave(&saved);
	if (!error)
		xattr_drop_capability(t, held.file->fd);
	return error;
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi)
{
	reply_result(req, do_fallocate(fuse_thread_of(req), ino, fi->fh, mode, offset, length));
}

static off_t do_lseek(struct fuse_thread *t, uint64_t nodeid, uint64_t fh, off_t off, int whence)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error = held_file(t, nodeid, fh, FILE_REGULAR, &held);
	off_t at;

	if (error)
		return error;
	/* The descriptor's position means nothing: all reading and writing says where. */
	at = lseek(held.file->fd, off, whence);
	return at < 0 ? -errno : at;
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	off_t at = do_lseek(fuse_thread_of(req), ino, fi->fh, off, whence);

	if (at < 0)
		reply_result(req, (int)at);
	else
		(void)fuse_reply_lseek(req, at);
}

/* ---- durability ------------------------------------------------------------------------------------ */

static int do_flush(struct fuse_thread *t, uint64_t nodeid, const struct fuse_file_info *fi)
{
	CLEANUP_HELD struct held held = { .t = t };
	int copy, error = held_file(t, nodeid, fi->fh, FILE_ANY, &held);

	if (error)
		return error;
	locks_flush(t, nodeid, fi->lock_owner);
	/* Some file systems (NFS, quotas) say only at close() that a write has failed. */
	copy = fcntl(held.file->fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	return call_result(close(copy));
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	reply_result(req, do_flush(fuse_thread_of(req), ino, fi));
}

static int do_fsync(struct fuse_thread *t, uint64_t nodeid, uint64_t fh, int datasync,
		    enum file_kind kind)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error = held_file(t, nodeid, fh, kind, &held);

	if (error)
		return error;
	return call_result(datasync ? fdatasync(held.file->fd) : fsync(held.file->fd));
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	reply_result(req, do_fsync(fuse_thread_of(req), ino, fi->fh, datasync, FILE_REGULAR));
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	reply_result(req, do_fsync(fuse_thread_of(req), ino, fi->fh, datasync, FILE_DIRECTORY));
}

static int do_syncfs(struct fuse_thread *t, uint64_t nodeid)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error = held_get(t, nodeid, &held);

	return error ? error : export_sync(t->worker, held.node);
}

void fuse_wire_syncfs(struct fuse_thread *t)
{
	int error = do_syncfs(t, t->request.in->nodeid);

	fuse_thread_reply(t, t->request.in->unique, error, NULL, 0);
}
