/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session.c - a guest's session from INIT to DESTROY and beyond, byte for byte, over a real
 * export.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/fuse.h"
#include "fuse/reopen.h"
#include "fuse/reply.h"
#include "fuse/server.h"

#define NEVER_EXISTED 0xdeadbeef

struct world {
	char share[64];
	struct export *export;
	struct fuse_server *server;
	struct fuse_thread *thread;
	uint64_t unique; /* of the last request */
	/* What came back: */
	unsigned replies;
	int error;
	size_t len; /* behind the header */
	uint8_t data[8192];
};

static int take_reply(void *token, const struct iovec *iov, int count, size_t placed)
{
	struct world *w = token;
	struct fuse_out_header out;
	size_t total = 0;

	assert_int_equal(iov[0].iov_len, sizeof(out));
	memcpy(&out, iov[0].iov_base, sizeof(out));
	assert_true(out.unique == w->unique && placed == 0);
	w->replies++;
	w->error = out.error;
	w->len = 0;
	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	assert_int_equal(out.len, total);
	for (int i = 1; i < count; i++) {
		assert_true(w->len + iov[i].iov_len <= sizeof(w->data));
		memcpy(w->data + w->len, iov[i].iov_base, iov[i].iov_len);
		w->len += iov[i].iov_len;
	}
	return 0;
}

static const struct fuse_transport_ops ops = { .reply = take_reply };

static int world_new(void **state, const struct fuse_config *config)
{
	struct world *w = calloc(1, sizeof(*w));
	struct export_config export = { .statedir = -1,
					.rundir = -1,
					.handles = HANDLES_NEVER,
					.max_nodes = 1000,
					.max_fds = 100 };
	char path[96];
	int exit_code = 0;
	int fd;

	assert_non_null(w);
	log_init(LOG_LEVEL_OFF, false);
	(void)snprintf(w->share, sizeof(w->share), "/tmp/holdfast-session-XXXXXX");
	assert_non_null(mkdtemp(w->share));
	(void)snprintf(path, sizeof(path), "%s/file", w->share);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	(void)fd_close(fd);
	export.share = w->share;
	assert_int_equal(export_open(&export, &w->export, &exit_code), 0);
	assert_int_equal(fuse_server_new(w->export, config, &w->server), 0);
	assert_int_equal(fuse_thread_new(w->server, &ops, &w->thread), 0);
	*state = w;
	return 0;
}

static int setup(void **state)
{
	const struct fuse_config config = { .xattr = true, .max_open = 10, .max_locks = 10 };

	return world_new(state, &config);
}

static int setup_submounts(void **state)
{
	const struct fuse_config config = { .announce_submounts = true,
					    .max_open = 10,
					    .max_locks = 10 };

	return world_new(state, &config);
}

