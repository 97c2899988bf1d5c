/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_locks.c - locks of owners against each other, waiting, interrupts, and the caps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <time.h>

#include "base/util.h"
#include "fuse/locks.h"

#define NODE ((nodeid_t){ 77 })
#define WAITING 1000 /* an answer that has not come */

struct fixture {
	char path[32];
	struct lock_table *table;
};

static int open_path(void *arg)
{
	const struct fixture *f = arg;
	int fd = open(f->path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	if (!f)
		return -1;
	*f = (struct fixture){ .path = "/tmp/holdfast-locks-XXXXXX" };
	fd = mkostemp(f->path, O_CLOEXEC);
	if (fd < 0 || lock_table_new(80, &f->table) != 0)
		return -1;
	fd_close(fd);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lock_table_free(f->table);
	(void)unlink(f->path);
	free(f);
	return 0;
}

static struct lock *hold(struct fixture *f, uint64_t owner, uint64_t fh)
{
	struct lock *lock = NULL;

	assert_int_equal(lock_get(f->table, (struct lock_key){ NODE, owner }, fh, open_path, f,
				  &lock),
			 0);
	assert_non_null(lock);
	return lock;
}

static const struct lock_op posix_write = { .range = { .l_type = F_WRLCK, .l_whence = SEEK_SET } };
static const struct lock_op posix_unlock = { .range = { .l_type = F_UNLCK, .l_whence = SEEK_SET } };
static const struct lock_op flock_exclusive = { .is_flock = true, .flock_op = LOCK_EX };

static int try_as(struct fixture *f, uint64_t owner, uint64_t fh, const struct lock_op *op)
{
	struct lock *lock = hold(f, owner, fh);
	int error = lock_try(lock, op);

	lock_put(f->table, lock);
	return error;
}

static void done(void *arg, int error)
{
	atomic_store((atomic_int *)arg, error);
}

static int wait_as(struct fixture *f, uint64_t owner, const struct lock_op *op, uint64_t unique,
		   atomic_int *answer)
{
	struct lock *lock = hold(f, owner, owner);
	int error;

	atomic_store(answer, WAITING);
	error = lock_wait_start(f->table, &(struct lock_wait){ .lock = lock,
							       .op = *op,
							       .unique = unique,
							       .group = f,
							       .done = done,
							       .arg = answer });
	if (error)
		lock_put(f->table, lock);
	return error;
}

static void sleep_ms(long ms)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static int answer_within_2s(atomic_int *answer)
{
	for (int i = 0; i < 400 && atomic_load(answer) == WAITING; i++)
		sleep_ms(5);
	return atomic_load(answer);
}

static void test_owners_exclude_each_other_by_both_kinds(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(try_as(f, 1, 1, &posix_write), 0);
	assert_int_equal(try_as(f, 2, 2, &posix_write), -EAGAIN);
	assert_int_equal(try_as(f, 1, 1, &posix_unlock), 0);
	assert_int_equal(try_as(f, 2, 2, &posix_write), 0);
	assert_int_equal(try_as(f, 1, 1, &flock_exclusive), 0);
	assert_int_equal(try_as(f, 2, 2, &flock_exclusive), -EAGAIN);
}

static void test_flush_drops_the_locks_of_one_owner_alone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(try_as(f, 1, 1, &posix_write), 0);
	lock_put(f->table, hold(f, 2, 2));
	lock_drop_owner(f->table, (struct lock_key){ NODE, 3 });
	lock_drop_owner(f->table, (struct lock_key){ { 78 }, 1 });
	assert_int_equal(try_as(f, 3, 3, &posix_write), -EAGAIN);
	lock_drop_owner(f->table, (struct lock_key){ NODE, 1 });
	assert_int_equal(try_as(f, 3, 3, &posix_write), 0);
}

static void test_release_drops_what_its_fh_locked(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(try_as(f, 1, 10, &posix_write), 0);
	lock_drop_fh(f->table, NODE, 11);
	assert_int_equal(try_as(f, 2, 20, &posix_write), -EAGAIN);
	lock_drop_fh(f->table, NODE, 10);
	assert_int_equal(try_as(f, 2, 20, &posix_write), 0);
}

static void test_at_the_cap_of_descriptors_it_is_enolck(void **state)
{
	struct fixture *f = *state;
	struct lock *lock = NULL;

	for (uint64_t owner = 1; owner <= 80; owner++)
		lock_put(f->table, hold(f, owner, owner));
	assert_int_equal(lock_table_count(f->table), 80);
	assert_int_equal(lock_get(f->table, (struct lock_key){ NODE, 81 }, 1, open_path, f, &lock),
			 -ENOLCK);
	lock_drop_owner(f->table, (struct lock_key){ NODE, 5 });
	lock_put(f->table, hold(f, 81, 1));
}

static void test_who_waits_gets_the_lock_when_it_is_free(void **state)
{
	struct fixture *f = *state;
	atomic_int answer;

	assert_int_equal(try_as(f, 1, 1, &posix_write), 0);
	assert_int_equal(wait_as(f, 2, &posix_write, 500, &answer), 0);
	sleep_ms(20);
	assert_int_equal(atomic_load(&answer), WAITING);
	assert_int_equal(try_as(f, 1, 1, &posix_unlock), 0);
	assert_int_equal(answer_within_2s(&answer), 0);
	assert_int_equal(try_as(f, 1, 1, &posix_write), -EAGAIN);
}

