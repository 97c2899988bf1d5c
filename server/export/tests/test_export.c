/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_export.c - the core as a whole, without FUSE: an export of a scratch directory is opened, used, closed and
 * opened again, while a "host" changes what lies below. Needs a file system whose handles persist in
 * the current directory; tests of what the host must allow are skipped by name where it does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "export/tests/scratch.h"
#include "holdfast/handle.h"

static void test_a_handle_opens_the_same_object_after_a_restart(void **state)
{
	struct scratch *f = *state;
	struct entry file, dir, deep;

	make_file(f, "a");
	mkdir(path_in(f, "d"), 0755);
	mkdir(path_in(f, "d/e"), 0755);
	make_file(f, "d/e/b");
	assert_int_equal(symlink("nowhere", path_in(f, "l")), 0);
	file = look_up_path(f, "a");
	dir = look_up_path(f, "d");
	deep = look_up_path(f, "d/e/b");
	struct entry link = look_up_path(f, "l");

	for (int i = 0; i < 3; i++) {
		opens(f, deep, host_ino(f, "d/e/b"));
		opens(f, dir, host_ino(f, "d"));
		opens(f, file, host_ino(f, "a"));
		opens(f, link, host_ino(f, "l"));
		restart(f);
	}
}

static void test_numbers_are_the_same_in_every_run(void **state)
{
	struct scratch *f = *state;
	struct entry before, after;

	make_file(f, "a");
	before = look_up_path(f, "a");
	restart(f);
	after = look_up_path(f, "a");
	assert_true(nodeid_equal(before.nodeid, after.nodeid));
	assert_int_equal(before.generation.v, after.generation.v);
}

static void test_an_undrained_record_survives_the_daemon(void **state)
{
	struct scratch *f = *state;
	struct entry e;
	struct export *other;
	struct worker *w = f->w;
	int code;

	/* A second daemon of the export finds at once what the first has told nobody but the ring. */
	assert_int_equal(export_open(&f->config, &other, &code), 0);
	make_file(f, "a");
	e = look_up_path(f, "a");
	assert_int_equal(worker_new(other, &f->w), 0);
	opens(f, e, host_ino(f, "a"));
	worker_free(f->w);
	f->w = w;
	export_close(other);
}

static void test_a_deleted_objects_handle_is_stale_for_good(void **state)
{
	struct scratch *f = *state;
	struct entry by_guest, by_host;
	struct node *root = hold(f, NODEID_ROOT);

	make_file(f, "g");
	make_file(f, "h");
	by_guest = look_up_path(f, "g");
	by_host = look_up_path(f, "h");
	assert_int_equal(export_unlink(f->w, root, "g", 0), 0);
	export_forget(f->w, by_guest.nodeid, 1);
	assert_int_equal(unlink(path_in(f, "h")), 0);
	node_put(f->w, root);
	for (int i = 0; i < 20; i++) { /* the inode numbers come back at once */
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		make_file(f, name);
		look_up_path(f, name);
	}
	is_stale(f, by_guest);
	is_stale(f, by_host);
	restart(f);
	is_stale(f, by_guest);
	is_stale(f, by_host);
}

/* The host puts another file under the name, with the same inode number if the file system gives it out again. */
static bool replaced_by_its_like(const struct scratch *f, const char *name)
{
	ino_t ino = host_ino(f, name);

	assert_int_equal(unlink(path_in(f, name)), 0);
	make_file(f, name);
	return host_ino(f, name) == ino;
}

