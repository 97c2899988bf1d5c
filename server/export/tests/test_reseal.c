/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_reseal.c - a map under a new sealing key, step by step, and rid of an older root generation.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "export/map_private.h"
#include "export/tests/fixture.h"

#define ROWS 1500

struct kit {
	struct fixture *f;
	struct keyring *keys;
	char path[128];
	struct map_config config;
	struct map *m;
	struct map_writer *w;
};

static void kit_open(struct kit *k)
{
	assert_int_equal(map_open(&k->config, &k->m, NULL), 0);
	assert_int_equal(map_writer_new(k->m, &k->w), 0);
}

static void kit_close(struct kit *k)
{
	map_writer_free(k->w);
	map_close(k->m);
}

/* Rowids all over, of both signs; each third object has a second name. */
static rowid_t rowid_of(uint64_t i)
{
	return (rowid_t){ (i + 2) * 0x9e3779b97f4a7c15u };
}

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	if (!k || fixture_setup((void **)&k->f) || keyring_generate(&k->keys))
		return -1;
	(void)snprintf(k->path, sizeof(k->path), "%s/%s", k->f->dir, MAP_FILE);
	k->config = (struct map_config){ .path = k->path, .keyring = k->keys, .create = true };
	kit_open(k);
	assert_int_equal(map_begin(k->w), 0);
	for (uint64_t i = 0; i < ROWS; i++) {
		struct record rec = fixture_record(RECORD_SEEN, rowid_of(i).v, i, "a", i % 3 == 0);

		assert_int_equal(map_apply(k->w, &rec), 0);
		rec = fixture_record(RECORD_SEEN, rowid_of(i).v, i, "b", true);
		if (i % 3 == 0)
			assert_int_equal(map_apply(k->w, &rec), 0);
	}
	assert_int_equal(map_commit(k->w, 8), 0);
	assert_int_equal(map_field_set(k->m, MAP_SCANNED_AT, 4711), 0);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct kit *k = *state;
	void *f = k->f;

	kit_close(k);
	keyring_free(k->keys);
	free(k);
	return fixture_teardown(&f);
}

