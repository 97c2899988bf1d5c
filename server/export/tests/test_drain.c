/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_drain.c - the drainer: all that is in the ring comes into the map, whoever dies, whatever fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/log.h"
#include "base/util.h"
#include "export/drain.h"
#include "export/ring_private.h"
#include "export/tests/faultvfs.h"
#include "export/tests/fixture.h"

#define SECOND 1000u
#define KEY "key"

struct kit {
	struct fixture *f;
	struct keyring *keys;
	char path[128];
	struct ring *ring;
	struct map *m;
	struct map_reader *r;
};

static struct map *open_map(const struct kit *k, const char *vfs, bool strict)
{
	struct map_config c = {
		.path = k->path, .keyring = k->keys, .create = true, .vfs = vfs, .strict = strict
	};
	struct map *m = NULL;

	assert_int_equal(map_open(&c, &m, NULL), 0);
	return m;
}

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	log_init(LOG_LEVEL_OFF, false);
	if (!k || fixture_setup((void **)&k->f) || keyring_generate(&k->keys) ||
	    keyring_store(k->keys, k->f->dirfd, KEY, true) || faultvfs_register())
		return -1;
	(void)snprintf(k->path, sizeof(k->path), "%s/%s", k->f->dir, MAP_FILE);
	if (ring_open(k->f->dirfd, "ring", keyring_uuid(k->keys), (size_t)1 << 20, &k->ring, NULL))
		return -1;
	k->m = open_map(k, NULL, false);
	*state = k;
	return map_reader_new(k->m, &k->r);
}

static int teardown(void **state)
{
	struct kit *k = *state;
	void *f = k->f;

	map_reader_free(k->r);
	map_close(k->m);
	ring_close(k->ring);
	keyring_free(k->keys);
	free(k);
	return fixture_teardown(&f);
}

static void nap_ms(long ms)
{
	const struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&ts, NULL);
}

static uint64_t append(struct ring *r, enum record_kind kind, uint64_t rowid, uint64_t n,
		       const char *name)
{
	struct record rec = fixture_record(kind, rowid, n, name, false);
	uint64_t end = 0;
	int err;

	while ((err = ring_append(r, &rec, 1, ring_tail(r), &end)) == -ENOSPC)
		(void)ring_wait_drained(r, ring_tail(r), 10 * SECOND);
	assert_int_equal(err, 0);
	return end;
}

static void assert_named(const struct kit *k, uint64_t rowid, const char *name)
{
	struct row row;

	assert_int_equal(map_get(k->r, (rowid_t){ rowid }, &row), 0);
	assert_string_equal(row.name.text, name);
}

static void assert_intact(const struct kit *k)
{
	sqlite3_stmt *s;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(k->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(s, 0), "ok");
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
}

/* --- one drainer -------------------------------------------------------------------------------- */

static void test_what_is_appended_comes_into_the_map(void **state)
{
	struct kit *k = *state;
	struct drain_stats stats;
	struct drain *d;
	uint64_t end = 0, value;

	assert_int_equal(drain_start(k->m, k->ring, k->f->dirfd, &d), 0);
	for (uint64_t n = 0; n < 20000; n++) /* several times the ring */
		end = append(k->ring, RECORD_SEEN, n + 2, n, "name");
	assert_int_equal(ring_wait_drained(k->ring, end, 10 * SECOND), 0);
	assert_int_equal(map_count(k->r), 20000);
	assert_int_equal(map_field_get(k->m, MAP_DRAINED, &value), 0);
	assert_int_equal(value, end);
	drain_stats(d, &stats);
	assert_true(stats.office);
	assert_int_equal(stats.failures, 0);
	assert_int_equal(drain_stop(d, SECOND), 0);
	assert_int_equal(drain_stop(NULL, 0), 0);
}

static void test_order_is_kept_for_each_object(void **state)
{
	struct kit *k = *state;

	for (uint64_t n = 0; n < 300; n++) {
		uint64_t rowid = 2 + n % 7;

		(void)append(k->ring, RECORD_SEEN, rowid, n % 7, n % 2 ? "a" : "b");
		(void)append(k->ring, RECORD_UNNAMED, rowid, n % 7, n % 2 ? "a" : "b");
		(void)append(k->ring, RECORD_SEEN, rowid, n % 7, "last");
	}
	(void)append(k->ring, RECORD_GONE, 2, 0, "last");
	assert_int_equal(drain_once(k->m, k->ring, k->f->dirfd), 0);
	assert_int_equal(map_count(k->r), 6);
	for (uint64_t rowid = 3; rowid < 9; rowid++)
		assert_named(k, rowid, "last");
}

