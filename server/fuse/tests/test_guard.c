/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_guard.c - the wire guard, fed with requests that end where readable memory ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/util.h"
#include "fuse/guard.h"

#define HEADER sizeof(struct fuse_in_header)
#define ROOM ((size_t)2 << 20) /* bytes before the page that cannot be read */

static uint8_t *edge;	 /* first byte that cannot be read */
static uint8_t *scratch; /* ends at a page that cannot be written */

static uint8_t *edge_new(size_t room)
{
	uint8_t *map =
		mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(map != MAP_FAILED);
	assert_int_equal(mprotect(map + room, 4096, PROT_NONE), 0);
	return map + room;
}

static int setup(void **state)
{
	(void)state;
	edge = edge_new(ROOM);
	scratch = edge_new(FUSE_REQUEST_MAX) - FUSE_REQUEST_MAX;
	return 0;
}

/* --- building requests ------------------------------------------------------------------------ */

struct request {
	uint8_t *bytes;
	size_t len;
};

static uint8_t *building;

static struct request start(uint32_t opcode)
{
	struct fuse_in_header in = { .opcode = opcode,
				     .unique = 0x1122334455667788,
				     .nodeid = 7,
				     .uid = 1000,
				     .gid = 1000,
				     .pid = 42 };
	struct request r = { .len = HEADER };

	if (!building)
		building = malloc(ROOM);
	assert_non_null(building);
	r.bytes = building;
	memcpy(r.bytes, &in, HEADER);
	return r;
}

static void add(struct request *r, const void *data, size_t len)
{
	assert_true(r->len + len <= ROOM);
	memcpy(r->bytes + r->len, data, len);
	r->len += len;
}

static void add_zero(struct request *r, size_t len)
{
	assert_true(r->len + len <= ROOM);
	memset(r->bytes + r->len, 0, len);
	r->len += len;
}

static void add_u32(struct request *r, uint32_t v)
{
	add(r, &v, sizeof(v));
}

static void add_string(struct request *r, const char *s)
{
	add(r, s, strlen(s) + 1);
}

static void add_fill(struct request *r, char c, size_t len)
{
	assert_true(r->len + len <= ROOM);
	memset(r->bytes + r->len, c, len);
	r->len += len;
}

static void put_u32(struct request *r, size_t at, uint32_t v)
{
	memcpy(r->bytes + HEADER + at, &v, sizeof(v));
}

static void put_u64(struct request *r, size_t at, uint64_t v)
{
	memcpy(r->bytes + HEADER + at, &v, sizeof(v));
}

static struct fuse_in_header header(const struct request *r)
{
	struct fuse_in_header in;

	memcpy(&in, r->bytes, HEADER);
	return in;
}

static void set_header(struct request *r, const struct fuse_in_header *in)
{
	memcpy(r->bytes, in, HEADER);
}

static const struct guard_terms today = {
	.flags = FUSE_SETXATTR_EXT | FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP, .minor = 38
};
static const struct guard_terms plain = { .minor = 38 };
static const struct guard_terms older = { .flags = FUSE_SECURITY_CTX, .minor = 37 };

/* Judges the first `len` bytes, which say that they are `says`, at the edge of memory. */
static struct guard_result judge_as(const struct guard_terms *terms, struct request r, size_t len,
				    uint32_t says)
{
	struct fuse_in_header in = header(&r);
	struct guard_result result;

	in.len = says;
	set_header(&r, &in);
	memcpy(edge - len, r.bytes, len);
	guard_check(terms, edge - len, len, 0, scratch, &result);
	if (result.verdict == GUARD_PASS) {
		assert_non_null(result.request.in);
		assert_int_equal((uintptr_t)result.request.in % 8, 0);
		assert_int_equal(result.request.in->len, HEADER + result.request.args_len);
		assert_int_equal(result.request.in->total_extlen, 0);
		assert_ptr_equal(result.request.args, result.request.in + 1);
		assert_int_equal(result.request.in->opcode, in.opcode);
		assert_int_equal(result.request.in->nodeid, in.nodeid);
	} else {
		assert_null(result.request.in);
		assert_null(result.request.secctx_name);
		assert_true(result.error < 0);
	}
	assert_true(result.unique == in.unique);
	return result;
}

static struct guard_result judge(const struct guard_terms *terms, struct request r)
{
	return judge_as(terms, r, r.len, (uint32_t)r.len);
}

static int verdict(const struct guard_terms *terms, struct request r)
{
	return judge(terms, r).error;
}

/* --- a good request of each opcode ------------------------------------------------------------ */

struct sample {
	uint32_t opcode;
	const char *name;
	size_t args;
	const char *tail; /* names, bytes: what follows the arguments */
	size_t tail_len;
	size_t size_at; /* where the arguments say how long the tail is; 0 at 0 with has_size */
	bool has_size;
	uint32_t size;
};

#define TAIL(s) .tail = (s), .tail_len = sizeof(s)
#define SAMPLE(op, ...)                                                                            \
	{                                                                                          \
		.opcode = FUSE_##op, .name = #op, __VA_ARGS__                                      \
	}
