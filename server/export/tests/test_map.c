/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_map.c - the map: what records do to rows, whose map it is, schema, clashes, damage, faults.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/util.h"
#include "export/map_private.h"
#include "export/nodeid.h"
#include "export/tests/faultvfs.h"
#include "export/tests/fixture.h"

/* A map with a reader and a writer. */
struct kit {
	struct fixture *f;
	struct keyring *keys;
	char path[128];
	struct map *m;
	struct map_reader *r;
	struct map_writer *w;
};

static struct map_config kit_config(const struct kit *k)
{
	return (struct map_config){ .path = k->path, .keyring = k->keys, .create = true };
}

static void kit_open(struct kit *k)
{
	struct map_config c = kit_config(k);

	assert_int_equal(map_open(&c, &k->m, NULL), 0);
	assert_int_equal(map_reader_new(k->m, &k->r), 0);
	assert_int_equal(map_writer_new(k->m, &k->w), 0);
}

static void kit_close(struct kit *k)
{
	map_reader_free(k->r);
	map_writer_free(k->w);
	map_close(k->m);
	k->m = NULL;
	k->r = NULL;
	k->w = NULL;
}

/* The map with all that belongs to it: a WAL outlives a close that failed. */
static void kit_unlink(const struct kit *k)
{
	static const char *const files[] = { MAP_FILE, MAP_FILE "-wal", MAP_FILE "-shm",
					     MAP_FILE "-journal" };

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		(void)unlinkat(k->f->dirfd, files[i], 0);
}

static int setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	if (!k || fixture_setup((void **)&k->f) || keyring_generate(&k->keys))
		return -1;
	(void)snprintf(k->path, sizeof(k->path), "%s/%s", k->f->dir, MAP_FILE);
	kit_open(k);
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

static int apply(struct kit *k, enum record_kind kind, uint64_t rowid, uint64_t n, const char *name,
		 bool multi)
{
	struct record rec = fixture_record(kind, rowid, n, name, multi);
	int err, done;

	assert_int_equal(map_begin(k->w), 0);
	err = map_apply(k->w, &rec);
	done = map_commit(k->w, 8);
	assert_int_equal(done, 0);
	return err;
}

/* The names of a row, primary first, then aliases newest first, joined by spaces. */
static const char *names(struct kit *k, uint64_t rowid)
{
	static char out[4096];
	struct name aliases[80];
	struct row row;
	int n, err = map_get(k->r, (rowid_t){ rowid }, &row);

	if (err)
		return err == -ENOENT ? "absent" : "error";
	(void)snprintf(out, sizeof(out), "%s", row.name.len ? row.name.text : "-");
	n = map_aliases(k->r, (rowid_t){ rowid }, aliases, ARRAY_LEN(aliases));
	assert_true(n >= 0);
	assert_true(n == 0 || row.multi);
	for (int i = 0; i < n; i++) {
		(void)strncat(out, " ", sizeof(out) - strlen(out) - 1);
		(void)strncat(out, aliases[i].text, sizeof(out) - strlen(out) - 1);
	}
	return out;
}

/* Runs SQL behind the map's back. */
static void meddle(const struct kit *k, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(k->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* --- rows --------------------------------------------------------------------------------------- */

static void test_a_row_comes_back_as_it_was_seen(void **state)
{
	struct kit *k = *state;
	struct stat st;

	for (uint64_t n = 0; n < 6; n++) { /* three places */
		uint64_t rowid = n & 1 ? n + 2 : UINT64_MAX - n;
		struct record rec = fixture_record(RECORD_SEEN, rowid, n, "a name", n == 4);
		struct row row;

		rec.row.tweak = (uint8_t)n;
		assert_int_equal(map_begin(k->w), 0);
		assert_int_equal(map_apply(k->w, &rec), 0);
		assert_int_equal(map_commit(k->w, 8 * n), 0);
		assert_int_equal(map_get(k->r, (rowid_t){ rowid }, &row), 0);
		assert_true(identity_equal(&row.identity, &rec.row.identity));
		assert_true(name_equal(&row.name, &rec.row.name));
		assert_int_equal(row.ino, rec.row.ino);
		assert_int_equal(row.type, rec.row.type);
		assert_int_equal(row.tweak, n);
		assert_int_equal(row.multi, n == 4);
	}
	assert_int_equal(map_count(k->r), 6);
	kit_close(k);
	kit_open(k); /* and in the next run */
	assert_int_equal(map_count(k->r), 6);
	assert_string_equal(names(k, 3), "a name");
	assert_int_equal(stat(k->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fstatat(k->f->dirfd, MAP_FILE "-wal", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_a_renamed_object_has_its_new_name(void **state)
{
	struct kit *k = *state;

	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "a", false), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "a", false), 1);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "b", false), 0);
	assert_string_equal(names(k, 5), "b");
	assert_int_equal(apply(k, RECORD_UNNAMED, 5, 1, "a", false), 1);
	assert_string_equal(names(k, 5), "b");
	assert_int_equal(apply(k, RECORD_UNNAMED, 5, 1, "b", false), 0);
	assert_string_equal(names(k, 5), "-");
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, NULL, false), 1);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "c", false), 0);
	assert_string_equal(names(k, 5), "c");
}

