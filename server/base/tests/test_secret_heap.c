/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_secret_heap.c - what OpenSSL allocates is locked, in no dump, wiped when freed, and zeros in children.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret_heap.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

static int flags_say(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long long from;
	unsigned long long to;
	char line[512];
	int found = 0, says = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
			found = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (found && !strncmp(line, "VmFlags:", 8))
			says = strstr(line, flag) != NULL;
	}
	(void)fclose(f);
	return says;
}

static void test_blocks_of_all_sizes_are_locked_and_kept_out_of_dumps(void **state)
{
	(void)state;
	for (size_t size = 1; size < 300000; size = size * 3 / 2 + 1) {
		uint8_t *p = OPENSSL_zalloc(size);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_int_equal(p[size - 1], 0);
		assert_true(flags_say(p, " lo"));
		assert_true(flags_say(p, " dd"));
		memset(p, 0xa5, size);
		OPENSSL_free(p);
	}
}

static void test_a_block_is_wiped_when_it_is_freed_and_used_again(void **state)
{
	static const char secret[] = "a secret that nobody shall find again";
	char *p = OPENSSL_strdup(secret);
	char *again;

	(void)state;
	assert_non_null(p);
	OPENSSL_free(p);
	again = OPENSSL_malloc(sizeof(secret));
	assert_ptr_equal(again, p); /* not cleared by malloc: what is there is what was left */
	for (size_t i = sizeof(void *); i < sizeof(secret); i++)
		assert_int_equal(again[i], 0);
	OPENSSL_free(again);
}

static void test_a_block_grows_with_what_is_in_it(void **state)
{
	uint8_t *p = OPENSSL_malloc(10);

	(void)state;
	memset(p, 7, 10);
	for (size_t size = 20; size < 200000; size *= 2) {
		p = OPENSSL_realloc(p, size);
		assert_non_null(p);
		for (size_t i = 0; i < 10; i++)
			assert_int_equal(p[i], 7);
	}
	p = OPENSSL_realloc(p, 5);
	assert_int_equal(p[4], 7);
	OPENSSL_free(p);
}

/* The last: OpenSSL does not work in a child any more. */
static void test_children_find_zeros_from_then_on(void **state)
{
	uint8_t *p = OPENSSL_malloc(32);
	int status;
	pid_t pid;

	(void)state;
	memset(p, 0x5a, 32);
	for (int left_out = 0; left_out < 2; left_out++) {
		pid = fork();
		if (pid == 0)
			_exit(p[5]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), left_out ? 0 : 0x5a);
		secret_heap_leave_children_out();
	}
	assert_int_equal(p[5], 0x5a);
	OPENSSL_free(p);
}

#define TESTS                                                                                      \
	cmocka_unit_test(test_blocks_of_all_sizes_are_locked_and_kept_out_of_dumps),               \
		cmocka_unit_test(test_a_block_is_wiped_when_it_is_freed_and_used_again),           \
		cmocka_unit_test(test_a_block_grows_with_what_is_in_it),                           \
		cmocka_unit_test(test_children_find_zeros_from_then_on)
#else
/* There the heap is the sanitizer's; OpenSSL must work all the same. */
static void test_a_sanitizer_has_the_heap(void **state)
{
	(void)state;
	assert_non_null(EVP_sha256());
}
#define TESTS cmocka_unit_test(test_a_sanitizer_has_the_heap)
#endif

int main(void)
{
	const struct CMUnitTest tests[] = { TESTS };

	if (secret_heap_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
