/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_util.c - descriptors, whole reads and writes, hexadecimal, fields in stored bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int temp_file(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

static void test_a_descriptor_is_closed_when_its_scope_ends(void **state)
{
	int seen;
	int taken;

	(void)state;
	{
		CLEANUP_FD int fd = temp_file();
		CLEANUP_FD int none = -1;

		(void)none;
		seen = fd;
		assert_true(is_open(seen));
	}
	assert_false(is_open(seen));
	{
		CLEANUP_FD int fd = temp_file();

		taken = fd_take(&fd);
		assert_int_equal(fd, -1);
	}
	assert_true(is_open(taken));
	assert_int_equal(fd_close(taken), -1);
	assert_false(is_open(taken));
}

static void test_the_directory_of_a_path_is_what_stands_before_its_name(void **state)
{
	static const char *const pairs[][2] = {
		{ "name", "." }, { "/name", "/" }, { "a/b/name", "a/b/" }, { "dir/", "dir/" }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		CLEANUP_FREE char *dir = path_directory(pairs[i][0]);

		assert_string_equal(dir, pairs[i][1]);
	}
}

static void test_closing_keeps_errno(void **state)
{
	(void)state;
	errno = EXDEV;
	assert_int_equal(fd_close(-1), -1);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(fd_close(100000), -1);
	assert_int_equal(errno, EXDEV);
}

static void test_freed_memory_leaves_no_pointer(void **state)
{
	uint64_t *p = malloc(sizeof(*p));

	/* That it is freed is for the address sanitizer to say. */
	(void)state;
	cleanup_free(&p);
	assert_null(p);
	cleanup_free(&p);
	assert_null(p);
}

static void test_reads_and_writes_are_whole_or_fail(void **state)
{
	CLEANUP_FD int fd = temp_file();
	char buf[8] = { 0 };

	(void)state;
	assert_int_equal(pwrite_full(fd, "holdfast", 8, 4), 0);
	assert_int_equal(pread_full(fd, buf, 8, 4), 0);
	assert_memory_equal(buf, "holdfast", 8);
	assert_int_equal(pread_full(fd, buf, 8, 5), -EIO);
	assert_int_equal(pread_full(fd, buf, 0, 100), 0);
	assert_int_equal(pread_full(-1, buf, 8, 0), -EBADF);
	assert_int_equal(pwrite_full(-1, buf, 8, 0), -EBADF);
}

static void test_hexadecimal_goes_round_and_nothing_else_is_taken(void **state)
{
	uint8_t bytes[256];
	uint8_t back[256];
	char hex[513];

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	hex_encode(bytes, sizeof(bytes), hex);
	assert_int_equal(strlen(hex), 512);
	assert_int_equal(hex_decode(hex, 512, back, sizeof(back)), 256);
	assert_memory_equal(bytes, back, sizeof(bytes));
	assert_int_equal(hex_decode("aBFf", 4, back, 2), 2);
	assert_memory_equal(back, "\xab\xff", 2);
	assert_int_equal(hex_decode("", 0, back, 0), 0);
	assert_int_equal(hex_decode("abc", 3, back, 2), -EINVAL);
	assert_int_equal(hex_decode("abcd", 4, back, 1), -EINVAL);
	for (unsigned c = 0; c <= UINT8_MAX; c++) {
		char digits[2] = { '0', (char)c };
		bool is_hex = c && strchr("0123456789abcdefABCDEF", (int)c);

		assert_int_equal(hex_decode(digits, 2, back, 1), is_hex ? 1 : -EINVAL);
	}
}

static void test_fields_are_little_endian(void **state)
{
	uint8_t p[8];

	(void)state;
	put_le64(p, 0x0102030405060708);
	assert_memory_equal(p, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
	assert_true(get_le64(p) == 0x0102030405060708);
	assert_int_equal(get_le32(p), 0x05060708);
	assert_int_equal(get_le16(p), 0x0708);
	memset(p, 0xff, sizeof(p));
	assert_true(get_le64(p) == UINT64_MAX);
}

static void test_the_clock_does_not_go_back(void **state)
{
	uint64_t before = clock_ns();

	(void)state;
	assert_true(before > 0);
	assert_true(clock_ns() >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_descriptor_is_closed_when_its_scope_ends),
		cmocka_unit_test(test_the_directory_of_a_path_is_what_stands_before_its_name),
		cmocka_unit_test(test_closing_keeps_errno),
		cmocka_unit_test(test_freed_memory_leaves_no_pointer),
		cmocka_unit_test(test_reads_and_writes_are_whole_or_fail),
		cmocka_unit_test(test_hexadecimal_goes_round_and_nothing_else_is_taken),
		cmocka_unit_test(test_fields_are_little_endian),
		cmocka_unit_test(test_the_clock_does_not_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