static void test_a_file_with_the_inode_number_of_another_is_never_taken_for_it(void **state)
{
	struct scratch *f = *state;
	struct entry old, again;
	unsigned alike = 0;

	/* Within a tick of the clock they have the same times. */
	make_file(f, "young");
	for (int i = 0; i < 300; i++) {
		old = look_up_path(f, "young");
		look_up_path(f, "young");
		if (!replaced_by_its_like(f, "young"))
			continue;
		alike++;
		assert_int_not_equal(look_up_path(f, "young").nodeid.v, old.nodeid.v);
	}
	/* One that has not changed for long is known at a glance: another must not be. */
	make_file(f, "old");
	usleep(1200000);
	for (int i = 0; i < 3; i++)
		old = look_up_path(f, "old");
	again = look_up_path(f, "old");
	assert_int_equal(again.nodeid.v, old.nodeid.v);
	alike += replaced_by_its_like(f, "old");
	assert_int_not_equal(look_up_path(f, "old").nodeid.v, old.nodeid.v);
	is_stale(f, old);
	if (!alike)
		skip(); /* no inode number came back */
}

/* Its space on the disk would stay taken. */
static void test_what_the_host_deletes_is_not_held(void **state)
{
	struct scratch *f = *state;
	struct export_stats before, after;
	struct entry kept, gone, used;
	struct node *n;

	make_file(f, "kept");
	make_file(f, "gone");
	make_file(f, "used");
	kept = look_up_path(f, "kept");
	gone = look_up_path(f, "gone");
	used = look_up_path(f, "used");
	for (int i = 0; i < 2; i++) {
		n = hold(f, i ? gone.nodeid : kept.nodeid);
		assert_true(node_fd(f->w, n) >= 0);
		node_put(f->w, n);
	}
	n = hold(f, used.nodeid);
	assert_true(node_fd(f->w, n) >= 0);
	assert_int_equal(unlink(path_in(f, "gone")), 0);
	assert_int_equal(unlink(path_in(f, "used")), 0);
	export_stats(f->x, &before);
	cache_let_go(f->x->cache);
	export_stats(f->x, &after);
	assert_int_equal(after.fds, before.fds - 1);
	assert_true(fcntl(node_fd(f->w, n), F_GETFD) >= 0);
	node_put(f->w, n);
	cache_let_go(f->x->cache);
	export_stats(f->x, &after);
	assert_int_equal(after.fds, before.fds - 2);
	is_stale(f, gone);
	assert_int_equal(look_up_path(f, "kept").nodeid.v, kept.nodeid.v);
}

static void test_an_unlinked_object_lives_until_forget(void **state)
{
	struct scratch *f = *state;
	struct node *root = hold(f, NODEID_ROOT);
	struct entry e;
	struct node *n;
	struct statx stx;

	make_file(f, "a");
	e = look_up_path(f, "a");
	assert_int_equal(export_unlink(f->w, root, "a", 0), 0);
	n = hold(f, e.nodeid);
	assert_int_equal(export_getattr(f->w, n, -1, STATX_BASIC_STATS, &stx), 0);
	assert_int_equal(stx.stx_nlink, 0);
	node_put(f->w, n);
	export_forget(f->w, e.nodeid, 1);
	is_stale(f, e);
	node_put(f->w, root);
}

/* A guest's kernel forgets what it decoded at the last use of it, and asks again for the next request. */
static void test_what_the_guest_forgets_stays_warm(void **state)
{
	struct scratch *f = *state;
	struct export_stats before, after;
	struct entry e;
	ino_t ino;

	mkdir(path_in(f, "d"), 0755);
	make_file(f, "d/a");
	e = look_up_path(f, "d/a");
	export_forget(f->w, e.nodeid, 1);
	export_stats(f->x, &before);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(decode(f, e, &ino), 0);
		export_forget(f->w, e.nodeid, 1);
	}
	export_stats(f->x, &after);
	assert_true(after.hits - before.hits >= 100);
	/* By its name at most once a second, as everything that is held. */
	assert_true(after.resolved_by_name - before.resolved_by_name < 50);
	assert_int_equal(after.resolved_by_handle, before.resolved_by_handle);
}