static const struct sample samples[] = {
	SAMPLE(LOOKUP, TAIL("name")),
	SAMPLE(FORGET, .args = 8),
	SAMPLE(GETATTR, .args = 16),
	SAMPLE(SETATTR, .args = 88),
	SAMPLE(READLINK, .args = 0),
	SAMPLE(SYMLINK, TAIL("name\0target")),
	SAMPLE(MKNOD, .args = 16, TAIL("name")),
	SAMPLE(MKDIR, .args = 8, TAIL("name")),
	SAMPLE(UNLINK, TAIL("name")),
	SAMPLE(RMDIR, TAIL("name")),
	SAMPLE(RENAME, .args = 8, TAIL("from\0to")),
	SAMPLE(LINK, .args = 8, TAIL("name")),
	SAMPLE(OPEN, .args = 8),
	SAMPLE(READ, .args = 40),
	SAMPLE(WRITE, .args = 40, TAIL("data\0data"), .has_size = true, .size_at = 16, .size = 10),
	SAMPLE(STATFS, .args = 0),
	SAMPLE(RELEASE, .args = 24),
	SAMPLE(FSYNC, .args = 16),
	SAMPLE(SETXATTR, .args = 16, TAIL("user.a\0value"), .has_size = true, .size = 6),
	SAMPLE(GETXATTR, .args = 8, TAIL("user.a")),
	SAMPLE(LISTXATTR, .args = 8),
	SAMPLE(REMOVEXATTR, TAIL("user.a")),
	SAMPLE(FLUSH, .args = 24),
	SAMPLE(OPENDIR, .args = 8),
	SAMPLE(READDIR, .args = 40),
	SAMPLE(RELEASEDIR, .args = 24),
	SAMPLE(FSYNCDIR, .args = 16),
	SAMPLE(GETLK, .args = 48),
	SAMPLE(SETLK, .args = 48),
	SAMPLE(SETLKW, .args = 48),
	SAMPLE(ACCESS, .args = 8),
	SAMPLE(CREATE, .args = 16, TAIL("name")),
	SAMPLE(INTERRUPT, .args = 8),
	SAMPLE(DESTROY, .args = 0),
	SAMPLE(IOCTL, .args = 32, TAIL("abc"), .has_size = true, .size_at = 24, .size = 4),
	SAMPLE(BATCH_FORGET, .args = 8,
	       TAIL("0123456789abcde\0"
		    "0123456789abcde"),
	       .has_size = true, .size = 2),
	SAMPLE(FALLOCATE, .args = 32),
	SAMPLE(READDIRPLUS, .args = 40),
	SAMPLE(RENAME2, .args = 16, TAIL("from\0to")),
	SAMPLE(LSEEK, .args = 24),
	SAMPLE(COPY_FILE_RANGE, .args = 56),
	SAMPLE(SYNCFS, .args = 8),
	SAMPLE(TMPFILE, .args = 16, TAIL("/")),
	SAMPLE(OP_STATX, .args = 24),
};

static struct request build(const struct sample *s)
{
	struct request r = start(s->opcode);

	add_zero(&r, s->args);
	if (s->has_size)
		put_u32(&r, s->size_at, s->size);
	if (s->tail)
		add(&r, s->tail, s->tail_len);
	return r;
}

static struct request build_opcode(uint32_t opcode)
{
	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		if (samples[i].opcode == opcode)
			return build(&samples[i]);
	fail_msg("no sample of opcode %u", opcode);
	return start(opcode);
}

static bool unanswered(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

static void assert_malformed(const struct guard_result *result)
{
	assert_int_equal(result->error, -EINVAL);
	assert_int_equal(result->verdict, unanswered(result->opcode) ? GUARD_DROP : GUARD_REFUSE);
}

static void test_a_good_request_of_each_opcode_passes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct request r = build(&samples[i]);
		struct guard_result result = judge(&today, r);

		if (result.verdict != GUARD_PASS)
			fail_msg("%s: %s", samples[i].name, strerror(-result.error));
		assert_int_equal(result.answered, !unanswered(samples[i].opcode));
	}
}

static void test_each_opcode_truncated_at_every_byte_is_einval(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct request r = build(&samples[i]);

		for (size_t len = HEADER; len < r.len; len++) {
			struct guard_result lying = judge_as(&today, r, len, (uint32_t)r.len);
			struct guard_result honest = judge_as(&today, r, len, (uint32_t)len);

			assert_malformed(&lying);
			assert_malformed(&honest);
		}
	}
}

static void test_each_opcode_with_bytes_left_over_is_einval(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		for (size_t extra = 1; extra < 20; extra++) {
			struct request r = build(&samples[i]);
			struct guard_result result;

			add_fill(&r, 'x', extra);
			result = judge(&today, r);
			assert_malformed(&result);
			r = build(&samples[i]);
			add_zero(&r, extra);
			result = judge(&today, r);
			assert_malformed(&result);
		}
	}
}

static void test_a_header_length_that_lies_is_einval(void **state)
{
	const uint32_t lies[] = { 0, 1, 39, 40, 0x7fffffff, 0xffffffff, 0x100000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct request r = build(&samples[i]);
		struct guard_result result;

		for (size_t k = 0; k < ARRAY_LEN(lies); k++) {
			if (lies[k] == r.len)
				continue;
			result = judge_as(&today, r, r.len, lies[k]);
			assert_malformed(&result);
		}
		result = judge_as(&today, r, r.len, (uint32_t)r.len + 1);
		assert_malformed(&result);
		result = judge_as(&today, r, r.len, (uint32_t)r.len - 1);
		assert_malformed(&result);
	}
}

static void test_unknown_and_unused_opcodes_are_enosys(void **state)
{
	const uint32_t opcodes[] = { 0,
				     7,
				     19,
				     FUSE_BMAP,
				     FUSE_POLL,
				     FUSE_NOTIFY_REPLY,
				     FUSE_SETUPMAPPING,
				     FUSE_REMOVEMAPPING,
				     FUSE_OP_MAX,
				     54,
				     200,
				     CUSE_INIT,
				     CUSE_INIT_BSWAP_RESERVED,
				     FUSE_INIT_BSWAP_RESERVED,
				     0x7fffffff,
				     0xffffffff };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++) {
		for (size_t args = 0; args < 100; args++) {
			struct request r = start(opcodes[i]);

			add_fill(&r, 'x', args);
			assert_int_equal(judge(&today, r).verdict, GUARD_REFUSE);
			assert_int_equal(verdict(&today, r), -ENOSYS);
		}
	}
}

static void test_malformed_requests_that_get_no_reply_are_dropped(void **state)
{
	struct request r = start(FUSE_FORGET);

	(void)state;
	assert_int_equal(judge(&today, r).verdict, GUARD_DROP);
	r = start(FUSE_INTERRUPT);
	add_zero(&r, 7);
	assert_int_equal(judge(&today, r).verdict, GUARD_DROP);
	r = start(FUSE_BATCH_FORGET);
	add_u32(&r, 0xffffffff);
	add_u32(&r, 0);
	add_zero(&r, 32);
	assert_int_equal(judge(&today, r).verdict, GUARD_DROP);
}