static void assert_unknown(const struct kit *k, uint64_t rowid)
{
	struct row row;

	assert_int_equal(map_get(k->r, (rowid_t){ rowid }, &row), -ENOENT);
}

static void test_what_is_gone_at_once_is_not_told_to_the_map(void **state)
{
	struct kit *k = *state;
	struct drain_stats stats;
	struct drain *d;
	uint64_t end;

	(void)append(k->ring, RECORD_SEEN, 5, 12, "of before");
	assert_int_equal(drain_once(k->m, k->ring, k->f->dirfd), 0);
	/* All in one batch. It lived shortly; */
	(void)append(k->ring, RECORD_SEEN, 2, 0, "short");
	(void)append(k->ring, RECORD_GONE, 2, 0, "short");
	/* it was another object that went; */
	(void)append(k->ring, RECORD_SEEN, 3, 3, "stays");
	(void)append(k->ring, RECORD_GONE, 3, 4, "stays");
	/* it went, and its number is used again, by itself; */
	(void)append(k->ring, RECORD_SEEN, 4, 6, "first");
	(void)append(k->ring, RECORD_GONE, 4, 6, "first");
	(void)append(k->ring, RECORD_SEEN, 4, 6, "again");
	/* it has a row from before, and that goes; */
	(void)append(k->ring, RECORD_SEEN, 5, 12, "renamed");
	(void)append(k->ring, RECORD_GONE, 5, 12, "renamed");
	/* it lost one of two names. */
	(void)append(k->ring, RECORD_SEEN, 6, 15, "one");
	(void)append(k->ring, RECORD_SEEN, 6, 15, "two");
	end = append(k->ring, RECORD_UNNAMED, 6, 15, "one");
	assert_int_equal(drain_start(k->m, k->ring, k->f->dirfd, &d), 0);
	assert_int_equal(ring_wait_drained(k->ring, end, 10 * SECOND), 0);
	assert_unknown(k, 2);
	assert_named(k, 3, "stays");
	assert_named(k, 4, "again");
	assert_unknown(k, 5);
	assert_named(k, 6, "two");
	assert_int_equal(map_count(k->r), 3);
	/* The ring tells first. */
	drain_stats(d, &stats);
	for (unsigned i = 0; i < 500 && !stats.drained; i++) {
		nap_ms(10);
		drain_stats(d, &stats);
	}
	assert_int_equal(stats.drained, 12);
	/* Three that were seen and went, of which two then had no row to go; another's; a name that was not its name any more. */
	assert_int_equal(stats.dropped, 7);
	assert_int_equal(drain_stop(d, SECOND), 0);
}

static void test_stopping_drains_what_is_there(void **state)
{
	struct kit *k = *state;
	struct drain *d;

	assert_int_equal(drain_start(k->m, k->ring, k->f->dirfd, &d), 0);
	for (uint64_t n = 0; n < 2000; n++)
		(void)append(k->ring, RECORD_SEEN, n + 2, n, "name");
	assert_int_equal(drain_stop(d, 10 * SECOND), 0);
	assert_int_equal(map_count(k->r), 2000);
	assert_int_equal(ring_drained(k->ring), ring_tail(k->ring));
}

static void test_a_record_of_another_object_and_damage_do_not_stop_the_rest(void **state)
{
	struct kit *k = *state;
	uint64_t damaged;

	(void)append(k->ring, RECORD_SEEN, 2, 0, "owner");
	(void)append(k->ring, RECORD_SEEN, 2, 1, "intruder");
	damaged = append(k->ring, RECORD_SEEN, 3, 3, "before");
	(void)append(k->ring, RECORD_SEEN, 4, 6, "damaged");
	(void)append(k->ring, RECORD_SEEN, 5, 9, "after");
	k->ring->data[damaged + 50] ^= 1;
	assert_int_equal(drain_once(k->m, k->ring, k->f->dirfd), 0);
	assert_named(k, 2, "owner");
	assert_named(k, 3, "before");
	assert_named(k, 5, "after");
	assert_int_equal(map_count(k->r), 3);
	assert_int_equal(ring_shared_get(k->ring, RING_OVERFLOWED), 1);
}

