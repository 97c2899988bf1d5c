/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_data.c - READ and WRITE, past libfuse: file data goes between the descriptor of the fh and the memory that the
 * transport named, by preadv2 and pwritev2, and is copied by nobody else. Over /dev/fuse that memory is the thread's
 * own; over virtqueues it is the guest's pages.
 *
 * Data goes without a look at the node: what is open stays usable after it was unlinked or renamed.
 *
 * Called by the session, in the thread of the request.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

#include "base/util.h"
#include "fuse/creds.h"
#include "fuse/ops.h"

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20 /* Linux 6.9 */
#endif

/* Pieces handed to one system call: those of 1 MiB in pages, and a few. */
#define PIECES_MAX 264

/* Errors and the ends of what is in memory come at whole sectors; a file's end anywhere. */
#define SECTOR 512

/* Where data goes or comes from. */
struct span {
	const struct iovec *iov;
	unsigned count;
};

/* One READ or WRITE: what the request says, and what it names. */
struct transfer {
	struct held held;
	uint32_t flags; /* O_* as the guest's descriptor has them now */
	bool writepage; /* of the guest's page cache: belongs where it is, whoever wrote it */
	size_t size;
	off_t off;
};

static size_t pieces_len(const struct iovec *pieces, int count)
{
	size_t len = 0;

	for (int i = 0; i < count; i++)
		len += pieces[i].iov_len;
	return len;
}

/* The pieces of [from, from + len) of a span; their number, which PIECES_MAX bounds. */
static int span_cut(const struct span *span, size_t from, size_t len, struct iovec out[PIECES_MAX])
{
	int n = 0;

	for (unsigned i = 0; i < span->count && len > 0 && n < PIECES_MAX; i++) {
		size_t have = span->iov[i].iov_len;

		if (from >= have) {
			from -= have;
			continue;
		}
		out[n].iov_base = (uint8_t *)span->iov[i].iov_base + from;
		out[n].iov_len = have - from < len ? have - from : len;
		len -= out[n++].iov_len;
		from = 0;
	}
	return n;
}

/*
 * Reads until `size` or the end of the file. An error counts for all of it: less than was asked for is the end of the file to
 * the guest's kernel, which takes the rest for a hole or the file for shorter. With RWF_NOWAIT -EAGAIN as soon as something is
 * not in memory.
 */
static ssize_t read_span(int fd, const struct span *to, size_t size, off_t off, int rwf)
{
	struct iovec pieces[PIECES_MAX];
	size_t done = 0;

	while (done < size) {
		int count = span_cut(to, done, size - done, pieces);
		ssize_t n = preadv2(fd, pieces, count, off + (off_t)done, rwf);

		if (n < 0 && errno == EINTR)
			continue;
		/* With O_DIRECT, where the end is no place to read from. */
		if (n < 0 && done > 0 && errno == EINVAL)
			break;
		if (n < 0)
			return errno_neg();
		if (n == 0)
			break;
		done += (size_t)n;
		/* Less than what this call had room for: the end of the file. */
		if ((size_t)n < pieces_len(pieces, count) && (off + (off_t)done) % SECTOR)
			break;
	}
	return (ssize_t)done;
}

/*
 * With `whole`, as for pages that the guest's kernel writes back, an error counts though a part was written: the kernel
 * looks at nothing else, and would take all pages for written.
 */
