/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_creds.c - acting as the caller, and without CAP_FSETID. As root only: others switch nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "fuse/creds.h"
#include "fuse/idmap.h"
#include "fuse/server.h"

struct fixture {
	char path[40];
	int dir;
	struct fuse_server server;
	struct fuse_thread thread;
	struct fuse_in_header in;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	(void)snprintf(f->path, sizeof(f->path), "/tmp/holdfast-creds-XXXXXX");
	if (!mkdtemp(f->path))
		return -1;
	f->dir = open(f->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->dir < 0 || chmod(f->path, 01777) != 0)
		return -1;
	f->in = (struct fuse_in_header){ .uid = 1234, .gid = 5678 };
	f->thread.server = &f->server;
	f->thread.request.in = &f->in;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)unlinkat(f->dir, "file", 0);
	(void)rmdir(f->path);
	fd_close(f->dir);
	free(f);
	return 0;
}

static void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip();
}

/* Makes "file" as the caller. */
static struct stat make(struct fixture *f, mode_t mode, mode_t mask)
{
	CLEANUP_FD int fd = -1;
	struct creds saved;
	struct stat st;

	assert_int_equal(creds_enter(&f->thread, mask, &saved), 0);
	fd = openat(f->dir, "file", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
	creds_leave(&saved);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	return st;
}

static void test_a_file_is_the_callers_and_the_daemon_is_root_again(void **state)
{
	struct fixture *f = *state;
	mode_t before = umask(027);
	struct stat st;

	skip_unless_root();
	st = make(f, 0666, 0070);
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 5678);
	assert_int_equal(st.st_mode & 07777, 0606);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	assert_int_equal(getgroups(0, NULL), 0);
	assert_int_equal(umask(before), 027);
	/* Capabilities are back as well. */
	assert_int_equal(fchownat(f->dir, "file", 1, 1, 0), 0);
}

static void test_the_supplementary_group_is_there_for_the_call_alone(void **state)
{
	struct fixture *f = *state;
	struct creds saved;
	gid_t group = 0;

	skip_unless_root();
	f->thread.request.has_group = true;
	f->thread.request.group = 4321;
	assert_int_equal(creds_enter(&f->thread, 0, &saved), 0);
	assert_int_equal(getgroups(1, &group), 1);
	assert_int_equal(group, 4321);
	assert_int_equal(geteuid(), 1234);
	creds_leave(&saved);
	assert_int_equal(getgroups(0, NULL), 0);
}

static void test_ids_that_mean_none_or_are_forbidden_are_eperm(void **state)
{
	struct fixture *f = *state;
	struct idmap *map = NULL;
	struct creds saved;
	char error[100];

	f->in.uid = UINT32_MAX;
	assert_int_equal(creds_enter(&f->thread, 0, &saved), -EPERM);
	f->in.uid = 1234;
	f->in.gid = UINT32_MAX;
	assert_int_equal(creds_enter(&f->thread, 0, &saved), -EPERM);
	f->in.gid = 0;
	f->thread.request.has_group = true;
	f->thread.request.group = UINT32_MAX;
	if (geteuid() == 0)
		assert_int_equal(creds_enter(&f->thread, 0, &saved), -EPERM);
	f->thread.request.has_group = false;
	assert_int_equal(idmap_add(&map, "forbid-guest:1234:1", error, sizeof(error)), 0);
	f->server.config.uidmap = map;
	assert_int_equal(creds_enter(&f->thread, 0, &saved), -EPERM);
	assert_int_equal(getegid(), getgid());
	idmap_free(map);
}

static void test_setgid_is_not_kept_for_a_group_that_is_not_the_callers(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	skip_unless_root();
	/* CVE-2022-0358: the directory's group is the daemon's, the caller is not in it. */
	assert_int_equal(setgroups(1, (gid_t[]){ 0 }), 0);
	assert_int_equal(chmod(f->path, 03777), 0);
	st = make(f, 02775, 0);
	assert_int_equal(st.st_gid, 0);
	assert_int_equal(st.st_mode & S_ISGID, 0);
}

static void test_a_caller_may_not_open_what_the_host_denies_it(void **state)
{
	struct fixture *f = *state;
	CLEANUP_FD int fd = -1;

	skip_unless_root();
	fd = openat(f->dir, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0604);
	assert_true(fd >= 0);
	fd_close(fd);
	fd = openat(f->dir, "file", O_PATH | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fchmodat(f->dir, "file", 0604, 0), 0);
	assert_int_equal(creds_may_open(&f->thread, fd, O_RDONLY), 0);
	assert_int_equal(creds_may_open(&f->thread, fd, O_WRONLY), -EACCES);
	assert_int_equal(creds_may_open(&f->thread, fd, O_RDWR), -EACCES);
	assert_int_equal(creds_may_open(&f->thread, fd, O_RDONLY | O_TRUNC), -EACCES);
	f->in.uid = 0;
	assert_int_equal(creds_may_open(&f->thread, fd, O_RDWR), 0);
}

static void test_a_write_without_fsetid_drops_setuid_and_one_with_it_does_not(void **state)
{
	struct fixture *f = *state;
	CLEANUP_FD int fd = -1;
	struct killpriv saved;
	struct stat st;

	skip_unless_root();
	fd = openat(f->dir, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 06755), 0);
	assert_int_equal(killpriv_enter(false, &saved), 0);
	assert_int_equal(write(fd, "a", 1), 1);
	killpriv_leave(&saved);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 06755);
	assert_int_equal(killpriv_enter(true, &saved), 0);
	assert_int_equal(write(fd, "a", 1), 1);
	killpriv_leave(&saved);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	/* And the capability is back. */
	assert_int_equal(fchmod(fd, 06755), 0);
	assert_int_equal(write(fd, "a", 1), 1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 06755);
}

#define CREDS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CREDS_TEST(test_a_file_is_the_callers_and_the_daemon_is_root_again),
		CREDS_TEST(test_the_supplementary_group_is_there_for_the_call_alone),
		CREDS_TEST(test_ids_that_mean_none_or_are_forbidden_are_eperm),
		CREDS_TEST(test_setgid_is_not_kept_for_a_group_that_is_not_the_callers),
		CREDS_TEST(test_a_caller_may_not_open_what_the_host_denies_it),
		CREDS_TEST(test_a_write_without_fsetid_drops_setuid_and_one_with_it_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