/* Two threads of a process: one waits, the other opens the file and closes it again. */
static void test_who_waits_keeps_the_lock_though_its_owner_closed_the_file(void **state)
{
	struct fixture *f = *state;
	atomic_int answer;

	assert_int_equal(try_as(f, 1, 1, &posix_write), 0);
	assert_int_equal(wait_as(f, 2, &posix_write, 100, &answer), 0);
	/* Another thread of the owner has used fh 9, which a child has inherited, and closes it. */
	assert_int_equal(try_as(f, 2, 9, &posix_write), -EAGAIN);
	lock_drop_owner(f->table, (struct lock_key){ NODE, 2 });
	lock_drop_owner(f->table, (struct lock_key){ NODE, 1 });
	assert_int_equal(answer_within_2s(&answer), 0);
	sleep_ms(50);
	lock_drop_fh(f->table, NODE, 9);
	assert_int_equal(try_as(f, 3, 3, &posix_write), -EAGAIN);
	lock_drop_owner(f->table, (struct lock_key){ NODE, 2 });
	assert_int_equal(try_as(f, 3, 3, &posix_write), 0);
}

static void test_an_early_interrupt_ends_with_its_session(void **state)
{
	struct fixture *f = *state;
	atomic_int answer;

	lock_table_interrupt(f->table, 100);
	lock_table_clear(f->table);
	assert_int_equal(wait_as(f, 1, &posix_write, 100, &answer), 0);
	assert_int_equal(answer_within_2s(&answer), 0);
}

static void test_an_interrupt_ends_the_wait_it_names_alone(void **state)
{
	struct fixture *f = *state;
	atomic_int first, second;

	assert_int_equal(try_as(f, 1, 1, &flock_exclusive), 0);
	assert_int_equal(wait_as(f, 2, &flock_exclusive, 500, &first), 0);
	assert_int_equal(wait_as(f, 3, &flock_exclusive, 502, &second), 0);
	lock_table_interrupt(f->table, 500);
	assert_int_equal(answer_within_2s(&first), -EINTR);
	assert_int_equal(atomic_load(&second), WAITING);
	lock_table_interrupt(f->table, 777); /* of nobody */
	assert_int_equal(atomic_load(&second), WAITING);
	lock_drop_owner(f->table, (struct lock_key){ NODE, 1 });
	assert_int_equal(answer_within_2s(&second), 0);
}

static void test_an_interrupt_that_comes_first_is_not_lost(void **state)
{
	struct fixture *f = *state;
	static atomic_int answer; /* the last waiter answers when the table goes away */

	assert_int_equal(try_as(f, 1, 1, &posix_write), 0);
	lock_table_interrupt(f->table, 600);
	assert_int_equal(wait_as(f, 2, &posix_write, 600, &answer), -EINTR);
	assert_int_equal(wait_as(f, 2, &posix_write, 600, &answer), 0);
}

static void test_interrupts_right_after_the_start_are_not_lost(void **state)
{
	struct fixture *f = *state;
	atomic_int answer;

	assert_int_equal(try_as(f, 1, 1, &posix_write), 0);
	for (uint64_t unique = 1000; unique < 1200; unique++) {
		assert_int_equal(wait_as(f, 2, &posix_write, unique, &answer), 0);
		lock_table_interrupt(f->table, unique);
		assert_int_equal(answer_within_2s(&answer), -EINTR);
		lock_table_stop(f->table,
				NULL); /* the thread is gone, so that `answer` may be used again */
	}
}

static void test_too_many_that_wait_are_enolck_and_stop_ends_them_all(void **state)
{
	struct fixture *f = *state;
	static atomic_int answers[LOCK_THREADS_MAX];
	atomic_int more;

	assert_int_equal(try_as(f, 1, 1, &posix_write), 0);
	for (unsigned i = 0; i < LOCK_THREADS_MAX; i++)
		assert_int_equal(wait_as(f, 2 + i % 4, &posix_write, 2000 + i, &answers[i]), 0);
	assert_int_equal(wait_as(f, 2, &posix_write, 3000, &more), -ENOLCK);
	lock_table_stop(f->table, f->table); /* of another group: none */
	assert_int_equal(atomic_load(&answers[0]), WAITING);
	lock_table_stop(f->table, f);
	for (unsigned i = 0; i < LOCK_THREADS_MAX; i++)
		assert_int_equal(atomic_load(&answers[i]), -EINTR);
	assert_int_equal(try_as(f, 1, 1, &posix_write), 0);
}

static void test_clear_leaves_no_lock(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(try_as(f, 1, 1, &posix_write), 0);
	lock_table_clear(f->table);
	assert_int_equal(lock_table_count(f->table), 0);
	assert_int_equal(try_as(f, 2, 2, &posix_write), 0);
}

#define LOCK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOCK_TEST(test_owners_exclude_each_other_by_both_kinds),
		LOCK_TEST(test_flush_drops_the_locks_of_one_owner_alone),
		LOCK_TEST(test_release_drops_what_its_fh_locked),
		LOCK_TEST(test_at_the_cap_of_descriptors_it_is_enolck),
		LOCK_TEST(test_who_waits_gets_the_lock_when_it_is_free),
		LOCK_TEST(test_who_waits_keeps_the_lock_though_its_owner_closed_the_file),
		LOCK_TEST(test_an_early_interrupt_ends_with_its_session),
		LOCK_TEST(test_an_interrupt_ends_the_wait_it_names_alone),
		LOCK_TEST(test_an_interrupt_that_comes_first_is_not_lost),
		LOCK_TEST(test_interrupts_right_after_the_start_are_not_lost),
		LOCK_TEST(test_too_many_that_wait_are_enolck_and_stop_ends_them_all),
		LOCK_TEST(test_clear_leaves_no_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
