/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_init.c - what INIT agrees on, as a function over structs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fuse/init.h"

#define EVERYTHING (~0ULL & ~(1ULL << 31))

static struct fuse_init_in ask(uint64_t flags)
{
	return (struct fuse_init_in){ .major = 7,
				      .minor = 45,
				      .max_readahead = 131072,
				      .flags = (uint32_t)flags,
				      .flags2 = (uint32_t)(flags >> 32) };
}

static struct init_answer negotiate(const struct fuse_config *config, struct fuse_init_in in)
{
	struct init_answer answer;

	init_negotiate(config, &in, sizeof(in), &answer);
	return answer;
}

static void test_what_is_always_agreed_on(void **state)
{
	const uint64_t always = FUSE_EXPORT_SUPPORT | FUSE_ASYNC_READ | FUSE_BIG_WRITES |
				FUSE_ATOMIC_O_TRUNC | FUSE_PARALLEL_DIROPS | FUSE_DO_READDIRPLUS |
				FUSE_READDIRPLUS_AUTO | FUSE_MAX_PAGES | FUSE_SETXATTR_EXT |
				FUSE_INIT_EXT | FUSE_CREATE_SUPP_GROUP | FUSE_ASYNC_DIO |
				FUSE_HAS_IOCTL_DIR;
	struct fuse_config config = { .cache = CACHE_AUTO };
	struct init_answer a = negotiate(&config, ask(EVERYTHING));

	(void)state;
	assert_int_equal(a.error, 0);
	assert_true(a.settled);
	assert_true(a.flags == (always | FUSE_AUTO_INVAL_DATA));
	assert_int_equal(a.out.major, 7);
	assert_int_equal(a.out.minor, FUSE_KERNEL_MINOR_VERSION);
	assert_int_equal(a.minor, FUSE_KERNEL_MINOR_VERSION);
	assert_int_equal(a.out.flags, (uint32_t)a.flags);
	assert_int_equal(a.out.flags2, a.flags >> 32);
	assert_int_equal(a.out.max_write, 1 << 20);
	assert_int_equal(a.out.max_pages, 256);
	assert_int_equal(a.out.max_background, 64);
	assert_int_equal(a.out.congestion_threshold, 48);
	assert_int_equal(a.out.time_gran, 1);
	assert_int_equal(a.out.map_alignment, 0);
	assert_int_equal(a.out.max_readahead, 131072);
}

static void test_what_is_never_agreed_on(void **state)
{
	const uint64_t never = FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT | FUSE_ABORT_ERROR |
			       FUSE_SPLICE_READ | FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE |
			       FUSE_HANDLE_KILLPRIV | FUSE_EXPLICIT_INVAL_DATA |
			       FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX |
			       1ULL << 38 /* NO_EXPORT_SUPPORT */ | 1ULL << 40 /* ALLOW_IDMAP */;

	(void)state;
	for (int cache = CACHE_AUTO; cache <= CACHE_NEVER; cache++) {
		struct fuse_config config = { .cache = (enum cache_policy)cache,
					      .xattr = true,
					      .posix_acl = true,
					      .security_label = true,
					      .killpriv_v2 = true,
					      .writeback = true,
					      .flock = true,
					      .posix_lock = true,
					      .announce_submounts = true };

		assert_true((negotiate(&config, ask(EVERYTHING)).flags & never) == 0);
	}
}

static void test_nothing_is_agreed_on_that_was_not_offered(void **state)
{
	struct fuse_config config = { .cache = CACHE_ALWAYS, .xattr = true };
	struct init_answer a = negotiate(&config, ask(FUSE_EXPORT_SUPPORT | FUSE_ASYNC_READ));

	(void)state;
	assert_int_equal(a.error, 0);
	assert_true(a.flags == (FUSE_EXPORT_SUPPORT | FUSE_ASYNC_READ));
	assert_int_equal(a.out.max_pages, 0);

	/* The second word counts only with FUSE_INIT_EXT. */
	a = negotiate(&config, ask(EVERYTHING & ~(uint64_t)FUSE_INIT_EXT));
	assert_int_equal(a.out.flags2, 0);
	assert_true(a.flags >> 32 == 0);
}

static void test_the_cache_policy_decides_about_caching_flags(void **state)
{
	struct fuse_config always = { .cache = CACHE_ALWAYS };
	struct fuse_config never = { .cache = CACHE_NEVER };
	struct fuse_config metadata = { .cache = CACHE_METADATA };
	uint64_t a = negotiate(&always, ask(EVERYTHING)).flags;
	uint64_t n = negotiate(&never, ask(EVERYTHING)).flags;
	uint64_t m = negotiate(&metadata, ask(EVERYTHING)).flags;

	(void)state;
	assert_true(a & FUSE_CACHE_SYMLINKS);
	assert_false(a & FUSE_AUTO_INVAL_DATA);
	assert_false(a & FUSE_DIRECT_IO_ALLOW_MMAP);
	assert_false(n & FUSE_CACHE_SYMLINKS);
	assert_true(n & FUSE_DIRECT_IO_ALLOW_MMAP);
	assert_true(m & FUSE_DIRECT_IO_ALLOW_MMAP);
	assert_false(n & FUSE_DO_READDIRPLUS);
}