static void test_further_names_of_a_file_are_kept_when_its_first_one_goes(void **state)
{
	struct kit *k = *state;

	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "a", false), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "b", true), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "b", true), 1);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "c", true), 0);
	assert_string_equal(names(k, 5), "a c b");
	assert_int_equal(apply(k, RECORD_UNNAMED, 5, 1, "a", true), 0);
	assert_string_equal(names(k, 5), "c b");
	assert_int_equal(apply(k, RECORD_UNNAMED, 5, 1, "b", true), 0);
	assert_string_equal(names(k, 5), "c");
	/* Who looked before the link was made does not take the names away. */
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "a", false), 0);
	assert_string_equal(names(k, 5), "c a");
	assert_int_equal(apply(k, RECORD_GONE, 5, 1, NULL, false), 0);
	assert_string_equal(names(k, 5), "absent");
	meddle(k, "CREATE TABLE probe AS SELECT 1 FROM alias");
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "z", true), 0);
	assert_string_equal(names(k, 5), "z");
}

static void test_at_most_64_names_are_kept_and_the_oldest_go(void **state)
{
	struct kit *k = *state;
	struct name aliases[100];
	char name[16];

	for (unsigned i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(apply(k, RECORD_SEEN, 5, 1, name, true), 0);
	}
	assert_int_equal(map_aliases(k->r, (rowid_t){ 5 }, aliases, 100), 63);
	assert_string_equal(aliases[0].text, "n199");
	assert_string_equal(aliases[62].text, "n137");
	assert_int_equal(map_aliases(k->r, (rowid_t){ 5 }, aliases, 2), 2);
}

static void test_a_row_of_another_object_is_never_changed(void **state)
{
	struct kit *k = *state;

	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "a", false), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 2, "b", false), -EEXIST);
	assert_int_equal(apply(k, RECORD_UNNAMED, 5, 2, "a", false), 1);
	assert_int_equal(apply(k, RECORD_GONE, 5, 2, "a", false), 1);
	assert_string_equal(names(k, 5), "a");
}

static void test_records_applied_twice_lead_to_the_same_rows(void **state)
{
	struct kit *k = *state;
	const struct {
		enum record_kind kind;
		uint64_t rowid, n;
		const char *name;
		bool multi;
	} history[] = {
		{ RECORD_SEEN, 5, 1, "a", false },  { RECORD_UNNAMED, 5, 1, "a", false },
		{ RECORD_SEEN, 5, 1, "b", false },  { RECORD_SEEN, 6, 2, "x", false },
		{ RECORD_SEEN, 6, 2, "y", true },   { RECORD_UNNAMED, 6, 2, "x", true },
		{ RECORD_SEEN, 7, 3, "q", false },  { RECORD_GONE, 7, 3, "q", false },
		{ RECORD_SEEN, 8, 3, "q", false },  { RECORD_UNNAMED, 8, 3, "q", false },
		{ RECORD_SEEN, 9, 9, "d", false },  { RECORD_GONE, 9, 9, "d", false },
		{ RECORD_SEEN, 9, 10, "e", false },
	};

	for (size_t from = 0; from < ARRAY_LEN(history); from++) {
		for (size_t i = from; i < ARRAY_LEN(history); i++)
			(void)apply(k, history[i].kind, history[i].rowid, history[i].n,
				    history[i].name, history[i].multi);
		for (size_t i = from; i < ARRAY_LEN(history); i++)
			(void)apply(k, history[i].kind, history[i].rowid, history[i].n,
				    history[i].name, history[i].multi);
		assert_string_equal(names(k, 5), "b");
		assert_string_equal(names(k, 6), "y");
		assert_string_equal(names(k, 7), "absent");
		assert_string_equal(names(k, 8), "-");
		assert_string_equal(names(k, 9), "e");
	}
}

struct walked {
	unsigned count, damaged, max;
	uint64_t last;
};

static bool walk_one(void *arg, rowid_t rowid, bool authentic, const struct row *row)
{
	struct walked *w = arg;

	assert_true(!w->count || rowid.v > w->last);
	assert_true(!authentic || row->name.len == 1);
	w->last = rowid.v;
	w->damaged += !authentic;
	return ++w->count < w->max;
}

