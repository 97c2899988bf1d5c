/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_wire.c - opcodes that are none, the life of a session out of order, callers and nodes that are none.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "hostile.h"

static struct wire w;

static int unknown(struct hostile *h, const struct hostile_case *c)
{
	wire_begin(&w, (uint32_t)c->arg, h->known);
	if (c->arg2)
		wire_add(&w, (uint8_t[16]){ 0 }, 16);
	return expect(h, "the reply", wire_send(h, &w, 4096), -ENOSYS);
}

static int init_form(struct hostile *h, uint32_t major, uint32_t minor, size_t args)
{
	const struct fuse_init_in in = {
		.major = major, .minor = minor, .flags = UINT32_MAX, .flags2 = UINT32_MAX
	};

	wire_begin(&w, FUSE_INIT, 0);
	wire_add(&w, &in, args);
	return wire_send(h, &w, sizeof(struct fuse_init_out));
}

/* A request in a session that is not begun. */
static int refused_before_init(struct hostile *h, uint32_t opcode)
{
	int got;

	wire_valid(h, &w, opcode);
	got = wire_send(h, &w, 4096);
	return expect(h, opcode_name(opcode), got, opcode_has_reply(opcode) ? -EIO : BARE);
}

static int all_refused(struct hostile *h)
{
	for (uint32_t opcode = 1; opcode <= FUSE_OP_STATX; opcode++) {
		const bool unused = opcode == FUSE_BMAP || opcode == FUSE_POLL ||
				    opcode == FUSE_NOTIFY_REPLY || opcode == FUSE_SETUPMAPPING ||
				    opcode == FUSE_REMOVEMAPPING;

		/* SETXATTR has another form there. */
		if (opcode_name(opcode) && opcode != FUSE_INIT && opcode != FUSE_SETXATTR &&
		    !unused && refused_before_init(h, opcode))
			return -1;
	}
	return 0;
}

/* A connection of our own that has sent no INIT. */
static int before_init(struct hostile *h, const struct hostile_case *c)
{
	int ret;

	(void)c;
	h->known = 12345;
	for (unsigned i = 0; i < h->dev.ring_count; i++) {
		ret = fedevice_ring_start(&h->dev, i, 0);
		if (ret)
			return wrong(h, "a ring does not start");
	}
	ret = fefuse_open(&h->f, &h->dev, 0, 2);
	h->f.timeout_ms = CASE_TIMEOUT_MS;
	if (ret || all_refused(h))
		return ret ? wrong(h, "no slots") : -1;
	ret = session_init(h);
	return ret ? expect(h, "INIT after them", ret, 0) : session_innocent(h);
}

static int after_destroy(struct hostile *h, const struct hostile_case *c)
{
	uint64_t fh;

	(void)c;
	if (fecall_open(&h->f, h->known, O_RDONLY, &fh) || fecall_destroy(&h->f))
		return wrong(h, "no DESTROY");
	if (all_refused(h))
		return -1;
	if (expect(h, "INIT after DESTROY", session_init(h), 0))
		return -1;
	return expect(h, "READ by an fh of before", fecall_read(&h->f, h->known, fh, 0, &fh, 4),
		      -EBADF);
}

static int init_twice(struct hostile *h, const struct hostile_case *c)
{
	uint64_t fh;

	(void)c;
	if (fecall_open(&h->f, h->known, O_RDONLY, &fh))
		return wrong(h, "open failed");
	if (expect(h, "the second INIT", session_init(h), 0))
		return -1;
	return expect(h, "READ by an fh of before", fecall_read(&h->f, h->known, fh, 0, &fh, 4),
		      -EBADF);
}

/* INIT of another version; what it comes to is in arg2, negated. Then a right one. */
static int other_init(struct hostile *h, const struct hostile_case *c)
{
	const uint32_t major = (uint32_t)(c->arg >> 32);
	const uint32_t minor = (uint32_t)c->arg;
	const size_t args = c->data ? *(const size_t *)c->data : sizeof(struct fuse_init_in);
	struct fuse_init_out out;
	int got = init_form(h, major, minor, args);

	if (expect(h, "INIT", got, -(int)c->arg2))
		return -1;
	if (!got) {
		memcpy(&out, wire_reply, sizeof(out));
		if (wire_reply_len < 8 || out.major != FUSE_KERNEL_VERSION)
			return wrong(h, "INIT speaks of version %u", out.major);
	}
	/* With a higher major the session is not begun by that. */
	if (major != FUSE_KERNEL_VERSION && refused_before_init(h, FUSE_GETATTR))
		return -1;
	return expect(h, "INIT after it", session_init(h), 0);
}

static int init_without_flags(struct hostile *h, const struct hostile_case *c)
{
	const struct fuse_init_in in = { .major = FUSE_KERNEL_VERSION,
					 .minor = FUSE_KERNEL_MINOR_VERSION };

	(void)c;
	wire_begin(&w, FUSE_INIT, 0);
	wire_add(&w, &in, sizeof(in));
	if (expect(h, "INIT", wire_send(h, &w, 256), -EOPNOTSUPP))
		return -1;
	return expect(h, "INIT after it", session_init(h), 0);
}