/* --- names ------------------------------------------------------------------------------------ */

static const uint32_t naming[] = {
	FUSE_LOOKUP, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR,  FUSE_UNLINK,
	FUSE_RMDIR,  FUSE_RENAME,  FUSE_LINK,  FUSE_CREATE, FUSE_RENAME2
};

/* A request of `opcode` whose last (or only) name is these bytes. */
static struct request named(uint32_t opcode, const void *bytes, size_t len, bool first)
{
	struct request r = start(opcode);
	bool two = opcode == FUSE_RENAME || opcode == FUSE_RENAME2 || opcode == FUSE_SYMLINK;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		if (samples[i].opcode == opcode)
			add_zero(&r, samples[i].args);
	if (two && !first)
		add_string(&r, "other");
	add(&r, bytes, len);
	if (two && first)
		add_string(&r, "other");
	return r;
}

static void each_name(const char *name, size_t len, int error)
{
	for (size_t i = 0; i < ARRAY_LEN(naming); i++) {
		for (int first = 0; first < 2; first++) {
			if (naming[i] == FUSE_SYMLINK && !first)
				continue; /* a target, not a name */
			if (verdict(&today, named(naming[i], name, len, first)) != error)
				fail_msg("%s: '%.40s' (%zu bytes) is not %d",
					 guard_opcode_name(naming[i]), name, len, error);
		}
	}
}

static void test_names_that_are_paths_or_empty_are_einval(void **state)
{
	const char *bad[] = { "", "/", "a/b", "/etc/passwd", "a/", "../x", "./" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		each_name(bad[i], strlen(bad[i]) + 1, -EINVAL);
}

static void test_dot_and_dotdot_are_for_lookup_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(naming); i++) {
		int want = naming[i] == FUSE_LOOKUP ? 0 : -EINVAL;

		assert_int_equal(verdict(&today, named(naming[i], ".", 2, true)), want);
		assert_int_equal(verdict(&today, named(naming[i], "..", 3, true)), want);
	}
	each_name("...", 4, 0);
	each_name(".a", 3, 0);
}

static void test_names_with_odd_bytes_are_legal(void **state)
{
	(void)state;
	each_name("\xff\xfe\x80", 4, 0);
	each_name("\x01\x02\n\t\x7f", 6, 0);
	each_name("a b", 4, 0);
	each_name("\\", 2, 0);
}

static void test_names_over_255_bytes_are_enametoolong(void **state)
{
	char name[5000];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	each_name(name, 256, 0);
	name[255] = 'n';
	name[256] = '\0';
	each_name(name, 257, -ENAMETOOLONG);
	name[256] = 'n';
	name[4095] = '\0';
	each_name(name, 4096, -ENAMETOOLONG);
}

static void test_a_name_without_nul_is_einval(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(naming); i++)
		assert_int_equal(verdict(&today, named(naming[i], "name", 4, false)), -EINVAL);
}

static void test_a_nul_inside_a_name_is_einval(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(naming); i++) {
		assert_int_equal(verdict(&today, named(naming[i], "na\0me", 6, true)), -EINVAL);
		assert_int_equal(verdict(&today, named(naming[i], "na\0me", 6, false)), -EINVAL);
		assert_int_equal(verdict(&today, named(naming[i], "name\0", 6, false)), -EINVAL);
	}
}

static void test_one_name_where_two_are_due_is_einval(void **state)
{
	const uint32_t two[] = { FUSE_RENAME, FUSE_RENAME2, FUSE_SYMLINK };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(two); i++) {
		struct request r = build_opcode(two[i]);

		r.len -= strlen("target") + 1 -
			 (two[i] == FUSE_SYMLINK ? 0 : strlen("target") - strlen("to"));
		assert_int_equal(verdict(&today, r), -EINVAL);
	}
}

static void test_a_symlink_target_may_be_anything_of_up_to_4095_bytes(void **state)
{
	const char *good[] = { "/", "..", "../../etc/passwd", "/proc/self/fd/3", "\xff\n" };
	char target[4097];
	struct request r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(verdict(&today,
					 named(FUSE_SYMLINK, good[i], strlen(good[i]) + 1, false)),
				 0);
	assert_int_equal(verdict(&today, named(FUSE_SYMLINK, "", 1, false)), -EINVAL);

	memset(target, 't', sizeof(target));
	target[4095] = '\0';
	assert_int_equal(verdict(&today, named(FUSE_SYMLINK, target, 4096, false)), 0);
	target[4095] = 't';
	target[4096] = '\0';
	r = named(FUSE_SYMLINK, target, 4097, false);
	assert_int_equal(verdict(&today, r), -ENAMETOOLONG);
}

static void test_xattr_names_may_have_slashes_but_have_their_limits(void **state)
{
	char name[257];
	struct request r = start(FUSE_REMOVEXATTR);

	(void)state;
	add_string(&r, "user.a/b/..");
	assert_int_equal(verdict(&today, r), 0);
	r = start(FUSE_REMOVEXATTR);
	add_string(&r, "");
	assert_int_equal(verdict(&today, r), -EINVAL);
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	r = start(FUSE_GETXATTR);
	add_zero(&r, 8);
	add_string(&r, name);
	assert_int_equal(verdict(&today, r), -ENAMETOOLONG);
}

/* --- sizes and offsets ------------------------------------------------------------------------ */

static struct request write_of(uint32_t says, size_t has)
{
	struct request r = start(FUSE_WRITE);

	add_zero(&r, 40);
	put_u32(&r, 16, says);
	add_fill(&r, 'd', has);
	return r;
}