static void test_the_end_of_a_session_forgets_all_lookups(void **state)
{
	struct scratch *f = *state;
	struct node *root = hold(f, NODEID_ROOT);
	struct node *open_one;
	struct export_stats stats;
	struct entry e[50];
	struct entry kept;
	char name[16];

	make_file(f, "kept");
	kept = look_up_path(f, "kept");
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		make_file(f, name);
		e[i] = look_up_path(f, name);
		assert_int_equal(export_unlink(f->w, root, name, 0), 0);
	}
	open_one = hold(f, e[7].nodeid);
	export_stats(f->x, &stats);
	assert_int_equal(stats.pinned, 50);
	export_forget_all(f->w);
	export_stats(f->x, &stats);
	assert_int_equal(stats.pinned, 0);
	assert_true(stats.nodes <= 3); /* the root, what has a name, what is held */
	is_stale(f, e[0]);
	node_put(f->w, open_one);
	is_stale(f, e[7]);
	assert_int_equal(look_up_path(f, "kept").nodeid.v, kept.nodeid.v);
	node_put(f->w, root);
}

static void test_renames_by_the_guest_keep_the_handle(void **state)
{
	struct scratch *f = *state;
	struct node *root = hold(f, NODEID_ROOT), *d;
	struct entry a, b, dir;

	make_file(f, "a");
	make_file(f, "b");
	mkdir(path_in(f, "d"), 0755);
	a = look_up_path(f, "a");
	b = look_up_path(f, "b");
	dir = look_up_path(f, "d");
	d = hold(f, dir.nodeid);
	assert_int_equal(export_rename(f->w, root, "a", d, "x", 0), 0);
	assert_int_equal(export_rename(f->w, root, "b", d, "x", RENAME_EXCHANGE), 0);
	node_put(f->w, d);
	node_put(f->w, root);
	for (int i = 0; i < 2; i++) {
		opens(f, b, host_ino(f, "d/x"));
		opens(f, a, host_ino(f, "b"));
		restart(f);
	}
	root = hold(f, NODEID_ROOT);
	d = hold(f, dir.nodeid);
	assert_int_equal(export_rename(f->w, root, "b", d, "x", 0), 0);
	node_put(f->w, d);
	node_put(f->w, root);
	restart(f);
	opens(f, a, host_ino(f, "d/x"));
	is_stale(f, b);
}

static void test_a_moved_directory_takes_its_tree_along(void **state)
{
	struct scratch *f = *state;
	struct entry deep;

	mkdir(path_in(f, "a"), 0755);
	mkdir(path_in(f, "a/b"), 0755);
	mkdir(path_in(f, "z"), 0755);
	make_file(f, "a/b/c");
	deep = look_up_path(f, "a/b/c");
	assert_int_equal(rename(path_in(f, "a"), path_in(f, "z/moved")),
			 0); /* by the host, behind us */
	opens(f, deep, host_ino(f, "z/moved/b/c"));
	stop(f);
	assert_int_equal(rename(path_in(f, "z/moved/b"), path_in(f, "b2")),
			 0); /* with no daemon running */
	start(f);
	opens(f, deep, host_ino(f, "b2/c"));
}

static void test_a_hard_link_outlives_its_first_name(void **state)
{
	struct scratch *f = *state;
	struct node *root, *n;
	struct entry e, l;

	make_file(f, "a");
	e = look_up_path(f, "a");
	root = hold(f, NODEID_ROOT);
	n = hold(f, e.nodeid);
	assert_int_equal(export_link(f->w, n, root, "b", &l), 0);
	assert_true(nodeid_equal(e.nodeid, l.nodeid));
	assert_int_equal(export_unlink(f->w, root, "a", 0), 0);
	node_put(f->w, n);
	node_put(f->w, root);
	opens(f, e, host_ino(f, "b"));
	restart(f);
	opens(f, e, host_ino(f, "b"));

	/* Both names known, and the host takes the one that was seen last. */
	assert_int_equal(link(path_in(f, "b"), path_in(f, "c")), 0);
	look_up_path(f, "b");
	look_up_path(f, "c");
	stop(f);
	assert_int_equal(unlink(path_in(f, "c")), 0);
	start(f);
	opens(f, e, host_ino(f, "b"));
}

