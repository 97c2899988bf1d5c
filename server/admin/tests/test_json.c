/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_json.c - any bytes become a string that a JSON parser takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "admin/json.h"

static void becomes(const char *text, const char *want)
{
	char *got = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&got, &size);

	assert_non_null(f);
	json_string(f, text);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(got, want);
	free(got);
}

static void test_plain_text_and_utf8_stay_as_they_are(void **unused)
{
	(void)unused;
	becomes("", "\"\"");
	becomes("/srv/data", "\"/srv/data\"");
	becomes("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

static void test_quotes_and_control_bytes_are_escaped(void **unused)
{
	(void)unused;
	becomes("a\"b\\c\nd\x01\x7f", "\"a\\\"b\\\\c\\u000ad\\u0001\\u007f\"");
}

static void test_bytes_that_are_no_utf8_are_escaped_one_by_one(void **unused)
{
	(void)unused;
	becomes("\xff", "\"\\udcff\"");
	becomes("\xc3", "\"\\udcc3\"");			      /* cut off */
	becomes("\xc0\xaf", "\"\\udcc0\\udcaf\"");	      /* too long */
	becomes("\xe0\x80\xaf", "\"\\udce0\\udc80\\udcaf\""); /* too long */
	becomes("\xed\xa0\x80", "\"\\udced\\udca0\\udc80\""); /* a surrogate */
	becomes("\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\"");
	becomes("\xe2\x82", "\"\\udce2\\udc82\"");
	becomes("\xe2\x82z", "\"\\udce2\\udc82z\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_text_and_utf8_stay_as_they_are),
		cmocka_unit_test(test_quotes_and_control_bytes_are_escaped),
		cmocka_unit_test(test_bytes_that_are_no_utf8_are_escaped_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
