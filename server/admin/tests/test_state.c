/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_state.c - the state directory is found again, and never taken for another share's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "admin/dirs.h"
#include "admin/state.h"
#include "base/log.h"
#include "base/util.h"
#include "holdfast/exit.h"

/* A directory of its own for each test: share/, base/ and run/ in it. */
struct place {
	char top[128];
	char share[200], base[200], run[300], given[200];
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int setup(void **out)
{
	struct place *p = calloc(1, sizeof(*p));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(p);
	(void)snprintf(p->top, sizeof(p->top), "%s/holdfast-state-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(p->top));
	(void)snprintf(p->share, sizeof(p->share), "%s/share", p->top);
	(void)snprintf(p->base, sizeof(p->base), "%s/base", p->top);
	(void)snprintf(p->run, sizeof(p->run), "%s/run", p->top);
	(void)snprintf(p->given, sizeof(p->given), "%s/given", p->top);
	assert_int_equal(mkdir(p->share, 0755), 0);
	*out = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	(void)nftw(p->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

/* 0 and *out, or the exit code. */
static int find_full(struct place *p, const char *share, const char *statedir, enum state_mode mode,
		     struct state **out)
{
	const struct state_request request = { .share = share,
					       .statedir = statedir,
					       .mode = mode,
					       .base = p->base,
					       .runbase = p->run };
	int exit_code = -1;

	if (state_find(&request, out, &exit_code) == 0)
		return 0;
	assert_null(*out);
	assert_int_not_equal(exit_code, 0);
	return exit_code;
}

static int find(struct place *p, const char *share, struct state **out)
{
	return find_full(p, share, NULL, STATE_CREATE, out);
}

/* Finds, and gives the id of the state; the state is let go. */
static void id_of(struct place *p, const char *share, const char *statedir,
		  char id[STATE_ID_DIGITS + 1])
{
	struct state *s;

	assert_int_equal(find_full(p, share, statedir, STATE_CREATE, &s), 0);
	if (!s)
		return; /* asserted already, for who reads without knowing cmocka */
	memcpy(id, s->record.id, STATE_ID_DIGITS + 1);
	state_free(s);
}

static bool shares_have_roots(struct place *p)
{
	CLEANUP_FD int fd = open(p->share, O_RDONLY | O_DIRECTORY);
	char root[ROOT_IDENTITY_HEX];

	assert_int_equal(state_root_identity(fd, root), 0);
	return root[0] != '\0';
}

/* For tests that need a file system with handles. */
#define NEED_ROOTS(p)                                                                              \
	do {                                                                                       \
		if (!shares_have_roots(p))                                                         \
			skip();                                                                    \
	} while (0)

static void test_a_first_run_makes_private_state_and_a_second_finds_it(void **state)
{
	struct place *p = *state;
	struct state *s, *again;
	struct stat st;

	assert_int_equal(find(p, p->share, &s), 0);
	assert_true(s->created);
	assert_string_equal(s->sharepath, p->share);
	assert_int_equal(fstat(s->statedir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstat(s->rundir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstatat(s->statedir, STATE_EXPORT_FILE, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_non_null(strstr(s->statepath, "/base/share-"));

	assert_int_equal(find(p, p->share, &again), 0);
	assert_false(again->created);
	assert_string_equal(again->statepath, s->statepath);
	assert_string_equal(again->runpath, s->runpath);
	state_free(again);
	state_free(s);
}

static void test_a_moved_share_is_known_again(void **state)
{
	struct place *p = *state;
	char moved[300], before[STATE_ID_DIGITS + 1], after[STATE_ID_DIGITS + 1];
	struct state *s;

	NEED_ROOTS(p);
	(void)snprintf(moved, sizeof(moved), "%s/moved %%\nhere\xff", p->top);
	id_of(p, p->share, NULL, before);
	assert_int_equal(rename(p->share, moved), 0);
	assert_int_equal(find(p, moved, &s), 0);
	assert_string_equal(s->record.id, before);
	assert_string_equal(s->record.path, moved);
	state_free(s);
	id_of(p, moved, NULL, after);
	assert_string_equal(after, before);

	/* The path is free for another share now. */
	assert_int_equal(mkdir(p->share, 0755), 0);
	id_of(p, p->share, NULL, after);
	assert_string_not_equal(after, before);
}

static void test_a_known_path_with_another_root_is_refused_until_adopted(void **state)
{
	struct place *p = *state;
	char aside[300], before[STATE_ID_DIGITS + 1], after[STATE_ID_DIGITS + 1];
	struct state *s;

	NEED_ROOTS(p);
	(void)snprintf(aside, sizeof(aside), "%s/aside", p->top);
	id_of(p, p->share, NULL, before);
	assert_int_equal(rename(p->share, aside), 0);
	assert_int_equal(mkdir(p->share, 0755), 0);
	assert_int_equal(find(p, p->share, &s), HOLDFAST_EXIT_OTHER_ROOT);
	assert_int_equal(find_full(p, p->share, NULL, STATE_EXISTING, &s),
			 HOLDFAST_EXIT_OTHER_ROOT);

	assert_int_equal(find_full(p, p->share, NULL, STATE_ADOPT, &s), 0);
	assert_string_equal(s->record.id, before);
	state_free(s);
	id_of(p, p->share, NULL, after);
	assert_string_equal(after, before);
}

static void test_two_shares_have_two_states(void **state)
{
	struct place *p = *state;
	char other[300], a[STATE_ID_DIGITS + 1], b[STATE_ID_DIGITS + 1];

	(void)snprintf(other, sizeof(other), "%s/.other", p->top);
	assert_int_equal(mkdir(other, 0755), 0);
	id_of(p, p->share, NULL, a);
	id_of(p, other, NULL, b);
	assert_string_not_equal(a, b);
}

static void test_two_states_that_claim_one_root_are_refused(void **state)
{
	struct place *p = *state;
	char command[1200];
	struct state *s;
	char id[STATE_ID_DIGITS + 1];

	id_of(p, p->share, NULL, id);
	(void)snprintf(command, sizeof(command), "cp -a '%s'/share-* '%s'/copy", p->base, p->base);
	assert_int_equal(system(command), 0);
	assert_int_equal(find(p, p->share, &s), HOLDFAST_EXIT_STATE);
}

static void test_nothing_is_made_for_a_tool(void **state)
{
	struct place *p = *state;
	struct state *s;

	assert_int_equal(find_full(p, p->share, NULL, STATE_EXISTING, &s), HOLDFAST_EXIT_STATE);
	assert_int_equal(access(p->base, F_OK), -1);
	assert_int_equal(find_full(p, p->share, p->given, STATE_EXISTING, &s), HOLDFAST_EXIT_STATE);
	assert_int_equal(access(p->given, F_OK), -1);
}

static void test_state_in_the_share_is_refused_before_it_is_made(void **state)
{
	struct place *p = *state;
	char inside[400], link[300];
	struct state *s;

	(void)snprintf(inside, sizeof(inside), "%s/state", p->share);
	assert_int_equal(find_full(p, p->share, inside, STATE_CREATE, &s), HOLDFAST_EXIT_USAGE);
	assert_int_equal(access(inside, F_OK), -1);
	/* By another name of the share, too. */
	(void)snprintf(link, sizeof(link), "%s/link", p->top);
	assert_int_equal(symlink(p->share, link), 0);
	(void)snprintf(inside, sizeof(inside), "%s/state", link);
	assert_int_equal(find_full(p, p->share, inside, STATE_CREATE, &s), HOLDFAST_EXIT_USAGE);
	assert_int_equal(access(inside, F_OK), -1);
	/* The share itself, and a base below a share. */
	assert_int_equal(find_full(p, p->share, p->share, STATE_CREATE, &s), HOLDFAST_EXIT_USAGE);
	assert_int_equal(find(p, p->top, &s), HOLDFAST_EXIT_USAGE);
	assert_int_equal(access(p->base, F_OK), -1);
}

static void test_a_share_in_the_state_is_refused(void **state)
{
	struct place *p = *state;
	char inside[400];
	struct state *s;

	assert_int_equal(mkdir(p->given, 0700), 0);
	(void)snprintf(inside, sizeof(inside), "%s/sub", p->given);
	assert_int_equal(mkdir(inside, 0700), 0);
	assert_int_equal(find_full(p, inside, p->given, STATE_CREATE, &s), HOLDFAST_EXIT_USAGE);
}

static void test_a_run_directory_in_the_share_is_never_used(void **state)
{
	struct place *p = *state;
	struct state *s;

	(void)snprintf(p->run, sizeof(p->run), "%s/run", p->share);
	assert_int_equal(find(p, p->share, &s), 0);
	assert_string_equal(s->runpath, s->statepath);
	assert_int_equal(access(p->run, F_OK), -1);
	state_free(s);
}

static void test_a_given_directory_is_made_checked_and_may_be_moved(void **state)
{
	struct place *p = *state;
	char deep[400], moved[300], other[300], a[STATE_ID_DIGITS + 1], b[STATE_ID_DIGITS + 1];
	struct state *s;

	(void)snprintf(deep, sizeof(deep), "%s/x/y", p->given);
	assert_int_equal(find_full(p, p->share, deep, STATE_CREATE, &s), HOLDFAST_EXIT_STATE);
	id_of(p, p->share, p->given, a);
	(void)snprintf(moved, sizeof(moved), "%s/elsewhere", p->top);
	assert_int_equal(rename(p->given, moved), 0);
	id_of(p, p->share, moved, b);
	assert_string_equal(a, b);

	/* Not for another share. */
	(void)snprintf(other, sizeof(other), "%s/other", p->top);
	assert_int_equal(mkdir(other, 0755), 0);
	assert_int_equal(find_full(p, other, moved, STATE_CREATE, &s), HOLDFAST_EXIT_OTHER_ROOT);
	assert_int_equal(find_full(p, other, moved, STATE_ADOPT, &s), 0);
	assert_string_equal(s->record.path, other);
	state_free(s);

	/* Without a share: for status and revoke. */
	assert_int_equal(find_full(p, NULL, moved, STATE_EXISTING, &s), 0);
	assert_string_equal(s->record.path, other);
	state_free(s);
}

static void test_a_directory_with_other_things_in_it_is_no_state_directory(void **state)
{
	struct place *p = *state;
	char file[400];
	struct state *s;
	int fd;

	assert_int_equal(mkdir(p->given, 0700), 0);
	(void)snprintf(file, sizeof(file), "%s/thesis.tex", p->given);
	fd = open(file, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	fd_close(fd);
	assert_int_equal(find_full(p, p->share, p->given, STATE_CREATE, &s), HOLDFAST_EXIT_STATE);
}

static void test_a_directory_that_others_may_write_to_is_refused(void **state)
{
	struct place *p = *state;
	struct state *s;

	assert_int_equal(mkdir(p->given, 0700), 0);
	assert_int_equal(chmod(p->given, 0770), 0);
	assert_int_equal(find_full(p, p->share, p->given, STATE_CREATE, &s), HOLDFAST_EXIT_STATE);
	assert_int_equal(mkdir(p->base, 0700), 0);
	assert_int_equal(chmod(p->base, 0777), 0);
	assert_int_equal(find(p, p->share, &s), HOLDFAST_EXIT_STATE);
}

static void test_links_of_other_users_are_not_followed(void **state)
{
	struct place *p = *state;
	char link[300];
	struct state *s;

	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(p->given, 0700), 0);
	(void)snprintf(link, sizeof(link), "%s/link", p->top);
	assert_int_equal(symlink(p->given, link), 0);
	assert_int_equal(find_full(p, p->share, link, STATE_CREATE, &s), 0);
	state_free(s);
	assert_int_equal(lchown(link, 12345, 12345), 0);
	assert_int_equal(find_full(p, p->share, link, STATE_CREATE, &s), HOLDFAST_EXIT_STATE);
}

static void write_export(struct state *s, const char *text)
{
	CLEANUP_FD int fd = openat(s->statedir, STATE_EXPORT_FILE, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite_full(fd, text, strlen(text), 0), 0);
}

static void test_a_damaged_or_newer_record_is_refused(void **state)
{
	static const char *const damaged[] = {
		"",
		"holdfast export 1\n",
		"holdfast export one\nid x\n",
		"holdfast export 1\nid 00112233445566778899aabbccddeeff\nroot -\npath "
		"relative\nrun -\n",
		"holdfast export 1\nid 00112233445566778899aabbccddeeff\nroot -\npath /a%0\nrun "
		"-\n",
		"holdfast export 1\nid 00112233445566778899aabbccddeeff\nroot -\npath /a%00\nrun "
		"-\n",
		"holdfast export 1\nid 00112233445566778899aabbccddee\nroot -\npath /a\nrun -\n",
		"holdfast export 1\nid 00112233445566778899aabbccddeeff\nroot ..\npath /a\nrun -\n",
		"holdfast export 1\nid 00112233445566778899aabbccddeeff\nroot -\npath /a\nrun "
		"-\nmore -\n",
	};
	struct place *p = *state;
	struct state *s, *again;

	assert_int_equal(find_full(p, p->share, p->given, STATE_CREATE, &s), 0);
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		write_export(s, damaged[i]);
		assert_int_equal(find_full(p, p->share, p->given, STATE_CREATE, &again),
				 HOLDFAST_EXIT_STATE);
	}
	write_export(s, "holdfast export 2\nwhatever\n");
	assert_int_equal(find_full(p, p->share, p->given, STATE_CREATE, &again),
			 HOLDFAST_EXIT_NEWER);
	state_free(s);
}

/* A new state would have another key, and every handle of the old one would be stale. */
static void test_no_state_is_made_while_one_cannot_be_read(void **state)
{
	struct place *p = *state;
	struct state *s, *again;
	char other[300], id[STATE_ID_DIGITS + 1], now[STATE_ID_DIGITS + 1], record[2000];
	ssize_t len;
	CLEANUP_FD int fd = -1;

	id_of(p, p->share, NULL, id);
	assert_int_equal(find(p, p->share, &s), 0);
	fd = openat(s->statedir, STATE_EXPORT_FILE, O_RDONLY);
	len = pread(fd, record, sizeof(record) - 1, 0);
	assert_true(len > 0);
	record[len] = '\0';

	write_export(s, "holdfast export 2\nwhatever\n");
	assert_int_equal(find(p, p->share, &again), HOLDFAST_EXIT_NEWER);
	write_export(s, "damaged");
	assert_int_equal(find(p, p->share, &again), HOLDFAST_EXIT_STATE);
	assert_int_equal(find_full(p, p->share, NULL, STATE_ADOPT, &again), HOLDFAST_EXIT_STATE);
	write_export(s, record);
	assert_int_equal(fchmod(fd, 0660), 0);
	assert_int_equal(find(p, p->share, &again), HOLDFAST_EXIT_STATE);
	/* One that is named is taken, and found from then on whatever the other is. */
	(void)snprintf(other, sizeof(other), "%s/named", p->base);
	assert_int_equal(find_full(p, p->share, other, STATE_CREATE, &again), 0);
	state_free(again);
	id_of(p, p->share, NULL, now);
	assert_string_not_equal(now, id);
	state_free(s);
}

/* Whose it is cannot be said; that it is a state is told by what is left. */
static void test_no_state_is_made_while_one_has_lost_its_record(void **state)
{
	static const char *const left[] = { STATE_KEY_FILE, "map.db", "root-generation" };
	struct place *p = *state;
	struct state *s, *again;
	char path[PATH_MAX], id[STATE_ID_DIGITS + 1];

	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		assert_int_equal(find(p, p->share, &s), 0);
		(void)snprintf(path, sizeof(path), "%s", s->statepath);
		assert_int_equal(mknodat(s->statedir, left[i], S_IFREG | 0600, 0), 0);
		assert_int_equal(unlinkat(s->statedir, STATE_EXPORT_FILE, 0), 0);
		assert_int_equal(find(p, p->share, &again), HOLDFAST_EXIT_STATE);
		assert_int_equal(find_full(p, p->share, NULL, STATE_EXISTING, &again),
				 HOLDFAST_EXIT_STATE);
		assert_int_equal(find_full(p, p->share, NULL, STATE_ADOPT, &again),
				 HOLDFAST_EXIT_STATE);
		/* Given: not while somebody uses it by the record that it had. */
		assert_int_equal(find_full(p, p->share, path, STATE_CREATE, &again),
				 HOLDFAST_EXIT_STATE);
		assert_int_equal(faccessat(s->statedir, STATE_EXPORT_FILE, F_OK, 0), -1);
		state_free(s);
		assert_int_equal(find_full(p, p->share, path, STATE_CREATE, &again), 0);
		(void)snprintf(id, sizeof(id), "%s", again->record.id);
		state_free(again);
		assert_int_equal(find(p, p->share, &again), 0);
		assert_string_equal(again->record.id, id);
		assert_int_equal(unlinkat(again->statedir, left[i], 0), 0);
		state_free(again);
	}
}

static void test_what_is_no_state_stands_in_nobodys_way(void **state)
{
	struct place *p = *state;
	char path[300];
	struct state *s;

	assert_int_equal(mkdir(p->base, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/empty", p->base);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/link", p->base);
	assert_int_equal(symlink("empty", path), 0);
	(void)snprintf(path, sizeof(path), "%s/file", p->base);
	assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
	assert_int_equal(find(p, p->share, &s), 0);
	state_free(s);
}

static void test_a_record_survives_odd_paths(void **state)
{
	struct place *p = *state;
	struct state_record in = { .id = "00112233445566778899aabbccddeeff", .root = "ab12" };
	struct state_record out;
	CLEANUP_FD int fd = open(p->top, O_RDONLY | O_DIRECTORY);

	in.path[0] = '/';
	for (int i = 1; i < PATH_MAX - 1; i++)
		in.path[i] = (char)(i % 255 + 1);
	assert_int_equal(state_record_write(fd, &in), 0);
	assert_int_equal(state_record_read(fd, &out), 0);
	assert_memory_equal(&in, &out, sizeof(in));
}

static void test_the_ring_stays_where_it_was_while_it_is_needed(void **state)
{
	struct place *p = *state;
	struct state *s, *again;
	char first[PATH_MAX];
	int fd;

	assert_int_equal(find(p, p->share, &s), 0);
	(void)snprintf(first, sizeof(first), "%s", s->runpath);

	/* Another environment, while a daemon runs: its directory. */
	(void)snprintf(p->run, sizeof(p->run), "%s/run2", p->top);
	assert_int_equal(find(p, p->share, &again), 0);
	assert_string_equal(again->runpath, first);
	state_free(again);

	/* No daemon, but a ring that one left behind: the same. */
	fd = openat(s->rundir, STATE_RING_FILE, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	fd_close(fd);
	state_free(s);
	assert_int_equal(find(p, p->share, &again), 0);
	assert_string_equal(again->runpath, first);

	/* The directory is gone under a daemon: refused; after it ended: a new one. */
	assert_int_equal(unlinkat(again->rundir, STATE_RING_FILE, 0), 0);
	assert_int_equal(rmdir(first), 0);
	assert_int_equal(find(p, p->share, &s), HOLDFAST_EXIT_STATE);
	state_free(again);
	assert_int_equal(find(p, p->share, &s), 0);
	assert_non_null(strstr(s->runpath, "/run2/"));
	state_free(s);
}

static void test_only_one_process_can_be_alone(void **state)
{
	struct place *p = *state;
	struct state *a, *b;

	assert_int_equal(find(p, p->share, &a), 0);
	assert_int_equal(state_lock_alone(a), 0);
	assert_int_equal(state_lock_shared(a), 0);
	assert_int_equal(find(p, p->share, &b), 0);
	assert_int_equal(state_lock_alone(a), -EBUSY);
	state_free(b);
	assert_int_equal(state_lock_alone(a), 0);
	state_free(a);
}

static void test_mount_point_and_share_must_not_lie_in_each_other(void **state)
{
	struct place *p = *state;
	char below[400], beside[400];
	struct state *s;
	int fd;

	(void)snprintf(below, sizeof(below), "%s/sub", p->share);
	(void)snprintf(beside, sizeof(beside), "%s/mnt", p->top);
	assert_int_equal(mkdir(below, 0755), 0);
	assert_int_equal(mkdir(beside, 0755), 0);
	assert_int_equal(find(p, p->share, &s), 0);

	const struct {
		const char *path;
		int result;
	} cases[] = {
		{ p->share, -1 },     { below, -1 },   { p->top, -1 }, { "/", -1 },
		{ s->statepath, -1 }, { p->base, -1 }, { beside, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fd = open(cases[i].path, O_PATH | O_DIRECTORY);
		assert_true(fd >= 0);
		assert_int_equal(state_check_mount(s, fd, cases[i].path), cases[i].result);
		fd_close(fd);
	}
	state_free(s);
}

static void test_a_read_only_base_is_said_so(void **state)
{
	struct place *p = *state;
	struct state *s;

	/* /proc takes no directories, for root neither. */
	(void)snprintf(p->base, sizeof(p->base), "/proc/holdfast");
	assert_int_equal(find(p, p->share, &s), HOLDFAST_EXIT_STATE);
	(void)snprintf(p->given, sizeof(p->given), "/proc/holdfast");
	assert_int_equal(find_full(p, p->share, p->given, STATE_CREATE, &s), HOLDFAST_EXIT_STATE);
}

static void test_a_missing_share_is_the_shares_fault(void **state)
{
	struct place *p = *state;
	struct state *s;

	assert_int_equal(rmdir(p->share), 0);
	assert_int_equal(find(p, p->share, &s), HOLDFAST_EXIT_SHARE);
	assert_int_equal(find(p, "/dev/null", &s), HOLDFAST_EXIT_SHARE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_first_run_makes_private_state_and_a_second_finds_it),
		TEST(test_a_moved_share_is_known_again),
		TEST(test_a_known_path_with_another_root_is_refused_until_adopted),
		TEST(test_two_shares_have_two_states),
		TEST(test_two_states_that_claim_one_root_are_refused),
		TEST(test_nothing_is_made_for_a_tool),
		TEST(test_state_in_the_share_is_refused_before_it_is_made),
		TEST(test_a_share_in_the_state_is_refused),
		TEST(test_a_run_directory_in_the_share_is_never_used),
		TEST(test_a_given_directory_is_made_checked_and_may_be_moved),
		TEST(test_a_directory_with_other_things_in_it_is_no_state_directory),
		TEST(test_a_directory_that_others_may_write_to_is_refused),
		TEST(test_links_of_other_users_are_not_followed),
		TEST(test_a_damaged_or_newer_record_is_refused),
		TEST(test_no_state_is_made_while_one_cannot_be_read),
		TEST(test_no_state_is_made_while_one_has_lost_its_record),
		TEST(test_what_is_no_state_stands_in_nobodys_way),
		TEST(test_a_record_survives_odd_paths),
		TEST(test_the_ring_stays_where_it_was_while_it_is_needed),
		TEST(test_only_one_process_can_be_alone),
		TEST(test_mount_point_and_share_must_not_lie_in_each_other),
		TEST(test_a_read_only_base_is_said_so),
		TEST(test_a_missing_share_is_the_shares_fault),
	};

	log_init(LOG_LEVEL_OFF, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