static void test_a_walk_shows_all_rows_in_order(void **state)
{
	struct kit *k = *state;
	struct walked w = { .max = UINT32_MAX };

	assert_int_equal(map_begin(k->w), 0);
	for (uint64_t i = 0; i < 3000; i++) { /* in both halves of what SQLite sorts as signed */
		struct record rec = fixture_record(RECORD_SEEN, 2 + (i << 52) + i, i, "x", false);

		assert_int_equal(map_apply(k->w, &rec), 0);
	}
	assert_int_equal(map_commit(k->w, 8), 0);
	assert_int_equal(map_walk(k->r, (rowid_t){ 0 }, walk_one, &w), 3000);
	assert_int_equal(w.damaged, 0);
	w = (struct walked){ .max = 7 };
	assert_int_equal(map_walk(k->r, (rowid_t){ (uint64_t)1 << 63 }, walk_one, &w), 7);
	assert_true(w.last > (uint64_t)1 << 63);
}

/* --- damage and lies ---------------------------------------------------------------------------- */

static void test_rows_that_were_swapped_or_changed_do_not_open(void **state)
{
	struct kit *k = *state;
	struct walked w = { .max = 100 };
	struct row row;

	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 6, 3, "b", false), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 7, 6, "c", true), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 7, 6, "d", true), 0);
	meddle(k,
	       "UPDATE node SET sealed=(SELECT sealed FROM node WHERE id=6) WHERE id=5;"
	       "UPDATE node SET sealed='text' WHERE id=6; UPDATE alias SET sealed=zeroblob(3000)");
	assert_int_equal(map_get(k->r, (rowid_t){ 5 }, &row), -EBADMSG);
	assert_int_equal(map_get(k->r, (rowid_t){ 6 }, &row), -EBADMSG);
	assert_string_equal(names(k, 7), "c");
	assert_int_equal(map_walk(k->r, (rowid_t){ 0 }, walk_one, &w), 3);
	assert_int_equal(w.damaged, 2);
	/* What is seen again is written anew. */
	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	assert_string_equal(names(k, 5), "a");
	assert_int_equal(apply(k, RECORD_GONE, 6, 3, "b", false), 0);
	assert_string_equal(names(k, 6), "absent");
}

static void test_places_that_were_swapped_make_rows_that_do_not_open(void **state)
{
	struct kit *k = *state;
	struct row row;

	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 6, 1, "b", false), 0);
	meddle(k, "UPDATE place SET sealed=(SELECT sealed FROM place WHERE id=2) WHERE id=1");
	assert_int_equal(map_get(k->r, (rowid_t){ 5 }, &row), -EBADMSG);
	assert_int_equal(map_get(k->r, (rowid_t){ 6 }, &row), 0);
	/* Seen again, under a new number. */
	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	assert_int_equal(map_get(k->r, (rowid_t){ 5 }, &row), 0);
}

static void test_a_file_that_is_no_map_is_refused(void **state)
{
	struct kit *k = *state;
	struct map_config c = kit_config(k);
	struct map *m = NULL;
	uint8_t junk[16384];
	int fd;

	kit_close(k);
	memset(junk, 'j', sizeof(junk));
	fd = open(k->path, O_WRONLY);
	assert_int_equal(pwrite_full(fd, junk, sizeof(junk), 0), 0);
	(void)close(fd);
	assert_int_equal(map_open(&c, &m, NULL), -EUCLEAN);
	assert_int_equal(unlink(k->path), 0);
	meddle(k, "CREATE TABLE someone(elses)");
	assert_int_equal(map_open(&c, &m, NULL), -EUCLEAN);
	assert_int_equal(unlink(k->path), 0);
	c.create = false;
	assert_int_equal(map_open(&c, &m, NULL), -ENOENT);
	assert_int_equal(symlink("elsewhere", k->path), 0);
	c.create = true;
	assert_int_equal(map_open(&c, &m, NULL), -ELOOP);
	assert_int_equal(unlink(k->path), 0);
	kit_open(k);
}

static void test_a_map_cut_short_is_corrupt(void **state)
{
	struct kit *k = *state;
	struct map_config c = kit_config(k);
	struct map *m = NULL;
	int err;

	kit_close(k);
	assert_int_equal(truncate(k->path, 3000), 0);
	err = map_open(&c, &m, NULL);
	assert_true(err == -EUCLEAN);
	assert_int_equal(unlink(k->path), 0);
	kit_open(k);
}

static void test_a_trigger_that_a_meddler_left_does_not_run(void **state)
{
	struct kit *k = *state;

	meddle(k, "CREATE TRIGGER t AFTER INSERT ON node BEGIN DELETE FROM node; END");
	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	assert_string_equal(names(k, 5), "a");
}

/* --- whose map, which version ------------------------------------------------------------------- */

static void test_a_map_of_another_export_is_refused(void **state)
{
	struct kit *k = *state;
	struct map_config c = kit_config(k);
	struct keyring *other;
	struct map *m = NULL;

	assert_int_equal(keyring_generate(&other), 0);
	c.keyring = other;
	assert_int_equal(map_open(&c, &m, NULL), -EBADE);
	keyring_free(other);
}