static void test_forged_nodeids_are_stale(void **state)
{
	struct scratch *f = *state;
	struct entry e, forged;

	make_file(f, "a");
	e = look_up_path(f, "a");
	for (unsigned i = 0; i < 64; i++) {
		forged = e;
		forged.nodeid.v ^= 1ULL << i;
		is_stale(f, forged);
	}
	forged.nodeid.v = 0;
	is_stale(f, forged);
	forged.nodeid.v = UINT64_MAX;
	is_stale(f, forged);
	opens(f, e, host_ino(f, "a"));
}

static void test_the_cache_stays_within_its_caps(void **state)
{
	struct scratch *f = *state;
	struct export_stats stats;
	struct entry e[600];
	char name[32];

	stop(f);
	f->config.max_nodes = 300;
	f->config.max_fds = 32;
	start(f);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		mkdir(path_in(f, name), 0755);
		e[i] = look_up_path(f, name);
		snprintf(name, sizeof(name), "d%d/f", i);
		make_file(f, name);
		e[i] = look_up_path(f, name);
	}
	export_stats(f->x, &stats);
	assert_true(stats.nodes <= 300);
	assert_true(stats.fds <= 32);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "d%d/f", i);
		opens(f, e[i], host_ino(f, name));
	}
	export_stats(f->x, &stats);
	assert_true(stats.nodes <= 300);
	assert_true(stats.fds <= 32);
}

static void test_a_clash_keeps_both_objects_apart(void **state)
{
	struct scratch *f = *state;
	struct entry a, b;
	struct node *root;

	stop(f);
	setenv(MINT_TEST_ENV, "0", 1);
	start(f);
	/* The inode numbers must fall into one bucket of 256: files made one after the other do, mostly. */
	make_file(f, "b");
	for (unsigned i = 0;; i++) {
		char was[16];

		assert_true(i < 1000);
		snprintf(was, sizeof(was), "was-%u", i);
		assert_int_equal(rename(path_in(f, "b"), path_in(f, was)), 0);
		make_file(f, "b");
		if (host_ino(f, was) >> 8 != host_ino(f, "b") >> 8)
			continue;
		assert_int_equal(rename(path_in(f, was), path_in(f, "a")), 0);
		break;
	}
	a = look_up_path(f, "a");
	b = look_up_path(f, "b");
	assert_false(nodeid_equal(a.nodeid, b.nodeid));
	assert_true(ring_shared_get(f->x->ring, RING_CLASHES) > 0);
	for (int i = 0; i < 2; i++) {
		opens(f, a, host_ino(f, "a"));
		opens(f, b, host_ino(f, "b"));
		restart(f);
		/* The map alone knows now that the first rowid is the other's. */
		assert_true(nodeid_equal(look_up_path(f, "b").nodeid, b.nodeid));
		assert_true(nodeid_equal(look_up_path(f, "a").nodeid, a.nodeid));
		restart(f);
	}
	root = hold(f, NODEID_ROOT);
	assert_int_equal(export_unlink(f->w, root, "a", 0), 0);
	node_put(f->w, root);
	export_forget(f->w, a.nodeid, 100);
	restart(f);
	opens(f, b, host_ino(f, "b"));
	assert_true(nodeid_equal(look_up_path(f, "b").nodeid, b.nodeid));
	make_file(f, "c");
	assert_false(nodeid_equal(look_up_path(f, "c").nodeid, a.nodeid));
	is_stale(f, a);
	unsetenv(MINT_TEST_ENV);
}

