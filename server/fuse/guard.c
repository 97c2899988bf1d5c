/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard.c - what each request must look like, in one table, and the judge who applies it.
 *
 * Called by session.c for each request, on the thread that serves it; keeps no state. A request is
 *   header | argument struct | names, each with its NUL | trailing part | extensions
 * and must be used up to the last byte. Fields are copied out before they are looked at (the bytes
 * may lie unaligned), and each is read once.
 *
 * Invariant: whatever passes can be parsed by libfuse 3.14 without a length check of its own.
 * Extensions are parsed in guard_ext.c.
 */
#include "fuse/guard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stddef.h>
#include <string.h>

#include "base/util.h"
#include "fuse/guard_parse.h"

/* What may follow the names. */
enum trail {
	TRAIL_NONE,
	TRAIL_TARGET,  /* the target of a symlink: 1..4095 bytes and a NUL */
	TRAIL_BYTES,   /* as many bytes as the size field says */
	TRAIL_FORGETS, /* as many struct fuse_forget_one as the size field says */
};

enum {
	NO_REPLY = 1 << 0,   /* never answered */
	NO_NODE = 1 << 1,    /* the header's nodeid means nothing */
	NO_CALLER = 1 << 2,  /* the header's uid and gid mean nothing */
	DOTS = 1 << 3,	     /* "." and ".." are names here */
	XATTR_NAME = 1 << 4, /* the name is one of an extended attribute: may have a '/' */
	ANY_NAME = 1 << 5,   /* the name is not used (TMPFILE sends "/") */
	EXTENSIONS = 1 << 6, /* may carry extensions */
	CLAMP = 1 << 7,	     /* a size over the limit is brought down to it instead of refused */
	UNUSED = 1 << 8,     /* known, but holdfast has no use for it: ENOSYS */
};

struct rule {
	const char *name;
	uint16_t args;	     /* bytes of the argument struct */
	uint8_t names;	     /* how many follow it */
	uint8_t trail;	     /* enum trail */
	uint16_t size_at;    /* offset of the 32-bit size or count in the argument struct */
	uint32_t size_max;   /* its limit; 0: it has none, or no such field */
	uint16_t size_error; /* errno for a size over the limit */
	uint16_t flags;
	int (*check)(struct parse *p); /* what the columns cannot say; 0 or negative errno */
};

static int check_init(struct parse *p);
static int check_io(struct parse *p);
static int check_cookie(struct parse *p);
static int check_setattr(struct parse *p);
static int check_setxattr(struct parse *p);
static int check_lock(struct parse *p);
static int check_ioctl(struct parse *p);
static int check_fallocate(struct parse *p);
static int check_copy(struct parse *p);
static int note_open(struct parse *p);
static int note_create(struct parse *p);
static int note_write(struct parse *p);

#define ARGS(type) .args = sizeof(struct type)
#define SIZE(type, field, max)                                                                     \
	.size_at = offsetof(struct type, field), .size_max = (max), .size_error = EINVAL