static void test_after_a_revoke_old_rows_are_dropped_and_the_old_key_is_refused(void **state)
{
	struct kit *k = *state;
	struct map_config c = kit_config(k);
	struct keyring *raised;
	struct map *m = NULL;
	struct map_reader *r;
	uint64_t value;
	bool created = true;

	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	assert_int_equal(map_field_set(k->m, MAP_COMPLETE, 0), 0);
	assert_int_equal(keyring_copy(k->keys, &raised), 0);
	assert_int_equal(keyring_raise(raised), 0);
	c.keyring = raised;
	assert_int_equal(map_open(&c, &m, &created), 0);
	assert_false(created);
	assert_int_equal(map_reader_new(m, &r), 0);
	assert_int_equal(map_count(r), 0);
	assert_int_equal(map_field_get(m, MAP_COMPLETE, &value), 0);
	assert_int_equal(value, 1); /* nobody has seen a handle of this root generation */
	assert_int_equal(map_field_get(m, MAP_ROOT_GENERATION, &value), 0);
	assert_int_equal(value, keyring_root_generation(raised));

	/* A daemon that still has the old key writes nothing more, and does not start again. */
	assert_int_equal(map_begin(k->w), -ESTALE);
	assert_int_equal(map_field_set(k->m, MAP_COMPLETE, 1), -ESTALE);
	map_reader_free(r);
	map_close(m);
	c.keyring = k->keys;
	assert_int_equal(map_open(&c, &m, NULL), -ESTALE);
	keyring_free(raised);
}

static void test_a_root_generation_forged_in_the_clear_does_not_pass(void **state)
{
	struct kit *k = *state;
	struct map_config c = kit_config(k);
	struct keyring *raised;
	struct map *m = NULL;

	assert_int_equal(keyring_copy(k->keys, &raised), 0);
	assert_int_equal(keyring_raise(raised), 0);
	meddle(k, "UPDATE meta SET value=x'02000000' WHERE id=16");
	c.keyring = raised;
	assert_int_equal(map_open(&c, &m, NULL), -EBADE);
	keyring_free(raised);
}

static void test_an_older_schema_is_upgraded_and_a_newer_one_refused(void **state)
{
	struct kit *k = *state;
	struct map_config c = kit_config(k);
	struct map *m = NULL;

	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	kit_close(k);
	/* version 0 had no aliases and no clashes */
	meddle(k, "DROP TABLE alias; DROP TABLE clash; PRAGMA user_version=0");
	c.readonly = true;
	assert_int_equal(map_open(&c, &m, NULL), -EROFS);
	kit_open(k);
	assert_string_equal(names(k, 5), "a");
	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "b", true), 0);
	assert_string_equal(names(k, 5), "a b");
	kit_close(k);
	meddle(k, "PRAGMA user_version=2");
	c.readonly = false;
	assert_int_equal(map_open(&c, &m, NULL), -EPROTO);
	meddle(k, "PRAGMA user_version=1; DROP TABLE node");
	assert_int_equal(map_open(&c, &k->m, NULL), 0);
	assert_int_equal(map_reader_new(k->m, &k->r), -EUCLEAN);
	map_close(k->m);
	assert_int_equal(unlink(k->path), 0);
	kit_open(k);
}

static void test_named_numbers_are_kept_and_sealed(void **state)
{
	struct kit *k = *state;
	uint64_t value = 9;

	assert_int_equal(map_field_get(k->m, MAP_SCANNED_AT, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(map_field_set(k->m, MAP_SCANNED_AT, 1234567), 0);
	assert_int_equal(map_field_set(k->m, MAP_ROOT_GENERATION, 77), -EINVAL);
	kit_close(k);
	kit_open(k);
	assert_int_equal(map_field_get(k->m, MAP_SCANNED_AT, &value), 0);
	assert_int_equal(value, 1234567);
	meddle(k, "INSERT INTO meta(id,value) SELECT 2,value FROM meta WHERE id=5");
	assert_int_equal(map_field_get(k->m, MAP_COMPLETE, &value), -EBADMSG);
}

static void test_a_readonly_map_reads_and_does_not_write(void **state)
{
	struct kit *k = *state;
	struct map_config c = kit_config(k);
	struct map_reader *r;
	struct map_writer *w;
	struct map *m;

	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	c.readonly = true;
	assert_int_equal(map_open(&c, &m, NULL), 0);
	assert_int_equal(map_reader_new(m, &r), 0);
	assert_int_equal(map_count(r), 1);
	assert_int_equal(map_writer_new(m, &w), -EROFS);
	assert_int_equal(map_field_set(m, MAP_CLEAN, 1), -EROFS);
	map_reader_free(r);
	map_close(m);
}

static void test_daemons_that_start_at_once_make_one_map(void **state)
{
	struct kit *k = *state;
	pid_t pids[5];

	kit_close(k);
	assert_int_equal(unlink(k->path), 0);
	assert_int_equal(keyring_store(k->keys, k->f->dirfd, "key", true), 0);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		if (!pids[i]) {
			struct map_config c = kit_config(k);
			struct keyring *keys; /* the parent's is wiped in children */
			bool created = false;
			struct map *m;

			if (keyring_load(k->f->dirfd, "key", &keys))
				_exit(3);
			c.keyring = keys;
			if (map_open(&c, &m, &created))
				_exit(2);
			map_close(m);
			_exit(created);
		}
	}
	unsigned creators = 0;

	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		creators += (unsigned)WEXITSTATUS(status);
	}
	assert_int_equal(creators, 1);
	kit_open(k);
}

