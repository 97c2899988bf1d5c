/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_export.c - the core as a whole, without FUSE: an export of a scratch directory is opened, used, closed and
 * opened again, while a "host" changes what lies below. Needs a file system whose handles persist in
 * the current directory; tests of what the host must allow are skipped by name where it does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cap-ng.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"
#include "holder.h"

struct fixture {
	char dir[64], share[80], state[80], outside[80];
	int statedir;
	struct export_config config;
	struct export *x;
	struct worker *w;
};

static void start(struct fixture *f)
{
	int code;

	assert_int_equal(export_open(&f->config, &f->x, &code), 0);
	assert_int_equal(worker_new(f->x, &f->w), 0);
}

static void stop(struct fixture *f)
{
	worker_free(f->w);
	export_close(f->x);
	f->w = NULL;
	f->x = NULL;
}

static void restart(struct fixture *f)
{
	stop(f);
	start(f);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_init(getenv("LOUD") ? LOG_LEVEL_DEBUG : LOG_LEVEL_OFF, false);
	strcpy(f->dir, "test-export.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->share, sizeof(f->share), "%s/share", f->dir);
	snprintf(f->state, sizeof(f->state), "%s/state", f->dir);
	snprintf(f->outside, sizeof(f->outside), "%s/outside", f->dir);
	mkdir(f->share, 0755);
	mkdir(f->state, 0700);
	mkdir(f->outside, 0755);
	f->statedir = open(f->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->config = (struct export_config){
		.share = f->share,
		.statedir = f->statedir,
		.statepath = f->state,
		.rundir = f->statedir,
		.handles = HANDLES_PREFER,
		.max_nodes = 10000,
		.max_fds = 100,
	};
	start(f);
	*state = f;
	return 0;
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->x)
		stop(f);
	close(f->statedir);
	nftw(f->dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

/* --- the host's hand --------------------------------------------------------------------------------------------- */

static const char *path_in(const struct fixture *f, const char *name)
{
	static char path[4][512];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", f->share, name);
	return p;
}

static void make_file(const struct fixture *f, const char *name)
{
	int fd = open(path_in(f, name), O_WRONLY | O_CREAT | O_EXCL, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, name, strlen(name)), (ssize_t)strlen(name));
	close(fd);
}

static ino_t host_ino(const struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(path_in(f, name), &st), 0);
	return st.st_ino;
}

/* --- the guest's hand ----------------------------------------------------------------------------------------------- */

static struct entry look_up(struct fixture *f, nodeid_t parent, const char *name)
{
	struct entry e;
	struct node *n;

	assert_int_equal(node_get(f->w, parent, &n), 0);
	assert_int_equal(export_lookup(f->w, n, name, &e), 0);
	node_put(f->w, n);
	return e;
}

static struct entry look_up_path(struct fixture *f, const char *path)
{
	struct entry e = { .nodeid = NODEID_ROOT };
	char copy[256], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, "/")))
		e = look_up(f, e.nodeid, name);
	return e;
}

/* What a decode does: 0 and the inode number, or the error. "Try again" is tried again. */
static int decode(struct fixture *f, struct entry handle, ino_t *ino)
{
	struct entry e;
	int ret;

	for (int i = 0; i < 100; i++) {
		ret = export_lookup_self(f->w, handle.nodeid, &e);
		if (ret != -ENOMEM)
			break;
		usleep(50000);
	}
	if (ret < 0)
		return ret;
	if (e.generation.v != handle.generation.v)
		return -ESTALE; /* as the guest's kernel does */
	*ino = e.stx.stx_ino;
	return 0;
}

static void opens(struct fixture *f, struct entry handle, ino_t ino)
{
	ino_t got = 0;

	assert_int_equal(decode(f, handle, &got), 0);
	assert_int_equal(got, ino);
}

static void is_stale(struct fixture *f, struct entry handle)
{
	ino_t got = 0;

	assert_int_equal(decode(f, handle, &got), -ESTALE);
}

static struct node *hold(struct fixture *f, nodeid_t id)
{
	struct node *n;

