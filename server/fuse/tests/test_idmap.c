/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_idmap.c - --translate-uid and --translate-gid: each kind of rule, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "fuse/idmap.h"

#define NOBODY UINT32_MAX /* stands for "forbidden" here */

static struct idmap *build(const char *const *rules)
{
	struct idmap *map = NULL;
	char error[200] = "";

	for (; *rules; rules++)
		assert_int_equal(idmap_add(&map, *rules, error, sizeof(error)), 0);
	assert_string_equal(error, "");
	return map;
}

static uint32_t to_host(const struct idmap *map, uint32_t guest)
{
	uint32_t host = 0;
	int error = idmap_to_host(map, guest, &host);

	if (error)
		assert_int_equal(error, -EPERM);
	return error ? NOBODY : host;
}

static void test_without_rules_ids_pass_unchanged(void **state)
{
	(void)state;
	assert_int_equal(to_host(NULL, 0), 0);
	assert_int_equal(to_host(NULL, 4294967294U), 4294967294U);
	assert_int_equal(idmap_to_guest(NULL, 1000), 1000);
}

static void test_the_id_that_means_none_is_never_a_caller(void **state)
{
	struct idmap *map = build((const char *[]){ "squash-guest:0:1000:4294967295", NULL });
	uint32_t host;

	(void)state;
	assert_int_equal(idmap_to_host(NULL, UINT32_MAX, &host), -EPERM);
	assert_int_equal(idmap_to_host(map, UINT32_MAX, &host), -EPERM);
	assert_int_equal(to_host(map, UINT32_MAX - 1), 1000);
	idmap_free(map);
}

static void test_guest_and_host_rules_are_of_one_direction(void **state)
{
	struct idmap *map =
		build((const char *[]){ "guest:1000:5000:10", "host:7000:2000:5", NULL });

	(void)state;
	assert_int_equal(to_host(map, 999), 999);
	assert_int_equal(to_host(map, 1000), 5000);
	assert_int_equal(to_host(map, 1009), 5009);
	assert_int_equal(to_host(map, 1010), 1010);
	assert_int_equal(idmap_to_guest(map, 5000), 5000);
	assert_int_equal(idmap_to_guest(map, 7004), 2004);
	assert_int_equal(idmap_to_guest(map, 7005), 7005);
	idmap_free(map);
}

static void test_map_is_both_directions(void **state)
{
	struct idmap *map = build((const char *[]){ "MAP#0#100000#65536", NULL });

	(void)state;
	assert_int_equal(to_host(map, 0), 100000);
	assert_int_equal(idmap_to_guest(map, 100000), 0);
	assert_int_equal(idmap_to_guest(map, 165535), 65535);
	idmap_free(map);
}

static void test_squash_makes_one_of_many_and_forbid_none(void **state)
{
	struct idmap *map =
		build((const char *[]){ "squash-guest:0:107:1000", "squash-host:0:65534:100",
					"forbid-guest:1000:1000", NULL });

	(void)state;
	assert_int_equal(to_host(map, 0), 107);
	assert_int_equal(to_host(map, 999), 107);
	assert_int_equal(to_host(map, 1000), NOBODY);
	assert_int_equal(to_host(map, 1999), NOBODY);
	assert_int_equal(to_host(map, 2000), 2000);
	assert_int_equal(idmap_to_guest(map, 99), 65534);
	assert_int_equal(idmap_to_guest(map, 100), 100);
	idmap_free(map);
}

static void test_bad_rules_are_refused_and_leave_the_map_alone(void **state)
{
	static const char *const bad[] = {
		"",
		"1000:1000:1",
		"nobody:0:0:1",
		"guest:0:0",
		"guest:0:0:1:2",
		"forbid-guest:0:1:2",
		"guest:0:0:",
		"guest:-1:0:1",
		"guest:0x1:0:1",
		"guest:4294967296:0:1",
		"guest:0 :0:1",
		"guest:0:0:0",
		"guest:1:0:4294967295",
		"guest:0:1:4294967295",
		"squash-guest:0:4294967295:1",
		"map:50:9000:1",  /* overlaps in the guest's ids */
		"map:9000:150:1", /* overlaps in the host's */
		"guest,0:0:1",
	};
	struct idmap *map = build((const char *[]){ "map:50:150:10", NULL });

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char error[200] = "";

		assert_int_equal(idmap_add(&map, bad[i], error, sizeof(error)), -EINVAL);
		assert_int_not_equal(strlen(error), 0);
	}
	assert_int_equal(to_host(map, 9000), 9000);
	assert_int_equal(idmap_to_guest(map, 9000), 9000);
	assert_int_equal(to_host(map, 59), 159);
	idmap_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_rules_ids_pass_unchanged),
		cmocka_unit_test(test_the_id_that_means_none_is_never_a_caller),
		cmocka_unit_test(test_guest_and_host_rules_are_of_one_direction),
		cmocka_unit_test(test_map_is_both_directions),
		cmocka_unit_test(test_squash_makes_one_of_many_and_forbid_none),
		cmocka_unit_test(test_bad_rules_are_refused_and_leave_the_map_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
