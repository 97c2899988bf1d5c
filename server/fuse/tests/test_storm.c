/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_storm.c - a hundred thousand requests that are nearly right, over a real export: every opcode, with nodeids, fhs,
 * names and numbers that partly exist, and then cut, bent and overwritten. Nothing may crash (the same program runs
 * under ASan and UBSan), each request has at most one answer, and the share stays usable.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/fuse.h"

#define REQUESTS 100000
#define ARGS_MAX 4096
#define FILE_LIMIT (4 << 20) /* what a FALLOCATE may take of the disk */
#define OPCODES 54
#define KNOWN 16

struct storm {
	char share[64];
	struct export *export;
	struct fuse_server *server;
	struct fuse_thread *thread;
	uint64_t random;
	uint64_t unique;
	uint64_t nodeids[KNOWN]; /* the first is the root, the others may be gone */
	struct {
		uint64_t nodeid, fh;
	} open[KNOWN];
	unsigned answers; /* of the request in hand */
	/* Written by the callback, for the request in hand: */
	uint32_t opcode;
	uint64_t nodeid;
	int error;
};

static uint32_t rnd(struct storm *s, uint32_t below)
{
	s->random = s->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(s->random >> 33) % below;
}

/* Remembers what the server gives out, so that later requests can name it. */
static int take_reply(void *token, const struct iovec *iov, int count, size_t placed)
{
	struct storm *s = token;
	struct fuse_out_header out;
	size_t total = placed;
	uint64_t word;
	unsigned at;

	memcpy(&out, iov[0].iov_base, sizeof(out));
	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	assert_int_equal(out.len, total);
	assert_true(out.error <= 0 && out.error > -1000);
	if (out.unique != s->unique)
		return 0; /* a lock that waited: from a thread of its own */
	s->answers++;
	s->error = out.error;
	if (out.error || count < 2 || iov[1].iov_len < sizeof(word))
		return 0;
	memcpy(&word, iov[1].iov_base, sizeof(word));
	if (s->opcode == FUSE_OPEN || s->opcode == FUSE_OPENDIR) {
		at = rnd(s, KNOWN);
		s->open[at].nodeid = s->nodeid;
		s->open[at].fh = word;
	} else if (s->opcode == FUSE_LOOKUP || s->opcode == FUSE_MKDIR || s->opcode == FUSE_MKNOD) {
		s->nodeids[1 + rnd(s, KNOWN - 1)] = word;
	}
	return 0;
}

static const struct fuse_transport_ops ops = { .reply = take_reply };

static int set_up(void **state)
{
	const struct fuse_config config = { .xattr = true,
					    .posix_acl = true,
					    .killpriv_v2 = true,
					    .flock = true,
					    .posix_lock = true,
					    .direct_io_allowed = true,
					    .max_open = 20,
					    .max_locks = 20 };
	struct export_config export = { .statedir = -1,
					.rundir = -1,
					.handles = HANDLES_NEVER,
					.max_nodes = 1000,
					.max_fds = 100 };
	const struct rlimit limit = { FILE_LIMIT, FILE_LIMIT };
	struct storm *s = calloc(1, sizeof(*s));
	int exit_code = 0;

	assert_non_null(s);
	log_init(LOG_LEVEL_OFF, false);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	(void)snprintf(s->share, sizeof(s->share), "/tmp/holdfast-storm-XXXXXX");
	assert_non_null(mkdtemp(s->share));
	export.share = s->share;
	assert_int_equal(export_open(&export, &s->export, &exit_code), 0);
	assert_int_equal(fuse_server_new(s->export, &config, &s->server), 0);
	assert_int_equal(fuse_thread_new(s->server, &ops, &s->thread), 0);
	for (unsigned i = 0; i < KNOWN; i++)
		s->nodeids[i] = FUSE_ROOT_ID;
	s->random = 1;
	*state = s;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	struct storm *s = *state;

	fuse_thread_free(s->thread);
	fuse_server_free(s->server);
	export_close(s->export);
	(void)nftw(s->share, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(s);
	return 0;
}

/* --- requests --------------------------------------------------------------------------------- */

struct request {
	struct fuse_in_header in;
	uint8_t args[ARGS_MAX];
	size_t len; /* of args */
};

static uint64_t number(struct storm *s)
{
	static const uint64_t some[] = { 0,	     1,
					 2,	     7,
					 4096,	     65536,
					 1 << 20,    UINT32_MAX,
					 INT64_MAX,  (uint64_t)INT64_MAX + 1,
					 UINT64_MAX, UINT64_MAX - 4095 };

	return rnd(s, 3) ? some[rnd(s, ARRAY_LEN(some))] : rnd(s, 5000);
}

static void put(struct request *r, const void *bytes, size_t len)
{
	assert_true(r->len + len <= sizeof(r->args));
	memcpy(r->args + r->len, bytes, len);
	r->len += len;
}

static void put_name(struct storm *s, struct request *r)
{
	static const char *const names[] = { "a",
					     "b",
					     "c",
					     "d",
					     ".",
					     "..",
					     "",
					     "a/b",
					     "user.x",
					     "user.x",
					     "trusted.holdfast.handle",
					     "system.posix_acl_access",
					     "\xff\x01",
					     "security.capability" };
	const char *name = names[rnd(s, ARRAY_LEN(names))];

	put(r, name, strlen(name) + (rnd(s, 20) != 0));
}

/* The argument struct, as 64-bit words: an fh first, as most have it there. */
static void put_words(struct storm *s, struct request *r, size_t bytes)
{
	unsigned open = rnd(s, KNOWN);

	if (bytes > 16 && rnd(s, 10))
		r->in.nodeid = s->open[open].nodeid;
	for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
		uint64_t word = rnd(s, 8) ? (at ? rnd(s, rnd(s, 2) ? 8192 : 64) : s->open[open].fh)
					  : number(s);

		put(r, &word, sizeof(word));
	}
	if (bytes % sizeof(uint64_t))
		put(r, &(uint32_t){ rnd(s, 64) }, bytes % sizeof(uint64_t));
}