static int many_inits(struct hostile *h, const struct hostile_case *c)
{
	uint64_t fh;

	(void)c;
	for (unsigned i = 0; i < 300; i++)
		if (session_init(h) || fecall_open(&h->f, h->known, O_RDONLY, &fh))
			return wrong(h, "number %u failed", i);
	say(h, "300, each with a file left open");
	return 0;
}

static int bad_caller(struct hostile *h, const struct hostile_case *c)
{
	wire_valid(h, &w, FUSE_CREATE);
	w.head.uid = c->arg ? UINT32_MAX : 0;
	w.head.gid = c->arg ? 0 : UINT32_MAX;
	if (expect(h, "CREATE", wire_send(h, &w, 4096), -EINVAL))
		return -1;
	return host_has(h, "made-file") ? wrong(h, "the file was made") : 0;
}

static int node_zero(struct hostile *h, const struct hostile_case *c)
{
	static const uint32_t all[] = { FUSE_LOOKUP,  FUSE_GETATTR, FUSE_SETATTR, FUSE_READLINK,
					FUSE_OPEN,    FUSE_OPENDIR, FUSE_STATFS,  FUSE_ACCESS,
					FUSE_MKDIR,   FUSE_UNLINK,  FUSE_SYNCFS,  FUSE_TMPFILE,
					FUSE_OP_STATX };

	(void)c;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		wire_valid(h, &w, all[i]);
		w.head.nodeid = 0;
		if (expect(h, opcode_name(all[i]), wire_send(h, &w, 4096), -ESTALE))
			return -1;
	}
	return 0;
}

/* unique of all kinds means nothing to us. */
static int odd_unique(struct hostile *h, const struct hostile_case *c)
{
	static const uint64_t all[] = { 0, 1, UINT64_MAX, 1ULL << 63 };

	(void)c;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		wire_valid(h, &w, FUSE_GETATTR);
		w.head.unique = all[i];
		w.head.len = (uint32_t)(sizeof(w.head) + w.len);
		if (expect(h, "GETATTR", wire_send_as_is(h, &w, w.head.len, 4096), 0))
			return -1;
	}
	return 0;
}

#define VERSION(major, minor) ((uint64_t)(major) << 32 | (minor))
static const size_t four = 4;
static const size_t eight = 8;
static const size_t twelve = 12;
static const size_t twenty = 20;

static const struct hostile_case cases[] = {
	{ .name = "opcode 0", .run = unknown, .arg = 0 },
	{ .name = "opcode 7, that was never one", .run = unknown, .arg = 7 },
	{ .name = "opcode 53, past the last", .run = unknown, .arg = 53 },
	{ .name = "opcode 200", .run = unknown, .arg = 200, .arg2 = 1 },
	{ .name = "opcode 2^32-1", .run = unknown, .arg = UINT32_MAX },
	{ .name = "opcode CUSE_INIT", .run = unknown, .arg = 4096, .arg2 = 1 },
	{ .name = "opcode CUSE_INIT with its bytes swapped", .run = unknown, .arg = 1048576 },
	{ .name = "any request before INIT", .run = before_init, .stage = WITH_MEMORY },
	{ .name = "any request after DESTROY, and INIT again", .run = after_destroy },
	{ .name = "INIT twice", .run = init_twice },
	{ .name = "INIT three hundred times with files open", .run = many_inits },
	{ .name = "INIT of 4 bytes",
	  .run = other_init,
	  .arg = VERSION(7, 38),
	  .arg2 = EINVAL,
	  .data = &four },
	{ .name = "INIT of 8 bytes",
	  .run = other_init,
	  .arg = VERSION(7, 38),
	  .arg2 = EPROTO,
	  .lines = 1,
	  .data = &eight },
	{ .name = "INIT of 12 bytes",
	  .run = other_init,
	  .arg = VERSION(7, 38),
	  .arg2 = EINVAL,
	  .data = &twelve },
	{ .name = "INIT of 20 bytes",
	  .run = other_init,
	  .arg = VERSION(7, 38),
	  .arg2 = EINVAL,
	  .data = &twenty },
	{ .name = "INIT of major 8", .run = other_init, .arg = VERSION(8, 0) },
	{ .name = "INIT of major 2^32-1",
	  .run = other_init,
	  .arg = VERSION(UINT32_MAX, UINT32_MAX) },
	{ .name = "INIT of major 6",
	  .run = other_init,
	  .arg = VERSION(6, 99),
	  .arg2 = EPROTO,
	  .lines = 1 },
	{ .name = "INIT of major 0",
	  .run = other_init,
	  .arg = VERSION(0, 0),
	  .arg2 = EPROTO,
	  .lines = 1 },
	{ .name = "INIT of minor 0",
	  .run = other_init,
	  .arg = VERSION(7, 0),
	  .arg2 = EPROTO,
	  .lines = 1 },
	{ .name = "INIT of minor 2^32-1", .run = other_init, .arg = VERSION(7, UINT32_MAX) },
	{ .name = "INIT that offers nothing", .run = init_without_flags, .lines = 1 },
	{ .name = "a caller of uid 2^32-1", .run = bad_caller, .arg = 1 },
	{ .name = "a caller of gid 2^32-1", .run = bad_caller, .arg = 0 },
	{ .name = "any request on nodeid 0", .run = node_zero },
	{ .name = "uniques 0, 1 and 2^64-1", .run = odd_unique },
};

const struct hostile_area area_wire = { "wire", cases, ARRAY_LEN(cases) };