static const struct rule rules[] = {
	[FUSE_LOOKUP] = { "LOOKUP", .names = 1, .flags = DOTS },
	[FUSE_FORGET] = { "FORGET", ARGS(fuse_forget_in), .flags = NO_REPLY | NO_CALLER },
	[FUSE_GETATTR] = { "GETATTR", ARGS(fuse_getattr_in) },
	[FUSE_SETATTR] = { "SETATTR", ARGS(fuse_setattr_in), .check = check_setattr },
	[FUSE_READLINK] = { "READLINK" },
	[FUSE_SYMLINK] = { "SYMLINK", .names = 1, .trail = TRAIL_TARGET, .flags = EXTENSIONS },
	[FUSE_MKNOD] = { "MKNOD", ARGS(fuse_mknod_in), .names = 1, .flags = EXTENSIONS },
	[FUSE_MKDIR] = { "MKDIR", ARGS(fuse_mkdir_in), .names = 1, .flags = EXTENSIONS },
	[FUSE_UNLINK] = { "UNLINK", .names = 1 },
	[FUSE_RMDIR] = { "RMDIR", .names = 1 },
	[FUSE_RENAME] = { "RENAME", ARGS(fuse_rename_in), .names = 2 },
	[FUSE_LINK] = { "LINK", ARGS(fuse_link_in), .names = 1 },
	[FUSE_OPEN] = { "OPEN", ARGS(fuse_open_in), .check = note_open },
	[FUSE_READ] = { "READ", ARGS(fuse_read_in), SIZE(fuse_read_in, size, GUARD_IO_MAX),
			.check = check_io },
	[FUSE_WRITE] = { "WRITE", ARGS(fuse_write_in), SIZE(fuse_write_in, size, GUARD_IO_MAX),
			 .trail = TRAIL_BYTES, .check = note_write },
	[FUSE_STATFS] = { "STATFS" },
	[FUSE_RELEASE] = { "RELEASE", ARGS(fuse_release_in) },
	[FUSE_FSYNC] = { "FSYNC", ARGS(fuse_fsync_in) },
	[FUSE_SETXATTR] = { "SETXATTR", .args = FUSE_COMPAT_SETXATTR_IN_SIZE, .names = 1,
			    .size_at = offsetof(struct fuse_setxattr_in, size),
			    .size_max = GUARD_XATTR_MAX, .size_error = E2BIG, .trail = TRAIL_BYTES,
			    .flags = XATTR_NAME, .check = check_setxattr },
	[FUSE_GETXATTR] = { "GETXATTR", ARGS(fuse_getxattr_in), .names = 1,
			    SIZE(fuse_getxattr_in, size, GUARD_XATTR_MAX),
			    .flags = XATTR_NAME | CLAMP },
	[FUSE_LISTXATTR] = { "LISTXATTR", ARGS(fuse_getxattr_in),
			     SIZE(fuse_getxattr_in, size, GUARD_XATTR_MAX), .flags = CLAMP },
	[FUSE_REMOVEXATTR] = { "REMOVEXATTR", .names = 1, .flags = XATTR_NAME },
	[FUSE_FLUSH] = { "FLUSH", ARGS(fuse_flush_in) },
	/* The shortest of three forms; check_init() takes the others. */
	[FUSE_INIT] = { "INIT", .args = 2 * sizeof(uint32_t), .flags = NO_NODE | NO_CALLER,
			.check = check_init },
	[FUSE_OPENDIR] = { "OPENDIR", ARGS(fuse_open_in) },
	[FUSE_READDIR] = { "READDIR", ARGS(fuse_read_in), SIZE(fuse_read_in, size, GUARD_IO_MAX),
			   .flags = CLAMP, .check = check_cookie },
	[FUSE_RELEASEDIR] = { "RELEASEDIR", ARGS(fuse_release_in) },
	[FUSE_FSYNCDIR] = { "FSYNCDIR", ARGS(fuse_fsync_in) },
	[FUSE_GETLK] = { "GETLK", ARGS(fuse_lk_in), .check = check_lock },
	[FUSE_SETLK] = { "SETLK", ARGS(fuse_lk_in), .check = check_lock },
	[FUSE_SETLKW] = { "SETLKW", ARGS(fuse_lk_in), .check = check_lock },
	[FUSE_ACCESS] = { "ACCESS", ARGS(fuse_access_in) },
	[FUSE_CREATE] = { "CREATE", ARGS(fuse_create_in), .names = 1, .flags = EXTENSIONS,
			  .check = note_create },
	[FUSE_INTERRUPT] = { "INTERRUPT", ARGS(fuse_interrupt_in),
			     .flags = NO_REPLY | NO_NODE | NO_CALLER },
	[FUSE_BMAP] = { "BMAP", ARGS(fuse_bmap_in), .flags = UNUSED },
	[FUSE_DESTROY] = { "DESTROY", .flags = NO_NODE | NO_CALLER },
	[FUSE_IOCTL] = { "IOCTL", ARGS(fuse_ioctl_in),
			 SIZE(fuse_ioctl_in, in_size, GUARD_IOCTL_MAX), .trail = TRAIL_BYTES,
			 .check = check_ioctl },
	[FUSE_POLL] = { "POLL", ARGS(fuse_poll_in), .flags = UNUSED },
	[FUSE_NOTIFY_REPLY] = { "NOTIFY_REPLY", .flags = UNUSED },
	[FUSE_BATCH_FORGET] = { "BATCH_FORGET", ARGS(fuse_batch_forget_in), .trail = TRAIL_FORGETS,
				.size_at = offsetof(struct fuse_batch_forget_in, count),
				.flags = NO_REPLY | NO_NODE | NO_CALLER },
	[FUSE_FALLOCATE] = { "FALLOCATE", ARGS(fuse_fallocate_in), .check = check_fallocate },
	[FUSE_READDIRPLUS] = { "READDIRPLUS", ARGS(fuse_read_in),
			       SIZE(fuse_read_in, size, GUARD_IO_MAX), .flags = CLAMP,
			       .check = check_cookie },
	[FUSE_RENAME2] = { "RENAME2", ARGS(fuse_rename2_in), .names = 2 },
	/* No range to check: the host gives ENXIO for any offset that is not in the file. */
	[FUSE_LSEEK] = { "LSEEK", ARGS(fuse_lseek_in) },
	[FUSE_COPY_FILE_RANGE] = { "COPY_FILE_RANGE", ARGS(fuse_copy_file_range_in),
				   .check = check_copy },
	[FUSE_SETUPMAPPING] = { "SETUPMAPPING", .flags = UNUSED },
	[FUSE_REMOVEMAPPING] = { "REMOVEMAPPING", .flags = UNUSED },
	[FUSE_SYNCFS] = { "SYNCFS", ARGS(fuse_syncfs_in) },
	[FUSE_TMPFILE] = { "TMPFILE", ARGS(fuse_create_in), .names = 1,
			   .flags = ANY_NAME | EXTENSIONS, .check = note_create },
	[FUSE_OP_STATX] = { "STATX", ARGS(holdfast_statx_in) },
};