static void test_write_must_say_how_much_it_brings(void **state)
{
	(void)state;
	assert_int_equal(verdict(&today, write_of(0, 0)), 0);
	assert_int_equal(verdict(&today, write_of(1 << 20, 1 << 20)), 0);
	assert_int_equal(verdict(&today, write_of(11, 10)), -EINVAL);
	assert_int_equal(verdict(&today, write_of(10, 11)), -EINVAL);
	assert_int_equal(verdict(&today, write_of(0xffffffff, 10)), -EINVAL);
	assert_int_equal(verdict(&today, write_of(0, 10)), -EINVAL);
	assert_int_equal(verdict(&today, write_of((1 << 20) + 1, (1 << 20) + 1)), -EINVAL);
}

static void test_read_of_more_than_1_mib_is_einval(void **state)
{
	struct request r = build_opcode(FUSE_READ);

	(void)state;
	put_u32(&r, 16, 1 << 20);
	assert_int_equal(verdict(&today, r), 0);
	put_u32(&r, 16, (1 << 20) + 1);
	assert_int_equal(verdict(&today, r), -EINVAL);
	put_u32(&r, 16, 0xffffffff);
	assert_int_equal(verdict(&today, r), -EINVAL);
}

static void test_sizes_of_readdir_and_xattrs_are_brought_down_to_the_limit(void **state)
{
	const struct {
		uint32_t opcode;
		size_t at;
		uint32_t max;
	} cases[] = {
		{ FUSE_READDIR, 16, GUARD_IO_MAX },
		{ FUSE_READDIRPLUS, 16, GUARD_IO_MAX },
		{ FUSE_GETXATTR, 0, GUARD_XATTR_MAX },
		{ FUSE_LISTXATTR, 0, GUARD_XATTR_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request r = build_opcode(cases[i].opcode);
		struct guard_result result;
		uint32_t size;

		put_u32(&r, cases[i].at, 0xffffffff);
		result = judge(&today, r);
		assert_int_equal(result.verdict, GUARD_PASS);
		memcpy(&size, result.request.args + cases[i].at, sizeof(size));
		assert_int_equal(size, cases[i].max);
		put_u32(&r, cases[i].at, cases[i].max - 1);
		result = judge(&today, r);
		memcpy(&size, result.request.args + cases[i].at, sizeof(size));
		assert_int_equal(size, cases[i].max - 1);
	}
}

static void test_offsets_that_are_negative_or_overflow_are_einval(void **state)
{
	/* opcode, where the offset is, where a 64-bit length is (0: none) */
	const struct {
		uint32_t opcode;
		size_t at, length_at;
	} cases[] = {
		{ FUSE_READ, 8, 0 },
		{ FUSE_WRITE, 8, 0 },
		{ FUSE_READDIR, 8, 0 },
		{ FUSE_READDIRPLUS, 8, 0 },
		{ FUSE_FALLOCATE, 8, 16 },
		{ FUSE_COPY_FILE_RANGE, 8, 40 },
		{ FUSE_COPY_FILE_RANGE, 32, 40 },
	};
	const uint64_t top = INT64_MAX;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct request r = build_opcode(cases[i].opcode);

		put_u64(&r, cases[i].at, UINT64_MAX);
		assert_int_equal(verdict(&today, r), -EINVAL);
		put_u64(&r, cases[i].at, top + 1);
		assert_int_equal(verdict(&today, r), -EINVAL);
		if (!cases[i].length_at)
			continue;
		put_u64(&r, cases[i].at, top);
		assert_int_equal(verdict(&today, r), 0);
		put_u64(&r, cases[i].length_at, 1);
		assert_int_equal(verdict(&today, r), -EINVAL);
		put_u64(&r, cases[i].length_at, UINT64_MAX);
		put_u64(&r, cases[i].at, 1);
		assert_int_equal(verdict(&today, r), -EINVAL);
	}
}

static void test_reads_and_writes_may_not_end_beyond_2_63(void **state)
{
	const uint64_t top = INT64_MAX;
	struct request r = build_opcode(FUSE_READ);

	(void)state;
	put_u32(&r, 16, 4096);
	put_u64(&r, 8, top - 4096);
	assert_int_equal(verdict(&today, r), 0);
	put_u64(&r, 8, top - 4095);
	assert_int_equal(verdict(&today, r), -EINVAL);
	r = write_of(4096, 4096);
	put_u64(&r, 8, top - 4095);
	assert_int_equal(verdict(&today, r), -EINVAL);
}

static void test_the_last_cookie_of_a_directory_is_legal(void **state)
{
	struct request r = build_opcode(FUSE_READDIRPLUS);

	(void)state;
	put_u32(&r, 16, 4096);
	put_u64(&r, 8, INT64_MAX);
	assert_int_equal(verdict(&today, r), 0);
}

static void test_batch_forget_must_bring_as_many_as_it_counts(void **state)
{
	const uint32_t lies[] = { 0, 1, 3, 0x10000001, 0x10000002, 0xffffffff };
	struct request r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		r = build_opcode(FUSE_BATCH_FORGET);
		put_u32(&r, 0, lies[i]);
		assert_int_equal(judge(&today, r).verdict, GUARD_DROP);
	}
}

static void test_ioctl_sizes_are_bounded_and_true(void **state)
{
	struct request r = build_opcode(FUSE_IOCTL);

	(void)state;
	put_u32(&r, 24, 5);
	assert_int_equal(verdict(&today, r), -EINVAL);
	put_u32(&r, 24, 0xffffffff);
	assert_int_equal(verdict(&today, r), -EINVAL);
	r = build_opcode(FUSE_IOCTL);
	put_u32(&r, 28, GUARD_IOCTL_MAX);
	assert_int_equal(verdict(&today, r), 0);
	put_u32(&r, 28, GUARD_IOCTL_MAX + 1);
	assert_int_equal(verdict(&today, r), -EINVAL);
	r = start(FUSE_IOCTL);
	add_zero(&r, 32);
	put_u32(&r, 24, GUARD_IOCTL_MAX + 1);
	add_zero(&r, GUARD_IOCTL_MAX + 1);
	assert_int_equal(verdict(&today, r), -EINVAL);
}