	assert_int_equal(node_get(f->w, id, &n), 0);
	return n;
}

/* --- the tests -------------------------------------------------------------------------------------------------------- */

static void test_a_handle_opens_the_same_object_after_a_restart(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
static bool replaced_by_its_like(const struct fixture *f, const char *name)
{
	ino_t ino = host_ino(f, name);

	assert_int_equal(unlink(path_in(f, name)), 0);
	make_file(f, name);
	return host_ino(f, name) == ino;
}

static void test_a_file_with_the_inode_number_of_another_is_never_taken_for_it(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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

static void test_a_storm_of_moved_directories_is_told_to_try_again(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
static void drop_row(struct fixture *f, struct worker *scanner, const char *name,
		     void (*before)(struct fixture *f))
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
static void take_snapshot(struct fixture *f)
{
	struct export_inspection seen;

	assert_int_equal(export_inspect_nodeid(f->w, look_up_path(f, "stays").nodeid, &seen), 0);
}

static void test_what_comes_back_is_recorded_again_though_a_snapshot_shows_its_row(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state, other = *f;
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
	struct fixture *f = *state, other = *f;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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

static void test_a_hard_link_outlives_its_first_name(void **state)
{
	struct fixture *f = *state;
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

/* With --moved-out=allow: it is open, and nothing shows it under its name, though rows were dropped since it was recorded. */
static void test_what_is_moved_out_and_open_stays_though_rows_are_dropped(void **state)
{
	struct fixture *f = *state;
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

static void test_forged_nodeids_are_stale(void **state)
{
	struct fixture *f = *state;
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

/* SQL on the map, with no daemon running. */
static void edit_map(struct fixture *f, const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/%s", f->state, MAP_FILE);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_swapped_rows_open_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct entry a, b;
	ino_t ino;

	make_file(f, "a");
	make_file(f, "b");
	a = look_up_path(f, "a");
	b = look_up_path(f, "b");
	stop(f);
	edit_map(f, "CREATE TEMP TABLE t AS SELECT id, sealed FROM node;"
		    "UPDATE node SET sealed = (SELECT sealed FROM t WHERE t.id <> node.id);");
	start(f);
	assert_int_equal(decode(f, a, &ino), -ESTALE);
	assert_int_equal(decode(f, b, &ino), -ESTALE);
	look_up_path(f, "a"); /* and a look mends it */
	opens(f, a, host_ino(f, "a"));
}

static void test_a_lost_map_is_rebuilt(void **state)
{
	struct fixture *f = *state;
	struct entry e[50], dir;
	char name[32], path[128];
	ino_t inos[50];

	mkdir(path_in(f, "d"), 0755);
	dir = look_up_path(f, "d");
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		make_file(f, name);
		e[i] = look_up_path(f, name);
		inos[i] = host_ino(f, name);
	}
	stop(f);
	snprintf(path, sizeof(path), "%s/%s", f->state, MAP_FILE);
	assert_int_equal(unlink(path), 0);
	start(f);
	for (int i = 0; i < 50; i++)
		opens(f, e[i], inos[i]);
	opens(f, dir, host_ino(f, "d"));
}

static void test_a_lost_key_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[128];
	int code = 0;

	stop(f);
	snprintf(path, sizeof(path), "%s/%s", f->state, KEY_FILE);
	assert_int_equal(unlink(path), 0);
	assert_true(export_open(&f->config, &f->x, &code) < 0);
	f->x = NULL;
	assert_int_equal(code, 5);
}

static void test_revoke_makes_all_but_the_root_stale_at_once(void **state)
{
	struct fixture *f = *state;
	struct entry e, again, root = { .nodeid = NODEID_ROOT };
	struct keyring *k, *raised;
	ino_t ino;

	make_file(f, "a");
	e = look_up_path(f, "a");
	assert_int_equal(keyring_load(f->statedir, KEY_FILE, &k), 0);
	assert_int_equal(keyring_copy(k, &raised), 0);
	assert_int_equal(keyring_raise(raised), 0);
	assert_int_equal(keyring_store(raised, f->statedir, KEY_FILE, false), 0);
	ring_shared_set(f->x->ring, RING_ROOT_GENERATION, keyring_root_generation(raised));
	keyring_free(k);
	keyring_free(raised);
	worker_begin(f->w, true);
	assert_int_equal(decode(f, e, &ino), -ESTALE);
	opens(f, root, host_ino(f, "."));
	again = look_up_path(f, "a");
	assert_false(nodeid_equal(e.nodeid, again.nodeid));
	assert_true(atomic_load(
		&f->x->complete)); /* no scan is due: nobody has seen a handle before it */
	restart(f);
	assert_true(atomic_load(&f->x->complete));
	opens(f, again, host_ino(f, "a"));
	assert_int_equal(decode(f, e, &ino), -ESTALE);
}

static void test_the_cache_stays_within_its_caps(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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

/* --- what a reader of the core found missing --------------------------------------------------------------- */

static void look_up_in(struct fixture *f, struct node *dir, const char *name)
{
	struct entry e;

	assert_int_equal(export_lookup(f->w, dir, name, &e), 0);
}

static void test_a_chain_moved_out_is_not_trusted_link_by_link(void **state)
{
	struct fixture *f = *state;
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

static void raise_key(struct fixture *f, bool tell)
{
	struct keyring *k, *raised;

	assert_int_equal(keyring_load(f->statedir, KEY_FILE, &k), 0);
	assert_int_equal(keyring_copy(k, &raised), 0);
	assert_int_equal(keyring_raise(raised), 0);
	assert_int_equal(keyring_store(raised, f->statedir, KEY_FILE, false), 0);
	if (tell)
		ring_shared_set(f->x->ring, RING_ROOT_GENERATION, keyring_root_generation(raised));
	keyring_free(k);
	keyring_free(raised);
}

static void test_an_idle_daemon_keeps_nobody_from_draining_after_a_revoke(void **state)
{
	struct fixture *f = *state, other = *f;

	make_file(f, "a");
	look_up_path(f, "a"); /* so that ours has the office */
	assert_int_equal(ring_wait_drained(f->x->ring, ring_tail(f->x->ring), 10000), 0);
	start(&other);
	raise_key(f, true);
	worker_begin(other.w, true);
	look_up_path(&other, "a");
	assert_int_equal(ring_wait_drained(other.x->ring, ring_tail(other.x->ring), 10000), 0);
	stop(&other);
}

static void test_a_directory_that_another_daemon_renamed_needs_no_scan(void **state)
{
	struct fixture *f = *state, other = *f;
	struct node *root;
	struct entry e;
	uint64_t scans;

	mkdir(path_in(f, "d"), 0755);
	e = look_up_path(f, "d");
	start(&other);
	root = hold(&other, NODEID_ROOT);
	assert_int_equal(export_rename(other.w, root, "d", root, "e", 0), 0);
	node_put(other.w, root);
	scans = ring_shared_get(f->x->ring, RING_SCANS);
	f->x->can_open_dir = false; /* as before Linux 6.13, or without privilege */
	usleep(1100000);	    /* the cache believes what it knows for a second */
	opens(f, e, host_ino(f, "e"));
	assert_int_equal(ring_shared_get(f->x->ring, RING_SCANS), scans);
	stop(&other);
}

/* CREATE, and before it is recorded another daemon renames the file. */
static void test_a_new_file_has_the_name_that_another_daemon_gave_it(void **state)
{
	struct fixture *f = *state, other = *f;
	struct node *root = hold(f, NODEID_ROOT), *theirs;
	struct found found;
	struct entry e;
	uint64_t since;
	int fd;

	start(&other);
	theirs = hold(&other, NODEID_ROOT);
	/* The second time there is another file of that name by then. */
	for (int again = 0; again < 2; again++) {
		since = export_position(f->w);
		fd = open(path_in(f, "a"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		assert_int_equal(export_rename(other.w, theirs, "a", theirs, "b", 0), 0);
		if (again)
			make_file(f, "a");
		assert_int_equal(export_enter_fd(f->w, root, "a", fd, since, &e), 0);
		close(fd);
		assert_int_equal(e.stx.stx_ino, host_ino(f, "b"));
		assert_int_equal(store_find(f->w, mint_rowid(f->w->mint, e.nodeid), &found), 0);
		assert_int_equal(found.count, 1);
		assert_string_equal(found.names[0].text, "b");
		assert_int_equal(unlink(path_in(f, "b")), 0);
	}
	/* What the other daemon has only seen keeps its name. */
	assert_int_equal(unlink(path_in(f, "a")), 0);
	since = export_position(f->w);
	fd = open(path_in(f, "a"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	look_up_path(&other, "a");
	assert_int_equal(export_enter_fd(f->w, root, "a", fd, since, &e), 0);
	close(fd);
	opens(f, e, host_ino(f, "a"));
	/* What is deleted by then, by the other daemon or by the host, has no row. */
	for (int host = 0; host < 2; host++) {
		since = export_position(f->w);
		fd = open(path_in(f, "c"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		assert_int_equal(host ? unlink(path_in(f, "c"))
				      : export_unlink(other.w, theirs, "c", 0),
				 0);
		assert_int_equal(export_enter_fd(f->w, root, "c", fd, since, &e), 0);
		close(fd);
		assert_int_equal(store_find(f->w, mint_rowid(f->w->mint, e.nodeid), &found),
				 -ENOENT);
	}
	node_put(other.w, theirs);
	node_put(f->w, root);
	stop(&other);
}

struct busy {
	pthread_t thread;
	struct fixture f; /* with a worker of its own */
	atomic_bool *stop;
	int bad;
};

static void *busy_main(void *arg)
{
	struct busy *b = arg;
	struct worker *w = b->f.w;

	while (!atomic_load(b->stop)) {
		struct entry e, self;
		struct node *root;

		worker_begin(w, true);
		if (node_get(w, NODEID_ROOT, &root) < 0) {
			b->bad++;
			continue;
		}
		if (export_lookup(w, root, "a", &e) < 0 ||
		    export_lookup_self(w, e.nodeid, &self) < 0)
			b->bad++;
		node_put(w, root);
	}
	return NULL;
}

static void test_many_workers_follow_a_revoke(void **state)
{
	struct fixture *f = *state;
	struct busy busy[4] = { 0 };
	atomic_bool stop_all = false;
	struct entry e;
	ino_t ino;

	make_file(f, "a");
	e = look_up_path(f, "a");
	for (int i = 0; i < 4; i++) {
		busy[i].f = *f;
		busy[i].stop = &stop_all;
		assert_int_equal(worker_new(f->x, &busy[i].f.w), 0);
		assert_int_equal(pthread_create(&busy[i].thread, NULL, busy_main, &busy[i]), 0);
	}
	for (int i = 0; i < 5; i++) {
		usleep(20000);
		raise_key(f, true);
	}
	usleep(50000);
	atomic_store(&stop_all, true);
	for (int i = 0; i < 4; i++) {
		pthread_join(busy[i].thread, NULL);
		/* A nodeid that was revoked between lookup and use is stale, once for each revoke. */
		assert_in_range(busy[i].bad, 0, 5);
		worker_free(busy[i].f.w);
	}
	worker_begin(f->w, true);
	assert_int_equal(decode(f, e, &ino), -ESTALE);
	opens(f, look_up_path(f, "a"), host_ino(f, "a"));
}

static void test_a_worker_that_cannot_follow_a_revoke_answers_nothing(void **state)
{
	struct fixture *f = *state;
	struct entry e;
	struct node *root = hold(f, NODEID_ROOT), *n;
	char key[128], away[128];

	make_file(f, "a");
	e = look_up_path(f, "a");
	snprintf(key, sizeof(key), "%s/%s", f->state, KEY_FILE);
	snprintf(away, sizeof(away), "%s/away", f->state);
	raise_key(f, true);
	assert_int_equal(rename(key, away), 0);
	worker_begin(f->w, true);
	assert_int_equal(node_get(f->w, e.nodeid, &n), -ENOMEM);
	assert_int_equal(export_lookup(f->w, root, "a", &e), -ENOMEM);
	assert_int_equal(rename(away, key), 0);
	worker_begin(f->w, true);
	assert_int_equal(node_get(f->w, e.nodeid, &n), -ESTALE);
	node_put(f->w, root);
	opens(f, look_up_path(f, "a"), host_ino(f, "a"));
}

static void test_a_removed_directory_lives_until_forget_though_its_node_went(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
static struct entry create_file(struct fixture *f, struct node *root, const char *name)
{
	struct entry e;
	int fd = open(path_in(f, name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_int_equal(export_enter_fd(f->w, root, name, fd, export_position(f->w), &e), 0);
	close(fd);
	return e;
}

static bool has_row(struct fixture *f, struct entry e)
{
	struct found found;

	return store_find(f->w, mint_rowid(f->w->mint, e.nodeid), &found) == 0;
}

/* Two files that are open and were born in the same tick of the clock. */
static void create_twins(struct fixture *f, struct node *dir, struct entry *a, struct entry *b)
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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

static void test_lost_records_leave_no_clean_map(void **state)
{
	struct fixture *f = *state;
	struct keyring *k;
	struct map *m;
	uint64_t clean = 1;
	char path[128];

	ring_shared_add(f->x->ring, RING_OVERFLOWED, 1);
	stop(f);
	assert_int_equal(keyring_load(f->statedir, KEY_FILE, &k), 0);
	snprintf(path, sizeof(path), "%s/%s", f->state, MAP_FILE);
	struct map_config config = { .path = path, .keyring = k };

	assert_int_equal(map_open(&config, &m, NULL), 0);
	assert_int_equal(map_field_get(m, MAP_CLEAN, &clean), 0);
	assert_int_equal(clean, 0);
	map_close(m);
	keyring_free(k);
}

static void test_unknown_nodeids_are_not_stale_while_records_are_lost(void **state)
{
	struct fixture *f = *state;
	struct entry e;
	struct node *n;

	make_file(f, "a");
	e = look_up_path(f, "a");
	e.nodeid.v ^= 64;
	assert_int_equal(node_get(f->w, e.nodeid, &n), -ESTALE);
	ring_shared_add(f->x->ring, RING_OVERFLOWED, 1); /* as another daemon of the export would */
	assert_int_equal(node_get(f->w, e.nodeid, &n), -ENOMEM);
}

static void *open_close_main(void *arg)
{
	const struct export_config *config = arg;
	intptr_t failed = 0;

	for (int i = 0; i < 10; i++) {
		struct export *x;
		int code;

		if (export_open(config, &x, &code) < 0)
			failed++;
		else
			export_close(x);
	}
	return (void *)failed;
}

static void test_daemons_come_and_go_at_the_same_time(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[3];
	void *failed;

	stop(f);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, open_close_main, &f->config), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	start(f);
}

struct renamer {
	pthread_t thread;
	struct export *x;
	const char *from, *to;
};

static void *renamer_main(void *arg)
{
	struct renamer *r = arg;
	struct worker *w;
	struct node *root;

	assert_int_equal(worker_new(r->x, &w), 0);
	assert_int_equal(node_get(w, NODEID_ROOT, &root), 0);
	for (int i = 0; i < 3000; i++)
		export_rename(w, root, r->from, root, r->to, RENAME_NOREPLACE);
	node_put(w, root);
	worker_free(w);
	return NULL;
}

static void test_the_map_has_the_last_name_of_a_race_of_two_daemons(void **state)
{
	struct fixture *f = *state;
	struct renamer r[3];
	struct found found;
	struct export *other;
	struct entry e;
	int code;

	assert_int_equal(export_open(&f->config, &other, &code), 0);
	make_file(f, "a");
	e = look_up_path(f, "a");
	for (int round = 0; round < 5; round++) {
		r[0] = (struct renamer){ .x = f->x, .from = "a", .to = "b" };
		r[1] = (struct renamer){ .x = other, .from = "b", .to = "c" };
		r[2] = (struct renamer){ .x = other, .from = "c", .to = "a" };
		for (int i = 0; i < 3; i++)
			assert_int_equal(pthread_create(&r[i].thread, NULL, renamer_main, &r[i]),
					 0);
		for (int i = 0; i < 3; i++)
			pthread_join(r[i].thread, NULL);
		assert_int_equal(store_find(f->w, mint_rowid(f->w->mint, e.nodeid), &found), 0);
		assert_true(found.count > 0);
		assert_int_equal(access(path_in(f, found.names[0].text), F_OK), 0);
		opens(f, e, host_ino(f, found.names[0].text));
	}
	export_close(other);
}

/* Guests of the others are told to try again, which they can, wherever the ring is to be asked. */
static void test_a_daemon_that_stands_still_makes_others_guests_try_again(void **state)
{
	struct fixture *f = *state;
	struct node *root = hold(f, NODEID_ROOT);
	int again = 0;

	for (int i = 0; again < 3; i++) {
		char names[2][16];
		struct entry e;
		pid_t pid;
		int ret;

		assert_true(i < 100);
		for (int k = 0; k < 2; k++) {
			snprintf(names[k], sizeof(names[k]), "f%d-%d", i, k);
			make_file(f, names[k]);
		}
		/* Mostly the map's snapshot is older than this, and there is something to ask for. */
		look_up_path(f, names[0]);
		pid = holder_start(f->x->ring);
		ret = export_lookup(f->w, root, names[1], &e);
		assert_true(ret == 0 || ret == -ENOMEM);
		again += ret != 0;
		holder_end(pid);
		assert_int_equal(export_lookup(f->w, root, names[1], &e), 0);
	}
	node_put(f->w, root);
}

/* Those whose trouble is kept in one place: none begins anew for another's. */
static void test_objects_in_trouble_keep_each_other_from_no_answer(void **state)
{
	struct fixture *f = *state;
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

/* A file with a second name, which one daemon removes while another makes it again. */
static void *unlinker_main(void *arg)
{
	struct renamer *r = arg;
	struct worker *w;
	struct node *root;

	assert_int_equal(worker_new(r->x, &w), 0);
	assert_int_equal(node_get(w, NODEID_ROOT, &root), 0);
	for (int i = 0; i < 4; i++)
		export_unlink(w, root, r->from, 0);
	node_put(w, root);
	worker_free(w);
	return NULL;
}

static void *linker_main(void *arg)
{
	struct renamer *r = arg;
	struct worker *w;
	struct node *root, *n;
	struct entry e;

	assert_int_equal(worker_new(r->x, &w), 0);
	assert_int_equal(node_get(w, NODEID_ROOT, &root), 0);
	assert_int_equal(export_lookup(w, root, r->to, &e), 0);
	assert_int_equal(node_get(w, e.nodeid, &n), 0);
	for (int i = 0; i < 4; i++)
		export_link(w, n, root, r->from, &e);
	node_put(w, n);
	node_put(w, root);
	worker_free(w);
	return NULL;
}

static void test_the_map_has_the_name_that_was_made_again_at_once(void **state)
{
	struct fixture *f = *state;
	struct renamer r[2];
	struct found found;
	struct export *other;
	struct entry e;
	int code;

	assert_int_equal(export_open(&f->config, &other, &code), 0);
	make_file(f, "c");
	e = look_up_path(f, "c");
	for (int round = 0; round < 1000; round++) {
		bool there = false;

		r[0] = (struct renamer){ .x = f->x, .from = "a" };
		r[1] = (struct renamer){ .x = other, .from = "a", .to = "c" };
		assert_int_equal(pthread_create(&r[0].thread, NULL, unlinker_main, &r[0]), 0);
		assert_int_equal(pthread_create(&r[1].thread, NULL, linker_main, &r[1]), 0);
		pthread_join(r[0].thread, NULL);
		pthread_join(r[1].thread, NULL);
		assert_int_equal(store_find(f->w, mint_rowid(f->w->mint, e.nodeid), &found), 0);
		for (unsigned i = 0; i < found.count; i++)
			there |= strcmp(found.names[i].text, "a") == 0;
		assert_true(there || access(path_in(f, "a"), F_OK) != 0);
		(void)unlink(path_in(f, "a"));
	}
	export_close(other);
}

static void test_an_open_object_stays_where_an_ordinary_user_may_not_look(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_a_handle_opens_the_same_object_after_a_restart),
		T(test_numbers_are_the_same_in_every_run),
		T(test_an_undrained_record_survives_the_daemon),
		T(test_a_deleted_objects_handle_is_stale_for_good),
		T(test_a_file_with_the_inode_number_of_another_is_never_taken_for_it),
		T(test_what_the_host_deletes_is_not_held),
		T(test_an_unlinked_object_lives_until_forget),
		T(test_what_the_guest_forgets_stays_warm),
		T(test_the_end_of_a_session_forgets_all_lookups),
		T(test_renames_by_the_guest_keep_the_handle),
		T(test_a_moved_directory_takes_its_tree_along),
		T(test_a_storm_of_moved_directories_is_told_to_try_again),
		T(test_a_file_renamed_by_the_host_is_found_by_a_scan),
		T(test_a_scan_that_misses_a_file_does_not_forget_it),
		T(test_a_scan_that_began_before_does_not_make_a_handle_stale),
		T(test_what_a_scan_has_called_stale_stays_so),
		T(test_what_was_seen_since_a_scan_is_stale_no_more),
		T(test_two_walks_drop_the_rows_of_a_deep_tree),
		T(test_what_comes_back_is_recorded_again_though_a_snapshot_shows_its_row),
		T(test_what_comes_back_is_recorded_again_though_another_daemon_dropped_its_row),
		T(test_what_comes_back_is_recorded_again_though_it_is_asked_for_by_number),
		T(test_a_rebuild_forgets_what_is_gone),
		T(test_what_is_moved_out_goes_stale),
		T(test_what_is_moved_out_and_open_stays_though_rows_are_dropped),
		T(test_a_hard_link_outlives_its_first_name),
		T(test_forged_nodeids_are_stale),
		T(test_swapped_rows_open_nothing_else),
		T(test_a_lost_map_is_rebuilt),
		T(test_a_lost_key_is_refused),
		T(test_revoke_makes_all_but_the_root_stale_at_once),
		T(test_the_cache_stays_within_its_caps),
		T(test_a_clash_keeps_both_objects_apart),
		T(test_without_handles_nodes_are_honest),
		T(test_the_sealed_handle_is_equal_and_small),
		T(test_a_chain_moved_out_is_not_trusted_link_by_link),
		T(test_an_idle_daemon_keeps_nobody_from_draining_after_a_revoke),
		T(test_a_directory_that_another_daemon_renamed_needs_no_scan),
		T(test_a_new_file_has_the_name_that_another_daemon_gave_it),
		T(test_many_workers_follow_a_revoke),
		T(test_a_worker_that_cannot_follow_a_revoke_answers_nothing),
		T(test_a_removed_directory_lives_until_forget_though_its_node_went),
		T(test_a_name_moved_out_leaves_the_others),
		T(test_what_is_open_in_the_cache_is_unlinked_by_that),
		T(test_a_wrong_hint_unlinks_no_other_object),
		T(test_a_created_file_stays_while_open_though_the_host_unlinks_it),
		T(test_lost_records_leave_no_clean_map),
		T(test_unknown_nodeids_are_not_stale_while_records_are_lost),
		T(test_daemons_come_and_go_at_the_same_time),
		T(test_the_map_has_the_last_name_of_a_race_of_two_daemons),
		T(test_the_map_has_the_name_that_was_made_again_at_once),
		T(test_a_daemon_that_stands_still_makes_others_guests_try_again),
		T(test_objects_in_trouble_keep_each_other_from_no_answer),
		T(test_an_open_object_stays_where_an_ordinary_user_may_not_look),
		T(test_a_directory_that_may_not_be_read_does_not_keep_a_scan_from_its_end),
		T(test_a_scan_that_lacks_descriptors_is_not_the_last_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
