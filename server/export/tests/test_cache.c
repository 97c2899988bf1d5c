/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_cache.c - the node cache alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "export/cache.h"

/* Two threads see an object without a handle at once, and each made a number up: guests are told one. */
static void test_an_object_without_a_handle_has_one_node(void **state)
{
	struct looked looked = { .dev = 7, .anonymous = true };
	struct identity id = { .handle_len = 4 }, other = { .handle_len = 4, .handle = { 1 } };
	struct node_spec spec = { .looked = &looked, .id = &id };
	struct node *first, *second, *third;
	struct cache *c;

	(void)state;
	looked.stx.stx_ino = 42;
	spec.nodeid.v = 1000;
	assert_int_equal(cache_new(1000, 10, &c), 0);
	assert_int_equal(cache_enter(c, &spec, &first), 0);
	spec.nodeid.v = 2000;
	spec.id = &other;
	assert_int_equal(cache_enter(c, &spec, &second), 0);
	assert_ptr_equal(second, first);
	assert_int_equal(cache_nodeid(second).v, 1000);

	/* Another inode is another object, and one of another mount. */
	looked.stx.stx_ino = 43;
	assert_int_equal(cache_enter(c, &spec, &third), 0);
	assert_ptr_not_equal(third, first);
	cache_put(c, third);
	looked.stx.stx_ino = 42;
	other.place.attachment = 1;
	spec.nodeid.v = 3000;
	assert_int_equal(cache_enter(c, &spec, &third), 0);
	assert_ptr_not_equal(third, first);
	cache_put(c, third);
	cache_put(c, second);
	cache_put(c, first);
	cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_object_without_a_handle_has_one_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