/* --- snapshots ---------------------------------------------------------------------------------- */

static void test_a_snapshot_stands_until_it_is_renewed_or_given_back(void **state)
{
	struct kit *k = *state;
	uint64_t position;

	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, false, &position), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	assert_string_equal(names(k, 5), "absent");
	map_reader_relax(k->r, 10000); /* too young */
	assert_string_equal(names(k, 5), "absent");
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, false, &position), 0);
	assert_string_equal(names(k, 5), "absent");
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	assert_string_equal(names(k, 5), "a");
	assert_int_equal(apply(k, RECORD_SEEN, 6, 0, "b", false), 0);
	usleep(2000);
	map_reader_relax(k->r, 1);
	assert_string_equal(names(k, 6), "b");
}

/* So many rows that the reader goes over to its quicker way, in which a read stays open. */
static void read_many(struct kit *k, const char *name)
{
	for (uint64_t round = 0; round < 3; round++)
		for (uint64_t rowid = 10; rowid < 40; rowid++)
			assert_string_equal(names(k, rowid), rowid == 20 ? name : "n");
}

static void test_rows_read_one_after_another_are_those_of_the_snapshot(void **state)
{
	struct kit *k = *state;
	uint64_t position;

	for (uint64_t rowid = 10; rowid < 40; rowid++)
		assert_int_equal(apply(k, RECORD_SEEN, rowid, rowid, "n", false), 0);
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	read_many(k, "n");

	assert_int_equal(apply(k, RECORD_SEEN, 20, 20, "other", false), 0);
	read_many(k, "n");
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	read_many(k, "other");

	/* What is not there, and comes again. */
	assert_int_equal(apply(k, RECORD_GONE, 20, 20, "other", false), 0);
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	read_many(k, "absent");
	assert_int_equal(apply(k, RECORD_SEEN, 20, 20, "back", false), 0);
	assert_string_equal(names(k, 20), "absent");
	usleep(2000);
	map_reader_relax(k->r, 1);
	read_many(k, "back");

	/* What is damaged, in any way. */
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	read_many(k, "back");
	meddle(k, "UPDATE node SET sealed=zeroblob(3000) WHERE id=20");
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	read_many(k, "error");
	meddle(k, "UPDATE node SET sealed=5 WHERE id=20");
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	read_many(k, "error");
	meddle(k, "UPDATE node SET sealed=x'' WHERE id=20");
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	read_many(k, "error");
	meddle(k, "UPDATE node SET sealed=(SELECT sealed FROM node WHERE id=21) WHERE id=20");
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	read_many(k, "error");
}

