/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_xattrmap.c - the language of --xattrmap: every type and scope, the shorthand, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "fuse/xattrmap.h"

/* What a name becomes: the host's name, "EPERM", "EOPNOTSUPP" or "ERANGE". */
static void expect_host(const struct xattrmap *map, const char *guest, const char *expected)
{
	char out[XATTR_NAME_MAX + 1] = "";
	int error = xattrmap_to_host(map, guest, out);

	if (strcmp(expected, "EPERM") == 0)
		assert_int_equal(error, -EPERM);
	else if (strcmp(expected, "EOPNOTSUPP") == 0)
		assert_int_equal(error, -EOPNOTSUPP);
	else if (strcmp(expected, "ERANGE") == 0)
		assert_int_equal(error, -ERANGE);
	else
		assert_int_equal(error, 0);
	if (error == 0)
		assert_string_equal(out, expected);
}

static void expect_guest(const struct xattrmap *map, const char *host, const char *expected)
{
	const char *name = xattrmap_to_guest(map, host);

	if (expected)
		assert_string_equal(name, expected);
	else
		assert_null(name);
}

static struct xattrmap *parse(const char *rules)
{
	struct xattrmap *map = NULL;
	char error[200] = "";

	assert_int_equal(xattrmap_parse(rules, &map, error, sizeof(error)), 0);
	assert_string_equal(error, "");
	return map;
}

static void test_without_a_map_names_pass_unchanged(void **state)
{
	(void)state;
	expect_host(NULL, "user.a", "user.a");
	expect_guest(NULL, "user.a", "user.a");
}

static void test_prefix_is_put_in_front_and_taken_off(void **state)
{
	struct xattrmap *map = parse(":prefix:all::user.virtiofs.::bad:all:::");

	(void)state;
	expect_host(map, "trusted.x", "user.virtiofs.trusted.x");
	expect_guest(map, "user.virtiofs.trusted.x", "trusted.x");
	expect_guest(map, "user.x", NULL);
	expect_guest(map, "user.virtiofs.", NULL);
	xattrmap_free(map);
}

static void test_the_first_rule_that_matches_counts(void **state)
{
	struct xattrmap *map = parse("/prefix/all/trusted./user.virtiofs./\n"
				     "  /bad/server//trusted./\n"
				     "  /bad/client/user.virtiofs.//\n"
				     "  /ok/all/// \n");

	(void)state;
	expect_host(map, "trusted.a", "user.virtiofs.trusted.a");
	expect_host(map, "user.virtiofs.trusted.a", "EPERM");
	expect_host(map, "user.a", "user.a");
	expect_guest(map, "user.virtiofs.trusted.a", "trusted.a");
	expect_guest(map, "trusted.a", NULL);
	expect_guest(map, "user.a", "user.a");
	xattrmap_free(map);
}

static void test_bad_is_eperm_and_unsupported_is_eopnotsupp(void **state)
{
	struct xattrmap *map = parse(":bad:all:security.:security.:"
				     ":unsupported:all:system.:system.:"
				     ":ok:all:::");

	(void)state;
	expect_host(map, "security.selinux", "EPERM");
	expect_host(map, "system.posix_acl_access", "EOPNOTSUPP");
	expect_host(map, "user.a", "user.a");
	expect_guest(map, "security.selinux", NULL);
	expect_guest(map, "system.posix_acl_access", NULL);
	expect_guest(map, "user.a", "user.a");
	xattrmap_free(map);
}

static void test_scopes_are_of_one_direction_alone(void **state)
{
	struct xattrmap *map = parse("#ok#client#user.##"
				     "#bad#client###"
				     "#ok#server##security.#"
				     "#bad#server###");

	(void)state;
	expect_host(map, "user.a", "user.a");
	expect_host(map, "security.a", "EPERM");
	expect_guest(map, "user.a", NULL);
	expect_guest(map, "security.a", "security.a");
	xattrmap_free(map);
}

static void test_the_shorthand_for_all_names_hides_the_hosts_own(void **state)
{
	struct xattrmap *map = parse(":map::user.virtiofs.:");

	(void)state;
	expect_host(map, "security.capability", "user.virtiofs.security.capability");
	expect_host(map, "user.virtiofs.a", "user.virtiofs.user.virtiofs.a");
	expect_guest(map, "user.virtiofs.security.capability", "security.capability");
	expect_guest(map, "security.capability", NULL);
	xattrmap_free(map);
}

static void test_the_shorthand_with_a_key_denies_its_target(void **state)
{
	struct xattrmap *map = parse("/map/trusted./user.virtiofs./");

	(void)state;
	expect_host(map, "trusted.a", "user.virtiofs.trusted.a");
	expect_host(map, "user.virtiofs.trusted.a", "EPERM");
	expect_host(map, "user.a", "user.a");
	expect_guest(map, "trusted.a", NULL);
	expect_guest(map, "user.virtiofs.trusted.a", "trusted.a");
	xattrmap_free(map);
}

static void test_a_name_that_grows_too_long_is_erange(void **state)
{
	struct xattrmap *map = parse(":map::user.virtiofs.:");
	char name[XATTR_NAME_MAX + 1];

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[XATTR_NAME_MAX] = '\0';
	expect_host(map, name, "ERANGE");
	expect_host(NULL, name, name);
	name[XATTR_NAME_MAX - strlen("user.virtiofs.")] = '\0';
	assert_int_equal(xattrmap_to_host(map, name, (char[XATTR_NAME_MAX + 1]){ 0 }), 0);
	xattrmap_free(map);
}

static void test_bad_maps_are_refused_with_a_position(void **state)
{
	static const struct {
		const char *rules, *error;
	} cases[] = {
		{ "", "character 1: there is no rule" },
		{ "   ", "character 4: there is no rule" },
		{ ":nonsense:all:::", "character 2: unknown type 'nonsense'" },
		{ ":ok:both:::", "character 5: unknown scope 'both'" },
		{ ":ok:all::", "character 10: prepend is not ended by ':'" },
		{ ":ok", "character 2: type is not ended by ':'" },
		{ ":ok:all:::x", "character 12: type is not ended by 'x'" },
		{ ":map::user.v.: :ok:all:::", "character 16: a map rule must be the last one" },
		{ ":map:::", "character 1: a map rule needs a prefix to prepend" },
		{ ":ok:client:::", "character 14: no rule for the remaining names from the host; "
				   "end with a default as :ok:all::: or :bad:all:::" },
		{ ":ok:all:user.::",
		  "character 16: no rule for the remaining names from the guest; "
		  "end with a default as :ok:all::: or :bad:all:::" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct xattrmap *map = NULL;
		char error[200] = "";

		assert_int_equal(xattrmap_parse(cases[i].rules, &map, error, sizeof(error)),
				 -EINVAL);
		assert_null(map);
		assert_string_equal(error, cases[i].error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_map_names_pass_unchanged),
		cmocka_unit_test(test_prefix_is_put_in_front_and_taken_off),
		cmocka_unit_test(test_the_first_rule_that_matches_counts),
		cmocka_unit_test(test_bad_is_eperm_and_unsupported_is_eopnotsupp),
		cmocka_unit_test(test_scopes_are_of_one_direction_alone),
		cmocka_unit_test(test_the_shorthand_for_all_names_hides_the_hosts_own),
		cmocka_unit_test(test_the_shorthand_with_a_key_denies_its_target),
		cmocka_unit_test(test_a_name_that_grows_too_long_is_erange),
		cmocka_unit_test(test_bad_maps_are_refused_with_a_position),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