static void test_lock_ranges_and_types_must_make_sense(void **state)
{
	const uint32_t opcodes[] = { FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(opcodes); i++) {
		struct request r = build_opcode(opcodes[i]);

		put_u64(&r, 24, INT64_MAX);
		assert_int_equal(verdict(&today, r), 0);
		put_u64(&r, 24, (uint64_t)INT64_MAX + 1);
		assert_int_equal(verdict(&today, r), -EINVAL);
		put_u64(&r, 24, 4);
		put_u64(&r, 16, 5);
		assert_int_equal(verdict(&today, r), -EINVAL);
		put_u64(&r, 16, 4);
		assert_int_equal(verdict(&today, r), 0);
		put_u32(&r, 32, F_UNLCK);
		assert_int_equal(verdict(&today, r), 0);
		put_u32(&r, 32, 77);
		assert_int_equal(verdict(&today, r), -EINVAL);
	}
}

static void test_a_caller_of_minus_one_is_einval(void **state)
{
	struct request r = build_opcode(FUSE_MKDIR);
	struct fuse_in_header in = header(&r);

	(void)state;
	in.uid = UINT32_MAX;
	set_header(&r, &in);
	assert_int_equal(verdict(&today, r), -EINVAL);
	in.uid = 0;
	in.gid = UINT32_MAX;
	set_header(&r, &in);
	assert_int_equal(verdict(&today, r), -EINVAL);
	in.gid = 0;
	set_header(&r, &in);
	assert_int_equal(verdict(&today, r), 0);
}

static void test_nodeid_0_is_estale_where_a_node_is_meant(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct request r = build(&samples[i]);
		struct fuse_in_header in = header(&r);
		int error;

		in.nodeid = 0;
		set_header(&r, &in);
		error = verdict(&today, r);
		if (in.opcode == FUSE_DESTROY || in.opcode == FUSE_INTERRUPT ||
		    in.opcode == FUSE_BATCH_FORGET)
			assert_int_equal(error, 0);
		else
			assert_int_equal(error, -ESTALE);
	}
}

/* --- what is normalized ----------------------------------------------------------------------- */

static void test_setxattr_is_brought_to_the_layout_of_libfuse(void **state)
{
	struct request r = build_opcode(FUSE_SETXATTR);
	struct guard_result result;
	uint32_t words[2];

	(void)state;
	put_u32(&r, 4, 2 /* XATTR_REPLACE */);
	put_u32(&r, 8, FUSE_SETXATTR_ACL_KILL_SGID);
	result = judge(&today, r);
	assert_int_equal(result.verdict, GUARD_PASS);
	assert_true(result.request.acl_kill_sgid);
	assert_int_equal(result.request.args_len, 8 + 7 + 6);
	memcpy(words, result.request.args, sizeof(words));
	assert_int_equal(words[0], 6);
	assert_int_equal(words[1], 2);
	assert_memory_equal(result.request.args + 8, "user.a\0value", 13);

	/* Without FUSE_SETXATTR_EXT the same bytes are another request: the name would be empty. */
	assert_int_equal(verdict(&plain, build_opcode(FUSE_SETXATTR)), -EINVAL);
	r = start(FUSE_SETXATTR);
	add_u32(&r, 6);
	add_u32(&r, 0);
	add(&r, "user.a\0value", 13);
	assert_int_equal(verdict(&plain, r), 0);
	assert_int_equal(verdict(&today, r), -EINVAL);
}

static void test_setxattr_sizes_that_lie_or_are_too_large(void **state)
{
	const uint32_t lies[] = { 0, 5, 7, 0xffffffff, 0xfffffff0 };
	struct request r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		r = build_opcode(FUSE_SETXATTR);
		put_u32(&r, 0, lies[i]);
		assert_int_equal(verdict(&today, r), -EINVAL);
	}
	for (uint32_t over = 0; over < 2; over++) {
		r = start(FUSE_SETXATTR);
		add_zero(&r, 16);
		put_u32(&r, 0, GUARD_XATTR_MAX + over);
		add_string(&r, "user.a");
		add_zero(&r, GUARD_XATTR_MAX + over);
		assert_int_equal(verdict(&today, r), over ? -E2BIG : 0);
	}
}

static void test_setattr_keeps_the_bits_that_libfuse_knows(void **state)
{
	struct request r = build_opcode(FUSE_SETATTR);
	struct guard_result result;
	uint32_t valid;

	(void)state;
	put_u32(&r, 0, 0xffffffff);
	result = judge(&today, r);
	assert_int_equal(result.verdict, GUARD_PASS);
	assert_true(result.request.kill_suidgid);
	memcpy(&valid, result.request.args, sizeof(valid));
	assert_int_equal(valid, 0x5ff);
	put_u32(&r, 0, FATTR_MODE);
	result = judge(&today, r);
	assert_false(result.request.kill_suidgid);
	/* libfuse writes into it: never the transport's own bytes. */
	assert_true((const uint8_t *)result.request.in == scratch);
}

static void test_setattr_with_a_negative_size_or_odd_nanoseconds_is_einval(void **state)
{
	struct request r = build_opcode(FUSE_SETATTR);

	(void)state;
	put_u32(&r, 0, FATTR_SIZE);
	put_u64(&r, 16, UINT64_MAX);
	assert_int_equal(verdict(&today, r), -EINVAL);
	put_u64(&r, 16, INT64_MAX);
	assert_int_equal(verdict(&today, r), 0);
	for (unsigned i = 0; i < 3; i++) {
		const uint32_t bits[] = { FATTR_ATIME, FATTR_MTIME, FATTR_CTIME };

		r = build_opcode(FUSE_SETATTR);
		put_u32(&r, 56 + 4 * (size_t)i, 0x3fffffff); /* UTIME_NOW */
		assert_int_equal(verdict(&today, r), 0);
		put_u32(&r, 0, bits[i]);
		assert_int_equal(verdict(&today, r), -EINVAL);
		put_u32(&r, 56 + 4 * (size_t)i, 999999999);
		assert_int_equal(verdict(&today, r), 0);
	}
}