static void test_the_wal_is_taken_in_behind_rows_read_one_after_another(void **state)
{
	struct kit *k = *state;
	uint64_t position;
	sqlite3 *db;
	int left, taken;

	for (uint64_t rowid = 10; rowid < 40; rowid++)
		assert_int_equal(apply(k, RECORD_SEEN, rowid, rowid, "n", false), 0);
	assert_int_equal(map_reader_snapshot(k->r, NULL, 10000, true, &position), 0);
	read_many(k, "n");
	assert_int_equal(apply(k, RECORD_SEEN, 20, 20, "other", false), 0);
	usleep(2000);
	map_reader_relax(k->r, 1);
	assert_int_equal(sqlite3_open(k->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "SELECT 1 FROM meta", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &left,
						   &taken),
			 SQLITE_OK);
	assert_int_equal(left, 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_a_snapshot_holds_what_was_drained_before_it(void **state)
{
	struct kit *k = *state;
	static const uint8_t uuid[HOLDFAST_UUID_LEN];
	struct record rec = fixture_record(RECORD_SEEN, 5, 0, "a", false);
	uint64_t position = 1, end;
	struct ring *ring;

	assert_int_equal(ring_open(k->f->dirfd, "ring", uuid, 16384, &ring, NULL), 0);
	assert_int_equal(map_reader_snapshot(k->r, ring, 0, true, &position), 0);
	assert_int_equal(position, 0);
	assert_int_equal(ring_append(ring, &rec, 1, 0, &end), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	ring_set_drained(ring, end);
	assert_int_equal(map_reader_snapshot(k->r, ring, 10000, false, &position), 0);
	assert_int_equal(position, 0); /* the old one, and what it says of itself */
	assert_int_equal(map_reader_snapshot(k->r, ring, 10000, true, &position), 0);
	assert_int_equal(position, end);
	ring_close(ring);
}

static void test_the_wal_is_taken_in_and_does_not_grow_past_its_cap(void **state)
{
	struct kit *k = *state;
	struct map_config c = kit_config(k);
	char wal[160];
	struct stat st;

	kit_close(k);
	c.wal_cap = 6 << 20;
	assert_int_equal(map_open(&c, &k->m, NULL), 0);
	assert_int_equal(map_writer_new(k->m, &k->w), 0);
	(void)snprintf(wal, sizeof(wal), "%s-wal", k->path);
	for (uint64_t batch = 0; batch < 60; batch++) {
		assert_int_equal(map_begin(k->w), 0);
		for (uint64_t i = 0; i < 100; i++) {
			uint64_t n = batch * 100 + i;
			struct record rec = fixture_record(RECORD_SEEN, n * 0x9e3779b97f4a7c15u | 2,
							   n, "n", false);

			assert_true(map_apply(k->w, &rec) >= 0);
		}
		assert_int_equal(map_commit(k->w, 8), 0);
		assert_int_equal(map_checkpoint(k->w), 0);
		assert_int_equal(stat(wal, &st), 0);
		assert_true(st.st_size < 8 << 20);
	}
	assert_int_equal(map_reader_new(k->m, &k->r), 0);
	kit_close(k);
	assert_true(stat(wal, &st) && errno == ENOENT); /* the last one leaves none */
	kit_open(k);
}

/* --- clashes, deleting, clearing ---------------------------------------------------------------- */

static void test_a_clash_is_remembered_and_a_nodeid_never_changes_hands(void **state)
{
	struct kit *k = *state;
	rowid_t rowids[MINT_TWEAK_MAX + 1], others[MINT_TWEAK_MAX + 1];
	struct identity second = fixture_identity(2), third = fixture_identity(3);
	unsigned tweak = 99;

	for (unsigned t = 0; t <= MINT_TWEAK_MAX; t++) {
		rowids[t].v = t ? 100 + t : 5;
		others[t].v = t ? 200 + t : 5;
	}
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "first", false), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 101, 9, "in the way", false), 0);
	assert_int_equal(map_clash_find(k->r, rowids[0], &second, &tweak), 0);
	assert_int_equal(map_clash_add(k->w, &second, rowids, &tweak), 0);
	assert_int_equal(tweak, 2);
	assert_int_equal(map_clash_add(k->w, &second, rowids, &tweak), 0); /* again: the same */
	assert_int_equal(tweak, 2);
	assert_int_equal(map_clash_count(k->r), 1);

	/* The first owner goes; the entry stays, and a third one gets a tweak of its own. */
	assert_int_equal(apply(k, RECORD_GONE, 5, 1, "first", false), 0);
	tweak = 99;
	assert_int_equal(map_clash_find(k->r, rowids[0], &second, &tweak), 1);
	assert_int_equal(tweak, 2);
	assert_int_equal(map_clash_find(k->r, rowids[0], &third, &tweak), -ENOENT);
	assert_int_equal(map_clash_add(k->w, &third, others, &tweak), 0);
	assert_int_equal(tweak, 1);
	kit_close(k);
	kit_open(k);
	assert_int_equal(map_clash_find(k->r, rowids[0], &third, &tweak), 1);
	assert_int_equal(tweak, 1);
	/* An entry moved to another tweak or rowid is no entry. */
	meddle(k, "UPDATE clash SET id=6 WHERE tweak=1");
	assert_int_equal(map_clash_find(k->r, (rowid_t){ 6 }, &third, &tweak), -ENOENT);
}

static void test_when_no_tweak_is_left_it_is_said(void **state)
{
	struct kit *k = *state;
	rowid_t rowids[MINT_TWEAK_MAX + 1];
	struct identity id;
	unsigned tweak;

	for (unsigned t = 0; t <= MINT_TWEAK_MAX; t++)
		rowids[t].v = 100 + t;
	for (unsigned n = 0; n < MINT_TWEAK_MAX; n++) {
		id = fixture_identity(n);
		assert_int_equal(map_clash_add(k->w, &id, rowids, &tweak), 0);
		assert_int_equal(tweak, n + 1);
	}
	id = fixture_identity(50);
	assert_int_equal(map_clash_add(k->w, &id, rowids, &tweak), -EOVERFLOW);
	assert_int_equal(map_clash_count(k->r), MINT_TWEAK_MAX);
}

static void test_deleting_spares_what_was_seen_since(void **state)
{
	struct kit *k = *state;
	static const uint8_t uuid[HOLDFAST_UUID_LEN];
	const rowid_t list[] = { { 5 }, { 6 }, { 7 } };
	struct record rec = fixture_record(RECORD_SEEN, 6, 1, "b", false);
	struct ring *ring;
	uint64_t since;

	assert_int_equal(ring_open(k->f->dirfd, "ring", uuid, 16384, &ring, NULL), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 6, 1, "b", false), 0);
	assert_int_equal(ring_append(ring, &rec, 1, 0, NULL), 0);
	since = ring_tail(ring);
	assert_int_equal(map_delete(k->w, ring, 0, list, 3), 1);
	assert_string_equal(names(k, 5), "absent");
	assert_string_equal(names(k, 6), "b");
	assert_int_equal(map_delete(k->w, ring, since, list, 3), 1);
	assert_string_equal(names(k, 6), "absent");
	ring_close(ring);
}

