/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_keysource.c - keys from elsewhere, and the root generation in a file of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"
#include "export/generation.h"
#include "export/keysource.h"
#include "export/tests/fixture.h"

static int key_made(struct fixture *f, struct keyring **k)
{
	log_init(LOG_LEVEL_OFF, false);
	assert_int_equal(keyring_generate(k), 0);
	assert_int_equal(keyring_store(*k, f->dirfd, "elsewhere", true), 0);
	return 0;
}

static void assert_loads(struct keysource *s, int statedir, uint32_t generation)
{
	struct keyring *k = NULL;

	assert_int_equal(keysource_load(s, statedir, &k), 0);
	assert_int_equal(keyring_root_generation(k), generation);
	assert_non_null(keyring_sealing_key(k, keyring_active(k)));
	keyring_free(k);
}

static void test_a_file_is_read_anew_and_written(void **state)
{
	struct fixture *f = *state;
	struct keysource s;
	struct keyring *k, *again = NULL;
	char path[256];

	key_made(f, &k);
	(void)snprintf(path, sizeof(path), "%s/elsewhere", f->dir);
	assert_int_equal(keysource_open(&s, KEYSOURCE_FILE, path), 0);
	assert_true(keysource_is_file(&s));
	assert_loads(&s, f->dirfd, 1);
	assert_int_equal(keyring_rotate(k), 0);
	assert_int_equal(keysource_store(&s, f->dirfd, k), 0);
	assert_int_equal(keysource_load(&s, f->dirfd, &again), 0);
	assert_int_equal(keyring_active(again), 2);
	keyring_free(again);
	assert_int_equal(fchmodat(f->dirfd, "elsewhere", 0640, 0), 0);
	assert_int_equal(keysource_load(&s, f->dirfd, &again), -EPERM);
	assert_int_equal(unlinkat(f->dirfd, "elsewhere", 0), 0);
	assert_int_equal(keysource_load(&s, f->dirfd, &again), -ENOENT);
	assert_null(again);
	keysource_close(&s);
	keyring_free(k);
}

static void test_a_descriptor_is_read_once_and_closed(void **state)
{
	struct fixture *f = *state;
	struct keysource s;
	struct keyring *k;
	char number[16];
	int fd;

	key_made(f, &k);
	fd = openat(f->dirfd, "elsewhere", O_RDONLY);
	(void)snprintf(number, sizeof(number), "%d", fd);
	assert_int_equal(keysource_open(&s, KEYSOURCE_FD, number), 0);
	assert_loads(&s, f->dirfd, 1);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_loads(&s, f->dirfd, 1);
	assert_false(keysource_is_file(&s));
	assert_int_equal(keysource_store(&s, f->dirfd, k), -EROFS);
	keysource_close(&s);
	assert_int_not_equal(keysource_open(&s, KEYSOURCE_FD, number), 0);
	keysource_close(&s);
	keyring_free(k);
}

static void test_the_higher_root_generation_counts(void **state)
{
	struct fixture *f = *state;
	struct keyring *k, *raised;
	struct keysource s;
	char path[256];

	key_made(f, &k);
	(void)snprintf(path, sizeof(path), "%s/elsewhere", f->dir);
	assert_int_equal(keysource_open(&s, KEYSOURCE_FILE, path), 0);
	assert_int_equal(keyring_copy(k, &raised), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(keyring_raise(raised), 0);
	assert_int_equal(generation_store(f->dirfd, raised), 0);
	assert_loads(&s, f->dirfd, 5);
	/* The key's own is higher now. */
	assert_int_equal(keyring_raise(raised), 0);
	assert_int_equal(keyring_store(raised, f->dirfd, "elsewhere", false), 0);
	assert_loads(&s, f->dirfd, 6);
	keysource_close(&s);
	keyring_free(raised);
	keyring_free(k);
}

static void test_a_changed_or_foreign_generation_is_refused(void **state)
{
	struct fixture *f = *state;
	struct keyring *k, *other;
	uint8_t image[64], changed[65] = { 0 };
	int fd;

	key_made(f, &k);
	assert_int_equal(generation_store(f->dirfd, k), 0);
	fd = openat(f->dirfd, GENERATION_FILE, O_RDWR);
	assert_int_equal(pread_full(fd, image, sizeof(image), 0), 0);
	for (size_t i = 0; i < sizeof(image); i++) {
		memcpy(changed, image, sizeof(image));
		changed[i] ^= 1;
		assert_int_equal(pwrite_full(fd, changed, sizeof(image), 0), 0);
		assert_int_equal(generation_apply(f->dirfd, k), -EUCLEAN);
		assert_int_equal(keyring_root_generation(k), 1);
	}
	assert_int_equal(pwrite_full(fd, image, sizeof(image), 0), 0);
	assert_int_equal(generation_apply(f->dirfd, k), 0);
	assert_int_equal(pwrite_full(fd, changed, 1, sizeof(image)), 0);
	assert_int_equal(generation_apply(f->dirfd, k), -EUCLEAN);
	assert_int_equal(ftruncate(fd, 63), 0);
	assert_int_equal(generation_apply(f->dirfd, k), -EUCLEAN);
	(void)fd_close(fd);
	assert_int_equal(keyring_generate(&other), 0);
	assert_int_equal(generation_store(f->dirfd, other), 0);
	assert_int_equal(generation_apply(f->dirfd, k), -EUCLEAN);
	keyring_free(other);
	keyring_free(k);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_file_is_read_anew_and_written),
		T(test_a_descriptor_is_read_once_and_closed),
		T(test_the_higher_root_generation_counts),
		T(test_a_changed_or_foreign_generation_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
