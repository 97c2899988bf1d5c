/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fecalls.c - FUSE operations on nodes: arguments packed, replies unpacked.
 */
#include "fecalls_private.h"

#include <errno.h>
#include <string.h>

int call_exact(struct fefuse *f, struct fefuse_request *r, void *out, size_t size)
{
	int ret;

	r->out = out;
	r->room = size;
	ret = fefuse_call(f, r);
	r->out = NULL;
	return !ret && f->reply_len != size ? -EBADMSG : ret;
}

static int call_entry(struct fefuse *f, struct fefuse_request *r, struct fuse_entry_out *out)
{
	struct fuse_entry_out entry;
	int ret = call_exact(f, r, &entry, sizeof(entry));

	if (!ret && out)
		*out = entry;
	return ret;
}

static int call_attr(struct fefuse *f, struct fefuse_request *r, struct fuse_attr *out)
{
	struct fuse_attr_out attr;
	int ret = call_exact(f, r, &attr, sizeof(attr));

	if (!ret && out)
		*out = attr.attr;
	return ret;
}

/* --- the session ------------------------------------------------------------------------------------------- */

int fecall_init(struct fefuse *f, uint64_t flags)
{
	const struct fuse_init_in in = { .major = FUSE_KERNEL_VERSION,
					 .minor = FUSE_KERNEL_MINOR_VERSION,
					 .max_readahead = FEFUSE_IO,
					 .flags = (uint32_t)flags,
					 .flags2 = (uint32_t)(flags >> 32) };
	struct fefuse_request r = { .opcode = FUSE_INIT,
				    .in = { PART(&in, sizeof(in)) },
				    .parts = 1 };

	return call_exact(f, &r, &f->init, sizeof(f->init));
}

uint64_t fecall_init_flags(const struct fefuse *f)
{
	return f->init.flags | (uint64_t)f->init.flags2 << 32;
}

int fecall_destroy(struct fefuse *f)
{
	struct fefuse_request r = { .opcode = FUSE_DESTROY };

	return call_exact(f, &r, NULL, 0);
}

/* --- nodes ------------------------------------------------------------------------------------------------- */

int fecall_lookup(struct fefuse *f, uint64_t parent, const char *name, struct fuse_entry_out *out)
{
	struct fefuse_request r = {
		.opcode = FUSE_LOOKUP, .nodeid = parent, .in = { NAME(name) }, .parts = 1
	};

	return call_entry(f, &r, out);
}

/* What has no reply goes to the high-priority queue. */
static int call_silent(struct fefuse *f, struct fefuse_request *r)
{
	int slot;

	r->no_reply = true;
	slot = fefuse_send(f, 0, r);
	return slot < 0 ? slot : fefuse_receive(f, slot, f->timeout_ms);
}

int fecall_forget(struct fefuse *f, uint64_t nodeid, uint64_t count)
{
	const struct fuse_forget_in in = { .nlookup = count };
	struct fefuse_request r = {
		.opcode = FUSE_FORGET, .nodeid = nodeid, .in = { PART(&in, sizeof(in)) }, .parts = 1
	};

	return call_silent(f, &r);
}

int fecall_batch_forget(struct fefuse *f, const struct fuse_forget_one *all, unsigned count)
{
	const struct fuse_batch_forget_in in = { .count = count };
	struct fefuse_request r = { .opcode = FUSE_BATCH_FORGET,
				    .in = { PART(&in, sizeof(in)),
					    PART(all, count * sizeof(*all)) },
				    .parts = 2 };

	return call_silent(f, &r);
}

int fecall_interrupt(struct fefuse *f, uint64_t unique)
{
	const struct fuse_interrupt_in in = { .unique = unique };
	struct fefuse_request r = { .opcode = FUSE_INTERRUPT,
				    .in = { PART(&in, sizeof(in)) },
				    .parts = 1 };

	return call_silent(f, &r);
}

int fecall_getattr(struct fefuse *f, uint64_t nodeid, struct fuse_attr *out)
{
	const struct fuse_getattr_in in = { 0 };
	struct fefuse_request r = { .opcode = FUSE_GETATTR,
				    .nodeid = nodeid,
				    .in = { PART(&in, sizeof(in)) },
				    .parts = 1 };

	return call_attr(f, &r, out);
}

int fecall_setattr(struct fefuse *f, uint64_t nodeid, const struct fuse_setattr_in *in,
		   struct fuse_attr *out)
{
	struct fefuse_request r = { .opcode = FUSE_SETATTR,
				    .nodeid = nodeid,
				    .in = { PART(in, sizeof(*in)) },
				    .parts = 1 };

	return call_attr(f, &r, out);
}

int fecall_readlink(struct fefuse *f, uint64_t nodeid, char *out, size_t size)
{
	struct fefuse_request r = {
		.opcode = FUSE_READLINK, .nodeid = nodeid, .out = out, .room = size - 1
	};
	int ret = fefuse_call(f, &r);

	if (!ret)
		out[f->reply_len] = '\0';
	return ret;
}

int fecall_symlink(struct fefuse *f, uint64_t parent, const char *name, const char *target,
		   struct fuse_entry_out *out)
{
	struct fefuse_request r = { .opcode = FUSE_SYMLINK,
				    .nodeid = parent,
				    .in = { NAME(name), NAME(target) },
				    .parts = 2 };

	return call_entry(f, &r, out);
}