static void test_a_cleared_map_is_empty_and_its_place_numbers_are_not_used_again(void **state)
{
	struct kit *k = *state;
	struct record rec = fixture_record(RECORD_SEEN, 6, 4, "b", false);
	struct row row;

	assert_int_equal(apply(k, RECORD_SEEN, 5, 0, "a", false), 0);
	assert_string_equal(names(k, 5), "a"); /* the reader has the place in its cache */
	assert_int_equal(map_clear(k->w), 0);
	assert_int_equal(map_count(k->r), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 6, 4, "b", false), 0);
	assert_int_equal(map_get(k->r, (rowid_t){ 6 }, &row), 0);
	assert_true(identity_equal(&row.identity, &rec.row.identity));
}

static void test_two_writers_agree_on_places(void **state)
{
	struct kit *k = *state;
	struct map_writer *first = k->w, *second;
	struct row row;

	assert_int_equal(map_writer_new(k->m, &second), 0);
	for (uint64_t n = 0; n < 12; n++) {
		struct identity id = fixture_identity(n);

		k->w = n & 1 ? second : first;
		assert_int_equal(apply(k, RECORD_SEEN, 5 + n, n, "a", false), 0);
		assert_int_equal(map_get(k->r, (rowid_t){ 5 + n }, &row), 0);
		assert_true(identity_equal(&row.identity, &id));
	}
	/* A place of a transaction that was rolled back is forgotten. */
	struct record rec = fixture_record(RECORD_SEEN, 90, 2, "r", false);

	rec.row.identity.place.attachment = 77;
	assert_int_equal(map_begin(first), 0);
	assert_int_equal(map_apply(first, &rec), 0);
	map_rollback(first);
	assert_int_equal(map_begin(first), 0);
	assert_int_equal(map_apply(first, &rec), 0);
	assert_int_equal(map_commit(first, 8), 0);
	assert_int_equal(map_get(k->r, (rowid_t){ 90 }, &row), 0);
	rec.rowid.v = 92;
	rec.row.identity.place.attachment = 79;
	assert_int_equal(map_begin(first), 0);
	assert_int_equal(map_apply(first, &rec), 0);
	map_rollback(first);
	rec.row.identity.place.attachment = 78;
	assert_int_equal(map_begin(second), 0);
	assert_int_equal(map_apply(second, &rec), 0);
	assert_int_equal(map_commit(second, 8), 0);
	rec.rowid.v = 91;
	rec.row.identity.place.attachment = 79;
	assert_int_equal(map_begin(first), 0);
	assert_int_equal(map_apply(first, &rec), 0);
	assert_int_equal(map_commit(first, 8), 0);
	assert_int_equal(map_get(k->r, (rowid_t){ 92 }, &row), 0);
	assert_int_equal(row.identity.place.attachment, 78);
	assert_int_equal(map_get(k->r, (rowid_t){ 91 }, &row), 0);
	assert_int_equal(row.identity.place.attachment, 79);
	k->w = first;
	map_writer_free(second);
}

/* --- faults ------------------------------------------------------------------------------------- */

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

static const int fault_errnos[FAULT_KINDS] = { -EIO, -ENOSPC, -ENOMEM };

static void assert_fault_errno(int err, enum fault kind)
{
	/* A failed open has no errno of its own here. Never "corrupt": that would cost the map. */
	assert_true(err == fault_errnos[kind] || err == -EIO || err == -ENOMEM || err == -ENOENT);
}

static void test_opening_fails_cleanly_at_every_call_and_works_afterwards(void **state)
{
	struct kit *k = *state;
	struct map_config c = kit_config(k);

	assert_int_equal(faultvfs_register(), SQLITE_OK);
	c.vfs = FAULTVFS_NAME;
	kit_close(k);
	for (unsigned run = 0; run < FAULT_KINDS * 2; run++) {
		enum fault kind = (enum fault)(run / 2);
		bool hit = true;

		for (unsigned n = 1; hit; n++) {
			struct map *m = NULL;
			int err;

			kit_unlink(k);
			faultvfs_arm(kind, n, run & 1);
			err = map_open(&c, &m, NULL);
			if (!err)
				map_close(m);
			else
				assert_fault_errno(err, kind);
			hit = faultvfs_disarm();
			assert_true(hit || !err);
			assert_int_equal(map_open(&c, &m, NULL), 0);
			map_close(m);
			assert_true(n < 2000);
		}
	}
	assert_intact(k);
	kit_open(k);
}