/* Bytes of the argument struct and names of an opcode; what is not here has none. */
static const struct {
	uint8_t bytes, names;
	bool data;
} shapes[OPCODES] = {
	[FUSE_LOOKUP] = { 0, 1, false },       [FUSE_FORGET] = { 8, 0, false },
	[FUSE_GETATTR] = { 16, 0, false },     [FUSE_SETATTR] = { 88, 0, false },
	[FUSE_SYMLINK] = { 0, 2, false },      [FUSE_MKNOD] = { 16, 1, false },
	[FUSE_MKDIR] = { 8, 1, false },	       [FUSE_UNLINK] = { 0, 1, false },
	[FUSE_RMDIR] = { 0, 1, false },	       [FUSE_RENAME] = { 8, 2, false },
	[FUSE_LINK] = { 8, 1, false },	       [FUSE_OPEN] = { 8, 0, false },
	[FUSE_READ] = { 40, 0, false },	       [FUSE_WRITE] = { 40, 0, true },
	[FUSE_RELEASE] = { 24, 0, false },     [FUSE_FSYNC] = { 16, 0, false },
	[FUSE_SETXATTR] = { 16, 1, true },     [FUSE_GETXATTR] = { 8, 1, false },
	[FUSE_LISTXATTR] = { 8, 0, false },    [FUSE_REMOVEXATTR] = { 0, 1, false },
	[FUSE_FLUSH] = { 24, 0, false },       [FUSE_OPENDIR] = { 8, 0, false },
	[FUSE_READDIR] = { 40, 0, false },     [FUSE_RELEASEDIR] = { 24, 0, false },
	[FUSE_FSYNCDIR] = { 16, 0, false },    [FUSE_GETLK] = { 48, 0, false },
	[FUSE_SETLK] = { 48, 0, false },       [FUSE_SETLKW] = { 48, 0, false },
	[FUSE_ACCESS] = { 8, 0, false },       [FUSE_CREATE] = { 16, 1, false },
	[FUSE_INTERRUPT] = { 8, 0, false },    [FUSE_BATCH_FORGET] = { 8, 0, true },
	[FUSE_IOCTL] = { 32, 0, true },	       [FUSE_FALLOCATE] = { 32, 0, false },
	[FUSE_READDIRPLUS] = { 40, 0, false }, [FUSE_RENAME2] = { 16, 2, false },
	[FUSE_LSEEK] = { 24, 0, false },       [FUSE_COPY_FILE_RANGE] = { 56, 0, false },
	[FUSE_SYNCFS] = { 8, 0, false },       [FUSE_TMPFILE] = { 16, 1, false },
	[FUSE_OP_STATX] = { 24, 0, false },
};

/* The field that says how much data follows, for the opcodes that have one; most others have a size there, too. */
static void fit_data(struct storm *s, struct request *r, uint32_t opcode)
{
	static const uint8_t data[512];
	uint32_t len = rnd(s, sizeof(data));
	size_t at = opcode == FUSE_WRITE   ? offsetof(struct fuse_write_in, size)
		    : opcode == FUSE_IOCTL ? offsetof(struct fuse_ioctl_in, in_size)
					   : 0;

	if (opcode == FUSE_BATCH_FORGET)
		len = len / (uint32_t)sizeof(struct fuse_forget_one) *
		      (uint32_t)sizeof(struct fuse_forget_one);
	if (opcode == FUSE_BATCH_FORGET)
		memcpy(r->args, &(uint32_t){ len / (uint32_t)sizeof(struct fuse_forget_one) }, 4);
	else
		memcpy(r->args + at, &len, sizeof(len));
	put(r, data, len);
}