static void test_without_handles_nodes_are_honest(void **state)
{
	struct scratch *f = *state;
	struct entry e;
	struct node *n;
	uint8_t sealed[128];
	ino_t ino;

	stop(f);
	f->config.handles = HANDLES_NEVER;
	start(f);
	make_file(f, "a");
	e = look_up_path(f, "a");
	opens(f, e, host_ino(f, "a"));
	n = hold(f, e.nodeid);
	assert_false(node_persistent(n));
	assert_int_equal(node_sealed_handle(f->w, n, sealed, sizeof(sealed)), -ENODATA);
	node_put(f->w, n);
	restart(f);
	look_up_path(f, "a");
	assert_int_equal(decode(f, e, &ino), -ESTALE);
}

static void test_the_sealed_handle_is_equal_and_small(void **state)
{
	struct scratch *f = *state;
	uint8_t one[128], two[128];
	struct export_inspection seen;
	struct entry e;
	struct node *n;
	ssize_t len;

	make_file(f, "a");
	e = look_up_path(f, "a");
	n = hold(f, e.nodeid);
	len = node_sealed_handle(f->w, n, one, sizeof(one));
	assert_in_range(len, 18, 128);
	node_put(f->w, n);
	restart(f);
	n = hold(f, e.nodeid);
	assert_int_equal(node_sealed_handle(f->w, n, two, sizeof(two)), len);
	assert_memory_equal(one, two, (size_t)len);
	node_put(f->w, n);
	assert_int_equal(export_inspect_sealed(f->w, one, (size_t)len, &seen), 0);
	assert_true(seen.known);
	assert_true(nodeid_equal(seen.nodeid, e.nodeid));
	assert_string_equal(seen.path, "a");
	one[len - 1] ^= 1;
	assert_int_equal(export_inspect_sealed(f->w, one, (size_t)len, &seen), 0);
	assert_false(seen.known);
}

static void test_a_removed_directory_lives_until_forget_though_its_node_went(void **state)
{
	struct scratch *f = *state;
	struct node *root, *n;
	struct entry e;
	char name[32];

	stop(f);
	f->config.max_nodes = 256;
	start(f);
	root = hold(f, NODEID_ROOT);
	mkdir(path_in(f, "d"), 0755);
	e = look_up_path(f, "d"); /* the guest's working directory */
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(f, name);
		look_up_path(f, name);
	}
	assert_null(cache_find(f->x->cache, e.nodeid));
	assert_int_equal(export_unlink(f->w, root, "d", AT_REMOVEDIR), 0);
	n = hold(f, e.nodeid);
	assert_true(node_fd(f->w, n) >= 0);
	node_put(f->w, n);
	export_forget(f->w, e.nodeid, 1);
	is_stale(f, e);
	node_put(f->w, root);
}

static void test_a_name_moved_out_leaves_the_others(void **state)
{
	struct scratch *f = *state;
	struct entry e;
	struct node *n;
	char to[128];

	make_file(f, "a");
	assert_int_equal(link(path_in(f, "a"), path_in(f, "b")), 0);
	look_up_path(f, "b");
	e = look_up_path(f, "a");
	n = hold(f, e.nodeid);
	assert_true(node_fd(f->w, n) >= 0); /* opened as "a" */
	snprintf(to, sizeof(to), "%s/a", f->outside);
	assert_int_equal(rename(path_in(f, "a"), to), 0);
	usleep(1000000);
	opens(f, e, host_ino(f, "b"));
	node_put(f->w, n);
}

