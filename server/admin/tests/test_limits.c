/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_limits.c - how descriptors are divided.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/resource.h>

#include "admin/serve.h"
#include "base/util.h"
#include "fuse/files.h"

static void test_no_limit_is_overspent_and_a_thousand_suffice(void **unused)
{
	static const uint64_t limits[] = { 64,	 256,	384,	 385,
					   1024, 20000, 1048576, CONFIG_NOFILE_MAX };
	struct serve_limits l;

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		serve_divide(limits[i], CONFIG_MAX_NODES_DEFAULT, &l);
		assert_true(l.files > 0 && l.locks > 0 && l.nodes > 0);
		if (limits[i] > (uint64_t)2 * SERVE_RESERVED)
			assert_true(l.files + l.locks + l.nodes + SERVE_RESERVED <= limits[i]);
		else
			assert_true(l.files + l.locks + l.nodes <= limits[i] / 2);
	}
	serve_divide(1024, CONFIG_MAX_NODES_DEFAULT, &l);
	assert_true(l.files >= 400 && l.nodes >= 300);
}

static void test_there_are_no_more_descriptors_of_nodes_than_nodes(void **unused)
{
	struct serve_limits l;

	(void)unused;
	serve_divide(1048576, 10000, &l);
	assert_int_equal(l.nodes, 10000);
}

/* As containers have it: thousand millions of descriptors, and no memory for a table of as many. */
static void test_tables_fit_into_memory_though_descriptors_have_no_limit(void **unused)
{
	const struct rlimit little = { .rlim_cur = (rlim_t)4 << 30, .rlim_max = RLIM_INFINITY };
	struct file_table *files = NULL;
	struct serve_limits l;
	struct rlimit was;
	int err = 0;

	(void)unused;
	serve_divide(CONFIG_NOFILE_MAX, CONFIG_MAX_NODES_DEFAULT, &l);
	assert_int_equal(l.files, SERVE_OPEN_MAX);
	assert_int_equal(l.locks, SERVE_OPEN_MAX);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow alone is more */
	assert_int_equal(getrlimit(RLIMIT_AS, &was), 0);
	assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
	err = file_table_new((unsigned)l.files, &files);
	assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
#else
	(void)was, (void)little;
#endif
	assert_int_equal(err, 0);
	file_table_free(files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit_is_overspent_and_a_thousand_suffice),
		cmocka_unit_test(test_there_are_no_more_descriptors_of_nodes_than_nodes),
		cmocka_unit_test(test_tables_fit_into_memory_though_descriptors_have_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