static void test_records_drained_twice_change_nothing(void **state)
{
	struct kit *k = *state;
	uint64_t start = ring_drained(k->ring);

	(void)append(k->ring, RECORD_SEEN, 2, 0, "a");
	(void)append(k->ring, RECORD_UNNAMED, 2, 0, "a");
	(void)append(k->ring, RECORD_SEEN, 2, 0, "b");
	(void)append(k->ring, RECORD_SEEN, 3, 3, "x");
	(void)append(k->ring, RECORD_GONE, 3, 3, "x");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(drain_once(k->m, k->ring, k->f->dirfd), 0);
		assert_named(k, 2, "b");
		assert_int_equal(map_count(k->r), 1);
		/* as if its drainer had died between commit and this */
		shared_store(&k->ring->header->drained, start);
	}
}

static void test_an_idle_drainer_sleeps(void **state)
{
	struct kit *k = *state;
	struct rusage before, after;
	struct drain *d;

	assert_int_equal(drain_start(k->m, k->ring, k->f->dirfd, &d), 0);
	(void)append(k->ring, RECORD_SEEN, 2, 0, "a");
	nap_ms(100);
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	nap_ms(500);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_true(after.ru_nvcsw - before.ru_nvcsw <= 25); /* a sanitizer has a thread too */
	assert_int_equal(drain_stop(d, SECOND), 0);
}

static void test_a_strict_append_is_in_the_map_when_its_wait_ends(void **state)
{
	struct kit *k = *state;
	struct map *strict = open_map(k, NULL, true);
	struct drain *d;

	assert_int_equal(drain_start(strict, k->ring, k->f->dirfd, &d), 0);
	for (uint64_t n = 0; n < 20; n++) {
		uint64_t end = append(k->ring, RECORD_SEEN, n + 2, n, "a");

		assert_int_equal(ring_wait_drained(k->ring, end, 10 * SECOND), 0);
		assert_named(k, n + 2, "a");
	}
	assert_int_equal(drain_stop(d, SECOND), 0);
	map_close(strict);
}

static void test_the_snapshots_of_registered_readers_are_given_back(void **state)
{
	struct kit *k = *state;
	struct map_reader *many[DRAIN_READERS_MAX + 1];
	struct drain *d;
	struct row row;
	uint64_t end;

	assert_int_equal(drain_start(k->m, k->ring, k->f->dirfd, &d), 0);
	assert_int_equal(drain_register(d, k->r), 0);
	assert_int_equal(map_reader_snapshot(k->r, k->ring, 0, true, NULL), 0);
	end = append(k->ring, RECORD_SEEN, 2, 0, "a");
	assert_int_equal(ring_wait_drained(k->ring, end, 10 * SECOND), 0);
	assert_int_equal(map_get(k->r, (rowid_t){ 2 }, &row), -ENOENT); /* a snapshot yet */
	for (unsigned i = 0; i < 300 && map_get(k->r, (rowid_t){ 2 }, &row); i++)
		nap_ms(10);
	assert_named(k, 2, "a");
	drain_unregister(d, k->r);

	for (unsigned i = 0; i < DRAIN_READERS_MAX; i++) {
		assert_int_equal(map_reader_new(k->m, &many[i]), 0);
		assert_int_equal(drain_register(d, many[i]), 0);
	}
	assert_int_equal(drain_register(d, k->r), -ENOSPC);
	for (unsigned i = 0; i < DRAIN_READERS_MAX; i++) {
		drain_unregister(d, many[i]);
		map_reader_free(many[i]);
	}
	assert_int_equal(drain_stop(d, SECOND), 0);
}

/* --- several ------------------------------------------------------------------------------------ */

static void test_one_drains_at_a_time_and_the_office_passes_on(void **state)
{
	struct kit *k = *state;
	struct drain_stats a_stats, b_stats;
	struct drain *a, *b;
	uint64_t end;

	assert_int_equal(drain_start(k->m, k->ring, k->f->dirfd, &a), 0);
	end = append(k->ring, RECORD_SEEN, 2, 0, "a");
	assert_int_equal(ring_wait_drained(k->ring, end, 10 * SECOND), 0);
	assert_int_equal(drain_start(k->m, k->ring, k->f->dirfd, &b), 0);
	end = append(k->ring, RECORD_SEEN, 3, 3, "b");
	assert_int_equal(ring_wait_drained(k->ring, end, 10 * SECOND), 0);
	nap_ms(20);
	drain_stats(a, &a_stats);
	drain_stats(b, &b_stats);
	assert_int_equal(a_stats.drained, 2);
	assert_int_equal(b_stats.drained, 0);
	assert_int_equal(drain_once(k->m, k->ring, k->f->dirfd), -EBUSY);
	assert_int_equal(drain_stop(a, SECOND), 0);
	end = append(k->ring, RECORD_SEEN, 4, 6, "c");
	assert_int_equal(ring_wait_drained(k->ring, end, 10 * SECOND), 0);
	assert_named(k, 4, "c");
	assert_int_equal(drain_stop(b, SECOND), 0);
}