static void test_flags_that_kill_setuid_bits_are_handed_on(void **state)
{
	struct request r = build_opcode(FUSE_OPEN);

	(void)state;
	assert_int_equal(judge(&today, r).request.open_flags_kill, 0);
	put_u32(&r, 4, FUSE_OPEN_KILL_SUIDGID);
	assert_int_equal(judge(&today, r).request.open_flags_kill, FUSE_OPEN_KILL_SUIDGID);
	r = build_opcode(FUSE_CREATE);
	put_u32(&r, 12, FUSE_OPEN_KILL_SUIDGID);
	assert_int_equal(judge(&today, r).request.open_flags_kill, FUSE_OPEN_KILL_SUIDGID);
	r = build_opcode(FUSE_WRITE);
	assert_false(judge(&today, r).request.kill_suidgid);
	put_u32(&r, 20, FUSE_WRITE_KILL_SUIDGID);
	assert_true(judge(&today, r).request.kill_suidgid);
}

static void test_an_aligned_request_is_passed_where_it_lies(void **state)
{
	struct guard_result result;
	struct request r = write_of(4096, 4096);
	struct fuse_in_header in = header(&r);

	(void)state;
	in.len = (uint32_t)r.len;
	set_header(&r, &in);
	guard_check(&today, r.bytes, r.len, 0, scratch, &result);
	assert_int_equal(result.verdict, GUARD_PASS);
	assert_ptr_equal(result.request.in, r.bytes);
}

/* --- extensions ------------------------------------------------------------------------------- */

#define LABEL "system_u:object_r:x:s0"

/* Appends one security context and pads to 8. */
static void add_context(struct request *r, size_t from, const char *name, const char *label)
{
	add_u32(r, (uint32_t)strlen(label));
	add_u32(r, 0);
	add_string(r, name);
	add(r, label, strlen(label));
	while ((r->len - from) % 8)
		add_zero(r, 1);
}

/* A MKDIR with one context and one group, and where the extensions begin. */
static struct request extended(size_t *at)
{
	struct request r = build_opcode(FUSE_MKDIR);
	struct fuse_in_header in = header(&r);
	uint32_t size;

	*at = r.len;
	add_u32(&r, 0);
	add_u32(&r, 1);
	add_context(&r, *at, "security.selinux", LABEL);
	size = (uint32_t)(r.len - *at);
	memcpy(r.bytes + *at, &size, sizeof(size));
	add_u32(&r, 16);
	add_u32(&r, FUSE_EXT_GROUPS);
	add_u32(&r, 1);
	add_u32(&r, 4242);
	in.total_extlen = (uint16_t)((r.len - *at) / 8);
	set_header(&r, &in);
	return r;
}

static void test_extensions_are_read_and_cut_off(void **state)
{
	size_t at;
	struct request r = extended(&at);
	struct guard_result result = judge(&today, r);

	(void)state;
	assert_int_equal(result.verdict, GUARD_PASS);
	assert_int_equal(result.request.args_len, 8 + 5);
	assert_memory_equal(result.request.args + 8, "name", 5);
	assert_true(result.request.has_group);
	assert_int_equal(result.request.group, 4242);
	assert_string_equal(result.request.secctx_name, "security.selinux");
	assert_int_equal(result.request.secctx_len, strlen(LABEL));
	assert_memory_equal(result.request.secctx, LABEL, strlen(LABEL));
}

static void test_extensions_that_were_not_agreed_on_are_einval(void **state)
{
	const struct guard_terms groups_only = { .flags = FUSE_CREATE_SUPP_GROUP, .minor = 38 };
	const struct guard_terms contexts_only = { .flags = FUSE_SECURITY_CTX, .minor = 38 };
	size_t at;

	(void)state;
	assert_int_equal(verdict(&plain, extended(&at)), -EINVAL);
	assert_int_equal(verdict(&groups_only, extended(&at)), -EINVAL);
	assert_int_equal(verdict(&contexts_only, extended(&at)), -EINVAL);
}

static void test_extensions_on_other_opcodes_are_einval(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct request r = build(&samples[i]);
		struct fuse_in_header in = header(&r);
		int error;

		in.total_extlen = 2;
		set_header(&r, &in);
		add_u32(&r, 16);
		add_u32(&r, FUSE_EXT_GROUPS);
		add_u32(&r, 1);
		add_u32(&r, 100);
		error = verdict(&today, r);
		switch (in.opcode) {
		case FUSE_MKNOD:
		case FUSE_MKDIR:
		case FUSE_SYMLINK:
		case FUSE_CREATE:
		case FUSE_TMPFILE:
			assert_int_equal(error, 0);
			break;
		default:
			assert_int_equal(error, -EINVAL);
		}
	}
}

static void test_a_total_length_of_extensions_that_lies_is_einval(void **state)
{
	size_t at;
	struct request r = extended(&at);
	struct fuse_in_header in = header(&r);
	uint16_t right = in.total_extlen;

	(void)state;
	for (unsigned lie = 0; lie <= UINT16_MAX; lie++) {
		in.total_extlen = (uint16_t)lie;
		set_header(&r, &in);
		assert_int_equal(verdict(&today, r), lie == right ? 0 : -EINVAL);
	}
}

