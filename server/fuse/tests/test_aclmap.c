/* SPDX-License-Identifier: BSD-3-Clause */
/* aclmap.c: the bytes of an ACL, changed where it names somebody and nowhere else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fuse/aclmap.h"
#include "fuse/idmap.h"

/* Version 2; owner rwx, user 1003 rw, group r, group 1004 r, mask rw, other none. Ids of entries without one are -1. */
static const uint8_t guest_acl[] = {
	2,  0, 0, 0, 1,	  0,   7,   0,	 255, 255, 255, 255, 2,	  0,   6,    0,	  0xeb, 3,
	0,  0, 4, 0, 4,	  0,   255, 255, 255, 255, 8,	0,   4,	  0,   0xec, 3,	  0,	0,
	16, 0, 6, 0, 255, 255, 255, 255, 32,  0,   0,	0,   255, 255, 255,  255,
};
#define USER_AT 16
#define GROUP_AT 32

struct maps {
	struct idmap *uids, *gids;
	uint8_t acl[sizeof(guest_acl)];
};

static int set_up(void **state)
{
	static struct maps m;
	char error[128];

	m = (struct maps){ 0 };
	assert_int_equal(idmap_add(&m.uids, "map:1000:5000:10", error, sizeof(error)), 0);
	assert_int_equal(idmap_add(&m.gids, "map:1000:7000:10", error, sizeof(error)), 0);
	memcpy(m.acl, guest_acl, sizeof(guest_acl));
	*state = &m;
	return 0;
}

static int tear_down(void **state)
{
	struct maps *m = *state;

	idmap_free(m->uids);
	idmap_free(m->gids);
	return 0;
}

static uint32_t id_at(const uint8_t *acl, size_t at)
{
	return (uint32_t)acl[at] | (uint32_t)acl[at + 1] << 8 | (uint32_t)acl[at + 2] << 16 |
	       (uint32_t)acl[at + 3] << 24;
}

static void test_users_and_groups_are_translated_and_nothing_else(void **state)
{
	struct maps *m = *state;
	uint8_t rest[sizeof(guest_acl)];

	assert_int_equal(aclmap_to_host(m->uids, m->gids, m->acl, sizeof(m->acl)), 0);
	assert_int_equal(id_at(m->acl, USER_AT), 5003);
	assert_int_equal(id_at(m->acl, GROUP_AT), 7004);
	memcpy(rest, m->acl, sizeof(rest));
	memcpy(rest + USER_AT, guest_acl + USER_AT, 4);
	memcpy(rest + GROUP_AT, guest_acl + GROUP_AT, 4);
	assert_memory_equal(rest, guest_acl, sizeof(rest));
	aclmap_to_guest(m->uids, m->gids, m->acl, sizeof(m->acl));
	assert_memory_equal(m->acl, guest_acl, sizeof(guest_acl));
}

static void test_one_map_alone_leaves_the_other_kind(void **state)
{
	struct maps *m = *state;

	assert_int_equal(aclmap_to_host(NULL, m->gids, m->acl, sizeof(m->acl)), 0);
	assert_int_equal(id_at(m->acl, USER_AT), 1003);
	assert_int_equal(id_at(m->acl, GROUP_AT), 7004);
}

static void test_a_forbidden_id_is_refused(void **state)
{
	struct maps *m = *state;
	char error[128];

	assert_int_equal(idmap_add(&m->gids, "forbid-guest:1010:10", error, sizeof(error)), 0);
	m->acl[GROUP_AT] = 0xf3; /* 1011 */
	assert_int_equal(aclmap_to_host(m->uids, m->gids, m->acl, sizeof(m->acl)), -EPERM);
}

static void test_what_is_no_acl_is_left_alone(void **state)
{
	struct maps *m = *state;

	for (size_t len = 0; len < sizeof(m->acl); len++) {
		uint8_t exact[sizeof(guest_acl)];

		if (len >= 4 && (len - 4) % 8 == 0)
			continue;
		memcpy(exact, guest_acl, sizeof(exact));
		assert_int_equal(aclmap_to_host(m->uids, m->gids, exact, len), 0);
		assert_memory_equal(exact, guest_acl, sizeof(exact));
	}
	m->acl[0] = 3;
	assert_int_equal(aclmap_to_host(m->uids, m->gids, m->acl, sizeof(m->acl)), 0);
	assert_int_equal(id_at(m->acl, USER_AT), 1003);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_users_and_groups_are_translated_and_nothing_else, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_map_alone_leaves_the_other_kind, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_forbidden_id_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_no_acl_is_left_alone, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