static ssize_t write_span(int fd, const struct span *from, size_t size, off_t off, int rwf,
			  bool whole)
{
	struct iovec pieces[PIECES_MAX];
	size_t done = 0;

	while (done < size) {
		int count = span_cut(from, done, size - done, pieces);
		ssize_t n = pwritev2(fd, pieces, count, off + (off_t)done, rwf);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (done == 0 || whole))
			return errno_neg();
		if (n <= 0)
			return whole ? -EIO : (ssize_t)done;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Is [off, off + size) a range of a file at all? */
static bool range_valid(off_t off, size_t size)
{
	return off >= 0 && size <= FUSE_REQUEST_MAX && off <= INT64_MAX - (off_t)size;
}

/*
 * How a file was opened is not how each read and write of it is meant: F_SETFL changes O_APPEND and O_DIRECT, and
 * pages that the guest's kernel writes back belong where they are, by whatever descriptor they go out. So the flags
 * that come with the request decide.
 */
static bool direct_for_nothing(const struct transfer *x)
{
	return x->held.file->flags & O_DIRECT && (x->writepage || !(x->flags & O_DIRECT));
}

/* RWF_* for a descriptor that was opened with `opened`. */
static int write_flags(const struct transfer *x, int opened)
{
	bool append =
		x->flags & O_APPEND && !x->writepage && !agreed(x->held.t, FUSE_WRITEBACK_CACHE);
	int rwf = 0;

	if (append != ((opened & O_APPEND) != 0))
		rwf |= append ? RWF_APPEND : RWF_NOAPPEND;
	if (x->flags & O_DSYNC && !(opened & O_DSYNC) && !x->writepage)
		rwf |= (x->flags & O_SYNC) == O_SYNC ? RWF_SYNC : RWF_DSYNC;
	return rwf;
}

/* -EAGAIN: the request may not block, and would have to. */
static ssize_t read_meant(const struct transfer *x, const struct span *to)
{
	bool may_block = x->held.t->message->may_block;
	ssize_t n = read_span(x->held.file->fd, to, x->size, x->off, may_block ? 0 : RWF_NOWAIT);
	CLEANUP_FD int own = -1;

	/* A file system that cannot tell whether it would block. */
	if (n == -EOPNOTSUPP && !may_block)
		n = read_span(x->held.file->fd, to, x->size, x->off, 0);
	/* A part of a block, where only whole ones go. */
	if (n != -EINVAL || !direct_for_nothing(x))
		return n;
	own = node_open(x->held.t->worker, x->held.file->node, O_RDONLY);
	return own < 0 ? own : read_span(own, to, x->size, x->off, 0);
}

static ssize_t write_meant(const struct transfer *x, const struct span *from)
{
	const struct open_file *file = x->held.file;
	int rwf = write_flags(x, file->flags);
	ssize_t n = write_span(file->fd, from, x->size, x->off, rwf, x->writepage);
	CLEANUP_FD int own = -1;

	/* A kernel without RWF_NOAPPEND, or a part of a block. */
	if (!(n == -EOPNOTSUPP && rwf & RWF_NOAPPEND) && !(n == -EINVAL && direct_for_nothing(x)))
		return n;
	own = node_open(x->held.t->worker, file->node, O_WRONLY);
	if (own < 0)
		return own;
	return write_span(own, from, x->size, x->off, write_flags(x, O_WRONLY), x->writepage);
}

/* ---- READ ------------------------------------------------------------------------------------------- */

/* The data goes into the transport's room, or into t->io where it gave none. */
static ssize_t do_read(struct fuse_thread *t, const struct fuse_read_in *in)
{
	CLEANUP_HELD struct held held = { .t = t };
	struct iovec own = { .iov_base = t->io, .iov_len = in->size };
	struct span to = { .iov = t->message->room, .count = t->message->room_count };
	struct transfer x = { .flags = in->flags, .size = in->size, .off = (off_t)in->offset };
	int error = held_file(t, t->request.in->nodeid, in->fh, FILE_REGULAR, &held);

	if (error)
		return error;
	if (!range_valid(x.off, x.size) || (to.count && x.size > t->message->room_len))
		return -EINVAL;
	if (!to.count)
		to = (struct span){ .iov = &own, .count = 1 };
	x.held = held;
	return read_meant(&x, &to);
}

void fuse_wire_read(struct fuse_thread *t)
{
	const struct fuse_message *message = t->message;
	uint64_t unique = t->request.in->unique;
	struct fuse_read_in in;
	ssize_t n;

	memcpy(&in, t->request.args, sizeof(in));
	n = do_read(t, &in);
	if (n == -EAGAIN && !message->may_block)
		t->result = FUSE_REQUEST_BLOCKS;
	else if (n < 0)
		fuse_thread_reply(t, unique, (int)n, NULL, 0);
	else if (message->room_count)
		fuse_thread_reply_placed(t, unique, (size_t)n);
	else
		fuse_thread_reply(t, unique, 0, t->io, (size_t)n);
}

/* ---- WRITE ------------------------------------------------------------------------------------------ */

/* Direct I/O wants aligned memory, which a request behind its header is not. */
static struct span payload_of(struct fuse_thread *t, const struct transfer *x, struct iovec *own)
{
	const uint8_t *data = t->request.args + sizeof(struct fuse_write_in);

	if (t->message->payload_count)
		return (struct span){ .iov = t->message->payload,
				      .count = t->message->payload_count };
	if (x->held.file->flags & O_DIRECT) {
		memcpy(t->io, data, x->size);
		data = t->io;
	}
	*own = (struct iovec){ .iov_base = (void *)(uintptr_t)data, .iov_len = x->size };
	return (struct span){ .iov = own, .count = 1 };
}

static ssize_t do_write(struct fuse_thread *t, const struct fuse_write_in *in)
{
	CLEANUP_HELD struct held held = { .t = t };
	struct transfer x = { .flags = in->flags,
			      .writepage = in->write_flags & FUSE_WRITE_CACHE,
			      .size = in->size,
			      .off = (off_t)in->offset };
	struct killpriv saved;
	struct iovec own;
	struct span from;
	ssize_t n;
	int error = check_writable(t);

	if (!error)
		error = held_file(t, t->request.in->nodeid, in->fh, FILE_REGULAR, &held);
	if (error)
		return error;
	if (!range_valid(x.off, x.size))
		return -EINVAL;
	x.held = held;
	from = payload_of(t, &x, &own);
	error = killpriv_enter(t->request.kill_suidgid, &saved);
	if (error)
		return error;
	n = write_meant(&x, &from);
	killpriv_leave(&saved);
	if (n > 0)
		xattr_drop_capability(t, held.file->fd);
	return n;
}

void fuse_wire_write(struct fuse_thread *t)
{
	struct fuse_write_out out = { 0 };
	struct fuse_write_in in;
	ssize_t n;

	memcpy(&in, t->request.args, sizeof(in));
	n = do_write(t, &in);
	if (n > 0)
		out.size = (uint32_t)n;
	fuse_thread_reply(t, t->request.in->unique, n < 0 ? (int)n : 0, &out, sizeof(out));
}
