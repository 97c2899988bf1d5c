/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_scan.c - what scans find, and what they take for gone: objects that the host moved, within the share and out of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cap-ng.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "export/tests/scratch.h"

static void test_a_storm_of_moved_directories_is_told_to_try_again(void **state)
{
	struct scratch *f = *state;
	struct entry e[RECONNECTS_MAX + 100];
	unsigned again = 0;
	char name[32];

	if (!f->x->can_open_dir)
		skip();
	mkdir(path_in(f, "z"), 0755);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++) {
		snprintf(name, sizeof(name), "d%u", i);
		mkdir(path_in(f, name), 0755);
		e[i] = look_up_path(f, name);
	}
	stop(f);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++) {
		char to[32];

		snprintf(name, sizeof(name), "d%u", i);
		snprintf(to, sizeof(to), "z/d%u", i);
		assert_int_equal(rename(path_in(f, name), path_in(f, to)), 0);
	}
	start(f);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++) {
		struct entry got;
		int ret = export_lookup_self(f->w, e[i].nodeid, &got);

		assert_true(ret == 0 || ret == -ENOMEM);
		again += ret == -ENOMEM;
	}
	assert_true(again > 0);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++) {
		snprintf(name, sizeof(name), "z/d%u", i);
		opens(f, e[i], host_ino(f, name));
	}
}

static void test_a_file_renamed_by_the_host_is_found_by_a_scan(void **state)
{
	struct scratch *f = *state;
	struct entry e;

	mkdir(path_in(f, "d"), 0755);
	make_file(f, "a");
	e = look_up_path(f, "a");
	stop(f);
	assert_int_equal(rename(path_in(f, "a"), path_in(f, "d/b")), 0);
	make_file(f, "a"); /* and another takes its name */
	start(f);
	opens(f, e, host_ino(f, "d/b"));
}

/* As if the host had moved it from where the walk had not yet been to where it had. */
static void test_a_scan_that_misses_a_file_does_not_forget_it(void **state)
{
	struct scratch *f = *state;
	struct entry e;
	char away[128];

	make_file(f, "a");
	make_file(f, "stays"); /* where a walk finds nothing, there may be something unmounted */
	e = look_up_path(f, "a");
	snprintf(away, sizeof(away), "%s/a", f->outside);
	assert_int_equal(rename(path_in(f, "a"), away), 0);
	usleep(1100000); /* the cache believes what it knows for a second */
	while (scan_run(f->w, NULL, NULL) == -EBUSY)
		usleep(10000);
	assert_int_equal(rename(away, path_in(f, "b")), 0);
	usleep(200000); /* no snapshot shows a row that is not there any more */
	opens(f, e, host_ino(f, "b"));
}