static void test_a_created_file_stays_while_open_though_the_host_unlinks_it(void **state)
{
	struct scratch *f = *state;
	struct node *root = hold(f, NODEID_ROOT), *n, *again;
	struct entry e;
	int fd = open(path_in(f, "a"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_int_equal(export_enter_fd(f->w, root, "a", fd, export_position(f->w), &e), 0);
	n = hold(f, e.nodeid); /* what an open file does */
	assert_int_equal(unlink(path_in(f, "a")), 0);
	usleep(1000000);
	assert_int_equal(node_get(f->w, e.nodeid, &again), 0);
	node_put(f->w, again);
	node_put(f->w, n);
	node_put(f->w, root);
	close(fd);
}

/* As CREATE does, and RELEASE: the node stays open. */
static struct entry create_file(struct scratch *f, struct node *root, const char *name)
{
	struct entry e;
	int fd = open(path_in(f, name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_int_equal(export_enter_fd(f->w, root, name, fd, export_position(f->w), &e), 0);
	close(fd);
	return e;
}

static bool has_row(struct scratch *f, struct entry e)
{
	struct found found;

	return store_find(f->w, mint_rowid(f->w->mint, e.nodeid), &found) == 0;
}

/* Two files that are open and were born in the same tick of the clock. */
static void create_twins(struct scratch *f, struct node *dir, struct entry *a, struct entry *b)
{
	for (int i = 0;; i++) {
		*a = create_file(f, dir, "twin-a");
		*b = create_file(f, dir, "twin-b");
		if (memcmp(&a->stx.stx_btime, &b->stx.stx_btime, sizeof(a->stx.stx_btime)) == 0)
			return;
		assert_true(i < 1000);
		assert_int_equal(export_unlink(f->w, dir, "twin-a", 0), 0);
		assert_int_equal(export_unlink(f->w, dir, "twin-b", 0), 0);
	}
}

/* The table of what was found lately is a hint, which may be another object's. */
static void test_a_wrong_hint_unlinks_no_other_object(void **state)
{
	struct scratch *f = *state;
	struct node *root = hold(f, NODEID_ROOT);
	struct entry a, b;

	create_twins(f, root, &a, &b);
	for (size_t i = 0; i < RECENTS; i++)
		atomic_store(&f->x->recent[i], a.nodeid.v);
	f->w->unlinks_open = true;
	assert_int_equal(export_unlink(f->w, root, "twin-b", 0), 0);
	assert_true(has_row(f, a));
	assert_false(has_row(f, b));
	is_stale(f, b);
	opens(f, a, host_ino(f, "twin-a"));
	node_put(f->w, root);
}

static void test_what_is_open_in_the_cache_is_unlinked_by_that(void **state)
{
	struct scratch *f = *state;
	struct node *root = hold(f, NODEID_ROOT);
	struct entry a, b, c, d, e;

	/* The first one says that the next may be open too. */
	a = create_file(f, root, "a");
	b = create_file(f, root, "b");
	assert_int_equal(export_unlink(f->w, root, "a", 0), 0);
	assert_true(f->w->unlinks_open);
	assert_int_equal(export_unlink(f->w, root, "b", 0), 0);
	assert_true(f->w->unlinks_open);
	assert_false(has_row(f, a) || has_row(f, b));
	is_stale(f, a);
	is_stale(f, b);

	/* It has another name. */
	c = create_file(f, root, "c");
	assert_int_equal(link(path_in(f, "c"), path_in(f, "c2")), 0);
	look_up_path(f, "c2");
	assert_int_equal(export_unlink(f->w, root, "c", 0), 0);
	assert_true(has_row(f, c));

	/* The host has put another one there, and the first elsewhere. */
	d = create_file(f, root, "d");
	assert_int_equal(rename(path_in(f, "d"), path_in(f, "d2")), 0);
	make_file(f, "d");
	assert_int_equal(export_unlink(f->w, root, "d", 0), 0);
	assert_true(has_row(f, d));
	assert_int_equal(export_unlink(f->w, root, "none", 0), -ENOENT);

	/* What is not open is opened. */
	make_file(f, "e");
	e = look_up_path(f, "e");
	assert_int_equal(export_unlink(f->w, root, "e", 0), 0);
	assert_false(has_row(f, e));
	node_put(f->w, root);

	opens(f, c, host_ino(f, "c2"));
	opens(f, d, host_ino(f, "d2"));
	restart(f);
	opens(f, c, host_ino(f, "c2"));
	opens(f, d, host_ino(f, "d2"));
	is_stale(f, a);
	is_stale(f, b);
	is_stale(f, e);
}

static void test_an_open_object_stays_where_an_ordinary_user_may_not_look(void **state)
{
	struct scratch *f = *state;
	struct node *n, *again;
	struct entry e;
	int ret;

	if (geteuid() != 0)
		skip();
	mkdir(path_in(f, "d"), 0755);
	make_file(f, "d/a");
	e = look_up_path(f, "d/a");
	n = hold(f, e.nodeid);
	assert_true(node_fd(f->w, n) >= 0);
	assert_int_equal(chmod(path_in(f, "d"), 0), 0);
	usleep(1000000);
	assert_int_equal(seteuid(65534), 0);
	ret = node_get(f->w, e.nodeid, &again);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(ret, 0);
	node_put(f->w, again);
	node_put(f->w, n);
}

static void test_an_inspection_of_the_root_tells_of_it(void **state)
{
	struct scratch *f = *state;
	struct export_inspection seen[2];
	uint8_t sealed[HOLDFAST_SEALED_MAX];
	struct node *n = hold(f, NODEID_ROOT);
	ssize_t len = node_sealed_handle(f->w, n, sealed, sizeof(sealed));

	node_put(f->w, n);
	assert_true(len > 0);
	assert_int_equal(export_inspect_nodeid(f->w, NODEID_ROOT, &seen[0]), 0);
	assert_int_equal(export_inspect_sealed(f->w, sealed, (size_t)len, &seen[1]), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(seen[i].known && seen[i].has_row && nodeid_is_root(seen[i].nodeid));
		assert_int_equal(seen[i].row.ino, host_ino(f, "."));
		assert_int_equal(seen[i].row.type, DT_DIR);
		assert_true(seen[i].row.identity.btime_ns > 0);
		assert_int_equal(seen[i].resolve_error, 0);
		assert_string_equal(seen[i].path, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(test_a_handle_opens_the_same_object_after_a_restart),
		SCRATCH_TEST(test_numbers_are_the_same_in_every_run),
		SCRATCH_TEST(test_an_undrained_record_survives_the_daemon),
		SCRATCH_TEST(test_a_deleted_objects_handle_is_stale_for_good),
		SCRATCH_TEST(test_a_file_with_the_inode_number_of_another_is_never_taken_for_it),
		SCRATCH_TEST(test_what_the_host_deletes_is_not_held),
		SCRATCH_TEST(test_an_unlinked_object_lives_until_forget),
		SCRATCH_TEST(test_what_the_guest_forgets_stays_warm),
		SCRATCH_TEST(test_the_end_of_a_session_forgets_all_lookups),
		SCRATCH_TEST(test_renames_by_the_guest_keep_the_handle),
		SCRATCH_TEST(test_a_moved_directory_takes_its_tree_along),
		SCRATCH_TEST(test_a_hard_link_outlives_its_first_name),
		SCRATCH_TEST(test_forged_nodeids_are_stale),
		SCRATCH_TEST(test_the_cache_stays_within_its_caps),
		SCRATCH_TEST(test_a_clash_keeps_both_objects_apart),
		SCRATCH_TEST(test_without_handles_nodes_are_honest),
		SCRATCH_TEST(test_the_sealed_handle_is_equal_and_small),
		SCRATCH_TEST(test_a_removed_directory_lives_until_forget_though_its_node_went),
		SCRATCH_TEST(test_a_name_moved_out_leaves_the_others),
		SCRATCH_TEST(test_what_is_open_in_the_cache_is_unlinked_by_that),
		SCRATCH_TEST(test_a_wrong_hint_unlinks_no_other_object),
		SCRATCH_TEST(test_a_created_file_stays_while_open_though_the_host_unlinks_it),
		SCRATCH_TEST(test_an_open_object_stays_where_an_ordinary_user_may_not_look),
		SCRATCH_TEST(test_an_inspection_of_the_root_tells_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
