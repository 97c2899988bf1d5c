/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_handle_text.c - handles as a person types them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "admin/handle_text.h"
#include "base/util.h"

static void test_what_handle_get_prints_is_understood(void **unused)
{
	const uint32_t words[3] = { 0x01020304, 0x05060708, 0x99aabbcc };
	struct handle_text h;
	struct handle_pair pair[2];
	char text[64] = "81:";

	(void)unused;
	hex_encode((const uint8_t *)words, sizeof(words), text + 3);
	assert_int_equal(handle_text_parse(text, &h), 0);
	assert_true(h.typed);
	assert_int_equal(h.type, 0x81);
	assert_int_equal(h.len, 12);
	assert_int_equal(handle_text_fuse(&h, pair), 1);
	assert_true(pair[0].nodeid.v == 0x0102030405060708);
	assert_true(pair[0].generation.v == 0x99aabbcc);
}

static void test_a_connectable_handle_has_its_parent_behind(void **unused)
{
	struct handle_text h;
	struct handle_pair pair[2];

	(void)unused;
	assert_int_equal(
		handle_text_parse("0x10082:0xffffffffffffffffffffffff000000000100000000000000", &h),
		0);
	assert_int_equal(handle_text_fuse(&h, pair), 2);
	assert_true(pair[0].nodeid.v == UINT64_MAX);
	assert_true(nodeid_is_root(pair[1].nodeid));
	/* A directory's connectable handle has no parent. */
	assert_int_equal(handle_text_parse("30081:ffffffffffffffffffffffff", &h), 0);
	assert_int_equal(handle_text_fuse(&h, pair), 1);
}

static void test_length_and_type_must_agree(void **unused)
{
	struct handle_text h;
	struct handle_pair pair[2];

	(void)unused;
	assert_int_equal(handle_text_parse("82:ffffffffffffffffffffffff", &h), 0);
	assert_int_equal(handle_text_fuse(&h, pair), 0);
	assert_int_equal(handle_text_parse("1:ffffffffffffffff", &h), 0);
	assert_int_equal(handle_text_fuse(&h, pair), 0);
	/* Digits alone: 12 and 24 bytes are FUSE handles, others are sealed. */
	assert_int_equal(handle_text_parse("ffffffffffffffffffffffff", &h), 0);
	assert_false(h.typed);
	assert_int_equal(handle_text_fuse(&h, pair), 1);
	assert_int_equal(handle_text_parse("0101ffffffffffffffffffffffff", &h), 0);
	assert_int_equal(handle_text_fuse(&h, pair), 0);
}

static void test_nonsense_is_refused(void **unused)
{
	static const char *const bad[] = { "",	    ":",	"81:",	  ":00",
					   "81:0",  "81:0g",	"g:00",	  "123456789:00",
					   "0x:00", "81:00:00", " 81:00", "81:00 ",
					   "-1:00", "nonsense" };
	char longest[2 * HANDLE_TEXT_MAX + 3];
	struct handle_text h;

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (handle_text_parse(bad[i], &h) == 0)
			fail_msg("taken: \"%s\"", bad[i]);
	memset(longest, 'f', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_not_equal(handle_text_parse(longest, &h), 0);
	longest[2 * HANDLE_TEXT_MAX] = '\0';
	assert_int_equal(handle_text_parse(longest, &h), 0);
	assert_int_equal(h.len, HANDLE_TEXT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_handle_get_prints_is_understood),
		cmocka_unit_test(test_a_connectable_handle_has_its_parent_behind),
		cmocka_unit_test(test_length_and_type_must_agree),
		cmocka_unit_test(test_nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
