/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_reseal.c - the map under a new sealing key, and rid of rows of older root generations.
 *
 * Both go on in the background of the drainer's work, in short transactions, so that the records of guests are
 * taken in between them. How far sealing anew has come is written in the same transaction as the rows: who is
 * killed in the middle loses a step, and the next drainer, of any daemon, goes on. Rows that do not authenticate are
 * left as they are. What other connections seal with the old key meanwhile (a named number, a clash) opens as
 * well; the small tables are done last, in one transaction.
 *
 * The writer belongs to the drainer's thread, or to a tool's main thread.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/util.h"
#include "export/map_private.h"

#define STEP 256
#define SWEEP_STEP "2000"

enum reseal_table { RESEAL_NODE, RESEAL_ALIAS, RESEAL_REST, RESEAL_TABLES };

/* A table whose rows have a number, something that tells rows of one number apart, and sealed bytes. */
static const struct table_def {
	enum envelope_domain domain;
	const char *list; /* at or behind (?1, ?2), at most ?3 */
	const char *put;  /* ?3 to (?1, ?2) */
} tables[] = {
	{ ENVELOPE_ROW, "SELECT id,0,sealed FROM node WHERE id>=?1 ORDER BY id LIMIT ?3",
	  "UPDATE node SET sealed=?3 WHERE id=?1 AND ?2=0" },
	{ ENVELOPE_ALIAS,
	  "SELECT id,seq,sealed FROM alias WHERE (id,seq)>=(?1,?2) ORDER BY id,seq LIMIT ?3",
	  "UPDATE alias SET sealed=?3 WHERE id=?1 AND seq=?2" },
	{ ENVELOPE_CLASH,
	  "SELECT id,tweak,sealed FROM clash WHERE (id,tweak)>=(?1,?2) ORDER BY id,tweak LIMIT ?3",
	  "UPDATE clash SET sealed=?3 WHERE id=?1 AND tweak=?2" },
	{ ENVELOPE_PLACE, "SELECT id,0,sealed FROM place WHERE id>=?1 ORDER BY id LIMIT ?3",
	  "UPDATE place SET sealed=?3 WHERE id=?1 AND ?2=0" },
	{ ENVELOPE_META,
	  "SELECT id,0,value FROM meta WHERE id>=?1 AND id BETWEEN 1 AND 15 ORDER BY id LIMIT ?3",
	  "UPDATE meta SET value=?3 WHERE id=?1 AND ?2=0" },
};

struct place_of_row {
	int64_t id, second;
};

struct reseal {
	uint8_t key; /* the one that the position is about; 0: read it from the map */
	enum reseal_table table;
	struct place_of_row next;
	struct place_of_row where[STEP];
	struct envelope_item items[STEP];
	uint8_t bytes[STEP][MAP_SEALED_MAX];
};

/* --- where we are --------------------------------------------------------------------------------- */

static int position_read(struct map_writer *w, uint8_t key)
{
	struct reseal *s = w->reseal;
	uint64_t where = 0, next = 0;
	int err = meta_get(w->stmts[W_META_GET], w->envelope, MAP_RESEALING, &where);

	if (!err)
		err = meta_get(w->stmts[W_META_GET], w->envelope, MAP_RESEAL_NEXT, &next);
	/* Numbers that do not authenticate are somebody's work; ours begins anew then. */
	if (err && err != -EBADMSG)
		return err;
	if (err || where >> 8 != key || (where & 0xff) >= RESEAL_TABLES) {
		where = 0;
		next = (uint64_t)1 << 63; /* SQLite's lowest number */
	}
	s->key = key;
	s->table = (enum reseal_table)(where & 0xff);
	s->next = (struct place_of_row){ rowid_signed((rowid_t){ next }), INT64_MIN };
	return 0;
}

static int position_write(struct map_writer *w)
{
	const struct reseal *s = w->reseal;
	int err = meta_put(w->stmts[W_META_PUT], w->envelope, MAP_RESEALING,
			   (uint64_t)s->key << 8 | (unsigned)s->table);

	return err ? err
		   : meta_put(w->stmts[W_META_PUT], w->envelope, MAP_RESEAL_NEXT,
			      rowid_unsigned(s->next.id).v);
}

