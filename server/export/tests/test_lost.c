/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_lost.c - an export some of whose state was lost, or is to be given up: map, key, records, all handles by `revoke`. Nothing
 * is stale then but what is known to be gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "export/tests/faultvfs.h"
#include "export/tests/fixture.h"
#include "export/tests/scratch.h"
#include "holdfast/handle.h"

/* SQL on the map, with no daemon running. */
static void edit_map(struct scratch *f, const char *sql)
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
	struct scratch *f = *state;
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
	struct scratch *f = *state;
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
	struct scratch *f = *state;
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
	struct scratch *f = *state;
	struct entry e, again, root = { .nodeid = NODEID_ROOT };
	uint64_t clean = 1;
	ino_t ino;

	make_file(f, "a");
	e = look_up_path(f, "a");
	raise_key(f, true);
	worker_begin(f->w, true);
	assert_int_equal(decode(f, e, &ino), -ESTALE);
	assert_int_equal(map_field_get(f->x->epoch->map, MAP_CLEAN, &clean), 0);
	assert_int_equal(clean, 0); /* it is served: the end of the host must be noticed */
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

/* The map of an export that nobody serves, for the caller to close, and its key. */
static struct map *map_of(const struct scratch *f, struct keyring **k)
{
	struct map_config config = { 0 };
	struct map *m;
	char path[128];

	assert_int_equal(keyring_load(f->statedir, KEY_FILE, k), 0);
	snprintf(path, sizeof(path), "%s/%s", f->state, MAP_FILE);
	config.path = path;
	config.keyring = *k;
	assert_int_equal(map_open(&config, &m, NULL), 0);
	return m;
}

static void test_lost_records_leave_no_clean_map(void **state)
{
	struct scratch *f = *state;
	struct keyring *k;
	struct map *m;
	uint64_t clean = 1;

	ring_shared_add(f->x->ring, RING_OVERFLOWED, 1);
	stop(f);
	m = map_of(f, &k);
	assert_int_equal(map_field_get(m, MAP_CLEAN, &clean), 0);
	assert_int_equal(clean, 0);
	map_close(m);
	keyring_free(k);
}

/* One that no row has, beside that of the new file "a". */
static nodeid_t unknown_nodeid(struct scratch *f)
{
	nodeid_t id;

	make_file(f, "a");
	id = look_up_path(f, "a").nodeid;
	id.v ^= 64;
	return id;
}

static void test_unknown_nodeids_are_not_stale_while_records_are_lost(void **state)
{
	struct scratch *f = *state;
	const nodeid_t unknown = unknown_nodeid(f);
	struct node *n;

	assert_int_equal(node_get(f->w, unknown, &n), -ESTALE);
	ring_shared_add(f->x->ring, RING_OVERFLOWED, 1); /* as another daemon of the export would */
	assert_int_equal(node_get(f->w, unknown, &n), -ENOMEM);
}

