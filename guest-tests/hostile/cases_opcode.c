/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_opcode.c - each opcode cut off at every byte, and with bytes too many or a length that lies.
 *
 * The requests are right before they are spoilt (wire_valid), so that nothing but the length is wrong with them.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "hostile.h"

static const size_t head_len = sizeof(struct fuse_in_header);

/* What a request that is malformed must come to. */
static int refusal(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_BMAP:
	case FUSE_POLL:
	case FUSE_SETUPMAPPING:
	case FUSE_REMOVEMAPPING:
	case FUSE_NOTIFY_REPLY:
		return -ENOSYS;
	default:
		return opcode_has_reply(opcode) ? -EINVAL : BARE;
	}
}

/* An INIT that is cut off is one of an older protocol, where it ends at a border of that. */
static bool older_init(uint32_t opcode, size_t args)
{
	return opcode == FUSE_INIT && (args == 8 || args == 16);
}

static int truncated(struct hostile *h, const struct hostile_case *c)
{
	static struct wire w;
	const uint32_t opcode = (uint32_t)c->arg;
	unsigned tried = 0;

	wire_valid(h, &w, opcode);
	for (size_t args = 0; args < w.len; args++, tried++) {
		int got;

		h->f.unique += 2;
		w.head.unique = h->f.unique;
		w.head.len = (uint32_t)(head_len + args);
		got = wire_send_as_is(h, &w, w.head.len, 4096);
		if (older_init(opcode, args))
			continue;
		if (got != refusal(opcode))
			return wrong(h, "with %zu of %zu bytes: %s instead of %s", args, w.len,
				     result_name(got), result_name(refusal(opcode)));
	}
	if (opcode == FUSE_INIT && session_init(h))
		return wrong(h, "no INIT after it");
	say(h, "%u lengths: %s", tried, result_name(refusal(opcode)));
	return 0;
}

/* The opcode may lie behind the end of what there is of it. */
static int truncated_header(struct hostile *h, const struct hostile_case *c)
{
	static struct wire w;

	(void)c;
	wire_valid(h, &w, FUSE_LOOKUP);
	for (size_t len = 1; len < head_len; len++) {
		int got = wire_send_as_is(h, &w, len, 4096);

		if (got != -EIO)
			return wrong(h, "with %zu bytes: %s", len, result_name(got));
	}
	say(h, "EIO");
	return 0;
}

/* INIT of a later protocol may be longer. */
static bool may_be_longer(uint32_t opcode)
{
	return opcode == FUSE_INIT;
}

static int overlong(struct hostile *h, const struct hostile_case *c)
{
	static struct wire w;
	static const uint8_t more[24];
	const uint32_t opcode = (uint32_t)c->arg;
	uint32_t whole;

	wire_valid(h, &w, opcode);
	whole = (uint32_t)(head_len + w.len);
	for (size_t n = 1; n <= sizeof(more) && !may_be_longer(opcode); n++) {
		int got;

		wire_valid(h, &w, opcode);
		memset(w.args + w.len, 1, n);
		w.len += n;
		got = wire_send(h, &w, 4096);
		if (got != refusal(opcode))
			return wrong(h, "with %zu bytes more: %s", n, result_name(got));
	}
	wire_valid(h, &w, opcode);
	for (unsigned i = 0; i < 7; i++) {
		const uint32_t lies[] = { whole - 1,  whole + 1,  0,	   39,
					  40 + 65536, UINT32_MAX, 1U << 31 };
		int got;

		w.head.len = lies[i];
		w.head.unique = h->f.unique += 2;
		got = wire_send_as_is(h, &w, whole, 4096);
		/* A header alone has no length but one. */
		if (got != refusal(opcode) && got != (opcode_has_reply(opcode) ? -EINVAL : BARE))
			return wrong(h, "with a length of %u: %s", lies[i], result_name(got));
	}
	say(h, "%s", result_name(refusal(opcode)));
	return 0;
}

#define EACH(text, op)                                                                             \
	{ .name = text " is cut off at every byte",                                                \
	  .run = truncated,                                                                        \
	  .arg = (op),                                                                             \
	  .lines = (op) == FUSE_INIT ? 6 : 0 },                                                    \
	{                                                                                          \
		.name = text " has bytes behind it, or a length that lies", .run = overlong,       \
		.arg = (op)                                                                        \
	}

static const struct hostile_case cases[] = {
	{ .name = "a header is cut off at every byte", .run = truncated_header },
	EACH("LOOKUP", FUSE_LOOKUP),
	EACH("FORGET", FUSE_FORGET),
	EACH("GETATTR", FUSE_GETATTR),
	EACH("SETATTR", FUSE_SETATTR),
	EACH("READLINK", FUSE_READLINK),
	EACH("SYMLINK", FUSE_SYMLINK),
	EACH("MKNOD", FUSE_MKNOD),
	EACH("MKDIR", FUSE_MKDIR),
	EACH("UNLINK", FUSE_UNLINK),
	EACH("RMDIR", FUSE_RMDIR),
	EACH("RENAME", FUSE_RENAME),
	EACH("LINK", FUSE_LINK),
	EACH("OPEN", FUSE_OPEN),
	EACH("READ", FUSE_READ),
	EACH("WRITE", FUSE_WRITE),
	EACH("STATFS", FUSE_STATFS),
	EACH("RELEASE", FUSE_RELEASE),
	EACH("FSYNC", FUSE_FSYNC),
	EACH("SETXATTR", FUSE_SETXATTR),
	EACH("GETXATTR", FUSE_GETXATTR),
	EACH("LISTXATTR", FUSE_LISTXATTR),
	EACH("REMOVEXATTR", FUSE_REMOVEXATTR),
	EACH("FLUSH", FUSE_FLUSH),
	EACH("INIT", FUSE_INIT),
	EACH("OPENDIR", FUSE_OPENDIR),
	EACH("READDIR", FUSE_READDIR),
	EACH("RELEASEDIR", FUSE_RELEASEDIR),
	EACH("FSYNCDIR", FUSE_FSYNCDIR),
	EACH("GETLK", FUSE_GETLK),
	EACH("SETLK", FUSE_SETLK),
	EACH("SETLKW", FUSE_SETLKW),
	EACH("ACCESS", FUSE_ACCESS),
	EACH("CREATE", FUSE_CREATE),
	EACH("INTERRUPT", FUSE_INTERRUPT),
	EACH("BMAP", FUSE_BMAP),
	EACH("DESTROY", FUSE_DESTROY),
	EACH("IOCTL", FUSE_IOCTL),
	EACH("POLL", FUSE_POLL),
	EACH("NOTIFY_REPLY", FUSE_NOTIFY_REPLY),
	EACH("BATCH_FORGET", FUSE_BATCH_FORGET),
	EACH("FALLOCATE", FUSE_FALLOCATE),
	EACH("READDIRPLUS", FUSE_READDIRPLUS),
	EACH("RENAME2", FUSE_RENAME2),
	EACH("LSEEK", FUSE_LSEEK),
	EACH("COPY_FILE_RANGE", FUSE_COPY_FILE_RANGE),
	EACH("SETUPMAPPING", FUSE_SETUPMAPPING),
	EACH("REMOVEMAPPING", FUSE_REMOVEMAPPING),
	EACH("SYNCFS", FUSE_SYNCFS),
	EACH("TMPFILE", FUSE_TMPFILE),
	EACH("STATX", FUSE_OP_STATX),
};

const struct hostile_area area_opcode = { "opcode", cases, ARRAY_LEN(cases) };
