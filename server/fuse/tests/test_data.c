/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_data.c - file data that stays where the transport has it: payload and room in pieces, requests that may not
 * block, answers that come from another thread, and disks that fail in the middle.
 *
 * preadv2 and pwritev2 are replaced by this program's own, to let them fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/fuse.h"

#define SIZE 10000 /* of the file: the end lies in a sector */

struct world {
	char share[64];
	char path[96];
	struct export *export;
	struct fuse_server *server;
	struct fuse_thread *thread;
	struct fuse_message message;
	struct {
		struct fuse_in_header in;
		uint8_t args[256];
	} request;
	uint64_t nodeid, fh;
	uint32_t write_flags;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	/* What came back, guarded by lock: */
	unsigned replies, detached;
	int error;
	size_t placed;
	uint8_t data[8192];
};

/* After so many bytes reads and writes fail with `error`, if that is not 0. */
static struct {
	size_t left;
	int error;
} disk;

/* As much of it as can be had: `out`, how many there are. */
static int disk_takes(const struct iovec *iov, int count, struct iovec *out)
{
	int n = 0;

	for (; n < count && disk.left; n++) {
		out[n] = iov[n];
		if (disk.left < out[n].iov_len)
			out[n].iov_len = disk.left;
		disk.left -= out[n].iov_len;
	}
	return n;
}

