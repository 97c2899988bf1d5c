/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_dir.c - READDIR and READDIRPLUS. (Opening and closing of directories is in ops_file.c.)
 *
 * Cookies are the host's own d_off, so that a listing goes on after the daemon was started anew. Each
 * request reads from its cookie on; what does not fit into the reply is read again next time. The
 * descriptor's position is shared by all requests of one fh, hence position_lock around lseek() and
 * getdents64(); it is moved only when it is not there already: most file systems then read a whole block
 * again. So what was read and did not fit is kept for the next request, if that goes on from there.
 *
 * t->io holds the reply in front and the host's entries behind.
 * Called by libfuse in the thread of the request.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "fuse/ops.h"
#include "fuse/reply.h"

#define HOST_MAX ((size_t)32 * 1024)
#define HOST_MIN ((size_t)512) /* more than the longest entry takes */
#define REPLY_MAX (FUSE_REQUEST_MAX - HOST_MAX)
#define PLUS_RATIO 4 /* an entry with attributes takes some four times what the host's takes */

struct listing {
	const struct held *held;
	bool plus;
	size_t size, used; /* of t->io */
};

/* Host entries from `at` on, into `buf`: bytes, 0 at the end, -errno. */
static ssize_t host_read(struct open_file *file, off_t at, uint8_t *buf, size_t size)
{
	ssize_t n = 0;

	pthread_mutex_lock(&file->position_lock);
	if (file->ahead_len && file->ahead_at == at && file->ahead_len <= size) {
		n = file->ahead_len;
		memcpy(buf, file->ahead, (size_t)n);
		file->ahead_len = 0;
		pthread_mutex_unlock(&file->position_lock);
		return n;
	}
	file->ahead_len = 0;
	if (file->position != at && lseek(file->fd, at, SEEK_SET) < 0)
		n = -errno;
	if (n == 0) {
		n = getdents64(file->fd, buf, size);
		if (n < 0)
			n = -errno;
	}
	file->position = -1; /* unknown, unless the last entry tells */
	for (ssize_t i = 0; i < n;) {
		const struct dirent64 *d = (const void *)(buf + i);

		file->position = d->d_off;
		i += d->d_reclen;
	}
	pthread_mutex_unlock(&file->position_lock);
	return n;
}