static void test_an_inspection_calls_nothing_stale_while_records_are_lost(void **state)
{
	struct scratch *f = *state;
	struct export_inspection seen;
	uint8_t sealed[HOLDFAST_SEALED_MAX];
	struct entry e;
	struct identity id;
	struct node *n;
	ssize_t len;

	/* As if one were under way that does not end. */
	CLEANUP_FD int scan =
		openat(f->statedir, SCAN_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	assert_int_equal(fcntl(scan, F_OFD_SETLK, &lock), 0);
	make_file(f, "a");
	e = look_up_path(f, "a");
	n = hold(f, e.nodeid);
	len = node_sealed_handle(f->w, n, sealed, sizeof(sealed));
	node_put(f->w, n);
	assert_true(len > 0);
	e.nodeid.v ^= 64;
	assert_int_equal(export_inspect_nodeid(f->w, e.nodeid, &seen), 0);
	assert_false(seen.known);
	assert_int_equal(seen.resolve_error, -ESTALE);
	ring_shared_add(f->x->ring, RING_OVERFLOWED, 1);
	assert_int_equal(export_inspect_nodeid(f->w, e.nodeid, &seen), 0);
	assert_false(seen.known);
	assert_int_equal(seen.resolve_error, -ENOMEM);
	/* Its row is there, whatever else was lost. */
	assert_int_equal(export_inspect_sealed(f->w, sealed, (size_t)len, &seen), 0);
	assert_true(seen.known && seen.has_row);
	assert_int_equal(seen.resolve_error, 0);
	/* Sealed by this export, of an object that no row has. */
	id = f->x->root_look.id;
	id.btime_ns++;
	len = envelope_seal_handle(f->w->envelope, &id, sealed, sizeof(sealed));
	assert_int_equal(export_inspect_sealed(f->w, sealed, (size_t)len, &seen), 0);
	assert_true(seen.known && !seen.has_row);
	assert_int_equal(seen.resolve_error, -ENOMEM);
	ring_shared_set(f->x->ring, RING_OVERFLOWED, 0);
	assert_int_equal(export_inspect_sealed(f->w, sealed, (size_t)len, &seen), 0);
	assert_true(seen.known && !seen.has_row);
	assert_int_equal(seen.resolve_error, -ESTALE);
}

/* Somebody else lost records, or the drainer met damage: who serves scans. */
static void test_lost_records_are_made_good_by_whoever_serves(void **state)
{
	struct scratch *f = *state;
	const nodeid_t unknown = unknown_nodeid(f);
	struct node *n;

	ring_shared_add(f->x->ring, RING_OVERFLOWED, 1);
	for (int i = 0; i < 150 && ring_shared_get(f->x->ring, RING_OVERFLOWED); i++)
		usleep(100000);
	assert_int_equal(ring_shared_get(f->x->ring, RING_OVERFLOWED), 0);
	assert_int_equal(node_get(f->w, unknown, &n), -ESTALE);
}

/* Nothing more goes into the ring: the map takes nothing in. */
static void fill_ring(struct scratch *f)
{
	struct record rec = fixture_record(RECORD_GONE, 64, 0, NULL, false);
	uint64_t end;
	int ret;

	faultvfs_arm(FAULT_FULL, 1, true);
	do {
		rec.rowid.v += 64;
		ret = ring_append(f->x->ring, &rec, 1, ring_tail(f->x->ring), &end);
	} while (!ret);
	assert_int_equal(ret, -ENOSPC);
}

static void test_a_directory_whose_record_was_lost_is_recorded_by_the_scan(void **state)
{
	struct scratch *f = *state;
	struct entry dir, file;
	uint64_t scans;

	stop(f);
	assert_int_equal(faultvfs_register(), 0);
	f->config.vfs = FAULTVFS_NAME;
	start(f);
	fill_ring(f);
	mkdir(path_in(f, "d"), 0755);
	make_file(f, "d/f");
	dir = look_up_path(f, "d");
	file = look_up_path(f, "d/f");
	assert_true(ring_shared_get(f->x->ring, RING_OVERFLOWED) > 0);
	(void)faultvfs_disarm();
	for (int i = 0; i < 300 && ring_shared_get(f->x->ring, RING_OVERFLOWED); i++)
		usleep(100000);
	scans = ring_shared_get(f->x->ring, RING_SCANS);
	restart(f);
	/* From the map, with no other scan. */
	opens(f, dir, host_ino(f, "d"));
	opens(f, file, host_ino(f, "d/f"));
	assert_true(atomic_load(&f->x->complete));
	assert_int_equal(ring_shared_get(f->x->ring, RING_SCANS), scans);
}

/* As the host's end leaves it: its last daemon has not said that all was drained. */
static void host_ends(struct scratch *f, bool ring_too)
{
	struct keyring *k;
	struct map *m;

	stop(f);
	m = map_of(f, &k);
	assert_int_equal(map_field_set(m, MAP_CLEAN, 0), 0);
	map_close(m);
	keyring_free(k);
	if (ring_too)
		assert_int_equal(unlinkat(f->statedir, RING_FILE, 0), 0);
	f->config.boot++;
}

static void scans_once(struct scratch *f, uint64_t before)
{
	for (int i = 0; i < 100 && ring_shared_get(f->x->ring, RING_SCANS) == before; i++)
		usleep(50000);
	assert_int_equal(ring_shared_get(f->x->ring, RING_SCANS), before + 1);
}

static void test_a_ring_that_the_hosts_end_took_away_is_missed_once(void **state)
{
	struct scratch *f = *state;

	host_ends(f, true);
	start(f);
	scans_once(f, 0);
	restart(f);
	usleep(300000);
	assert_int_equal(ring_shared_get(f->x->ring, RING_SCANS), 1);
}

/* ... also if the first start after it came to nothing, but to a new ring. */
static void test_a_start_that_failed_does_not_hide_that_the_ring_was_lost(void **state)
{
	struct scratch *f = *state;
	int code;

	host_ends(f, true);
	assert_int_equal(faultvfs_register(), 0);
	f->config.vfs = FAULTVFS_NAME;
	faultvfs_arm(FAULT_FULL, 1, true);
	assert_true(export_open(&f->config, &f->x, &code) < 0);
	assert_true(faultvfs_disarm());
	assert_int_equal(faccessat(f->statedir, RING_FILE, F_OK, 0), 0);
	start(f);
	scans_once(f, 0);
}

/* ... and if the ring lies on a disk: what is there may be of any age. */
static void test_a_ring_on_a_disk_is_not_believed_after_the_hosts_end(void **state)
{
	struct scratch *f = *state;

	host_ends(f, false);
	start(f);
	scans_once(f, 0);

	/* A daemon alone that was killed leaves a ring that is as it was. */
	host_ends(f, false);
	f->config.boot--;
	start(f);
	usleep(300000);
	assert_int_equal(ring_shared_get(f->x->ring, RING_SCANS), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(test_swapped_rows_open_nothing_else),
		SCRATCH_TEST(test_a_lost_map_is_rebuilt),
		SCRATCH_TEST(test_a_lost_key_is_refused),
		SCRATCH_TEST(test_revoke_makes_all_but_the_root_stale_at_once),
		SCRATCH_TEST(test_lost_records_leave_no_clean_map),
		SCRATCH_TEST(test_unknown_nodeids_are_not_stale_while_records_are_lost),
		SCRATCH_TEST(test_an_inspection_calls_nothing_stale_while_records_are_lost),
		SCRATCH_TEST(test_lost_records_are_made_good_by_whoever_serves),
		SCRATCH_TEST(test_a_directory_whose_record_was_lost_is_recorded_by_the_scan),
		SCRATCH_TEST(test_a_ring_that_the_hosts_end_took_away_is_missed_once),
		SCRATCH_TEST(test_a_start_that_failed_does_not_hide_that_the_ring_was_lost),
		SCRATCH_TEST(test_a_ring_on_a_disk_is_not_believed_after_the_hosts_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
