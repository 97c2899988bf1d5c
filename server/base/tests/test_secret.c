/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_secret.c - memory for keys is in no core dump, no child, no swap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"

#define SIZE 5000 /* more than a page */

/* The VmFlags line of the mapping that holds `p`. */
static void flags_of(const void *p, char *flags, size_t cap)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long long from;
	unsigned long long to;
	char line[512];
	int found = 0;

	assert_non_null(f);
	flags[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
			found = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (found && !strncmp(line, "VmFlags:", 8))
			(void)snprintf(flags, cap, "%s", line);
	}
	(void)fclose(f);
}

static void test_secrets_are_zeroed_locked_and_kept_out_of_dumps(void **state)
{
	uint8_t *p = secret_alloc(SIZE);
	char flags[512];

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(p[i], 0);
	flags_of(p, flags, sizeof(flags));
	assert_non_null(strstr(flags, " dd"));
	assert_non_null(strstr(flags, " wf"));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* The sanitizers make mlock do nothing. */
	assert_non_null(strstr(flags, " lo"));
#endif
	secret_free(p, SIZE);
}

static void test_a_child_finds_zeros(void **state)
{
	uint8_t *p = secret_alloc(SIZE);
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(p);
	memset(p, 0xa5, SIZE);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (size_t i = 0; i < SIZE; i++) {
			if (p[i])
				_exit(1);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(p[SIZE - 1], 0xa5);
	secret_free(p, SIZE);
}

static void test_memory_that_cannot_be_locked_will_do(void **state)
{
	struct rlimit none = { 0, 0 };
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		/* As an ordinary user, whom the limit binds. */
		int denied = setrlimit(RLIMIT_MEMLOCK, &none) ||
			     (getuid() == 0 && setresuid(65534, 65534, 65534));

		_exit(denied || !secret_alloc(SIZE));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_sizes_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	errno = 0;
	assert_null(secret_alloc(0));
	assert_int_equal(errno, EINVAL);
	assert_null(secret_alloc(SIZE_MAX));
	secret_free(NULL, SIZE);
}

static void test_wiping_leaves_zeros(void **state)
{
	static const uint8_t want[4] = { 0, 0, 0, 4 };
	uint8_t bytes[4] = { 1, 2, 3, 4 };

	(void)state;
	secret_wipe(bytes, 3);
	assert_memory_equal(bytes, want, sizeof(want));
}

/* In a child: limits cannot be taken back. Its exit code: 0, or what was wrong. */
static int forbid_under(rlim_t most)
{
	const struct rlimit before = { most, most };
	struct rlimit after;
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (setrlimit(RLIMIT_CORE, &before) || secret_forbid_cores())
			_exit(1);
		/* Who may raise a limit has 1, everybody else what was there. */
		if (getrlimit(RLIMIT_CORE, &after) || after.rlim_max > 1 ||
		    after.rlim_cur != after.rlim_max || (most && after.rlim_cur != 1))
			_exit(2);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_cores_are_forbidden_whatever_the_bound_was(void **state)
{
	struct rlimit now;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_CORE, &now), 0);
	if (now.rlim_max)
		assert_int_equal(forbid_under(now.rlim_max), 0);
	assert_int_equal(forbid_under(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets_are_zeroed_locked_and_kept_out_of_dumps),
		cmocka_unit_test(test_a_child_finds_zeros),
		cmocka_unit_test(test_memory_that_cannot_be_locked_will_do),
		cmocka_unit_test(test_sizes_that_make_no_sense_are_refused),
		cmocka_unit_test(test_wiping_leaves_zeros),
		cmocka_unit_test(test_cores_are_forbidden_whatever_the_bound_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
