/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blockid.c - the UUID that a mount is known by: the same for ever, another for each export, and on the device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/blockid.h"

static const uint8_t first[BLOCKID_UUID_LEN] = { 1, 2,	3,  4,	5,  6,	7,  8,
						 9, 10, 11, 12, 13, 14, 15, 16 };
static const uint8_t second[BLOCKID_UUID_LEN] = { 1, 2,	 3,  4,	 5,  6,	 7,  8,
						  9, 10, 11, 12, 13, 14, 15, 17 };

static void test_the_uuid_of_a_mount_never_changes(void **state)
{
	/* SHA-256 of "holdfast mount uuid", NUL and the bytes 1 to 16, cut and marked; made by another program. */
	static const char golden[] = "a0440003abaa84eeae148cdd3f2dcaf2";
	uint8_t uuid[BLOCKID_UUID_LEN];
	uint8_t other[BLOCKID_UUID_LEN];
	char text[2 * BLOCKID_UUID_LEN + 1];

	(void)state;
	assert_int_equal(blockid_uuid(first, uuid), 0);
	hex_encode(uuid, sizeof(uuid), text);
	assert_string_equal(text, golden);
	assert_int_equal(blockid_uuid(second, other), 0);
	assert_memory_not_equal(uuid, other, sizeof(uuid));
}

struct place {
	char path[64];
	int dir;
};

static int place_make(void **state)
{
	static struct place p;

	strcpy(p.path, "/tmp/blockid-XXXXXX");
	if (!mkdtemp(p.path))
		return -1;
	p.dir = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &p;
	return p.dir < 0;
}

static int place_remove(void **state)
{
	struct place *p = *state;

	(void)unlinkat(p->dir, "id", 0);
	p->dir = fd_close(p->dir);
	return rmdir(p->path);
}

static void test_the_device_has_the_uuid_and_one_process_at_a_time(void **state)
{
	const struct place *p = *state;
	struct blockid *one = NULL;
	struct blockid *two = NULL;
	uint8_t block[BLOCKID_SIZE];
	CLEANUP_FD int fd = -1;

	if (access("/dev/loop-control", R_OK | W_OK) < 0) {
		print_message("SKIP: no /dev/loop-control for this user\n");
		skip();
	}
	assert_int_equal(blockid_open(p->dir, "id", p->path, first, &one), 0);
	fd = open(blockid_device(one), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread_full(fd, block, sizeof(block), 0), 0);
	assert_memory_equal(block, "verity\0\0\1\0\0\0", 12);
	assert_memory_equal(block + 16, first, sizeof(first));

	assert_int_equal(blockid_open(p->dir, "id", p->path, first, &two), -EBUSY);
	blockid_free(one);
	/* As after a kill: whatever still has the device open does not keep the next one from its own. */
	assert_int_equal(blockid_open(p->dir, "id", p->path, first, &two), 0);
	blockid_free(two);
}

static void test_an_image_that_is_a_symlink_is_not_written_to(void **state)
{
	const struct place *p = *state;
	struct blockid *b = NULL;

	assert_int_equal(symlinkat("elsewhere", p->dir, "id"), 0);
	assert_int_equal(blockid_open(p->dir, "id", p->path, first, &b), -ELOOP);
	assert_null(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_uuid_of_a_mount_never_changes),
		cmocka_unit_test_setup_teardown(
			test_the_device_has_the_uuid_and_one_process_at_a_time, place_make,
			place_remove),
		cmocka_unit_test_setup_teardown(test_an_image_that_is_a_symlink_is_not_written_to,
						place_make, place_remove),
	};

	log_init(LOG_LEVEL_OFF, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