/* A daemon of its own process: appends under its own rowids and drains, until it is killed. */
static void daemon_until_killed(const struct kit *k, unsigned who, int pipe_fd)
{
	struct map_config c = { .path = k->path };
	struct keyring *keys;
	struct drain *d;
	struct ring *r;
	struct map *m;

	if (keyring_load(k->f->dirfd, KEY, &keys) ||
	    ring_open(k->f->dirfd, "ring", keyring_uuid(keys), (size_t)1 << 20, &r, NULL))
		_exit(1);
	c.keyring = keys;
	if (map_open(&c, &m, NULL) || drain_start(m, r, k->f->dirfd, &d))
		_exit(2);
	for (uint64_t n = 0;; n++) {
		uint64_t rowid = (uint64_t)(who + 1) << 40 | n;
		struct record rec = fixture_record(RECORD_SEEN, rowid, n, "name", false);

		if (ring_append(r, &rec, 1, ring_tail(r), NULL)) {
			nap_ms(1);
			continue;
		}
		if (write(pipe_fd, &rowid, sizeof(rowid)) != (ssize_t)sizeof(rowid))
			_exit(3);
	}
}

static void test_daemons_killed_at_random_lose_nothing_that_was_appended(void **state)
{
	struct kit *k = *state;
	uint64_t seed = (uint64_t)getpid() + 1, rowid;
	unsigned told = 0;
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	(void)fcntl(fds[1], F_SETFL, 0);
	(void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
	for (unsigned round = 0; round < 6; round++) {
		pid_t pids[2];
		int status;

		for (unsigned i = 0; i < 2; i++) {
			pids[i] = fork();
			if (!pids[i])
				daemon_until_killed(k, round * 2 + i, fds[1]);
		}
		for (unsigned i = 0; i < 2; i++) {
			nap_ms((long)(20 + fixture_random(&seed) % 60));
			(void)kill(pids[i], SIGKILL);
			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_true(WIFSIGNALED(status));
		}
		assert_int_equal(drain_once(k->m, k->ring, k->f->dirfd), 0);
		while (read(fds[0], &rowid, sizeof(rowid)) == (ssize_t)sizeof(rowid)) {
			assert_named(k, rowid, "name");
			told++;
		}
	}
	assert_true(told > 100);
	assert_intact(k);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

struct appender {
	struct kit *k;
	uint64_t base;
};

static void *append_many(void *arg)
{
	const struct appender *a = arg;

	for (uint64_t n = 0; n < 3000; n++)
		(void)append(a->k->ring, RECORD_SEEN, a->base + n, n, "name");
	return NULL;
}

static void test_threads_append_while_two_drainers_work_and_a_reader_reads(void **state)
{
	struct kit *k = *state;
	struct appender a = { k, 2 }, b = { k, 10000 };
	struct drain *first, *second;
	pthread_t threads[2];
	struct row row;

	assert_int_equal(drain_start(k->m, k->ring, k->f->dirfd, &first), 0);
	assert_int_equal(drain_start(k->m, k->ring, k->f->dirfd, &second), 0);
	assert_int_equal(drain_register(first, k->r), 0);
	assert_int_equal(pthread_create(&threads[0], NULL, append_many, &a), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, append_many, &b), 0);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t position;
		int err;

		assert_int_equal(map_reader_snapshot(k->r, k->ring, 1, false, &position), 0);
		err = map_get(k->r, (rowid_t){ 2 + i }, &row);
		assert_true(err == 0 || err == -ENOENT);
	}
	assert_int_equal(pthread_join(threads[0], NULL), 0);
	assert_int_equal(pthread_join(threads[1], NULL), 0);
	drain_unregister(first, k->r);
	assert_int_equal(drain_stop(first, 10 * SECOND), 0);
	assert_int_equal(drain_stop(second, 10 * SECOND), 0);
	assert_int_equal(map_reader_snapshot(k->r, k->ring, 0, true, NULL), 0);
	assert_int_equal(map_count(k->r), 6000);
}

/* --- faults ------------------------------------------------------------------------------------- */

static void fill(const struct kit *k, uint64_t base)
{
	for (uint64_t i = 0; i < 40; i++)
		(void)append(k->ring, RECORD_SEEN, base + i, i, "old");
	for (uint64_t i = 0; i < 40; i += 2) {
		(void)append(k->ring, RECORD_UNNAMED, base + i, i, "old");
		(void)append(k->ring, RECORD_SEEN, base + i, i, "new");
	}
}