static void test_extension_sizes_that_lie_are_einval(void **state)
{
	size_t at;
	struct request r = extended(&at);
	uint32_t right;

	(void)state;
	memcpy(&right, r.bytes + at, sizeof(right));
	for (uint32_t lie = 0; lie < 400; lie++) {
		memcpy(r.bytes + at, &lie, sizeof(lie));
		assert_int_equal(verdict(&today, r), lie == right ? 0 : -EINVAL);
	}
	for (uint32_t lie = 0xffffffff; lie > 0xfffffff0; lie--) {
		memcpy(r.bytes + at, &lie, sizeof(lie));
		assert_int_equal(verdict(&today, r), -EINVAL);
	}
	/* The label's own length, the number of contexts, and that of groups. */
	for (unsigned field = 0; field < 3; field++) {
		const size_t fields[] = { at + 8, at + 4, r.len - 8 };

		for (uint32_t lie = 40; lie < 4000; lie += 7) {
			r = extended(&at);
			memcpy(r.bytes + fields[field], &lie, sizeof(lie));
			assert_int_equal(verdict(&today, r), -EINVAL);
		}
	}
	r = extended(&at);
	memcpy(r.bytes + at + 8, &(uint32_t){ 0xffffffff }, 4);
	assert_int_equal(verdict(&today, r), -EINVAL);
}

/* A MKDIR whose one extension, at the edge of memory, says these things about itself. */
static struct request lonely_context(uint32_t size, uint32_t count, const void *body, size_t len)
{
	struct request r = build_opcode(FUSE_MKDIR);
	struct fuse_in_header in = header(&r);

	add_u32(&r, size);
	add_u32(&r, count);
	add(&r, body, len);
	in.total_extlen = (uint16_t)((8 + len) / 8);
	set_header(&r, &in);
	return r;
}

static void test_the_last_extension_is_not_read_past_its_end(void **state)
{
	const char context[] = "\x04\0\0\0\0\0\0\0"
			       "security.selinux"
			       "\0"
			       "abcdefg";
	const size_t full = 32;

	(void)state;
	assert_int_equal(sizeof(context), full + 1);
	/* Four bytes of label and three of padding, of whatever kind. */
	assert_int_equal(verdict(&today, lonely_context(40, 1, context, full)), 0);
	/* More contexts than there are, or none although one is announced. */
	assert_int_equal(verdict(&today, lonely_context(40, 2, context, full)), -EINVAL);
	assert_int_equal(verdict(&today, lonely_context(8, 1, context, 0)), -EINVAL);
	assert_int_equal(verdict(&today, lonely_context(8, 31, context, 0)), -EINVAL);
	/* A size beyond the end, with a second context due there. */
	assert_int_equal(verdict(&today, lonely_context(4096, 2, context, full)), -EINVAL);
	assert_int_equal(verdict(&today, lonely_context(48, 2, context, full)), -EINVAL);
	/* A name that does not end, and one that ends with the memory. */
	assert_int_equal(verdict(&today, lonely_context(24, 1, context, 16)), -EINVAL);
	assert_int_equal(verdict(&today, lonely_context(32, 1, context, 24)), -EINVAL);
}

static void test_a_security_context_names_an_attribute_of_its_own_kind(void **state)
{
	const char *bad[] = { "trusted.overlay.opaque", "user.x", "security.", "",
			      "trusted.holdfast.handle" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct request r = build_opcode(FUSE_MKDIR);
		struct fuse_in_header in = header(&r);
		size_t at = r.len;
		uint32_t size;

		add_u32(&r, 0);
		add_u32(&r, 1);
		add_context(&r, at, bad[i], LABEL);
		size = (uint32_t)(r.len - at);
		memcpy(r.bytes + at, &size, sizeof(size));
		in.total_extlen = (uint16_t)(size / 8);
		set_header(&r, &in);
		assert_int_equal(verdict(&today, r), -EINVAL);
	}
}

static void test_no_security_context_at_all_is_legal(void **state)
{
	struct request r = build_opcode(FUSE_CREATE);
	struct fuse_in_header in = header(&r);
	struct guard_result result;

	(void)state;
	add_u32(&r, 8);
	add_u32(&r, 0);
	in.total_extlen = 1;
	set_header(&r, &in);
	result = judge(&today, r);
	assert_int_equal(result.verdict, GUARD_PASS);
	assert_null(result.request.secctx_name);
}

static void test_each_extension_comes_once(void **state)
{
	size_t at;
	struct request r = extended(&at);
	struct fuse_in_header in = header(&r);

	(void)state;
	add_u32(&r, 16);
	add_u32(&r, FUSE_EXT_GROUPS);
	add_u32(&r, 1);
	add_u32(&r, 0);
	in.total_extlen = (uint16_t)(in.total_extlen + 2);
	set_header(&r, &in);
	assert_int_equal(verdict(&today, r), -EINVAL);
}

static void test_a_group_of_minus_one_or_unknown_types_are_einval(void **state)
{
	const uint32_t types[] = { 33, 34, 1000, 0xffffffff };
	size_t at;
	struct request r = extended(&at);

	(void)state;
	memcpy(r.bytes + r.len - 4, &(uint32_t){ UINT32_MAX }, 4);
	assert_int_equal(verdict(&today, r), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		r = extended(&at);
		memcpy(r.bytes + r.len - 12, &types[i], 4);
		assert_int_equal(verdict(&today, r), -EINVAL);
	}
}

static void test_security_contexts_of_kernels_before_7_38_are_read(void **state)
{
	size_t at;
	struct request r = build_opcode(FUSE_SYMLINK);
	struct guard_result result;
	uint32_t size;

	(void)state;
	at = r.len;
	add_u32(&r, 0);
	add_u32(&r, 1);
	add_context(&r, at, "security.SMACK64", "label");
	size = (uint32_t)(r.len - at);
	memcpy(r.bytes + at, &size, sizeof(size));
	result = judge(&older, r);
	assert_int_equal(result.verdict, GUARD_PASS);
	assert_int_equal(result.request.args_len, sizeof("name\0target"));
	assert_string_equal(result.request.secctx_name, "security.SMACK64");
	assert_int_equal(verdict(&today, r), -EINVAL);

	/* Others may have nothing behind. */
	r = build_opcode(FUSE_UNLINK);
	add_zero(&r, 8);
	assert_int_equal(verdict(&older, r), -EINVAL);
	r = extended(&at);
	assert_int_equal(verdict(&older, r), -EINVAL);
}

/* --- INIT ------------------------------------------------------------------------------------- */

