/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_create.c - new names: MKNOD, MKDIR, SYMLINK, CREATE, TMPFILE, LINK.
 *
 * The one system call that makes the object is made as the caller, so that owner, group, setgid of the
 * directory, umask, default ACLs and quotas are the host kernel's business. A security context is set before
 * the reply; where that fails the object is taken away again.
 *
 * Called by libfuse, and fuse_wire_tmpfile() by the session, in the thread of the request.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "fuse/creds.h"
#include "fuse/ops.h"
#include "fuse/reply.h"

/* What is to be made; its type is in the mode. */
struct creation {
	const char *name;
	mode_t mode;
	mode_t umask;	    /* the guest's */
	dev_t rdev;	    /* devices */
	const char *target; /* symlinks */
};

static int creation_call(int dir, const struct creation *c)
{
	switch (c->mode & S_IFMT) {
	case S_IFDIR:
		return call_result(mkdirat(dir, c->name, c->mode & 07777));
	case S_IFLNK:
		assert(c->target);
		return call_result(symlinkat(c->target, dir, c->name));
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return call_result(mknodat(dir, c->name, c->mode & (S_IFMT | 07777), c->rdev));
	default:
		return -EINVAL;
	}
}

/* The security context of the request, if it has one. */
static int label_node(struct fuse_thread *t, nodeid_t nodeid)
{
	CLEANUP_HELD struct held held = { .t = t };
	const struct fuse_request *r = &t->request;
	int error;

	if (!r->secctx_name)
		return 0;
	error = held_get(t, nodeid.v, &held);
	return error ? error
		     : xattr_store(t, held.node, r->secctx_name, r->secctx, r->secctx_len, 0);
}

/* Takes back what was made, of which nobody was told. */
static void creation_undo(struct fuse_thread *t, struct node *dir, const char *name,
			  const struct entry *entry)
{
	if (name)
		(void)export_unlink(t->worker, dir, name,
				    S_ISDIR(entry->stx.stx_mode) ? AT_REMOVEDIR : 0);
	export_forget(t->worker, entry->nodeid, 1);
}

static int do_make(struct fuse_thread *t, uint64_t parent, const struct creation *c,
		   struct entry *out)
{
	CLEANUP_HELD struct held dir = { .t = t };
	struct creds saved;
	int error, fd;

	error = check_writable(t);
	if (!error)
		error = held_get(t, parent, &dir);
	if (error)
		return error;
	fd = held_fd(&dir);
	if (fd < 0)
		return fd;
	error = creds_enter(t, creds_umask(t, c->umask), &saved);
	if (error)
		return error;
	error = creation_call(fd, c);
	creds_leave(&saved);
	if (!error)
		error = export_lookup(t->worker, dir.node, c->name, out);
	if (error)
		return error;
	error = label_node(t, out->nodeid);
	if (error)
		creation_undo(t, dir.node, c->name, out);
	return error;
}

static void make_and_reply(fuse_req_t req, uint64_t parent, struct creation c)
{
	struct entry entry;
	int error;

	c.umask = fuse_req_ctx(req)->umask;
	error = do_make(fuse_thread_of(req), parent, &c, &entry);
	reply_entry(req, error, &entry);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	/* Directories and symlinks have requests of their own. */
	if (S_ISDIR(mode) || S_ISLNK(mode))
		reply_result(req, -EINVAL);
	else
		make_and_reply(req, parent,
			       (struct creation){ .name = name, .mode = mode, .rdev = rdev });
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make_and_reply(req, parent,
		       (struct creation){ .name = name, .mode = S_IFDIR | (mode & 07777) });
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	make_and_reply(req, parent,
		       (struct creation){ .name = name, .mode = S_IFLNK, .target = target });
}

static int do_link(struct fuse_thread *t, uint64_t nodeid, uint64_t parent, const char *name,
		   struct entry *out)
{
	CLEANUP_HELD struct held object = { .t = t };
	CLEANUP_HELD struct held dir = { .t = t };
	int error = check_writable(t);

	if (!error)
		error = held_get(t, nodeid, &object);
	if (!error)
		error = held_get(t, parent, &dir);
	return error ? error : export_link(t->worker, object.node, dir.node, name, out);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct entry entry;

	reply_entry(req, do_link(fuse_thread_of(req), ino, parent, name, &entry), &entry);
}

/* ---- CREATE and TMPFILE ---------------------------------------------------------------------------- */

struct opening {
	const char *name; /* NULL: a file without one */
	mode_t mode;
	mode_t umask;
	int flags;	/* the guest's */
	uint64_t since; /* before it was made: export_position() */
};

struct opened {
	struct entry entry;
	uint64_t fh;
};

