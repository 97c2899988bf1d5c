/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fecalls_file.c - FUSE operations on open files and directories, and locks.
 */
#include "fecalls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int call_open(struct fefuse *f, uint32_t opcode, uint64_t nodeid, uint32_t flags,
		     uint64_t *fh)
{
	const struct fuse_open_in in = { .flags = flags };
	struct fuse_open_out out;
	struct fefuse_request r = {
		.opcode = opcode, .nodeid = nodeid, .in = { PART(&in, sizeof(in)) }, .parts = 1
	};
	int ret = call_exact(f, &r, &out, sizeof(out));

	if (!ret && fh)
		*fh = out.fh;
	return ret;
}

int fecall_open(struct fefuse *f, uint64_t nodeid, uint32_t flags, uint64_t *fh)
{
	return call_open(f, FUSE_OPEN, nodeid, flags, fh);
}

int fecall_opendir(struct fefuse *f, uint64_t nodeid, uint64_t *fh)
{
	return call_open(f, FUSE_OPENDIR, nodeid, O_DIRECTORY, fh);
}

int fecall_create(struct fefuse *f, uint64_t parent, const char *name, uint32_t flags,
		  uint32_t mode, struct fuse_entry_out *out, uint64_t *fh)
{
	const struct fuse_create_in in = { .flags = flags | O_CREAT, .mode = mode | S_IFREG };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} answer;
	struct fefuse_request r = { .opcode = FUSE_CREATE,
				    .nodeid = parent,
				    .in = { PART(&in, sizeof(in)), NAME(name) },
				    .parts = 2 };
	int ret = call_exact(f, &r, &answer, sizeof(answer));

	if (!ret && out)
		*out = answer.entry;
	if (!ret && fh)
		*fh = answer.open.fh;
	return ret;
}

/* READ, READDIR, READDIRPLUS: how many bytes came. */
static int call_read(struct fefuse *f, uint32_t opcode, uint64_t nodeid,
		     const struct fuse_read_in *in, void *to)
{
	struct fefuse_request r = { .opcode = opcode,
				    .nodeid = nodeid,
				    .in = { PART(in, sizeof(*in)) },
				    .parts = 1,
				    .out = to,
				    .room = in->size };
	int ret = fefuse_call(f, &r);

	return ret ? ret : (int)f->reply_len;
}

int fecall_read(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, void *to,
		uint32_t size)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = size };

	return call_read(f, FUSE_READ, nodeid, &in, to);
}

int fecall_readdir(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, void *to,
		   uint32_t size)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = size };

	return call_read(f, FUSE_READDIR, nodeid, &in, to);
}

int fecall_readdirplus(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, void *to,
		       uint32_t size)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = size };

	return call_read(f, FUSE_READDIRPLUS, nodeid, &in, to);
}

int fecall_write(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, const void *from,
		 uint32_t size)
{
	const struct fuse_write_in in = { .fh = fh, .offset = offset, .size = size };
	struct fuse_write_out out;
	struct fefuse_request r = { .opcode = FUSE_WRITE,
				    .nodeid = nodeid,
				    .in = { PART(&in, sizeof(in)), PART(from, size) },
				    .parts = 2 };
	int ret = call_exact(f, &r, &out, sizeof(out));

	return ret ? ret : (int)out.size;
}

/* One struct of arguments, an empty reply. */
static int call_plain(struct fefuse *f, uint32_t opcode, uint64_t nodeid, const void *in,
		      size_t size)
{
	struct fefuse_request r = {
		.opcode = opcode, .nodeid = nodeid, .in = { PART(in, size) }, .parts = 1
	};

	return call_exact(f, &r, NULL, 0);
}

int fecall_flush(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t owner)
{
	const struct fuse_flush_in in = { .fh = fh, .lock_owner = owner };

	return call_plain(f, FUSE_FLUSH, nodeid, &in, sizeof(in));
}

static int call_fsync(struct fefuse *f, uint32_t opcode, uint64_t nodeid, uint64_t fh,
		      bool datasync)
{
	const struct fuse_fsync_in in = { .fh = fh,
					  .fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0 };

	return call_plain(f, opcode, nodeid, &in, sizeof(in));
}

int fecall_fsync(struct fefuse *f, uint64_t nodeid, uint64_t fh, bool datasync)
{
	return call_fsync(f, FUSE_FSYNC, nodeid, fh, datasync);
}

int fecall_fsyncdir(struct fefuse *f, uint64_t nodeid, uint64_t fh, bool datasync)
{
	return call_fsync(f, FUSE_FSYNCDIR, nodeid, fh, datasync);
}

int fecall_release(struct fefuse *f, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return call_plain(f, FUSE_RELEASE, nodeid, &in, sizeof(in));
}

int fecall_releasedir(struct fefuse *f, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return call_plain(f, FUSE_RELEASEDIR, nodeid, &in, sizeof(in));
}

int fecall_lseek(struct fefuse *f, uint64_t nodeid, uint64_t fh, uint64_t offset, uint32_t whence,
		 uint64_t *out)
{
	const struct fuse_lseek_in in = { .fh = fh, .offset = offset, .whence = whence };
	struct fuse_lseek_out answer;
	struct fefuse_request r = {
		.opcode = FUSE_LSEEK, .nodeid = nodeid, .in = { PART(&in, sizeof(in)) }, .parts = 1
	};
	int ret = call_exact(f, &r, &answer, sizeof(answer));

	if (!ret && out)
		*out = answer.offset;
	return ret;
}

/* --- locks --------------------------------------------------------------------------------------------------- */

static struct fuse_lk_in lock_args(const struct fefuse *f, const struct fecall_lock *lock)
{
	return (struct fuse_lk_in){
		.fh = lock->fh,
		.owner = lock->owner,
		.lk = { .start = lock->start, .end = lock->end, .type = lock->type, .pid = f->pid },
		.lk_flags = lock->flock ? FUSE_LK_FLOCK : 0
	};
}

int fecall_setlk(struct fefuse *f, const struct fecall_lock *lock)
{
	const struct fuse_lk_in in = lock_args(f, lock);

	return call_plain(f, FUSE_SETLK, lock->nodeid, &in, sizeof(in));
}

int fecall_getlk(struct fefuse *f, const struct fecall_lock *lock, struct fuse_file_lock *out)
{
	const struct fuse_lk_in in = lock_args(f, lock);
	struct fuse_lk_out answer;
	struct fefuse_request r = { .opcode = FUSE_GETLK,
				    .nodeid = lock->nodeid,
				    .in = { PART(&in, sizeof(in)) },
				    .parts = 1 };
	int ret = call_exact(f, &r, &answer, sizeof(answer));

	if (!ret && out)
		*out = answer.lk;
	return ret;
}

int fecall_setlkw_send(struct fefuse *f, unsigned queue, const struct fecall_lock *lock,
		       uint64_t *unique)
{
	const struct fuse_lk_in in = lock_args(f, lock);
	const struct fefuse_request r = { .opcode = FUSE_SETLKW,
					  .nodeid = lock->nodeid,
					  .in = { PART(&in, sizeof(in)) },
					  .parts = 1 };
	int slot = fefuse_send(f, queue, &r);

	*unique = f->unique;
	return slot;
}