static int64_t ask(const struct kit *k, const char *sql)
{
	sqlite3_stmt *s;
	sqlite3 *db;
	int64_t n = -1;

	assert_int_equal(sqlite3_open(k->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
	if (sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return n;
}

/* How many sealed things bear the id of another key than 2. */
#define OF_ANOTHER                                                                                 \
	"SELECT count(*) FROM (SELECT sealed FROM node UNION ALL SELECT sealed FROM alias UNION "  \
	"ALL SELECT sealed FROM place UNION ALL SELECT sealed FROM clash UNION ALL SELECT value "  \
	"FROM meta WHERE id BETWEEN 1 AND 15) WHERE substr(hex(sealed),3,2)<>'02'"

static void assert_all_open(struct kit *k)
{
	struct map_reader *r;
	struct name alias;
	struct row row;
	uint64_t value;

	assert_int_equal(map_reader_new(k->m, &r), 0);
	for (uint64_t i = 0; i < ROWS; i++) {
		assert_int_equal(map_get(r, rowid_of(i), &row), 0);
		assert_string_equal(row.name.text, "a");
		assert_int_equal(map_aliases(r, rowid_of(i), &alias, 1), i % 3 == 0);
	}
	assert_int_equal(map_field_get(k->m, MAP_SCANNED_AT, &value), 0);
	assert_int_equal(value, 4711);
	map_reader_free(r);
}

static void test_all_is_sealed_anew_though_every_step_is_somebody_elses(void **state)
{
	struct kit *k = *state;
	uint64_t rows, total = 0;
	int ret = 1, steps = 0;

	assert_int_equal(map_sealed_by_active(k->m), 1); /* there was never another key */
	assert_int_equal(keyring_rotate(k->keys), 0);
	kit_close(k);
	kit_open(k);
	assert_int_equal(map_sealed_by_active(k->m), 0);
	for (; ret > 0; steps++) {
		ret = map_reseal(k->w, &rows);
		assert_true(ret >= 0);
		total += rows;
		if (steps % 2) /* killed, and another one goes on */
			assert_all_open(k);
		map_writer_free(k->w);
		assert_int_equal(map_writer_new(k->m, &k->w), 0);
	}
	assert_true(steps > ROWS / 256);
	assert_int_equal(total, ROWS); /* none of them twice */
	assert_int_equal(map_sealed_by_active(k->m), 1);
	assert_int_equal(ask(k, OF_ANOTHER), 0);
	assert_all_open(k);
}

static void test_what_is_written_meanwhile_is_no_obstacle(void **state)
{
	struct kit *k = *state;
	struct record rec = fixture_record(RECORD_SEEN, 12345, 99999, "new", false);
	struct record gone = fixture_record(RECORD_GONE, 12345, 99999, "new", false);
	uint64_t rows;
	int ret = 1;

	assert_int_equal(keyring_rotate(k->keys), 0);
	kit_close(k);
	kit_open(k);
	while (ret > 0) {
		ret = map_reseal(k->w, &rows);
		assert_int_equal(map_begin(k->w), 0);
		assert_int_equal(map_apply(k->w, &rec), 0);
		assert_int_equal(map_commit(k->w, 16), 0);
		assert_int_equal(map_begin(k->w), 0);
		assert_int_equal(map_apply(k->w, &gone), 0);
		assert_int_equal(map_commit(k->w, 24), 0);
	}
	assert_int_equal(ret, 0);
	assert_int_equal(ask(k, OF_ANOTHER), 0);
	assert_all_open(k);
}

static void test_rows_that_do_not_authenticate_are_left_alone(void **state)
{
	struct kit *k = *state;
	uint64_t rows;
	int ret = 1;

	kit_close(k);
	(void)ask(k, "UPDATE node SET sealed=zeroblob(60) WHERE id=(SELECT min(id) FROM node)");
	(void)ask(k, "UPDATE node SET sealed=x'01' WHERE id=(SELECT max(id) FROM node)");
	assert_int_equal(keyring_rotate(k->keys), 0);
	kit_open(k);
	while (ret > 0)
		ret = map_reseal(k->w, &rows);
	assert_int_equal(ret, 0);
	assert_int_equal(ask(k, OF_ANOTHER), 2);
	assert_int_equal(ask(k, "SELECT count(*) FROM node WHERE sealed=zeroblob(60)"), 1);
}

/* A rotation in a keyring that is in use: envelopes that are there follow. */
static void test_a_keyring_in_use_takes_a_rotation_over(void **state)
{
	struct kit *k = *state;
	struct keyring *fresh, *other;
	uint64_t rows;
	int ret = 1;

	assert_int_equal(keyring_copy(k->keys, &fresh), 0);
	assert_int_equal(keyring_rotate(fresh), 0);
	assert_int_equal(keyring_take_over(k->keys, fresh), 0);
	while (ret > 0)
		ret = map_reseal(k->w, &rows);
	assert_int_equal(ret, 0);
	assert_int_equal(ask(k, OF_ANOTHER), 0);
	assert_all_open(k);
	assert_int_equal(keyring_generate(&other), 0);
	assert_int_equal(keyring_take_over(k->keys, other), -EBADE);
	keyring_free(other);
	keyring_free(fresh);
}

static void test_an_older_root_generation_is_put_aside_and_swept(void **state)
{
	struct kit *k = *state;
	struct record rec = fixture_record(RECORD_SEEN, 77, 1, "new", false);
	int ret, steps = 0;

	kit_close(k);
	assert_int_equal(keyring_raise(k->keys), 0);
	kit_open(k);
	assert_int_equal(ask(k, "SELECT count(*) FROM node"), 0);
	assert_int_equal(ask(k, "SELECT count(*) FROM old_2_node"), ROWS);
	assert_int_equal(ask(k, "SELECT count(*) FROM old_2_alias"), ROWS / 3);
	assert_int_equal(map_begin(k->w), 0);
	assert_int_equal(map_apply(k->w, &rec), 0);
	assert_int_equal(map_commit(k->w, 8), 0);

	/* Once more before it is swept. */
	kit_close(k);
	assert_int_equal(keyring_raise(k->keys), 0);
	kit_open(k);
	while ((ret = map_sweep(k->w)) > 0 && steps < 100)
		steps++;
	assert_int_equal(ret, 0);
	assert_int_equal(ask(k, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'old%'"), 0);
	assert_int_equal(ask(k, "SELECT count(*) FROM sqlite_schema WHERE type='table' AND "
				"name NOT LIKE 'sqlite%'"),
			 5);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_all_is_sealed_anew_though_every_step_is_somebody_elses),
		T(test_what_is_written_meanwhile_is_no_obstacle),
		T(test_rows_that_do_not_authenticate_are_left_alone),
		T(test_a_keyring_in_use_takes_a_rotation_over),
		T(test_an_older_root_generation_is_put_aside_and_swept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