/* One transaction with an insert, a rename and an unlink, on top of what is there. */
static int change(struct map_writer *w)
{
	struct record recs[4];
	int err = map_begin(w);

	recs[0] = fixture_record(RECORD_SEEN, 900, 8, "created", false);
	recs[1] = fixture_record(RECORD_UNNAMED, 5, 1, "old", false);
	recs[2] = fixture_record(RECORD_SEEN, 5, 1, "new", false);
	recs[3] = fixture_record(RECORD_GONE, 6, 2, "doomed", false);
	for (size_t i = 0; !err && i < ARRAY_LEN(recs); i++) {
		err = map_apply(w, &recs[i]);
		if (err == 1)
			err = 0;
	}
	if (!err)
		err = map_commit(w, 8);
	return err;
}

/* A fresh map with two rows, through the faulting VFS. */
static void kit_prepare(struct kit *k, bool strict)
{
	struct map_config c = kit_config(k);

	kit_close(k);
	kit_unlink(k);
	c.vfs = FAULTVFS_NAME;
	c.strict = strict;
	assert_int_equal(map_open(&c, &k->m, NULL), 0);
	assert_int_equal(map_writer_new(k->m, &k->w), 0);
	assert_int_equal(map_reader_new(k->m, &k->r), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 5, 1, "old", false), 0);
	assert_int_equal(apply(k, RECORD_SEEN, 6, 2, "doomed", false), 0);
}

/* The n-th call of change() fails, and with `lasting` all after it; was there such a call? */
static bool fail_change(struct kit *k, enum fault kind, unsigned n, bool lasting, bool strict)
{
	bool hit;
	int err;

	kit_prepare(k, strict);
	faultvfs_arm(kind, n, lasting);
	err = change(k->w);
	hit = faultvfs_disarm();
	assert_true(hit || !err);
	if (err) {
		assert_fault_errno(err, kind);
		assert_string_equal(names(k, 5), "old");
		assert_string_equal(names(k, 6), "doomed");
		assert_string_equal(names(k, 900), "absent");
		assert_int_equal(change(k->w), 0);
	}
	assert_string_equal(names(k, 5), "new");
	assert_string_equal(names(k, 6), "absent");
	assert_string_equal(names(k, 900), "created");
	assert_intact(k);
	return hit;
}

static void test_a_transaction_that_fails_at_any_call_changes_nothing_and_works_when_repeated(
	void **state)
{
	struct kit *k = *state;

	assert_int_equal(faultvfs_register(), SQLITE_OK);
	for (unsigned run = 0; run < FAULT_KINDS * 4; run++) {
		unsigned n = 1;

		while (fail_change(k, (enum fault)(run / 4), n, run & 1, run & 2))
			assert_true(n++ < 500);
		assert_true(n > 1);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_row_comes_back_as_it_was_seen),
		T(test_a_renamed_object_has_its_new_name),
		T(test_further_names_of_a_file_are_kept_when_its_first_one_goes),
		T(test_at_most_64_names_are_kept_and_the_oldest_go),
		T(test_a_row_of_another_object_is_never_changed),
		T(test_records_applied_twice_lead_to_the_same_rows),
		T(test_a_walk_shows_all_rows_in_order),
		T(test_rows_that_were_swapped_or_changed_do_not_open),
		T(test_places_that_were_swapped_make_rows_that_do_not_open),
		T(test_a_file_that_is_no_map_is_refused),
		T(test_a_map_cut_short_is_corrupt),
		T(test_a_trigger_that_a_meddler_left_does_not_run),
		T(test_a_map_of_another_export_is_refused),
		T(test_after_a_revoke_old_rows_are_dropped_and_the_old_key_is_refused),
		T(test_a_root_generation_forged_in_the_clear_does_not_pass),
		T(test_an_older_schema_is_upgraded_and_a_newer_one_refused),
		T(test_named_numbers_are_kept_and_sealed),
		T(test_a_readonly_map_reads_and_does_not_write),
		T(test_daemons_that_start_at_once_make_one_map),
		T(test_a_snapshot_stands_until_it_is_renewed_or_given_back),
		T(test_rows_read_one_after_another_are_those_of_the_snapshot),
		T(test_the_wal_is_taken_in_behind_rows_read_one_after_another),
		T(test_a_snapshot_holds_what_was_drained_before_it),
		T(test_the_wal_is_taken_in_and_does_not_grow_past_its_cap),
		T(test_a_clash_is_remembered_and_a_nodeid_never_changes_hands),
		T(test_when_no_tweak_is_left_it_is_said),
		T(test_deleting_spares_what_was_seen_since),
		T(test_a_cleared_map_is_empty_and_its_place_numbers_are_not_used_again),
		T(test_two_writers_agree_on_places),
		T(test_opening_fails_cleanly_at_every_call_and_works_afterwards),
		T(test_a_transaction_that_fails_at_any_call_changes_nothing_and_works_when_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