static int teardown(void **state)
{
	struct world *w = *state;
	char path[96];

	fuse_thread_free(w->thread);
	fuse_server_free(w->server);
	export_close(w->export);
	(void)snprintf(path, sizeof(path), "%s/file", w->share);
	(void)unlink(path);
	(void)rmdir(w->share);
	free(w);
	return 0;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* Sends; the reply's error, or 1 if there was none. */
static int send_request(struct world *w, uint32_t opcode, uint64_t nodeid, const void *args,
			size_t len)
{
	uint64_t room[64] = { 0 };
	struct fuse_in_header in = { .len = (uint32_t)(sizeof(in) + len),
				     .opcode = opcode,
				     .nodeid = nodeid,
				     .uid = geteuid(),
				     .gid = getegid() };
	struct fuse_message message = { .bytes = room, .may_block = true, .token = w };
	int result;

	assert_true(sizeof(in) + len <= sizeof(room));
	in.unique = w->unique += 2;
	memcpy(room, &in, sizeof(in));
	memcpy((uint8_t *)room + sizeof(in), args, len);
	w->replies = 0;
	message.len = sizeof(in) + len;
	result = fuse_thread_request(w->thread, &message);
	assert_int_equal(result, w->replies ? FUSE_REQUEST_ANSWERED : FUSE_REQUEST_SILENT);
	assert_true(w->replies <= 1);
	return w->replies ? w->error : 1;
}

static int send_init(struct world *w, uint32_t major, uint32_t minor, uint64_t flags)
{
	const struct fuse_init_in in = { .major = major,
					 .minor = minor,
					 .flags = (uint32_t)flags,
					 .flags2 = (uint32_t)(flags >> 32) };

	return send_request(w, FUSE_INIT, 0, &in, sizeof(in));
}

#define OFFERED (FUSE_EXPORT_SUPPORT | FUSE_INIT_EXT | FUSE_SETXATTR_EXT | FUSE_MAX_PAGES)

static int send_getattr(struct world *w)
{
	const struct fuse_getattr_in in = { 0 };

	return send_request(w, FUSE_GETATTR, 1, &in, sizeof(in));
}

static int lookup_file(struct world *w, struct fuse_entry_out *out)
{
	int error = send_request(w, FUSE_LOOKUP, 1, "file", 5);

	memset(out, 0, sizeof(*out));
	if (!error) {
		assert_int_equal(w->len, sizeof(*out));
		memcpy(out, w->data, sizeof(*out));
	}
	return error;
}

static uint64_t open_file(struct world *w, uint64_t nodeid)
{
	const struct fuse_open_in in = { .flags = O_RDONLY };
	struct fuse_open_out out;

	assert_int_equal(send_request(w, FUSE_OPEN, nodeid, &in, sizeof(in)), 0);
	memcpy(&out, w->data, sizeof(out));
	return out.fh;
}

static int read_file(struct world *w, uint64_t nodeid, uint64_t fh)
{
	const struct fuse_read_in in = { .fh = fh, .size = 10 };

	return send_request(w, FUSE_READ, nodeid, &in, sizeof(in));
}

/* --- the tests -------------------------------------------------------------------------------- */

static void test_before_init_everything_is_eio(void **state)
{
	const struct fuse_forget_in forget = { .nlookup = 1 };
	const struct fuse_interrupt_in interrupt = { .unique = NEVER_EXISTED };

	assert_int_equal(send_getattr(*state), -EIO);
	assert_int_equal(send_request(*state, FUSE_LOOKUP, 1, "file", 5), -EIO);
	assert_int_equal(send_request(*state, FUSE_DESTROY, 0, "", 0), -EIO);
	assert_int_equal(send_request(*state, FUSE_FORGET, 1, &forget, sizeof(forget)), 1);
	assert_int_equal(send_request(*state, FUSE_INTERRUPT, 0, &interrupt, sizeof(interrupt)), 1);
	assert_int_equal(send_init(*state, 7, 38, OFFERED), 0);
	assert_int_equal(send_getattr(*state), 0);
}

static void test_init_is_answered_in_full(void **state)
{
	struct world *w = *state;
	struct fuse_init_out out;
	struct fuse_server_stats stats;

	assert_int_equal(send_init(w, 7, 45, OFFERED), 0);
	assert_int_equal(w->len, sizeof(out));
	memcpy(&out, w->data, sizeof(out));
	assert_int_equal(out.flags, OFFERED);
	fuse_server_stats(w->server, &stats);
	assert_true(stats.initialized);
	assert_true(stats.flags == OFFERED);
	assert_int_equal(stats.requests, 1);
	assert_int_equal(stats.minor, FUSE_KERNEL_MINOR_VERSION);
}

static void test_major_8_is_told_7_and_comes_again(void **state)
{
	struct world *w = *state;
	uint32_t major;

	assert_int_equal(send_init(w, 8, 0, 0), 0);
	memcpy(&major, w->data, sizeof(major));
	assert_int_equal(major, 7);
	assert_int_equal(send_getattr(w), -EIO);
	assert_int_equal(send_init(w, 7, 38, OFFERED), 0);
	assert_int_equal(send_getattr(w), 0);
}

static void test_an_old_kernel_is_eproto_and_does_not_wedge(void **state)
{
	assert_int_equal(send_init(*state, 6, 0, OFFERED), -EPROTO);
	assert_int_equal(send_init(*state, 7, 30, OFFERED), -EPROTO);
	assert_int_equal(send_getattr(*state), -EIO);
	assert_int_equal(send_init(*state, 7, 31, OFFERED), 0);
	assert_int_equal(send_getattr(*state), 0);
}

static void test_a_second_init_begins_anew(void **state)
{
	struct world *w = *state;
	struct fuse_entry_out entry;
	struct fuse_server_stats stats;
	uint64_t fh;

	assert_int_equal(send_init(w, 7, 38, OFFERED), 0);
	assert_int_equal(lookup_file(w, &entry), 0);
	fh = open_file(w, entry.nodeid);
	assert_int_equal(read_file(w, entry.nodeid, fh), 0);
	assert_int_equal(send_init(w, 7, 38, OFFERED), 0);
	fuse_server_stats(w->server, &stats);
	assert_int_equal(stats.open_files, 0);
	assert_int_equal(read_file(w, entry.nodeid, fh), -EBADF);
	assert_int_equal(lookup_file(w, &entry), 0);
}

static void test_after_destroy_only_init_is_served(void **state)
{
	struct world *w = *state;
	struct fuse_entry_out entry;
	struct fuse_server_stats stats;

	assert_int_equal(send_init(w, 7, 38, OFFERED), 0);
	assert_int_equal(lookup_file(w, &entry), 0);
	(void)open_file(w, entry.nodeid);
	assert_int_equal(send_request(w, FUSE_DESTROY, 0, "", 0), 0);
	fuse_server_stats(w->server, &stats);
	assert_int_equal(stats.open_files, 0);
	assert_false(stats.initialized);
	assert_int_equal(send_getattr(w), -EIO);
	assert_int_equal(send_request(w, FUSE_DESTROY, 0, "", 0), -EIO);
	assert_int_equal(send_init(w, 7, 38, OFFERED), 0);
	assert_int_equal(send_getattr(w), 0);
}

static void test_a_reset_waits_for_init(void **state)
{
	struct world *w = *state;

	assert_int_equal(send_init(w, 7, 38, OFFERED), 0);
	fuse_server_reset(w->server);
	assert_int_equal(send_getattr(w), -EIO);
	assert_int_equal(send_init(w, 7, 38, OFFERED), 0);
	assert_int_equal(send_getattr(w), 0);
}

static void test_an_option_that_is_not_offered_is_told_to_the_transport(void **state)
{
	struct world *w = *state;

	assert_null(fuse_server_refused(w->server));
	assert_int_equal(send_init(w, 7, 38, OFFERED), -EOPNOTSUPP);
	assert_non_null(fuse_server_refused(w->server));
	assert_non_null(strstr(fuse_server_refused(w->server), "--announce-submounts"));
	assert_int_equal(send_getattr(w), -EIO);
}

static void test_the_root_of_a_mount_in_the_share_is_marked_where_that_was_agreed(void **state)
{
	struct world *w = *state;
	const struct entry root = { .submount = true };
	const struct entry other = { .submount = false };
	struct fuse_entry_out out;

	assert_int_equal(send_init(w, 7, 38, OFFERED | FUSE_SUBMOUNTS), 0);
	reply_fill_entry(w->thread, &root, &out);
	assert_true(out.attr.flags & FUSE_ATTR_SUBMOUNT);
	reply_fill_entry(w->thread, &other, &out);
	assert_false(out.attr.flags & FUSE_ATTR_SUBMOUNT);
}

static void test_no_mount_is_marked_without_the_option(void **state)
{
	struct world *w = *state;
	const struct entry root = { .submount = true };
	struct fuse_entry_out out;

	assert_int_equal(send_init(w, 7, 38, OFFERED | FUSE_SUBMOUNTS), 0);
	reply_fill_entry(w->thread, &root, &out);
	assert_false(out.attr.flags & FUSE_ATTR_SUBMOUNT);
}

static void test_malformed_requests_are_answered_and_counted(void **state)
{
	struct world *w = *state;
	struct fuse_server_stats stats;
	uint8_t bytes[39] = { 0 };
	struct fuse_message message = { .bytes = bytes, .len = sizeof(bytes), .token = w };

	assert_int_equal(send_init(w, 7, 38, OFFERED), 0);
	assert_int_equal(send_request(w, FUSE_GETATTR, 1, "short", 5), -EINVAL);
	assert_int_equal(send_request(w, FUSE_LOOKUP, 1, "a/b", 4), -EINVAL);
	assert_int_equal(send_request(w, 200, 1, "", 0), -ENOSYS);
	assert_int_equal(send_request(w, CUSE_INIT, 1, "xxxxxxxxxxxxxxxx", 16), -ENOSYS);
	assert_int_equal(send_request(w, FUSE_BATCH_FORGET, 1, "\xff\xff\xff\xff\0\0\0\0", 8), 1);
	assert_int_equal(fuse_thread_request(w->thread, &message), -EIO);
	assert_int_equal(send_getattr(w), 0);
	fuse_server_stats(w->server, &stats);
	assert_int_equal(stats.refused, 5);
}

static void test_an_interrupt_of_an_unknown_request_is_ignored(void **state)
{
	const struct fuse_interrupt_in in = { .unique = NEVER_EXISTED };

	assert_int_equal(send_init(*state, 7, 38, OFFERED), 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(send_request(*state, FUSE_INTERRUPT, 0, &in, sizeof(in)), 1);
	assert_int_equal(send_getattr(*state), 0);
}

/* The name and the value arrive where they belong, with the layout of today and through libfuse. */
static void test_setxattr_of_both_layouts_arrives(void **state)
{
	struct world *w = *state;
	const char text[] = "user.a\0value";
	uint8_t args[16 + 7 + 5] = { 0 };
	struct fuse_entry_out entry;
	char path[96];
	char value[16];

	(void)snprintf(path, sizeof(path), "%s/file", w->share);
	for (size_t fixed = 8; fixed <= 16; fixed += 8) {
		uint64_t flags = fixed == 8 ? OFFERED & ~(uint64_t)FUSE_SETXATTR_EXT : OFFERED;

		(void)removexattr(path, "user.a");
		assert_int_equal(send_init(w, 7, 38, flags), 0);
		assert_int_equal(lookup_file(w, &entry), 0);
		memset(args, 0, sizeof(args));
		args[0] = 5;
		memcpy(args + fixed, text, 7 + 5);
		assert_int_equal(send_request(w, FUSE_SETXATTR, entry.nodeid, args, fixed + 7 + 5),
				 0);
		assert_int_equal(getxattr(path, "user.a", value, sizeof(value)), 5);
		assert_memory_equal(value, "value", 5);
	}
}

static void keep_agreement(void *arg, const struct fuse_agreement *agreement)
{
	if (agreement)
		*(struct fuse_agreement *)arg = *agreement;
}

/* A session that goes on: fhs of an earlier daemon are opened anew, and remembered no longer than they are open. */
static void test_what_is_opened_anew_is_forgotten_with_its_file(void **state)
{
	struct world *w = *state;
	struct fuse_agreement agreement = { 0 };
	struct fuse_release_in in = { 0 };
	struct fuse_entry_out entry;
	uint64_t before;
	uint64_t own;

	fuse_server_keep(w->server, keep_agreement, &agreement);
	assert_int_equal(send_init(w, 7, 38, OFFERED), 0);
	assert_int_equal(lookup_file(w, &entry), 0);
	before = open_file(w, entry.nodeid);
	fuse_server_reset(w->server);
	assert_int_equal(fuse_server_resume(w->server, &agreement), 0);
	assert_int_equal(lookup_file(w, &entry), 0);
	/* Of this daemon's own, before its connection ended. */
	assert_int_equal(read_file(w, entry.nodeid, before), 0);
	in.fh = before;
	assert_int_equal(send_request(w, FUSE_RELEASE, entry.nodeid, &in, sizeof(in)), 0);
	own = open_file(w, entry.nodeid);
	in.fh = own;
	assert_int_equal(send_request(w, FUSE_RELEASE, entry.nodeid, &in, sizeof(in)), 0);
	for (uint64_t i = 0; i < 2000; i++) {
		/* One that is made up, and the one of ours that it is opened as. */
		assert_int_equal(read_file(w, entry.nodeid, (i + 1) << 8 | 200), 0);
		own += 1ULL << 32;
		own += own >> 32 ? 0 : 1ULL << 32;
		in.fh = own;
		assert_int_equal(send_request(w, FUSE_RELEASE, entry.nodeid, &in, sizeof(in)), 0);
		assert_true(reopened_count(fuse_server_reopened(w->server)) <= 70);
	}
	/* Those that are open stay, however many are left over. */
	assert_int_equal(read_file(w, entry.nodeid, 7ULL << 40), 0);
	for (uint64_t i = 0; i < 200; i++) {
		assert_int_equal(read_file(w, entry.nodeid, (i + 1) << 8 | 201), 0);
		in.fh = (i + 1) << 8 | 201;
		assert_int_equal(send_request(w, FUSE_RELEASE, entry.nodeid, &in, sizeof(in)), 0);
	}
	assert_int_equal(read_file(w, entry.nodeid, 7ULL << 40), 0);
	in.fh = 7ULL << 40;
	assert_int_equal(send_request(w, FUSE_RELEASE, entry.nodeid, &in, sizeof(in)), 0);
	fuse_server_keep(w->server, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_before_init_everything_is_eio, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_init_is_answered_in_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_major_8_is_told_7_and_comes_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_an_old_kernel_is_eproto_and_does_not_wedge,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_second_init_begins_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_after_destroy_only_init_is_served, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_reset_waits_for_init, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_option_that_is_not_offered_is_told_to_the_transport,
			setup_submounts, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_root_of_a_mount_in_the_share_is_marked_where_that_was_agreed,
			setup_submounts, teardown),
		cmocka_unit_test_setup_teardown(test_no_mount_is_marked_without_the_option, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_malformed_requests_are_answered_and_counted,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_opened_anew_is_forgotten_with_its_file,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_interrupt_of_an_unknown_request_is_ignored,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_setxattr_of_both_layouts_arrives, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
