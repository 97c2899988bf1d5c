/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_files.c - the table of open files: fhs that a guest may not use, the cap, and RELEASE racing READ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/util.h"
#include "fuse/files.h"

#define A ((nodeid_t){ 1234 })
#define B ((nodeid_t){ 99 })

static int null_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int add(struct file_table *table, nodeid_t id, enum file_kind kind, uint64_t *fh)
{
	return file_table_add(table,
			      &(struct file_spec){ .nodeid = id, .fd = null_fd(), .kind = kind },
			      fh);
}

static int get(struct file_table *table, uint64_t fh, nodeid_t id, enum file_kind kind)
{
	struct open_file *file = NULL;
	int error = file_get(NULL, table, fh, id, kind, &file);

	if (error == 0)
		file_put(NULL, table, file);
	return error;
}

static struct file_table *table_new(unsigned max)
{
	struct file_table *table = NULL;

	assert_int_equal(file_table_new(max, &table), 0);
	return table;
}

static void table_free(struct file_table *table)
{
	file_table_clear(NULL, table);
	assert_int_equal(file_table_count(table), 0);
	file_table_free(table);
}

static void test_only_its_own_nodeid_and_kind_open_an_fh(void **state)
{
	struct file_table *table = table_new(4);
	uint64_t file, dir;

	(void)state;
	assert_int_equal(add(table, A, FILE_REGULAR, &file), 0);
	assert_int_equal(add(table, B, FILE_DIRECTORY, &dir), 0);
	assert_int_equal(get(table, file, A, FILE_REGULAR), 0);
	assert_int_equal(get(table, file, A, FILE_ANY), 0);
	assert_int_equal(get(table, dir, B, FILE_DIRECTORY), 0);
	assert_int_equal(get(table, file, B, FILE_REGULAR), -EBADF);
	assert_int_equal(get(table, file, A, FILE_DIRECTORY), -EBADF);
	assert_int_equal(get(table, dir, B, FILE_REGULAR), -EBADF);
	assert_int_equal(file_release(NULL, table, dir, A, FILE_DIRECTORY), -EBADF);
	assert_int_equal(file_release(NULL, table, dir, B, FILE_REGULAR), -EBADF);
	assert_int_equal(file_table_count(table), 2);
	table_free(table);
}

static void test_guessed_fhs_are_ebadf(void **state)
{
	struct file_table *table = table_new(4);
	uint64_t fh;

	(void)state;
	assert_int_equal(get(table, 0, A, FILE_ANY), -EBADF);
	assert_int_equal(get(table, 1, A, FILE_ANY), -EBADF);
	assert_int_equal(add(table, A, FILE_REGULAR, &fh), 0);
	assert_int_equal(get(table, fh + 1, A, FILE_ANY), -EBADF);
	assert_int_equal(get(table, fh ^ (uint64_t)1 << 32, A, FILE_ANY), -EBADF);
	assert_int_equal(get(table, (uint32_t)fh, A, FILE_ANY), -EBADF);
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(get(table, fh ^ (uint64_t)1 << bit, A, FILE_ANY), -EBADF);
	assert_int_equal(get(table, UINT64_MAX, A, FILE_ANY), -EBADF);
	assert_int_equal(get(table, fh, A, FILE_ANY), 0);
	table_free(table);
}

static void test_a_closed_fh_stays_dead_when_its_slot_is_used_again(void **state)
{
	struct file_table *table = table_new(1);
	uint64_t first, second;

	(void)state;
	assert_int_equal(add(table, A, FILE_REGULAR, &first), 0);
	assert_int_equal(file_release(NULL, table, first, A, FILE_REGULAR), 0);
	assert_int_equal(file_release(NULL, table, first, A, FILE_REGULAR), -EBADF);
	assert_int_equal(get(table, first, A, FILE_ANY), -EBADF);
	assert_int_equal(add(table, A, FILE_REGULAR, &second), 0);
	assert_true(first != second);
	assert_int_equal(get(table, first, A, FILE_ANY), -EBADF);
	assert_int_equal(file_release(NULL, table, first, A, FILE_REGULAR), -EBADF);
	assert_int_equal(get(table, second, A, FILE_ANY), 0);
	table_free(table);
}