/* A scan of another daemon's was under way, and had passed the place, when the host moved the object there. */
static void test_a_scan_that_began_before_does_not_make_a_handle_stale(void **state)
{
	struct scratch *f = *state;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct entry e, again;
	int fd;

	make_file(f, "a");
	e = look_up_path(f, "a");
	fd = openat(f->statedir, SCAN_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(rename(path_in(f, "a"), path_in(f, "b")), 0);
	usleep(1100000); /* the cache believes what it knows for a second */
	assert_int_equal(export_lookup_self(f->w, e.nodeid, &again), -ENOMEM);
	usleep(200000);
	ring_shared_add(f->x->ring, RING_SCANS, 1);
	close(fd);
	opens(f, e, host_ino(f, "b"));
}

/* ... and nobody who asks again waits for the second walk, which drops the row. */
static void test_what_a_scan_has_called_stale_stays_so(void **state)
{
	struct scratch *f = *state;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct found found;
	struct entry e, again;
	int fd;

	make_file(f, "a");
	make_file(f, "stays");
	e = look_up_path(f, "a");
	stop(f);
	assert_int_equal(unlink(path_in(f, "a")), 0);
	start(f);
	is_stale(f, e);
	fd = openat(f->statedir, SCAN_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	while (fcntl(fd, F_OFD_SETLK, &lock))
		usleep(10000);
	for (int i = 0; i < 3; i++)
		assert_int_equal(export_lookup_self(f->w, e.nodeid, &again), -ESTALE);
	assert_int_equal(store_find(f->w, mint_rowid(f->w->mint, e.nodeid), &found), 0);
	close(fd);
	for (int i = 0; store_find(f->w, mint_rowid(f->w->mint, e.nodeid), &found) == 0; i++) {
		assert_true(i < 300);
		usleep(100000);
	}
	is_stale(f, e);
}

/* ... unless it was seen since: it may be elsewhere again when its handle is used next. */
static void test_what_was_seen_since_a_scan_is_stale_no_more(void **state)
{
	struct scratch *f = *state;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct entry e, again;
	char away[128];
	int fd;

	make_file(f, "a");
	make_file(f, "stays");
	e = look_up_path(f, "a");
	snprintf(away, sizeof(away), "%s/a", f->outside);
	assert_int_equal(rename(path_in(f, "a"), away), 0);
	usleep(1100000); /* the cache believes what it knows for a second */
	is_stale(f, e);
	fd = openat(f->statedir, SCAN_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	while (fcntl(fd, F_OFD_SETLK, &lock))
		usleep(10000);
	assert_int_equal(export_lookup_self(f->w, e.nodeid, &again), -ESTALE);
	assert_int_equal(rename(away, path_in(f, "b")), 0);
	again = look_up_path(f, "b");
	assert_int_equal(again.nodeid.v, e.nodeid.v);
	assert_int_equal(rename(path_in(f, "b"), path_in(f, "c")), 0);
	usleep(1100000);
	assert_int_equal(export_lookup_self(f->w, e.nodeid, &again), -ENOMEM);
	close(fd);
	opens(f, e, host_ino(f, "c"));
}

/* However deep: what guests may cause in a second is no limit for the walk itself. */
static void test_two_walks_drop_the_rows_of_a_deep_tree(void **state)
{
	enum { DEPTH = 40 };
	struct scratch *f = *state;
	struct entry e[DEPTH];
	struct worker *scanner;
	struct found found;
	char path[DEPTH * 2 + 2] = "";

	make_file(f, "stays");
	for (unsigned i = 0; i < DEPTH; i++) {
		snprintf(path + (i ? 2 * i - 1 : 0), 3, "%s", i ? "/d" : "d");
		mkdir(path_in(f, path), 0755);
		e[i] = look_up_path(f, path);
	}
	stop(f);
	for (unsigned i = DEPTH; i > 0; i--) {
		path[2 * i - 1] = '\0';
		assert_int_equal(rmdir(path_in(f, path)), 0);
	}
	start(f);
	assert_int_equal(worker_new(f->x, &scanner), 0);
	for (int i = 0; i < 2; i++)
		while (scan_run(scanner, NULL, NULL) == -EBUSY)
			usleep(10000);
	usleep(200000); /* no snapshot shows a row that is not there any more */
	for (unsigned i = 0; i < DEPTH; i++)
		assert_int_equal(store_find(f->w, mint_rowid(f->w->mint, e[i].nodeid), &found),
				 -ENOENT);
	worker_free(scanner);
}

/* The host has it elsewhere while two walks of `scanner` miss it and drop its row; `before` is called between the two. */
static void drop_row(struct scratch *f, struct worker *scanner, const char *name,
		     void (*before)(struct scratch *f))
{
	const struct entry e = look_up_path(f, name);
	struct export_inspection seen;
	char away[128];

	snprintf(away, sizeof(away), "%s/away", f->outside);
	assert_int_equal(rename(path_in(f, name), away), 0);
	usleep(1100000); /* the cache believes what it knows for a second */
	for (int i = 0; i < 2; i++) {
		if (i && before)
			before(f);
		while (scan_run(scanner, NULL, NULL) == -EBUSY)
			usleep(10000);
	}
	assert_int_equal(export_inspect_nodeid(scanner, e.nodeid, &seen), 0);
	assert_false(seen.known);
	assert_int_equal(rename(away, path_in(f, name)), 0);
}

/* Has our worker ask the map for something: its snapshot is kept for a tenth of a second, which the second walk takes no more of. */
static void take_snapshot(struct scratch *f)
{
	struct export_inspection seen;

	assert_int_equal(export_inspect_nodeid(f->w, look_up_path(f, "stays").nodeid, &seen), 0);
}

static void test_what_comes_back_is_recorded_again_though_a_snapshot_shows_its_row(void **state)
{
	struct scratch *f = *state;
	struct worker *scanner;
	struct entry e, again;
	struct node *n;

	make_file(f, "a");
	make_file(f, "stays");
	(void)look_up_path(f, "stays");
	e = look_up_path(f, "a");
	assert_int_equal(worker_new(f->x, &scanner), 0);
	drop_row(f, scanner, "a", take_snapshot);
	/* The cache takes away what it likes. */
	n = cache_find(f->x->cache, e.nodeid);
	if (n)
		cache_drop(f->x->cache, n);
	cache_put(f->x->cache, n);
	again = look_up_path(f, "a");
	assert_true(nodeid_equal(again.nodeid, e.nodeid));
	worker_free(scanner);
	restart(f);
	opens(f, e, host_ino(f, "a"));
}

static void test_what_comes_back_is_recorded_again_though_another_daemon_dropped_its_row(
	void **state)
{
	struct scratch *f = *state, other = *f;
	struct entry e, again;

	make_file(f, "a");
	make_file(f, "stays");
	e = look_up_path(f, "a");
	start(&other);
	/* Here nobody looks for it meanwhile: the node in our cache is as it was. */
	drop_row(f, other.w, "a", NULL);
	again = look_up_path(f, "a");
	assert_true(nodeid_equal(again.nodeid, e.nodeid));
	stop(&other);
	restart(f);
	opens(f, e, host_ino(f, "a"));
}

/* The guest asks for it by its number alone. */
static void test_what_comes_back_is_recorded_again_though_it_is_asked_for_by_number(void **state)
{
	struct scratch *f = *state, other = *f;
	struct entry e;

	make_file(f, "a");
	make_file(f, "stays");
	start(&other);
	e = look_up_path(f, "a");
	drop_row(f, other.w, "a", NULL);
	opens(f, e, host_ino(f, "a"));
	stop(&other);
	restart(f);
	opens(f, e, host_ino(f, "a"));
}

static void test_a_rebuild_forgets_what_is_gone(void **state)
{
	struct scratch *f = *state;
	struct export_inspection seen;
	struct entry gone, kept;

	make_file(f, "a");
	make_file(f, "b");
	gone = look_up_path(f, "a");
	kept = look_up_path(f, "b");
	assert_int_equal(unlink(path_in(f, "a")), 0);
	usleep(1100000);
	assert_int_equal(export_rebuild(f->x, NULL, NULL, NULL), 0);
	assert_int_equal(export_inspect_nodeid(f->w, gone.nodeid, &seen), 0);
	assert_false(seen.known);
	assert_int_equal(export_inspect_nodeid(f->w, kept.nodeid, &seen), 0);
	assert_true(seen.known);
}

static void test_what_is_moved_out_goes_stale(void **state)
{
	struct scratch *f = *state;
	struct entry file, dir, below;
	char to[128];

	mkdir(path_in(f, "d"), 0755);
	make_file(f, "a");
	make_file(f, "d/b");
	file = look_up_path(f, "a");
	dir = look_up_path(f, "d");
	below = look_up_path(f, "d/b");
	snprintf(to, sizeof(to), "%s/a", f->outside);
	assert_int_equal(rename(path_in(f, "a"), to), 0);
	snprintf(to, sizeof(to), "%s/d", f->outside);
	assert_int_equal(rename(path_in(f, "d"), to), 0);
	usleep(1000000);
	is_stale(f, below);
	is_stale(f, file);
	is_stale(f, dir);
	assert_int_equal(rename(to, path_in(f, "d")), 0); /* and back: the same objects */
	opens(f, look_up_path(f, "d"), host_ino(f, "d"));
	look_up_path(f, "d/b");
	opens(f, dir, host_ino(f, "d"));
	opens(f, below, host_ino(f, "d/b"));
}

/* With --moved-out=allow: it is open, and nothing shows it under its name, though rows were dropped since it was recorded. */
static void test_what_is_moved_out_and_open_stays_though_rows_are_dropped(void **state)
{
	struct scratch *f = *state;
	struct export_inspection seen;
	struct worker *scanner;
	struct entry e, again;
	struct node *n;
	char to[128];

	f->config.moved_out_allow = true;
	restart(f);
	make_file(f, "a");
	make_file(f, "stays");
	e = look_up_path(f, "a");
	n = hold(f, e.nodeid);
	assert_true(node_fd(f->w, n) >= 0);
	node_put(f->w, n);
	snprintf(to, sizeof(to), "%s/a", f->outside);
	assert_int_equal(rename(path_in(f, "a"), to), 0);
	assert_int_equal(worker_new(f->x, &scanner), 0);
	for (int i = 0; i < 2; i++) {
		make_file(f, "b");
		look_up_path(f, "b");
		assert_int_equal(unlink(path_in(f, "b")), 0);
		usleep(1100000);
		for (int k = 0; k < 2; k++)
			while (scan_run(scanner, NULL, NULL) == -EBUSY)
				usleep(10000);
		assert_true(store_mark(f->w) != STORE_MARK_FIRST);
		assert_int_equal(export_lookup_self(f->w, e.nodeid, &again), 0);
		assert_int_equal(again.stx.stx_ino, e.stx.stx_ino);
		assert_int_equal(export_inspect_nodeid(scanner, e.nodeid, &seen), 0);
		assert_true(seen.known);
		if (!i)
			make_file(f, "a"); /* and the next time there is another of its name */
	}
	worker_free(scanner);
	f->config.moved_out_allow = false;
}

static void look_up_in(struct scratch *f, struct node *dir, const char *name)
{
	struct entry e;

	assert_int_equal(export_lookup(f->w, dir, name, &e), 0);
}

static void test_a_chain_moved_out_is_not_trusted_link_by_link(void **state)
{
	struct scratch *f = *state;
	struct node *a, *b;
	struct entry ea, eb, ec;
	char to[128];

	mkdir(path_in(f, "a"), 0755);
	mkdir(path_in(f, "a/b"), 0755);
	make_file(f, "a/b/c");
	ec = look_up_path(f, "a/b/c");
	eb = look_up_path(f, "a/b");
	ea = look_up_path(f, "a");
	a = hold(f, ea.nodeid);
	b = hold(f, eb.nodeid);
	snprintf(to, sizeof(to), "%s/a", f->outside);
	assert_int_equal(rename(path_in(f, "a"), to), 0);
	/* The guest looks at each just before what it lies in has to be checked again. */
	usleep(600000);
	look_up_in(f, a, "b");
	look_up_in(f, b, "c");
	usleep(500000);
	is_stale(f, ec);
	is_stale(f, eb);
	node_put(f->w, a);
	node_put(f->w, b);
}

/* Those whose trouble is kept in one place: none begins anew for another's. */
static void test_objects_in_trouble_keep_each_other_from_no_answer(void **state)
{
	struct scratch *f = *state;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct entry e[TROUBLE_WAYS], again;
	uint64_t since[TROUBLE_WAYS];
	unsigned count = 0;
	char name[32];
	int fd;

	for (unsigned i = 0; count < 4; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		make_file(f, name);
		e[count] = look_up_path(f, name);
		if ((e[count].nodeid.v ^ e[0].nodeid.v) % (TROUBLES / TROUBLE_WAYS) == 0)
			count++;
	}
	stop(f);
	for (unsigned i = 0; i < 4096; i++) {
		char path[128];

		snprintf(name, sizeof(name), "f%u", i);
		snprintf(path, sizeof(path), "%s", path_in(f, name));
		if (unlink(path))
			break;
	}
	fd = openat(f->statedir, SCAN_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	start(f);
	worker_begin(f->w, false);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < count; i++) {
			unsigned at = 0;

			assert_int_equal(export_lookup_self(f->w, e[i].nodeid, &again), -ENOMEM);
			while (!nodeid_equal(f->x->troubles[at].nodeid, e[i].nodeid))
				assert_true(++at < TROUBLES);
			if (round)
				assert_true(f->x->troubles[at].since == since[i]);
			since[i] = f->x->troubles[at].since;
		}
	}
	close(fd);
	worker_begin(f->w, true);
	for (unsigned i = 0; i < count; i++)
		is_stale(f, e[i]);
}

static void may_look_everywhere(bool may)
{
	assert_int_equal(capng_get_caps_process(), 0);
	assert_int_equal(capng_updatev(may ? CAPNG_ADD : CAPNG_DROP, CAPNG_EFFECTIVE,
				       CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, -1),
			 0);
	assert_int_equal(capng_apply(CAPNG_SELECT_CAPS), 0);
}

static void test_a_directory_that_may_not_be_read_does_not_keep_a_scan_from_its_end(void **state)
{
	struct scratch *f = *state;
	int ret;

	if (geteuid() != 0)
		skip();
	mkdir(path_in(f, "d"), 0);
	assert_int_equal(chown(path_in(f, "d"), 65534, 65534), 0);
	may_look_everywhere(false);
	ret = scan_run(f->w, NULL, NULL);
	may_look_everywhere(true);
	assert_int_equal(ret, 0);
}

static void test_a_scan_that_lacks_descriptors_is_not_the_last_word(void **state)
{
	struct scratch *f = *state;
	struct rlimit was, less;
	int ret = -EMFILE, next;

	mkdir(path_in(f, "d"), 0755);
	make_file(f, "d/a");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	next = dup(f->statedir);
	close(next);
	less = was;
	/* As many as it takes to read the root, and no more. */
	for (rlim_t more = 1; ret == -EMFILE && more < 16; more++) {
		less.rlim_cur = (rlim_t)next + more;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
		ret = scan_run(f->w, NULL, NULL);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(ret, -EAGAIN);
	assert_int_equal(ring_shared_get(f->x->ring, RING_SCANS), 0);
	assert_int_equal(scan_run(f->w, NULL, NULL), 0);
	assert_int_equal(ring_shared_get(f->x->ring, RING_SCANS), 1);
}

/* What was seen at its name, however little of it had to be looked at, is in no trouble any more. */
static void test_a_trouble_ends_with_the_next_lookup(void **state)
{
	struct scratch *f = *state;
	struct trouble *trouble;
	struct entry e;

	make_file(f, "a");
	e = look_up_path(f, "a");
	trouble = &f->x->troubles[e.nodeid.v % (TROUBLES / TROUBLE_WAYS) * TROUBLE_WAYS];
	for (int glance = 0; glance < 2; glance++) {
		look_up_path(f, "a"); /* from now on by the short way */
		*trouble = (struct trouble){ .nodeid = e.nodeid, .since = 1 };
		atomic_store(&f->x->any_trouble, true);
		assert_int_equal(look_up_path(f, "a").nodeid.v, e.nodeid.v);
		assert_int_equal(trouble->nodeid.v, 0);
		usleep(1200000); /* what has not changed for long is known at a glance */
		look_up_path(f, "a");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(test_a_storm_of_moved_directories_is_told_to_try_again),
		SCRATCH_TEST(test_a_file_renamed_by_the_host_is_found_by_a_scan),
		SCRATCH_TEST(test_a_scan_that_misses_a_file_does_not_forget_it),
		SCRATCH_TEST(test_a_scan_that_began_before_does_not_make_a_handle_stale),
		SCRATCH_TEST(test_what_a_scan_has_called_stale_stays_so),
		SCRATCH_TEST(test_what_was_seen_since_a_scan_is_stale_no_more),
		SCRATCH_TEST(test_two_walks_drop_the_rows_of_a_deep_tree),
		SCRATCH_TEST(
			test_what_comes_back_is_recorded_again_though_a_snapshot_shows_its_row),
		SCRATCH_TEST(
			test_what_comes_back_is_recorded_again_though_another_daemon_dropped_its_row),
		SCRATCH_TEST(
			test_what_comes_back_is_recorded_again_though_it_is_asked_for_by_number),
		SCRATCH_TEST(test_a_rebuild_forgets_what_is_gone),
		SCRATCH_TEST(test_what_is_moved_out_goes_stale),
		SCRATCH_TEST(test_what_is_moved_out_and_open_stays_though_rows_are_dropped),
		SCRATCH_TEST(test_a_chain_moved_out_is_not_trusted_link_by_link),
		SCRATCH_TEST(test_objects_in_trouble_keep_each_other_from_no_answer),
		SCRATCH_TEST(
			test_a_directory_that_may_not_be_read_does_not_keep_a_scan_from_its_end),
		SCRATCH_TEST(test_a_scan_that_lacks_descriptors_is_not_the_last_word),
		SCRATCH_TEST(test_a_trouble_ends_with_the_next_lookup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