/* --- rows ------------------------------------------------------------------------------------------- */

/* Reads up to STEP rows; their number or -errno. What is no sealed row is left out of the items. */
static int rows_read(struct reseal *s, sqlite3_stmt *list, size_t *items)
{
	int n = 0;
	int got = 0;

	*items = 0;
	(void)sqlite3_bind_int64(list, 1, s->next.id);
	if (sqlite3_bind_parameter_count(list) >= 2)
		(void)sqlite3_bind_int64(list, 2, s->next.second);
	(void)sqlite3_bind_int64(list, 3, STEP);
	while (n < STEP && (got = stmt_row(list)) > 0) {
		struct envelope_item *item = &s->items[*items];
		ssize_t len = stmt_blob(list, 2, s->bytes[*items], MAP_SEALED_MAX);

		s->next.id = sqlite3_column_int64(list, 0);
		s->next.second = sqlite3_column_int64(list, 1);
		n++;
		if (len <= 0 || envelope_key_id(s->bytes[*items], (size_t)len) == s->key)
			continue;
		item->number = rowid_unsigned(s->next.id).v;
		item->sealed = s->bytes[*items];
		item->len = (size_t)len;
		s->where[(*items)++] = s->next;
	}
	stmt_done(list);
	return got < 0 ? got : n;
}

static int rows_write(struct reseal *s, sqlite3_stmt *put, size_t items)
{
	int err = 0;

	for (size_t i = 0; i < items && !err; i++) {
		if (!s->items[i].changed)
			continue;
		(void)sqlite3_bind_int64(put, 1, s->where[i].id);
		(void)sqlite3_bind_int64(put, 2, s->where[i].second);
		(void)sqlite3_bind_blob(put, 3, s->items[i].sealed, (int)s->items[i].len,
					SQLITE_STATIC);
		err = stmt_run(put);
		(void)sqlite3_bind_null(put, 3);
	}
	return err;
}

/* The position behind (id, second); false: there is none. */
static bool advance(struct place_of_row *p)
{
	if (p->second != INT64_MAX) {
		p->second++;
		return true;
	}
	p->second = INT64_MIN;
	return p->id++ != INT64_MAX;
}

/* Some rows of one table from s->next on: 1, there may be more; 0; or -errno. */
static int table_step(struct map_writer *w, const struct table_def *def, uint64_t *rows)
{
	const char *sql[2] = { def->list, def->put };
	sqlite3_stmt *stmts[2] = { NULL, NULL };
	struct reseal *s = w->reseal;
	int err = map_prepare(w->db, sql, stmts, 2);
	size_t items = 0;
	int n = 0;

	if (err)
		return err;
	n = rows_read(s, stmts[0], &items);
	err = n < 0 ? n : envelope_reseal(w->envelope, def->domain, s->items, items);
	if (!err)
		err = rows_write(s, stmts[1], items);
	map_finalize(stmts, 2);
	if (err)
		return err;
	*rows += (uint64_t)n;
	if (n < STEP)
		return 0;
	/* A number that is its row's only one has no second row. */
	if (s->next.second == 0 && def->domain != ENVELOPE_ALIAS && def->domain != ENVELOPE_CLASH)
		s->next.second = INT64_MAX;
	return advance(&s->next);
}

static int rest_step(struct map_writer *w)
{
	struct reseal *s = w->reseal;
	uint64_t ignored = 0;

	for (size_t i = RESEAL_REST; i < ARRAY_LEN(tables); i++) {
		int more = 1;

		s->next = (struct place_of_row){ INT64_MIN, INT64_MIN };
		while (more > 0)
			more = table_step(w, &tables[i], &ignored);
		if (more < 0)
			return more;
	}
	return meta_put(w->stmts[W_META_PUT], w->envelope, MAP_SEALED_BY, s->key);
}

/* --- one step --------------------------------------------------------------------------------------- */