static void test_the_cap_is_enfile_and_leaves_the_descriptor_to_the_caller(void **state)
{
	struct file_table *table = table_new(2);
	uint64_t fh[2], more;
	int fd = null_fd();

	(void)state;
	assert_int_equal(add(table, A, FILE_REGULAR, &fh[0]), 0);
	assert_false(file_table_full(table));
	assert_int_equal(add(table, A, FILE_REGULAR, &fh[1]), 0);
	assert_true(file_table_full(table));
	assert_int_equal(file_table_add(table,
					&(struct file_spec){
						.nodeid = A, .fd = fd, .kind = FILE_REGULAR },
					&more),
			 -ENFILE);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	fd_close(fd);
	assert_int_equal(file_release(NULL, table, fh[0], A, FILE_REGULAR), 0);
	assert_int_equal(add(table, B, FILE_REGULAR, &more), 0);
	table_free(table);
}

static void test_a_file_in_use_outlives_its_release(void **state)
{
	struct file_table *table = table_new(1);
	struct open_file *file;
	uint64_t fh, other;

	(void)state;
	assert_int_equal(add(table, A, FILE_REGULAR, &fh), 0);
	assert_int_equal(file_get(NULL, table, fh, A, FILE_REGULAR, &file), 0);
	assert_int_equal(file_release(NULL, table, fh, A, FILE_REGULAR), 0);
	assert_int_equal(get(table, fh, A, FILE_REGULAR), -EBADF);
	assert_true(fcntl(file->fd, F_GETFD) >= 0);
	assert_int_equal(file_table_count(table), 1);
	file_put(NULL, table, file);
	assert_int_equal(file_table_count(table), 0);
	assert_int_equal(add(table, B, FILE_REGULAR, &other), 0);
	table_free(table);
}

/* A thread that reads with what fh it is given, for as long as it is told to. */
struct race {
	struct file_table *table;
	_Atomic uint64_t fh;
	atomic_bool stop;
	atomic_uint had, wrong;
};

static void *reader(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		struct open_file *file;
		struct stat st;

		if (file_get(NULL, race->table, atomic_load(&race->fh), A, FILE_REGULAR, &file) !=
		    0)
			continue;
		atomic_fetch_add(&race->had, 1);
		/* A descriptor closed under us, or another file in our slot, would show here. */
		if (!nodeid_equal(file->nodeid, A) || fstat(file->fd, &st) != 0 ||
		    !S_ISCHR(st.st_mode))
			atomic_fetch_add(&race->wrong, 1);
		file_put(NULL, race->table, file);
	}
	return NULL;
}

static void test_reading_while_it_is_released_is_safe(void **state)
{
	struct race race = { .table = table_new(2) };
	unsigned double_releases = 0;
	pthread_t threads[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &race), 0);
	for (unsigned i = 0; i < 20000 || (atomic_load(&race.had) < 100 && i < 2000000); i++) {
		uint64_t fh;

		/* A slot may still be in a reader's hands. */
		while (file_table_full(race.table))
			sched_yield();
		assert_int_equal(add(race.table, A, FILE_REGULAR, &fh), 0);
		atomic_store(&race.fh, fh);
		if (file_release(NULL, race.table, fh, A, FILE_REGULAR) != 0)
			double_releases++;
	}
	atomic_store(&race.stop, true);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(double_releases, 0);
	assert_int_equal(atomic_load(&race.wrong), 0);
	assert_true(atomic_load(&race.had) > 0);
	table_free(race.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_its_own_nodeid_and_kind_open_an_fh),
		cmocka_unit_test(test_guessed_fhs_are_ebadf),
		cmocka_unit_test(test_a_closed_fh_stays_dead_when_its_slot_is_used_again),
		cmocka_unit_test(test_the_cap_is_enfile_and_leaves_the_descriptor_to_the_caller),
		cmocka_unit_test(test_a_file_in_use_outlives_its_release),
		cmocka_unit_test(test_reading_while_it_is_released_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