static const struct rule *rule_of(uint32_t opcode)
{
	return opcode < ARRAY_LEN(rules) && rules[opcode].name ? &rules[opcode] : NULL;
}

const char *guard_opcode_name(uint32_t opcode)
{
	const struct rule *rule = rule_of(opcode);

	return rule ? rule->name : "opcode";
}

/* --- checks of single opcodes ----------------------------------------------------------------- */

/* Is offset .. offset + length a range that off_t can express? */
static int check_range(uint64_t offset, uint64_t length)
{
	return offset <= INT64_MAX && length <= INT64_MAX - offset ? 0 : -EINVAL;
}

/*
 * The forms of struct fuse_init_in: until 7.5, until 7.35, and today's. Later ones may be longer.
 */
static int check_init(struct parse *p)
{
	size_t len = p->args_len;

	/*
	 * A newer major may lay out the rest as it likes, and an older one is refused by INIT
	 * itself.
	 */
	if (parse_u32(p, offsetof(struct fuse_init_in, major)) != FUSE_KERNEL_VERSION)
		return 0;
	if (len == 2 * sizeof(uint32_t) || len == offsetof(struct fuse_init_in, flags2) ||
	    len >= sizeof(struct fuse_init_in))
		return 0;
	return -EINVAL;
}

static int check_io(struct parse *p)
{
	return check_range(parse_u64(p, offsetof(struct fuse_read_in, offset)),
			   parse_u32(p, offsetof(struct fuse_read_in, size)));
}

/*
 * A directory's offset is a cookie of the host: any, up to its last (ext4: 2^63 - 1), but not
 * negative.
 */
static int check_cookie(struct parse *p)
{
	return check_range(parse_u64(p, offsetof(struct fuse_read_in, offset)), 0);
}

static int note_write(struct parse *p)
{
	uint32_t flags = parse_u32(p, offsetof(struct fuse_write_in, write_flags));

	static_assert(offsetof(struct fuse_write_in, offset) ==
				      offsetof(struct fuse_read_in, offset) &&
			      offsetof(struct fuse_write_in, size) ==
				      offsetof(struct fuse_read_in, size),
		      "check_io serves both");
	p->out->kill_suidgid = flags & FUSE_WRITE_KILL_SUIDGID;
	return check_io(p);
}

static int note_open(struct parse *p)
{
	p->out->open_flags_kill =
		parse_u32(p, offsetof(struct fuse_open_in, open_flags)) & FUSE_OPEN_KILL_SUIDGID;
	return 0;
}

static int note_create(struct parse *p)
{
	p->out->open_flags_kill =
		parse_u32(p, offsetof(struct fuse_create_in, open_flags)) & FUSE_OPEN_KILL_SUIDGID;
	return 0;
}

static int check_setattr(struct parse *p)
{
	const uint32_t known = FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME |
			       FATTR_MTIME | FATTR_FH | FATTR_ATIME_NOW | FATTR_MTIME_NOW |
			       FATTR_CTIME;
	const uint32_t second = 1000000000;
	uint32_t valid = parse_u32(p, offsetof(struct fuse_setattr_in, valid));
	int error = check_range(parse_u64(p, offsetof(struct fuse_setattr_in, size)), 0);

	if (valid & FATTR_SIZE && error)
		return error;
	/*
	 * Beyond a second lie UTIME_NOW and UTIME_OMIT: not the guest's to use, it has bits for
	 * that.
	 */
	if ((valid & FATTR_ATIME &&
	     parse_u32(p, offsetof(struct fuse_setattr_in, atimensec)) >= second) ||
	    (valid & FATTR_MTIME &&
	     parse_u32(p, offsetof(struct fuse_setattr_in, mtimensec)) >= second) ||
	    (valid & FATTR_CTIME &&
	     parse_u32(p, offsetof(struct fuse_setattr_in, ctimensec)) >= second))
		return -EINVAL;
	p->out->kill_suidgid = valid & FATTR_KILL_SUIDGID;
	parse_patch(p, offsetof(struct fuse_setattr_in, valid), valid & known);
	return 0;
}