static long disk_call(long call, int fd, const struct iovec *iov, int count, off_t off, int flags)
{
	struct iovec some[256];

	if (!disk.error)
		return syscall(call, fd, iov, count, off, 0, flags);
	assert_true(count <= 256);
	count = disk_takes(iov, count, some);
	if (count)
		return syscall(call, fd, some, count, off, 0, flags);
	errno = disk.error;
	return -1;
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t off, int flags)
{
	return disk_call(SYS_preadv2, fd, iov, count, off, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t off, int flags)
{
	return disk_call(SYS_pwritev2, fd, iov, count, off, flags);
}

static int take_reply(void *token, const struct iovec *iov, int count, size_t placed)
{
	struct world *w = token;
	struct fuse_out_header out;

	memcpy(&out, iov[0].iov_base, sizeof(out));
	assert_int_equal(out.unique, w->request.in.unique);
	assert_int_equal(out.len, sizeof(out) + placed + (count > 1 ? iov[1].iov_len : 0));
	pthread_mutex_lock(&w->lock);
	w->replies++;
	w->error = out.error;
	w->placed = placed;
	if (count > 1)
		memcpy(w->data, iov[1].iov_base,
		       iov[1].iov_len < sizeof(w->data) ? iov[1].iov_len : sizeof(w->data));
	pthread_cond_signal(&w->answered);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static void *take_detach(void *token)
{
	((struct world *)token)->detached++;
	return token;
}

static const struct fuse_transport_ops ops = { .reply = take_reply, .detach = take_detach };

/* Sends; what fuse_thread_request() says. w->message's payload, room and may_block are the caller's. */
static int send_request(struct world *w, uint32_t opcode, uint64_t nodeid, const void *args,
			size_t len)
{
	assert_true(len <= sizeof(w->request.args));
	w->request.in = (struct fuse_in_header){ .len = (uint32_t)(sizeof(w->request.in) + len +
								   w->message.payload_len),
						 .opcode = opcode,
						 .nodeid = nodeid,
						 .unique = w->request.in.unique + 2 };
	memcpy(w->request.args, args, len);
	w->message.bytes = &w->request;
	w->message.len = sizeof(w->request.in) + len;
	w->message.token = w;
	w->replies = 0;
	w->error = 1;
	return fuse_thread_request(w->thread, &w->message);
}

static uint8_t content(size_t at)
{
	return (uint8_t)(at * 7 + at / 256);
}

static void fill_share(struct world *w)
{
	uint8_t bytes[SIZE];
	int fd;

	(void)snprintf(w->share, sizeof(w->share), "/tmp/holdfast-data-XXXXXX");
	assert_non_null(mkdtemp(w->share));
	(void)snprintf(w->path, sizeof(w->path), "%s/file", w->share);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = content(i);
	fd = open(w->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, SIZE), SIZE);
	assert_int_equal(fsync(fd), 0);
	(void)fd_close(fd);
}

static int setup(void **state)
{
	const struct fuse_config config = { .posix_lock = true, .max_open = 10, .max_locks = 10 };
	struct export_config export = { .statedir = -1,
					.rundir = -1,
					.handles = HANDLES_NEVER,
					.max_nodes = 1000,
					.max_fds = 100 };
	struct fuse_init_in init = { .major = 7,
				     .minor = 38,
				     .flags = FUSE_EXPORT_SUPPORT | FUSE_POSIX_LOCKS |
					      FUSE_MAX_PAGES };
	struct fuse_open_in open_in = { .flags = O_RDWR };
	struct world *w = calloc(1, sizeof(*w));
	int exit_code = 0;

	assert_non_null(w);
	log_init(LOG_LEVEL_OFF, false);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->answered, NULL);
	fill_share(w);
	export.share = w->share;
	assert_int_equal(export_open(&export, &w->export, &exit_code), 0);
	assert_int_equal(fuse_server_new(w->export, &config, &w->server), 0);
	assert_int_equal(fuse_thread_new(w->server, &ops, &w->thread), 0);
	w->message.may_block = true;
	assert_int_equal(send_request(w, FUSE_INIT, 0, &init, sizeof(init)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(send_request(w, FUSE_LOOKUP, 1, "file", 5), FUSE_REQUEST_ANSWERED);
	memcpy(&w->nodeid, w->data, sizeof(w->nodeid));
	assert_int_equal(send_request(w, FUSE_OPEN, w->nodeid, &open_in, sizeof(open_in)),
			 FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, 0);
	memcpy(&w->fh, w->data, sizeof(w->fh));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fuse_thread_free(w->thread);
	fuse_server_free(w->server);
	export_close(w->export);
	(void)unlink(w->path);
	(void)rmdir(w->share);
	free(w);
	return 0;
}

/* Room or payload of `len` bytes in pieces of odd lengths; their number. */
static unsigned cut(uint8_t *bytes, size_t len, struct iovec *iov)
{
	static const size_t lengths[] = { 1, 4096, 13, 0, 511, 2 };
	unsigned n = 0;

	for (size_t at = 0; at < len; n++) {
		size_t piece = lengths[n % ARRAY_LEN(lengths)];

		if (piece > len - at)
			piece = len - at;
		iov[n] = (struct iovec){ .iov_base = bytes + at, .iov_len = piece };
		at += piece;
	}
	return n;
}

static int send_read(struct world *w, uint64_t off, uint32_t size, uint8_t *room, size_t room_len)
{
	struct fuse_read_in in = { .fh = w->fh, .offset = off, .size = size };
	struct iovec iov[200];
	int result;

	w->message.room = iov;
	w->message.room_count = cut(room, room_len, iov);
	w->message.room_len = room_len;
	result = send_request(w, FUSE_READ, w->nodeid, &in, sizeof(in));
	w->message.room_count = 0;
	w->message.room_len = 0;
	return result;
}

static void test_read_places_the_data_in_the_room(void **state)
{
	struct world *w = *state;
	uint8_t room[SIZE + 100];

	memset(room, 0xee, sizeof(room));
	assert_int_equal(send_read(w, 3, 9000, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, 0);
	assert_int_equal(w->placed, 9000);
	for (size_t i = 0; i < 9000; i++)
		assert_int_equal(room[i], content(i + 3));
	for (size_t i = 9000; i < sizeof(room); i++)
		assert_int_equal(room[i], 0xee);

	assert_int_equal(send_read(w, 5000, 10000, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->placed, SIZE - 5000);
	assert_int_equal(send_read(w, SIZE, 10, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, 0);
	assert_int_equal(w->placed, 0);
}

static void test_read_of_more_than_there_is_room_is_refused(void **state)
{
	struct world *w = *state;
	uint8_t room[100];

	assert_int_equal(send_read(w, 0, 101, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, -EINVAL);
	assert_int_equal(send_read(w, 0, 100, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, 0);
	w->fh ^= 1;
	assert_int_equal(send_read(w, 0, 100, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, -EBADF);
}

static void test_read_that_may_not_block_comes_again(void **state)
{
	struct world *w = *state;
	uint8_t room[SIZE];
	int fd = open(w->path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	w->message.may_block = false;
	assert_int_equal(send_read(w, 0, 4096, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->placed, 4096);
	/* Not in memory any more, but on a tmpfs. */
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	if (send_read(w, 0, 4096, room, sizeof(room)) == FUSE_REQUEST_BLOCKS)
		assert_int_equal(w->replies, 0);
	else
		assert_int_equal(w->placed, 4096);
	w->message.may_block = true;
	assert_int_equal(send_read(w, 0, 4096, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->placed, 4096);
	(void)fd_close(fd);
}

static int send_write(struct world *w, uint64_t off, uint32_t says, uint8_t *payload, size_t len)
{
	struct fuse_write_in in = {
		.fh = w->fh, .offset = off, .size = says, .write_flags = w->write_flags
	};
	struct iovec iov[200];
	int result;

	w->message.payload = iov;
	w->message.payload_count = cut(payload, len, iov);
	w->message.payload_len = len;
	result = send_request(w, FUSE_WRITE, w->nodeid, &in, sizeof(in));
	w->message.payload_count = 0;
	w->message.payload_len = 0;
	return result;
}

static void test_write_takes_the_data_from_the_payload(void **state)
{
	struct world *w = *state;
	uint8_t payload[7000], back[7000];
	struct fuse_write_out out;
	int fd = open(w->path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 31 + 5);
	assert_int_equal(send_write(w, 777, sizeof(payload), payload, sizeof(payload)),
			 FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, 0);
	memcpy(&out, w->data, sizeof(out));
	assert_int_equal(out.size, sizeof(payload));
	assert_int_equal(pread(fd, back, sizeof(back), 777), sizeof(back));
	assert_memory_equal(back, payload, sizeof(back));
	assert_int_equal(pread(fd, back, 1, 776), 1);
	assert_int_equal(back[0], content(776));

	/* What the request says and what came must agree. */
	assert_int_equal(send_write(w, 0, 6999, payload, 7000), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, -EINVAL);
	assert_int_equal(send_write(w, 0, 7001, payload, 7000), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, -EINVAL);
	(void)fd_close(fd);
}

/* The guest's kernel takes a part for the end of the file: the rest would be zeros, or cut off. */
static void test_a_read_that_fails_in_the_middle_is_no_short_file(void **state)
{
	struct world *w = *state;
	uint8_t room[SIZE];

	disk.error = EIO;
	disk.left = 4096;
	assert_int_equal(send_read(w, 0, 9000, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, -EIO);
	/* O_DIRECT: behind the last sector nothing can be asked for. */
	disk.error = EINVAL;
	disk.left = 4096;
	assert_int_equal(send_read(w, 0, 9000, room, sizeof(room)), FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, 0);
	assert_int_equal(w->placed, 4096);
	disk.error = 0;
}

/* Of pages that are written back the guest's kernel looks at the error alone; a program's write has its short count. */
static void test_pages_that_were_written_in_part_were_not_written(void **state)
{
	struct world *w = *state;
	struct fuse_write_out out;
	uint8_t payload[7000] = { 0 };

	for (unsigned pages = 0; pages < 2; pages++) {
		w->write_flags = pages ? FUSE_WRITE_CACHE : 0;
		disk.error = ENOSPC;
		disk.left = 1000;
		assert_int_equal(send_write(w, 0, sizeof(payload), payload, sizeof(payload)),
				 FUSE_REQUEST_ANSWERED);
		disk.error = 0;
		assert_int_equal(w->error, pages ? -ENOSPC : 0);
		memcpy(&out, w->data, sizeof(out));
		if (!pages)
			assert_int_equal(out.size, 1000);
	}
}

/* The guest's kernel has taken O_APPEND away by F_SETFL, or it would not ask; it copies by itself when told so. */
static void test_a_copy_to_a_file_opened_for_appending_is_left_to_the_guest(void **state)
{
	struct world *w = *state;
	const struct fuse_open_in open_in = { .flags = O_WRONLY | O_APPEND };
	struct fuse_copy_file_range_in in = { .fh_in = w->fh, .nodeid_out = w->nodeid, .len = 10 };
	struct fuse_open_out out;

	assert_int_equal(send_request(w, FUSE_OPEN, w->nodeid, &open_in, sizeof(open_in)),
			 FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, 0);
	memcpy(&out, w->data, sizeof(out));
	in.fh_out = out.fh;
	in.off_out = 5000;
	(void)send_request(w, FUSE_COPY_FILE_RANGE, w->nodeid, &in, sizeof(in));
	assert_int_equal(w->error, -EOPNOTSUPP);
	in.fh_out = w->fh;
	(void)send_request(w, FUSE_COPY_FILE_RANGE, w->nodeid, &in, sizeof(in));
	assert_int_equal(w->error, 0);
}

static void test_a_payload_belongs_to_a_write(void **state)
{
	struct world *w = *state;
	uint8_t byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };

	w->message.payload = &iov;
	w->message.payload_count = 1;
	w->message.payload_len = 1;
	assert_int_equal(send_request(w, FUSE_LOOKUP, 1, "file", 5), FUSE_REQUEST_ANSWERED);
	w->message.payload_count = 0;
	w->message.payload_len = 0;
	assert_int_equal(w->error, -EINVAL);
}

static struct fuse_lk_in write_lock(struct world *w, uint64_t owner)
{
	return (struct fuse_lk_in){ .fh = w->fh,
				    .owner = owner,
				    .lk = { .start = 0, .end = 99, .type = F_WRLCK } };
}

static void test_a_lock_that_waits_is_answered_by_another_thread(void **state)
{
	struct world *w = *state;
	struct fuse_lk_in first = write_lock(w, 1), second = write_lock(w, 2);
	struct fuse_lk_in unlock = first;
	uint64_t waiting;

	assert_int_equal(send_request(w, FUSE_SETLKW, w->nodeid, &first, sizeof(first)),
			 FUSE_REQUEST_ANSWERED);
	assert_int_equal(w->error, 0);
	assert_int_equal(w->detached, 0);
	assert_int_equal(send_request(w, FUSE_SETLKW, w->nodeid, &second, sizeof(second)),
			 FUSE_REQUEST_LATER);
	assert_int_equal(w->detached, 1);
	assert_int_equal(w->replies, 0);
	/* With the unique of the one that waits: its answer may come at any moment from now on. */
	waiting = w->request.in.unique;
	unlock.lk.type = F_UNLCK;
	w->request.in.unique = waiting - 2;
	assert_int_equal(send_request(w, FUSE_SETLK, w->nodeid, &unlock, sizeof(unlock)),
			 FUSE_REQUEST_ANSWERED);
	pthread_mutex_lock(&w->lock);
	while (w->replies < 2)
		pthread_cond_wait(&w->answered, &w->lock);
	assert_int_equal(w->error, 0);
	pthread_mutex_unlock(&w->lock);
}

static void test_what_takes_long_is_told_by_its_header(void **state)
{
	struct fuse_in_header in = { .opcode = FUSE_FSYNC };
	struct fuse_message m = { .bytes = &in, .len = sizeof(in) };

	(void)state;
	assert_true(fuse_message_is_long(&m));
	in.opcode = FUSE_GETATTR;
	assert_false(fuse_message_is_long(&m));
	in.opcode = FUSE_READ;
	assert_false(fuse_message_is_long(&m));
	m.room_len = 1 << 20;
	assert_true(fuse_message_is_long(&m));
	in.opcode = FUSE_WRITE;
	assert_false(fuse_message_is_long(&m));
	m.payload_len = 1 << 20;
	assert_true(fuse_message_is_long(&m));
	m.len = 39;
	assert_false(fuse_message_is_long(&m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_places_the_data_in_the_room, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_read_of_more_than_there_is_room_is_refused,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_that_may_not_block_comes_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_write_takes_the_data_from_the_payload, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_a_read_that_fails_in_the_middle_is_no_short_file, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_pages_that_were_written_in_part_were_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_copy_to_a_file_opened_for_appending_is_left_to_the_guest, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_a_payload_belongs_to_a_write, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_lock_that_waits_is_answered_by_another_thread, setup, teardown),
		cmocka_unit_test(test_what_takes_long_is_told_by_its_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