static void test_security_labels_come_by_their_option_alone(void **state)
{
	struct fuse_config config = { .xattr = true, .posix_acl = true };

	(void)state;
	assert_false(negotiate(&config, ask(EVERYTHING)).flags & FUSE_SECURITY_CTX);
	config.security_label = true;
	assert_true(negotiate(&config, ask(EVERYTHING)).flags & FUSE_SECURITY_CTX);
}

static void test_an_option_is_agreed_on_or_refused_by_name(void **state)
{
	const struct {
		struct fuse_config config;
		uint64_t flag;
		const char *option;
	} cases[] = {
		{ { .posix_acl = true }, FUSE_POSIX_ACL, "--posix-acl:" },
		{ { .posix_acl = true }, FUSE_DONT_MASK, "--posix-acl:" },
		{ { .security_label = true }, FUSE_SECURITY_CTX, "--security-label:" },
		{ { .killpriv_v2 = true }, FUSE_HANDLE_KILLPRIV_V2, "--killpriv-v2:" },
		{ { .announce_submounts = true }, FUSE_SUBMOUNTS, "--announce-submounts:" },
		{ { .writeback = true }, FUSE_WRITEBACK_CACHE, "--writeback:" },
		{ { .flock = true }, FUSE_FLOCK_LOCKS, "--flock:" },
		{ { .posix_lock = true }, FUSE_POSIX_LOCKS, "--posix-lock:" },
		{ { .cache = CACHE_AUTO }, FUSE_EXPORT_SUPPORT, "the kernel offers no" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct init_answer a = negotiate(&cases[i].config, ask(EVERYTHING));

		assert_int_equal(a.error, 0);
		assert_true(a.flags & cases[i].flag);
		assert_string_equal(a.refused, "");
		a = negotiate(&cases[i].config, ask(EVERYTHING & ~cases[i].flag));
		assert_int_equal(a.error, -EOPNOTSUPP);
		assert_false(a.settled);
		assert_int_equal(strncmp(a.refused, cases[i].option, strlen(cases[i].option)), 0);
	}
}

static void test_a_newer_major_is_asked_to_come_again_with_7(void **state)
{
	struct fuse_config config = { .posix_acl = true };
	struct fuse_init_in in = { .major = 8, .minor = 1 };
	struct init_answer a = negotiate(&config, in);

	(void)state;
	assert_int_equal(a.error, 0);
	assert_false(a.settled);
	assert_int_equal(a.out.major, 7);
	assert_true(a.flags == 0);
	assert_string_equal(a.refused, "");
	in.major = 0xffffffff;
	assert_int_equal(negotiate(&config, in).out.major, 7);
}

static void test_older_protocols_are_eproto(void **state)
{
	struct fuse_config config = { .cache = CACHE_AUTO };
	struct fuse_init_in in = ask(EVERYTHING);
	struct init_answer a;

	(void)state;
	in.minor = 30;
	assert_int_equal(negotiate(&config, in).error, -EPROTO);
	in.minor = 31;
	a = negotiate(&config, in);
	assert_int_equal(a.error, 0);
	assert_int_equal(a.minor, 31);
	in.major = 6;
	assert_int_equal(negotiate(&config, in).error, -EPROTO);
	in.major = 0;
	assert_int_equal(negotiate(&config, in).error, -EPROTO);
}

static void test_short_forms_are_read_as_far_as_they_go(void **state)
{
	struct fuse_config config = { .cache = CACHE_AUTO };
	struct fuse_init_in in = ask(EVERYTHING);
	struct init_answer a;

	(void)state;
	/* 16 bytes: no second word, whatever the first says. */
	init_negotiate(&config, &in, 16, &a);
	assert_int_equal(a.error, 0);
	assert_int_equal(a.out.flags2, 0);
	/* 8 bytes: before 7.6. */
	init_negotiate(&config, &in, 8, &a);
	assert_int_equal(a.error, -EPROTO);
	in.major = 9;
	init_negotiate(&config, &in, 8, &a);
	assert_int_equal(a.error, 0);
	assert_int_equal(a.out.major, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_always_agreed_on),
		cmocka_unit_test(test_what_is_never_agreed_on),
		cmocka_unit_test(test_nothing_is_agreed_on_that_was_not_offered),
		cmocka_unit_test(test_the_cache_policy_decides_about_caching_flags),
		cmocka_unit_test(test_security_labels_come_by_their_option_alone),
		cmocka_unit_test(test_an_option_is_agreed_on_or_refused_by_name),
		cmocka_unit_test(test_a_newer_major_is_asked_to_come_again_with_7),
		cmocka_unit_test(test_older_protocols_are_eproto),
		cmocka_unit_test(test_short_forms_are_read_as_far_as_they_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