/* Opens a new file as the caller: its descriptor or -errno. */
static int open_new(struct fuse_thread *t, const struct held *dir, const struct opening *o,
		    int flags)
{
	int fd = held_fd(dir);
	int made, error;
	struct creds saved;

	if (fd < 0)
		return fd;
	if (o->name)
		flags |= O_CREAT | O_EXCL | O_NOFOLLOW;
	else
		flags |= O_TMPFILE | (o->flags & O_EXCL);
	flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	error = creds_enter(t, creds_umask(t, o->umask), &saved);
	if (error)
		return error;
	made = openat(fd, o->name ? o->name : ".", flags, o->mode & 07777);
	if (made < 0)
		made = -errno;
	creds_leave(&saved);
	return made;
}

/* What was made, from descriptor to entry and fh. Takes `fd` over. */
static int enter_new(struct fuse_thread *t, const struct held *dir, const struct opening *o, int fd,
		     int flags, struct opened *out)
{
	CLEANUP_HELD struct held file = { .t = t };
	int error = export_enter_fd(t->worker, dir->node, o->name, fd, o->since, &out->entry);

	if (error) {
		fd_close(fd);
		return error;
	}
	error = label_node(t, out->entry.nodeid);
	if (error) {
		fd_close(fd);
		creation_undo(t, dir->node, o->name, &out->entry);
		return error;
	}
	error = held_get(t, out->entry.nodeid.v, &file);
	if (error)
		fd_close(fd);
	else
		error = open_enter(t, file.node, fd, flags, &out->fh);
	if (error)
		export_forget(t->worker, out->entry.nodeid, 1);
	return error;
}

/*
 * CREATE of a name that is there. The guest's kernel takes the file for a new one and does not check
 * permissions, so they are checked here, as the caller, before anything is truncated.
 */
static int open_existing(struct fuse_thread *t, const struct held *dir, const struct opening *o,
			 struct opened *out)
{
	CLEANUP_HELD struct held file = { .t = t };
	int fd, error = export_lookup(t->worker, dir->node, o->name, &out->entry);

	if (error)
		return error;
	error = held_get(t, out->entry.nodeid.v, &file);
	fd = error ? error : held_fd(&file);
	error = fd < 0 ? fd : creds_may_open(t, fd, o->flags);
	if (!error)
		error = open_node(t, file.node, o->flags, &out->fh);
	if (error)
		export_forget(t->worker, out->entry.nodeid, 1);
	return error;
}

static int do_create(struct fuse_thread *t, uint64_t parent, struct opening *o, struct opened *out)
{
	CLEANUP_HELD struct held dir = { .t = t };
	int flags, fd, error;

	error = check_writable(t);
	if (!error)
		error = held_get(t, parent, &dir);
	if (error)
		return error;
	flags = open_flags(t, o->flags);
	if (flags < 0)
		return flags;
	/* Before anything is made; should another thread take the last place, the new file stays. */
	if (file_table_full(fuse_server_files(t->server)))
		return -ENFILE;
	o->since = export_position(t->worker);
	fd = open_new(t, &dir, o, flags);
	if (fd == -EEXIST && o->name && !(o->flags & O_EXCL))
		return open_existing(t, &dir, o, out);
	return fd < 0 ? fd : enter_new(t, &dir, o, fd, flags, out);
}

static void fill_created(struct fuse_thread *t, const struct opened *opened,
			 struct reply_created *out)
{
	reply_fill_entry(t, &opened->entry, &out->entry);
	out->open = (struct fuse_open_out){ .fh = opened->fh,
					    .open_flags = reply_open_flags(t, false) };
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct fuse_thread *t = fuse_thread_of(req);
	struct opening o = {
		.name = name, .mode = mode, .umask = fuse_req_ctx(req)->umask, .flags = fi->flags
	};
	struct reply_created out;
	struct opened opened;
	int error = do_create(t, parent, &o, &opened);

	if (error) {
		reply_result(req, error);
		return;
	}
	fill_created(t, &opened, &out);
	if (fuse_reply_buf(req, (const char *)&out, sizeof(out)) != 0) {
		(void)file_release(t->worker, fuse_server_files(t->server), opened.fh,
				   opened.entry.nodeid, FILE_REGULAR);
		export_forget(t->worker, opened.entry.nodeid, 1);
	}
}

void fuse_wire_tmpfile(struct fuse_thread *t)
{
	struct fuse_create_in in;
	struct reply_created out;
	struct opened opened;
	struct opening o;
	int error;

	memcpy(&in, t->request.args, sizeof(in));
	o = (struct opening){ .mode = in.mode, .umask = in.umask, .flags = (int)in.flags };
	error = do_create(t, t->request.in->nodeid, &o, &opened);
	if (!error)
		fill_created(t, &opened, &out);
	if (fuse_thread_reply(t, t->request.in->unique, error, error ? NULL : &out,
			      error ? 0 : sizeof(out)) != 0 &&
	    !error) {
		(void)file_release(t->worker, fuse_server_files(t->server), opened.fh,
				   opened.entry.nodeid, FILE_REGULAR);
		export_forget(t->worker, opened.entry.nodeid, 1);
	}
}