/* One drain with the n-th call failing; was there such a call? */
static bool fail_drain(struct kit *k, enum fault kind, unsigned n, bool lasting, uint64_t base)
{
	struct map *m = open_map(k, FAULTVFS_NAME, n % 2);
	bool hit;
	int err;

	fill(k, base);
	faultvfs_arm(kind, n, lasting);
	err = drain_once(m, k->ring, k->f->dirfd);
	hit = faultvfs_disarm();
	assert_true(hit || !err);
	if (err)
		assert_true(ring_drained(k->ring) < ring_tail(k->ring));
	assert_int_equal(drain_once(m, k->ring, k->f->dirfd), 0);
	assert_int_equal(ring_drained(k->ring), ring_tail(k->ring));
	for (uint64_t i = 0; i < 40; i++)
		assert_named(k, base + i, i % 2 ? "old" : "new");
	map_close(m);
	return hit;
}

static void test_a_drain_that_fails_at_any_call_loses_nothing(void **state)
{
	struct kit *k = *state;
	uint64_t base = 2;

	for (unsigned run = 0; run < FAULT_KINDS * 2; run++) {
		unsigned n = 1, misses = 0;

		/* odd numbers run with syncs, even ones without: both must have come to their end */
		while (misses < 2) {
			misses = fail_drain(k, (enum fault)(run / 2), n, run & 1, base)
					 ? 0
					 : misses + 1;
			base += 100;
			assert_true(n++ < 500);
		}
		assert_true(n > 4);
		assert_intact(k);
	}
}

static void test_a_drainer_goes_on_by_itself_when_the_fault_is_over(void **state)
{
	struct kit *k = *state;

	for (unsigned kind = 0; kind < FAULT_KINDS; kind++) {
		static const int errnos[] = { -EIO, -ENOSPC, -ENOMEM };
		struct map *m = open_map(k, FAULTVFS_NAME, false);
		struct drain_stats stats = { .failures = 0 };
		struct drain *d;
		uint64_t base = 1000 * (kind + 1);

		assert_int_equal(drain_start(m, k->ring, k->f->dirfd, &d), 0);
		faultvfs_arm((enum fault)kind, 1, true);
		fill(k, base);
		for (unsigned i = 0; i < 500 && stats.failures < 3; i++) {
			nap_ms(10);
			drain_stats(d, &stats);
		}
		assert_true(stats.failures >= 3);
		assert_int_equal(stats.last_error, errnos[kind]);
		assert_int_equal(stats.drained, 0);
		assert_true(faultvfs_disarm());
		assert_int_equal(ring_wait_drained(k->ring, ring_tail(k->ring), 10 * SECOND), 0);
		drain_stats(d, &stats);
		assert_int_equal(drain_stop(d, SECOND), 0);
		for (uint64_t i = 0; i < 40; i++)
			assert_named(k, base + i, i % 2 ? "old" : "new");
		map_close(m);
	}
	assert_intact(k);
}

static void test_a_stop_while_it_fails_says_that_records_are_left(void **state)
{
	struct kit *k = *state;
	struct map *m = open_map(k, FAULTVFS_NAME, false);
	struct drain *d;

	assert_int_equal(drain_start(m, k->ring, k->f->dirfd, &d), 0);
	faultvfs_arm(FAULT_IOERR, 1, true);
	fill(k, 2);
	assert_int_equal(drain_stop(d, 100), -ETIMEDOUT);
	(void)faultvfs_disarm();
	map_close(m);
	assert_int_equal(drain_once(k->m, k->ring, k->f->dirfd), 0); /* the next run */
	assert_int_equal(map_count(k->r), 40);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_is_appended_comes_into_the_map),
		T(test_order_is_kept_for_each_object),
		T(test_what_is_gone_at_once_is_not_told_to_the_map),
		T(test_stopping_drains_what_is_there),
		T(test_a_record_of_another_object_and_damage_do_not_stop_the_rest),
		T(test_records_drained_twice_change_nothing),
		T(test_an_idle_drainer_sleeps),
		T(test_a_strict_append_is_in_the_map_when_its_wait_ends),
		T(test_the_snapshots_of_registered_readers_are_given_back),
		T(test_one_drains_at_a_time_and_the_office_passes_on),
		T(test_daemons_killed_at_random_lose_nothing_that_was_appended),
		T(test_threads_append_while_two_drainers_work_and_a_reader_reads),
		T(test_a_drain_that_fails_at_any_call_loses_nothing),
		T(test_a_drainer_goes_on_by_itself_when_the_fault_is_over),
		T(test_a_stop_while_it_fails_says_that_records_are_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