/* One thing or another that a hostile guest does to its bytes. */
static void bend(struct storm *s, struct request *r)
{
	if (!r->len)
		return;
	switch (rnd(s, 4)) {
	case 0:
		r->len = rnd(s, (uint32_t)r->len);
		break;
	case 1:
		r->args[rnd(s, (uint32_t)r->len)] ^= (uint8_t)(1U << rnd(s, 8));
		break;
	case 2:
		put_name(s, r);
		break;
	default:
		r->in.total_extlen = (uint16_t)number(s);
		break;
	}
}

static void build(struct storm *s, struct request *r)
{
	uint32_t opcode = rnd(s, OPCODES);

	memset(&r->in, 0, sizeof(r->in));
	r->len = 0;
	/* Not those that end the session, which are tested with it. */
	if (opcode == FUSE_INIT || opcode == FUSE_DESTROY)
		opcode = FUSE_LOOKUP;
	r->in.opcode = opcode;
	r->in.nodeid = rnd(s, 20) ? s->nodeids[rnd(s, KNOWN)] : number(s);
	r->in.uid = rnd(s, 10) ? geteuid() : (uint32_t)number(s);
	r->in.gid = rnd(s, 10) ? getegid() : (uint32_t)number(s);
	put_words(s, r, shapes[opcode].bytes);
	if (opcode == FUSE_OPEN && rnd(s, 4))
		memcpy(r->args, &(uint32_t){ O_RDWR }, sizeof(uint32_t));
	if (opcode == FUSE_RENAME || opcode == FUSE_RENAME2 || opcode == FUSE_LINK)
		memcpy(r->args, &s->nodeids[rnd(s, KNOWN)], sizeof(uint64_t));
	if (opcode == FUSE_IOCTL && rnd(s, 4))
		memcpy(r->args + offsetof(struct fuse_ioctl_in, cmd),
		       &(uint32_t){ FS_IOC_GETFLAGS }, sizeof(uint32_t));
	if (opcode == FUSE_MKNOD && rnd(s, 4))
		memcpy(r->args, &(uint32_t){ S_IFREG | 0666 }, sizeof(uint32_t));
	for (unsigned i = 0; i < shapes[opcode].names; i++)
		put_name(s, r);
	if (shapes[opcode].data)
		fit_data(s, r, opcode);
	if (rnd(s, 4) == 0)
		bend(s, r);
	r->in.len = (uint32_t)(sizeof(r->in) + r->len);
	if (rnd(s, 100) == 0)
		r->in.len = (uint32_t)number(s);
}

static int send_request(struct storm *s, struct request *r)
{
	/* On the heap, of the length that it has, so that ASan sees a byte too many. */
	size_t len = sizeof(r->in) + r->len;
	uint8_t *bytes = malloc(len);
	struct fuse_message message = { .bytes = bytes, .len = len, .may_block = true, .token = s };
	int result;

	assert_non_null(bytes);
	s->opcode = r->in.opcode;
	s->nodeid = r->in.nodeid;
	s->answers = 0;
	s->error = 1;
	r->in.unique = s->unique += 2;
	memcpy(bytes, &r->in, sizeof(r->in));
	memcpy(bytes + sizeof(r->in), r->args, r->len);
	result = fuse_thread_request(s->thread, &message);
	free(bytes);
	assert_true(result == FUSE_REQUEST_ANSWERED || result == FUSE_REQUEST_SILENT ||
		    result == FUSE_REQUEST_LATER);
	assert_true(s->answers <= 1);
	return s->error;
}

static void init(struct storm *s)
{
	const struct fuse_init_in in = { .major = FUSE_KERNEL_VERSION,
					 .minor = FUSE_KERNEL_MINOR_VERSION,
					 .flags = UINT32_MAX,
					 .flags2 = UINT32_MAX };
	struct request r = { .in = { .opcode = FUSE_INIT } };

	put(&r, &in, sizeof(in));
	r.in.len = (uint32_t)(sizeof(r.in) + r.len);
	assert_int_equal(send_request(s, &r), 0);
}

static void test_no_request_harms_the_server(void **state)
{
	struct storm *s = *state;
	unsigned done[OPCODES] = { 0 };
	struct request r;

	init(s);
	for (unsigned i = 0; i < REQUESTS; i++) {
		build(s, &r);
		if (send_request(s, &r) == 0)
			done[r.in.opcode]++;
	}
	/* The storm is no storm if all of it was refused at the door. */
	assert_true(done[FUSE_LOOKUP] && done[FUSE_OPEN] && done[FUSE_READ] && done[FUSE_WRITE] &&
		    done[FUSE_READDIR] && done[FUSE_READDIRPLUS] && done[FUSE_MKNOD] &&
		    done[FUSE_RENAME] && done[FUSE_SETATTR] && done[FUSE_SETXATTR]);
	r = (struct request){ .in = { .opcode = FUSE_GETATTR, .nodeid = FUSE_ROOT_ID } };
	put(&r, &(struct fuse_getattr_in){ 0 }, sizeof(struct fuse_getattr_in));
	r.in.len = (uint32_t)(sizeof(r.in) + r.len);
	assert_int_equal(send_request(s, &r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_request_harms_the_server, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