static void test_init_has_three_forms(void **state)
{
	(void)state;
	for (size_t len = 0; len < 100; len++) {
		struct request r = start(FUSE_INIT);
		struct fuse_in_header in = header(&r);
		bool good = len == 8 || len == 16 || len >= 64;

		in.nodeid = 0;
		in.uid = UINT32_MAX;
		set_header(&r, &in);
		add_zero(&r, 100);
		put_u32(&r, 0, 7);
		assert_int_equal(judge_as(&plain, r, HEADER + len, (uint32_t)(HEADER + len)).error,
				 good ? 0 : -EINVAL);
		put_u32(&r, 0, 8);
		assert_int_equal(judge_as(&plain, r, HEADER + len, (uint32_t)(HEADER + len)).error,
				 len >= 8 ? 0 : -EINVAL);
	}
}

/* --- anything --------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Good requests with a few bytes changed: what passes has its strings inside. */
static void test_mutated_requests_are_judged_without_reading_past_them(void **state)
{
	uint32_t seed = 0x5eed;
	unsigned passed = 0;

	(void)state;
	for (unsigned round = 0; round < 300000; round++) {
		const struct sample *s = &samples[next_random(&seed) % ARRAY_LEN(samples)];
		const struct guard_terms *terms = next_random(&seed) % 2 ? &today : &older;
		size_t at;
		struct request r = next_random(&seed) % 4 ? build(s) : extended(&at);
		unsigned changes = next_random(&seed) % 4;
		size_t len = r.len;
		struct guard_result result;

		for (unsigned i = 0; i < changes; i++)
			r.bytes[32 + next_random(&seed) % (r.len - 32)] =
				(uint8_t)next_random(&seed);
		if (next_random(&seed) % 4 == 0)
			len = HEADER + next_random(&seed) % (r.len - HEADER + 1);
		result = judge_as(terms, r, len, (uint32_t)len);
		if (result.verdict != GUARD_PASS)
			continue;
		passed++;
		if (result.opcode == FUSE_LOOKUP || result.opcode == FUSE_REMOVEXATTR)
			assert_int_equal(strlen((const char *)result.request.args) + 1,
					 result.request.args_len);
	}
	assert_true(passed > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_request_of_each_opcode_passes),
		cmocka_unit_test(test_each_opcode_truncated_at_every_byte_is_einval),
		cmocka_unit_test(test_each_opcode_with_bytes_left_over_is_einval),
		cmocka_unit_test(test_a_header_length_that_lies_is_einval),
		cmocka_unit_test(test_unknown_and_unused_opcodes_are_enosys),
		cmocka_unit_test(test_malformed_requests_that_get_no_reply_are_dropped),
		cmocka_unit_test(test_names_that_are_paths_or_empty_are_einval),
		cmocka_unit_test(test_dot_and_dotdot_are_for_lookup_alone),
		cmocka_unit_test(test_names_with_odd_bytes_are_legal),
		cmocka_unit_test(test_names_over_255_bytes_are_enametoolong),
		cmocka_unit_test(test_a_name_without_nul_is_einval),
		cmocka_unit_test(test_a_nul_inside_a_name_is_einval),
		cmocka_unit_test(test_one_name_where_two_are_due_is_einval),
		cmocka_unit_test(test_a_symlink_target_may_be_anything_of_up_to_4095_bytes),
		cmocka_unit_test(test_xattr_names_may_have_slashes_but_have_their_limits),
		cmocka_unit_test(test_write_must_say_how_much_it_brings),
		cmocka_unit_test(test_read_of_more_than_1_mib_is_einval),
		cmocka_unit_test(test_sizes_of_readdir_and_xattrs_are_brought_down_to_the_limit),
		cmocka_unit_test(test_offsets_that_are_negative_or_overflow_are_einval),
		cmocka_unit_test(test_reads_and_writes_may_not_end_beyond_2_63),
		cmocka_unit_test(test_the_last_cookie_of_a_directory_is_legal),
		cmocka_unit_test(test_batch_forget_must_bring_as_many_as_it_counts),
		cmocka_unit_test(test_ioctl_sizes_are_bounded_and_true),
		cmocka_unit_test(test_lock_ranges_and_types_must_make_sense),
		cmocka_unit_test(test_a_caller_of_minus_one_is_einval),
		cmocka_unit_test(test_nodeid_0_is_estale_where_a_node_is_meant),
		cmocka_unit_test(test_setxattr_is_brought_to_the_layout_of_libfuse),
		cmocka_unit_test(test_setxattr_sizes_that_lie_or_are_too_large),
		cmocka_unit_test(test_setattr_keeps_the_bits_that_libfuse_knows),
		cmocka_unit_test(test_setattr_with_a_negative_size_or_odd_nanoseconds_is_einval),
		cmocka_unit_test(test_flags_that_kill_setuid_bits_are_handed_on),
		cmocka_unit_test(test_an_aligned_request_is_passed_where_it_lies),
		cmocka_unit_test(test_extensions_are_read_and_cut_off),
		cmocka_unit_test(test_extensions_that_were_not_agreed_on_are_einval),
		cmocka_unit_test(test_extensions_on_other_opcodes_are_einval),
		cmocka_unit_test(test_a_total_length_of_extensions_that_lies_is_einval),
		cmocka_unit_test(test_extension_sizes_that_lie_are_einval),
		cmocka_unit_test(test_the_last_extension_is_not_read_past_its_end),
		cmocka_unit_test(test_a_security_context_names_an_attribute_of_its_own_kind),
		cmocka_unit_test(test_no_security_context_at_all_is_legal),
		cmocka_unit_test(test_each_extension_comes_once),
		cmocka_unit_test(test_a_group_of_minus_one_or_unknown_types_are_einval),
		cmocka_unit_test(test_security_contexts_of_kernels_before_7_38_are_read),
		cmocka_unit_test(test_init_has_three_forms),
		cmocka_unit_test(test_mutated_requests_are_judged_without_reading_past_them),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