int fecall_mknod(struct fefuse *f, uint64_t parent, const char *name, uint32_t mode,
		 struct fuse_entry_out *out)
{
	const struct fuse_mknod_in in = { .mode = mode };
	struct fefuse_request r = { .opcode = FUSE_MKNOD,
				    .nodeid = parent,
				    .in = { PART(&in, sizeof(in)), NAME(name) },
				    .parts = 2 };

	return call_entry(f, &r, out);
}

int fecall_mkdir(struct fefuse *f, uint64_t parent, const char *name, uint32_t mode,
		 struct fuse_entry_out *out)
{
	const struct fuse_mkdir_in in = { .mode = mode };
	struct fefuse_request r = { .opcode = FUSE_MKDIR,
				    .nodeid = parent,
				    .in = { PART(&in, sizeof(in)), NAME(name) },
				    .parts = 2 };

	return call_entry(f, &r, out);
}

static int call_name(struct fefuse *f, uint32_t opcode, uint64_t nodeid, const char *name)
{
	struct fefuse_request r = {
		.opcode = opcode, .nodeid = nodeid, .in = { NAME(name) }, .parts = 1
	};

	return call_exact(f, &r, NULL, 0);
}

int fecall_unlink(struct fefuse *f, uint64_t parent, const char *name)
{
	return call_name(f, FUSE_UNLINK, parent, name);
}

int fecall_rmdir(struct fefuse *f, uint64_t parent, const char *name)
{
	return call_name(f, FUSE_RMDIR, parent, name);
}

int fecall_removexattr(struct fefuse *f, uint64_t nodeid, const char *name)
{
	return call_name(f, FUSE_REMOVEXATTR, nodeid, name);
}

int fecall_rename2(struct fefuse *f, uint64_t parent, const char *name, uint64_t to_parent,
		   const char *to_name, uint32_t flags)
{
	const struct fuse_rename2_in in = { .newdir = to_parent, .flags = flags };
	struct fefuse_request r = { .opcode = FUSE_RENAME2,
				    .nodeid = parent,
				    .in = { PART(&in, sizeof(in)), NAME(name), NAME(to_name) },
				    .parts = 3 };

	return call_exact(f, &r, NULL, 0);
}

int fecall_link(struct fefuse *f, uint64_t nodeid, uint64_t parent, const char *name,
		struct fuse_entry_out *out)
{
	const struct fuse_link_in in = { .oldnodeid = nodeid };
	struct fefuse_request r = { .opcode = FUSE_LINK,
				    .nodeid = parent,
				    .in = { PART(&in, sizeof(in)), NAME(name) },
				    .parts = 2 };

	return call_entry(f, &r, out);
}

int fecall_statfs(struct fefuse *f, uint64_t nodeid, struct fuse_kstatfs *out)
{
	struct fuse_statfs_out st;
	struct fefuse_request r = { .opcode = FUSE_STATFS, .nodeid = nodeid };
	int ret = call_exact(f, &r, &st, sizeof(st));

	if (!ret && out)
		*out = st.st;
	return ret;
}

int fecall_access(struct fefuse *f, uint64_t nodeid, uint32_t mask)
{
	const struct fuse_access_in in = { .mask = mask };
	struct fefuse_request r = {
		.opcode = FUSE_ACCESS, .nodeid = nodeid, .in = { PART(&in, sizeof(in)) }, .parts = 1
	};

	return call_exact(f, &r, NULL, 0);
}

int fecall_syncfs(struct fefuse *f, uint64_t nodeid)
{
	const struct fuse_syncfs_in in = { 0 };
	struct fefuse_request r = {
		.opcode = FUSE_SYNCFS, .nodeid = nodeid, .in = { PART(&in, sizeof(in)) }, .parts = 1
	};

	return call_exact(f, &r, NULL, 0);
}

/* --- extended attributes ------------------------------------------------------------------------------------ */

static int call_xattr(struct fefuse *f, uint32_t opcode, uint64_t nodeid, const char *name,
		      void *to, uint32_t size)
{
	const struct fuse_getxattr_in in = { .size = size };
	struct fuse_getxattr_out answer;
	struct fefuse_request r = { .opcode = opcode,
				    .nodeid = nodeid,
				    .in = { PART(&in, sizeof(in)), NAME(name ? name : "") },
				    .parts = name ? 2 : 1,
				    .out = to,
				    .room = size };
	int ret;

	if (!size) {
		ret = call_exact(f, &r, &answer, sizeof(answer));
		return ret ? ret : (int)answer.size;
	}
	ret = fefuse_call(f, &r);
	return ret ? ret : (int)f->reply_len;
}

int fecall_getxattr(struct fefuse *f, uint64_t nodeid, const char *name, void *to, uint32_t size)
{
	return call_xattr(f, FUSE_GETXATTR, nodeid, name, to, size);
}

int fecall_listxattr(struct fefuse *f, uint64_t nodeid, void *to, uint32_t size)
{
	return call_xattr(f, FUSE_LISTXATTR, nodeid, NULL, to, size);
}

int fecall_setxattr(struct fefuse *f, uint64_t nodeid, const char *name, const void *value,
		    uint32_t size, uint32_t flags)
{
	const struct fuse_setxattr_in in = { .size = size, .flags = flags };
	const size_t len = fecall_init_flags(f) & FUSE_SETXATTR_EXT ? sizeof(in)
								    : FUSE_COMPAT_SETXATTR_IN_SIZE;
	struct fefuse_request r = { .opcode = FUSE_SETXATTR,
				    .nodeid = nodeid,
				    .in = { PART(&in, len), NAME(name), PART(value, size) },
				    .parts = 3 };

	return call_exact(f, &r, NULL, 0);
}