/* With FUSE_SETXATTR_EXT eight bytes more than libfuse knows lie before the name. */
static int check_setxattr(struct parse *p)
{
	uint32_t flags;

	if (p->fixed == FUSE_COMPAT_SETXATTR_IN_SIZE)
		return 0;
	flags = parse_u32(p, offsetof(struct fuse_setxattr_in, setxattr_flags));
	p->out->acl_kill_sgid = flags & FUSE_SETXATTR_ACL_KILL_SGID;
	p->cut_at = FUSE_COMPAT_SETXATTR_IN_SIZE;
	p->cut_len = p->fixed - FUSE_COMPAT_SETXATTR_IN_SIZE;
	return 0;
}

static int check_lock(struct parse *p)
{
	const size_t lk = offsetof(struct fuse_lk_in, lk);
	uint64_t start = parse_u64(p, lk + offsetof(struct fuse_file_lock, start));
	uint64_t end = parse_u64(p, lk + offsetof(struct fuse_file_lock, end));
	uint32_t type = parse_u32(p, lk + offsetof(struct fuse_file_lock, type));

	if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK)
		return -EINVAL;
	return start <= end && end <= INT64_MAX ? 0 : -EINVAL;
}

static int check_ioctl(struct parse *p)
{
	uint32_t out_size = parse_u32(p, offsetof(struct fuse_ioctl_in, out_size));

	return out_size <= GUARD_IOCTL_MAX ? 0 : -EINVAL;
}

static int check_fallocate(struct parse *p)
{
	return check_range(parse_u64(p, offsetof(struct fuse_fallocate_in, offset)),
			   parse_u64(p, offsetof(struct fuse_fallocate_in, length)));
}

static int check_copy(struct parse *p)
{
	uint64_t len = parse_u64(p, offsetof(struct fuse_copy_file_range_in, len));
	int in = check_range(parse_u64(p, offsetof(struct fuse_copy_file_range_in, off_in)), len);
	int out = check_range(parse_u64(p, offsetof(struct fuse_copy_file_range_in, off_out)), len);

	return in ? in : out;
}

/* --- names and what follows them -------------------------------------------------------------- */

/* Takes one string with its NUL off the rest; its length or negative errno. */
static ssize_t take_string(struct parse *p, size_t max)
{
	size_t left = p->args_len - p->at;
	const uint8_t *text = p->args + p->at;
	const uint8_t *nul = memchr(text, 0, left);
	size_t len;

	if (!nul || nul == text)
		return -EINVAL;
	len = (size_t)(nul - text);
	if (len > max)
		return -ENAMETOOLONG;
	p->at += len + 1;
	return (ssize_t)len;
}

static int take_name(struct parse *p, unsigned flags)
{
	const uint8_t *text = p->args + p->at;
	ssize_t len = take_string(p, GUARD_NAME_MAX);

	if (len < 0)
		return (int)len;
	if (flags & (XATTR_NAME | ANY_NAME))
		return 0;
	if (memchr(text, '/', (size_t)len))
		return -EINVAL;
	if (!(flags & DOTS) && text[0] == '.' && (len == 1 || (len == 2 && text[1] == '.')))
		return -EINVAL;
	return 0;
}

/* Applies the limit of the size field, where there is one. */
static int check_size(struct parse *p, const struct rule *rule)
{
	if (!rule->size_max || parse_u32(p, rule->size_at) <= rule->size_max)
		return 0;
	if (!(rule->flags & CLAMP))
		return -rule->size_error;
	parse_patch(p, rule->size_at, rule->size_max);
	return 0;
}

static int take_trail(struct parse *p, const struct rule *rule)
{
	size_t left = p->args_len - p->at;
	size_t each = rule->trail == TRAIL_FORGETS ? sizeof(struct fuse_forget_one) : 1;
	ssize_t len;

	switch ((enum trail)rule->trail) {
	case TRAIL_NONE:
		return 0;
	case TRAIL_TARGET:
		len = take_string(p, GUARD_TARGET_MAX);
		return len < 0 ? (int)len : 0;
	case TRAIL_BYTES:
	case TRAIL_FORGETS:
		left += p->outside;
		if (left % each || left / each != parse_u32(p, rule->size_at))
			return -EINVAL;
		p->at = p->args_len;
		return 0;
	}
	return -EINVAL;
}

