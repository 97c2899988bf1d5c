/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_daemons.c - several daemons of one export, and several workers of one daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "export/tests/scratch.h"
#include "holder.h"
#include "holdfast/exit.h"
#include "holdfast/handle.h"

static void test_an_idle_daemon_keeps_nobody_from_draining_after_a_revoke(void **state)
{
	struct scratch *f = *state, other = *f;

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
	struct scratch *f = *state, other = *f;
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
	struct scratch *f = *state, other = *f;
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
	struct scratch f; /* with a worker of its own */
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
	struct scratch *f = *state;
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
	struct scratch *f = *state;
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
	struct scratch *f = *state;
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
	struct scratch *f = *state;
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
	struct scratch *f = *state;
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
	struct scratch *f = *state;
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

/* As many as a device can have: hands of all its queues, the threads of its pool, and a few. */
static void test_a_device_has_as_many_workers_as_it_needs(void **state)
{
	enum { MOST = 3 * 65 + 64 + 2 };
	static struct worker *w[MOST];
	struct scratch *f = *state;
	struct rlimit files;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (unsigned i = 0; i < MOST; i++)
		assert_int_equal(worker_new(f->x, &w[i]), 0);
	for (unsigned i = 0; i < MOST; i++)
		worker_free(w[i]);
}

/* The keyring of the state directory after a rotation, as rotate-key leaves it. */
static struct keyring *rotate(struct scratch *f)
{
	struct keyring *k;

	assert_int_equal(keyring_load(f->statedir, KEY_FILE, &k), 0);
	assert_int_equal(keyring_rotate(k), 0);
	assert_int_equal(keyring_store(k, f->statedir, KEY_FILE, false), 0);
	return k;
}

static void give_key_once(struct scratch *f, struct keysource *s)
{
	int fd = openat(f->statedir, KEY_FILE, O_RDONLY | O_CLOEXEC);
	char number[16];

	assert_true(fd >= 0);
	snprintf(number, sizeof(number), "%d", fd);
	assert_int_equal(keysource_open(s, KEYSOURCE_FD, number), 0);
	f->config.key = s;
}

static void test_what_a_later_key_sealed_is_no_forgery_where_the_key_was_read_once(void **state)
{
	struct scratch *f = *state;
	struct keysource once;
	struct identity id, opened;
	uint8_t sealed[HOLDFAST_SEALED_MAX];
	struct envelope *later;
	struct keyring *k;
	ssize_t len;

	stop(f);
	give_key_once(f, &once);
	start(f);
	k = rotate(f);
	assert_int_equal(envelope_new(k, &later), 0);
	id = f->x->root_look.id;
	len = envelope_seal_handle(later, &id, sealed, sizeof(sealed));
	assert_true(len > 0);
	/* Nobody says that there was a rotation: the id of the key is invented. */
	assert_int_equal(envelope_open_handle(f->w->envelope, sealed, (size_t)len, &opened),
			 -EBADMSG);
	ring_shared_set(f->x->ring, RING_ACTIVE_KEY, keyring_active(k));
	for (int i = 0; i < 3; i++)
		assert_int_equal(envelope_open_handle(f->w->envelope, sealed, (size_t)len, &opened),
				 -EIO);
	envelope_free(later);
	keyring_free(k);
	stop(f);
	keysource_close(&once);
}

static void test_a_key_file_that_is_a_rotation_ahead_opens_what_was_sealed_before(void **state)
{
	struct scratch *f = *state;
	struct keyring *k = rotate(f);
	unsigned between = keyring_active(k);

	keyring_free(k);
	k = rotate(f);
	ring_shared_set(f->x->ring, RING_ACTIVE_KEY, between);
	assert_int_equal(keyring_renew(f->x->epoch->keyring), 0);
	assert_int_equal(keyring_renew(f->x->epoch->keyring), 0);
	assert_int_equal(keyring_active(f->x->epoch->keyring), keyring_active(k));
	keyring_free(k);
}

static void test_no_daemon_seals_with_another_key_beside_one_that_read_its_key_once(void **state)
{
	struct scratch *f = *state;
	struct export_config other = f->config;
	struct keysource once;
	struct export *x;
	int code = 0;

	assert_false(export_key_kept(f->statedir));
	stop(f);
	give_key_once(f, &once);
	start(f);
	assert_true(export_key_kept(f->statedir));
	assert_int_equal(export_open(&other, &x, &code), 0);
	export_close(x);
	keyring_free(rotate(f));
	assert_int_equal(export_open(&other, &x, &code), -EBUSY);
	assert_int_equal(code, HOLDFAST_EXIT_KEY);
	stop(f);
	keysource_close(&once);
	assert_false(export_key_kept(f->statedir));
	assert_int_equal(export_open(&other, &x, &code), 0);
	export_close(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(test_an_idle_daemon_keeps_nobody_from_draining_after_a_revoke),
		SCRATCH_TEST(test_a_directory_that_another_daemon_renamed_needs_no_scan),
		SCRATCH_TEST(test_a_new_file_has_the_name_that_another_daemon_gave_it),
		SCRATCH_TEST(test_many_workers_follow_a_revoke),
		SCRATCH_TEST(test_a_worker_that_cannot_follow_a_revoke_answers_nothing),
		SCRATCH_TEST(test_daemons_come_and_go_at_the_same_time),
		SCRATCH_TEST(test_the_map_has_the_last_name_of_a_race_of_two_daemons),
		SCRATCH_TEST(test_the_map_has_the_name_that_was_made_again_at_once),
		SCRATCH_TEST(test_a_daemon_that_stands_still_makes_others_guests_try_again),
		SCRATCH_TEST(test_a_device_has_as_many_workers_as_it_needs),
		SCRATCH_TEST(
			test_what_a_later_key_sealed_is_no_forgery_where_the_key_was_read_once),
		SCRATCH_TEST(test_a_key_file_that_is_a_rotation_ahead_opens_what_was_sealed_before),
		SCRATCH_TEST(
			test_no_daemon_seals_with_another_key_beside_one_that_read_its_key_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
