/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_guestmem_lost.c - files that shrink below their mappings, and other bus errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "driver.h"

#define PAGE 4096ULL
#define PAGES 64

/* A memfd whose every page says which it is. */
static int numbered_file(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint64_t page[PAGE / sizeof(uint64_t)];

	assert_true(fd >= 0);
	for (unsigned i = 0; i < PAGES; i++) {
		for (unsigned k = 0; k < ARRAY_LEN(page); k++)
			page[k] = (uint64_t)i << 32 | k;
		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	}
	return fd;
}

static void test_each_mapping_is_lost_on_its_own(void **state)
{
	struct guestmem_mapping a = { 0 };
	struct guestmem_mapping b = { 0 };
	int fd = numbered_file();

	(void)state;
	driver_guard();
	assert_int_equal(guestmem_map(fd, 0, 0, &a), -EINVAL);
	assert_int_equal(guestmem_map(fd, PAGE, PAGES * PAGE, &a), -EINVAL);
	assert_int_equal(guestmem_map(fd, PAGE + 64, PAGE, &a), 0);
	assert_int_equal(guestmem_map(fd, 9 * PAGE, PAGE, &b), 0);
	assert_int_equal(*(volatile uint32_t *)(void *)a.at, 8);
	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	assert_int_equal(*(volatile uint64_t *)(void *)b.at, 0);
	assert_true(guestmem_mapping_lost(&b));
	assert_false(guestmem_mapping_lost(&a));
	assert_int_equal(*(volatile uint32_t *)(void *)a.at, 8);
	guestmem_unmap(&a);
	guestmem_unmap(&b);
	guestmem_unmap(&b); /* is empty now */
	close(fd);
}

/* Runs `what` in a child: its exit status as wait() has it. */
static int in_child(void (*what)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		what();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void touch_unregistered(void)
{
	int fd = numbered_file();
	volatile uint8_t *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	if (ftruncate(fd, 0) == 0)
		(void)p[0];
}

static void send_it(void)
{
	(void)raise(SIGBUS);
}

static int forked_fd;
static volatile uint8_t *forked_at;

static void touch_inherited(void)
{
	struct guestmem_mapping own = { 0 };

	if (ftruncate(forked_fd, 0) || forked_at[0] != 0)
		_exit(1);
	if (guestmem_map(numbered_file(), 0, PAGE, &own))
		_exit(2);
	guestmem_unmap(&own);
}

/* A mapping that was given back, and a second one where it was perhaps, is not covered any more. */
static void touch_unmapped(void)
{
	struct guestmem_mapping m = { 0 };
	int fd = numbered_file();
	void *at;

	if (guestmem_map(fd, 0, PAGE, &m))
		_exit(1);
	at = m.at;
	guestmem_unmap(&m);
	at = mmap(at, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	if (at == MAP_FAILED || ftruncate(fd, 0))
		_exit(2);
	(void)*(volatile uint8_t *)at;
}

static void test_another_bus_error_ends_the_process(void **state)
{
	int status;

	(void)state;
	driver_guard();
	status = in_child(touch_unregistered);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	status = in_child(send_it);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	status = in_child(touch_unmapped);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

static void test_a_child_has_the_same_guard(void **state)
{
	struct guestmem_mapping m = { 0 };
	int status;

	(void)state;
	driver_guard();
	forked_fd = numbered_file();
	assert_int_equal(guestmem_map(forked_fd, 0, PAGE, &m), 0);
	forked_at = m.at;
	status = in_child(touch_inherited);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	guestmem_unmap(&m);
	close(forked_fd);
}

/* Maps, loses and unmaps over and over, while others do. */
static void *lose_often(void *arg)
{
	bool *good = arg;

	for (unsigned i = 0; i < 300; i++) {
		struct guestmem_mapping m = { 0 };
		uint64_t size = (1 + i % 7) * PAGE;
		int fd = memfd_create("guest", MFD_CLOEXEC);

		if (ftruncate(fd, (off_t)size) || guestmem_map(fd, 0, size, &m))
			return NULL;
		m.at[size - 1] = 1;
		if (guestmem_mapping_lost(&m) || ftruncate(fd, 0) || m.at[size - 1] ||
		    !guestmem_mapping_lost(&m))
			return NULL;
		guestmem_unmap(&m);
		close(fd);
	}
	*good = true;
	return NULL;
}

static void test_threads_lose_memory_at_a_time(void **state)
{
	bool good[4] = { false };
	pthread_t threads[4];

	(void)state;
	driver_guard();
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, lose_often, &good[i]), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(good[i]);
	}
}

/* Slots are given back: far more mappings one after the other than there are slots. */
static void test_the_registry_does_not_fill_up(void **state)
{
	int fd = numbered_file();

	(void)state;
	for (unsigned i = 0; i < 4 * GUESTMEM_REGIONS_MAX; i++) {
		struct guestmem_mapping m = { 0 };

		assert_int_equal(guestmem_map(fd, 0, PAGE, &m), 0);
		guestmem_unmap(&m);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_mapping_is_lost_on_its_own),
		cmocka_unit_test(test_another_bus_error_ends_the_process),
		cmocka_unit_test(test_a_child_has_the_same_guard),
		cmocka_unit_test(test_threads_lose_memory_at_a_time),
		cmocka_unit_test(test_the_registry_does_not_fill_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