/* Until 7.37 the security context followed the names without being announced in the header. */
static bool extensions_unannounced(const struct parse *p, const struct rule *rule)
{
	return p->terms->minor < 38 && p->terms->flags & FUSE_SECURITY_CTX &&
	       rule->flags & EXTENSIONS;
}

/* Walks over the whole of the arguments. */
static int check_layout(struct parse *p, const struct rule *rule)
{
	int error;

	p->fixed = rule->args;
	if (p->in.opcode == FUSE_SETXATTR && p->terms->flags & FUSE_SETXATTR_EXT)
		p->fixed = sizeof(struct fuse_setxattr_in);
	if (p->args_len < p->fixed)
		return -EINVAL;
	p->at = p->fixed;

	for (unsigned i = 0; i < rule->names; i++) {
		error = take_name(p, rule->flags);
		if (error)
			return error;
	}
	error = take_trail(p, rule);
	if (!error)
		error = check_size(p, rule);
	if (error)
		return error;

	if (extensions_unannounced(p, rule)) {
		p->ext = p->args + p->at;
		p->ext_len = p->args_len - p->at;
		p->args_len = p->at;
	}
	if (p->at != p->args_len && p->in.opcode != FUSE_INIT)
		return -EINVAL;
	return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int check_header(struct parse *p, const struct rule *rule, size_t len)
{
	size_t ext = (size_t)p->in.total_extlen * sizeof(uint64_t);

	if (len > FUSE_REQUEST_MAX || p->outside > FUSE_REQUEST_MAX - len ||
	    p->in.len != len + p->outside || (p->outside && p->in.opcode != FUSE_WRITE))
		return -EINVAL;
	if (!rule || rule->flags & UNUSED)
		return -ENOSYS;
	if (ext && (!(rule->flags & EXTENSIONS) || p->terms->minor < 38 || ext > p->args_len))
		return -EINVAL;
	p->args_len -= ext;
	p->ext = p->args + p->args_len;
	p->ext_len = ext;

	/* -1 is "no change" to setfsuid(2): the request would be carried out as somebody else. */
	if (!(rule->flags & NO_CALLER) && (p->in.uid == UINT32_MAX || p->in.gid == UINT32_MAX))
		return -EINVAL;
	if (!(rule->flags & NO_NODE) && p->in.nodeid == 0)
		return -ESTALE;
	return 0;
}

/* Leaves the request where it is if it can stay as it came, else writes it anew. */
static void settle(struct parse *p, const uint8_t *bytes, uint8_t *scratch)
{
	struct fuse_in_header *in = (struct fuse_in_header *)(void *)scratch;
	uint8_t *args = scratch + sizeof(*in);
	size_t behind = p->cut_at + p->cut_len;

	if (!p->patched && !p->cut_len && !p->ext_len &&
	    (uintptr_t)bytes % alignof(struct fuse_in_header) == 0) {
		p->out->in = (const struct fuse_in_header *)(const void *)bytes;
		p->out->args = p->args;
		p->out->args_len = p->args_len;
		return;
	}
	memcpy(args, p->args, p->cut_at);
	memcpy(args + p->cut_at, p->args + behind, p->args_len - behind);
	if (p->patched)
		memcpy(args + p->patch_at, &p->patch, sizeof(p->patch));
	p->out->args = args;
	p->out->args_len = p->args_len - p->cut_len;

	*in = p->in;
	in->len = (uint32_t)(sizeof(*in) + p->out->args_len);
	in->total_extlen = 0;
	p->out->in = in;
}

void guard_check(const struct guard_terms *terms, const void *bytes, size_t len, size_t outside,
		 uint8_t *scratch, struct guard_result *out)
{
	const struct rule *rule;
	struct parse p = { .terms = terms, .outside = outside, .out = &out->request };
	int error;

	*out = (struct guard_result){ .answered = true };
	memcpy(&p.in, bytes, sizeof(p.in));
	p.args = (const uint8_t *)bytes + sizeof(p.in);
	p.args_len = len - sizeof(p.in);
	out->opcode = p.in.opcode;
	out->unique = p.in.unique;
	rule = rule_of(p.in.opcode);
	if (rule)
		out->answered = !(rule->flags & NO_REPLY);

	error = check_header(&p, rule, len);
	if (!error)
		error = check_layout(&p, rule);
	if (!error && rule->check)
		error = rule->check(&p);
	if (!error && p.ext_len)
		error = guard_extensions(&p);
	if (error) {
		out->request = (struct fuse_request){ 0 };
		out->error = error;
		out->verdict = out->answered ? GUARD_REFUSE : GUARD_DROP;
		return;
	}
	settle(&p, bytes, scratch);
}