/* Keeps entries for who goes on at `at`; without memory they are read again. */
static void host_keep(struct open_file *file, off_t at, const uint8_t *entries, size_t len)
{
	if (len > FILE_AHEAD_MAX)
		return;
	pthread_mutex_lock(&file->position_lock);
	if (!file->ahead)
		file->ahead = malloc(FILE_AHEAD_MAX);
	if (file->ahead) {
		memcpy(file->ahead, entries, len);
		file->ahead_at = at;
		file->ahead_len = (uint16_t)len;
	}
	pthread_mutex_unlock(&file->position_lock);
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* The number of the directory above, if that is in the share. */
static bool parent_ino(struct worker *w, struct node *dir, uint64_t *ino)
{
	struct entry entry;

	if (export_lookup_parent(w, node_nodeid(dir), &entry) != 0)
		return false;
	*ino = entry.stx.stx_ino;
	export_forget(w, entry.nodeid, 1);
	return true;
}

/* The number to show; what cannot be said now is as the host has it. */
static uint64_t shown_ino(const struct held *held, const struct dirent64 *d)
{
	struct worker *w = held->t->worker;
	struct statx stx;
	uint64_t ino;

	/*
	 * Above the root there is nothing that the guest may know of; nor above a directory that is open here and was moved
	 * out of the share. The host's own number of ".." is never shown.
	 */
	if (strcmp(d->d_name, "..") == 0) {
		if (!nodeid_is_root(node_nodeid(held->node)) && parent_ino(w, held->node, &ino))
			return ino;
		return export_getattr(w, held->node, -1, STATX_INO, &stx) == 0 ? stx.stx_ino : 1;
	}
	if (export_shown_ino(w, held->node, d->d_name, d->d_ino, d->d_type, &ino) != 0)
		ino = d->d_ino;
	return ino;
}

/* With READDIRPLUS, the entry's own attributes; nodeid 0, "look it up yourself", where they are not had. */
static void fill_plus(const struct held *held, const struct dirent64 *d, struct fuse_entry_out *out,
		      struct fuse_dirent *dirent)
{
	struct entry entry;

	if (is_dots(d->d_name) ||
	    export_lookup(held->t->worker, held->node, d->d_name, &entry) != 0) {
		memset(out, 0, sizeof(*out));
		dirent->ino = shown_ino(held, d);
		return;
	}
	reply_fill_entry(held->t, &entry, out);
	dirent->ino = entry.stx.stx_ino;
	dirent->type = (uint32_t)IFTODT(entry.stx.stx_mode);
}

/* Adds one entry; false if it does not fit. No lookup is counted for one that does not. */
static bool listing_add(struct listing *l, const struct dirent64 *d)
{
	size_t namelen = strlen(d->d_name);
	size_t head = (l->plus ? sizeof(struct fuse_entry_out) : 0) + FUSE_NAME_OFFSET;
	size_t len = FUSE_DIRENT_ALIGN(head + namelen);
	uint8_t *at = l->held->t->io + l->used;
	struct fuse_dirent dirent = {
		.off = (uint64_t)d->d_off,
		.namelen = (uint32_t)namelen,
		.type = d->d_type,
	};

	if (namelen > HOLDFAST_NAME_MAX)
		return true; /* cannot be looked up by anybody; left out */
	if (len > l->size - l->used)
		return false;
	if (l->plus) {
		struct fuse_entry_out out;

		fill_plus(l->held, d, &out, &dirent);
		memcpy(at, &out, sizeof(out));
		at += sizeof(out);
	} else {
		dirent.ino = shown_ino(l->held, d);
	}
	memcpy(at, &dirent, FUSE_NAME_OFFSET);
	memcpy(at + FUSE_NAME_OFFSET, d->d_name, namelen);
	memset(l->held->t->io + l->used + head + namelen, 0, len - head - namelen);
	l->used += len;
	return true;
}

/* Adds a block of the host's entries; *at follows. Bytes that were added: not all if the reply is full. */
static ssize_t listing_add_block(struct listing *l, const uint8_t *block, ssize_t len, off_t *at)
{
	ssize_t i = 0;

	while (i < len) {
		const struct dirent64 *d = (const void *)(block + i);

		if (!listing_add(l, d))
			break;
		*at = d->d_off;
		i += d->d_reclen;
	}
	return i;
}

static size_t clamp(size_t value, size_t low, size_t high)
{
	return value < low ? low : value > high ? high : value;
}

static int listing_fill(struct listing *l, off_t at)
{
	uint8_t *block = l->held->t->io + REPLY_MAX;

	for (;;) {
		size_t room = l->size - l->used;
		size_t want = clamp(l->plus ? room / PLUS_RATIO : room, HOST_MIN, HOST_MAX);
		ssize_t n = host_read(l->held->file, at, block, want);
		ssize_t added;

		if (n <= 0)
			return l->used > 0 ? 0 : (int)n; /* the error comes again next time */
		added = listing_add_block(l, block, n, &at);
		if (added < n) {
			host_keep(l->held->file, at, block + added, (size_t)(n - added));
			return l->used > 0 ? 0 : -EINVAL; /* no room even for one */
		}
	}
}

/* Gives back the lookups of a reply that did not get out. */
static void listing_forget(const struct fuse_thread *t, const struct listing *l)
{
	for (size_t i = 0; l->plus && i < l->used;) {
		struct fuse_direntplus plus;

		memcpy(&plus, t->io + i, sizeof(plus));
		if (plus.entry_out.nodeid)
			export_forget(t->worker, (nodeid_t){ plus.entry_out.nodeid }, 1);
		i += FUSE_DIRENT_ALIGN(sizeof(struct fuse_entry_out) + FUSE_NAME_OFFSET +
				       plus.dirent.namelen);
	}
}

static int do_readdir(struct fuse_thread *t, uint64_t nodeid, const struct fuse_file_info *fi,
		      off_t off, struct listing *l)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error = held_either(t, nodeid, fi, &held);

	if (error)
		return error;
	if (held.file->kind != FILE_DIRECTORY)
		return -EBADF;
	if (off < 0)
		return -EINVAL;
	l->held = &held;
	error = listing_fill(l, off);
	l->held = NULL;
	return error;
}

static void list_and_reply(fuse_req_t req, uint64_t nodeid, size_t size, off_t off,
			   const struct fuse_file_info *fi, bool plus)
{
	struct fuse_thread *t = fuse_thread_of(req);
	struct listing l = { .plus = plus, .size = clamp(size, 0, REPLY_MAX) };
	int error = do_readdir(t, nodeid, fi, off, &l);

	if (error)
		reply_result(req, error);
	else if (fuse_reply_buf(req, (const char *)t->io, l.used) != 0)
		listing_forget(t, &l);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list_and_reply(req, ino, size, off, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	list_and_reply(req, ino, size, off, fi, true);
}