static int step(struct map_writer *w, uint8_t key, uint64_t *rows)
{
	struct reseal *s = w->reseal;
	uint64_t ignored = 0;
	int err = s->key == key ? 0 : position_read(w, key);
	int more;

	if (err)
		return err;
	if (s->table == RESEAL_REST) {
		err = rest_step(w);
		return err;
	}
	more = table_step(w, &tables[s->table], s->table == RESEAL_NODE ? rows : &ignored);
	if (more < 0)
		return more;
	if (!more) {
		s->table++;
		s->next = (struct place_of_row){ INT64_MIN, INT64_MIN };
	}
	err = position_write(w);
	return err ? err : 1;
}

int map_reseal(struct map_writer *w, uint64_t *rows)
{
	uint8_t key = map_active_key(w->m);
	uint64_t sealed_by = 0;
	int ret;

	*rows = 0;
	if (!w->reseal)
		w->reseal = calloc(1, sizeof(*w->reseal));
	if (!w->reseal)
		return -ENOMEM;
	ret = map_begin(w);
	if (ret)
		return ret;
	ret = meta_get(w->stmts[W_META_GET], w->envelope, MAP_SEALED_BY, &sealed_by);
	if (ret == -EBADMSG)
		ret = 0;
	if (!ret && sealed_by == key) {
		map_rollback(w);
		return 0;
	}
	if (!ret)
		ret = step(w, key, rows);
	if (ret >= 0) {
		int err = stmt_run(w->stmts[W_COMMIT]);

		ret = err ? err : ret;
	}
	if (ret <= 0)
		w->reseal->key = 0; /* the position is the map's again */
	if (ret < 0)
		map_rollback(w);
	return ret;
}

int map_sealed_by_active(struct map *m)
{
	uint64_t sealed_by = 0;
	uint8_t key = map_active_key(m);
	int err = map_field_get(m, MAP_SEALED_BY, &sealed_by);

	if (err && err != -EBADMSG)
		return err;
	/* Where there was never another key, nothing else can have sealed. */
	if (!err && !sealed_by && keyring_sealing_count(m->config.keyring) == 1)
		return 1;
	return !err && sealed_by == key;
}

uint8_t map_active_key(const struct map *m)
{
	(void)keyring_renew(m->config.keyring);
	return keyring_active(m->config.keyring);
}

/* --- older root generations --------------------------------------------------------------------------- */

/* Is it a name that put_aside() has made, and so one that can stand in a statement as it is? */
static bool is_old_table(const char *name)
{
	return name && strncmp(name, MAP_OLD_PREFIX, strlen(MAP_OLD_PREFIX)) == 0 &&
	       strlen(name) < 64 && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")];
}

/* Some rows of `name`, or the table itself when none is left. Within a transaction. */
static int sweep_table(struct map_writer *w, const char *name)
{
	char sql[512];
	int n = snprintf(sql, sizeof(sql),
			 "DELETE FROM %s WHERE id IN (SELECT id FROM %s LIMIT " SWEEP_STEP ")",
			 name, name);
	int err = n < 0 || (size_t)n >= sizeof(sql) ? -EIO : map_exec(w->db, sql);

	if (err || sqlite3_changes(w->db) > 0)
		return err;
	n = snprintf(sql, sizeof(sql), "DROP TABLE %s", name);
	return n < 0 || (size_t)n >= sizeof(sql) ? -EIO : map_exec(w->db, sql);
}

int map_sweep(struct map_writer *w)
{
	char name[64] = "";
	int got;
	int err = map_begin(w);

	if (err)
		return err;
	got = stmt_row(w->stmts[W_OLD_TABLE]);
	if (got > 0) {
		const char *text = (const char *)sqlite3_column_text(w->stmts[W_OLD_TABLE], 0);

		if (is_old_table(text))
			(void)snprintf(name, sizeof(name), "%s", text);
	}
	stmt_done(w->stmts[W_OLD_TABLE]);
	if (got < 0 || !name[0]) {
		map_rollback(w);
		return got < 0 ? got : 0;
	}
	err = sweep_table(w, name);
	if (!err)
		err = stmt_run(w->stmts[W_COMMIT]);
	if (err)
		map_rollback(w);
	return err ? err : 1;
}
