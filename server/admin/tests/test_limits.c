/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_limits.c - how descriptors are divided.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/serve.h"
#include "base/util.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit_is_overspent_and_a_thousand_suffice),
		cmocka_unit_test(test_there_are_no_more_descriptors_of_nodes_than_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
