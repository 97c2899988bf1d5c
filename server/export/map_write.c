/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_write.c - records become rows: the transactions of the drainer.
 *
 * A writer belongs to one thread. All work on a record happens inside one transaction that ends in
 * map_commit() or is rolled back whole, so a failure in the middle leaves nothing half done. Applying
 * the records of a stretch of the ring once more, in their order, leads to the same rows: a drainer may
 * die between its commit and ring_set_drained().
 */
#include <assert.h>
#include <errno.h>

#include "base/util.h"
#include "export/map_private.h"

#define ALIASES_MAX 63 /* with the primary name: 64 */

static const char *const writer_sql[W_STMTS] = {
	[W_BEGIN] = "BEGIN IMMEDIATE",
	[W_COMMIT] = "COMMIT",
	[W_META_GET] = META_GET,
	[W_META_PUT] = META_PUT,
	[W_DATA_VERSION] = "PRAGMA data_version",
	[W_NODE_GET] = "SELECT sealed FROM node WHERE id=?1",
	[W_NODE_ADD] = "INSERT INTO node(id,sealed) VALUES(?1,?2) ON CONFLICT(id) DO NOTHING",
	[W_NODE_PUT] =
		"INSERT INTO node(id,sealed) VALUES(?1,?2) ON CONFLICT(id) DO UPDATE SET sealed=?2",
	[W_NODE_DELETE] = "DELETE FROM node WHERE id=?1",
	[W_ALIAS_LIST] = "SELECT seq,sealed FROM alias WHERE id=?1 ORDER BY seq DESC",
	[W_ALIAS_PUT] = "INSERT INTO alias(id,seq,sealed) VALUES(?1,?3,?2)",
	[W_ALIAS_DELETE] = "DELETE FROM alias WHERE id=?1 AND seq BETWEEN ?3 AND ?4",
	[W_ALIAS_CLEAR] = "DELETE FROM alias WHERE id=?1",
	[W_PLACE_LIST] = "SELECT id,sealed FROM place ORDER BY id",
	[W_PLACE_LAST] = "SELECT seq FROM sqlite_sequence WHERE name='place'",
	[W_PLACE_PUT] = "INSERT INTO place(id,sealed) VALUES(?1,?2)",
	[W_CLASH_LIST] = "SELECT tweak,sealed FROM clash WHERE id=?1 ORDER BY tweak",
	[W_CLASH_PUT] = "INSERT INTO clash(id,tweak,sealed) VALUES(?1,?3,?2)",
	[W_OLD_TABLE] = "SELECT name FROM sqlite_schema WHERE name GLOB 'old_*' AND type='table'",
};

/* --- a writer ----------------------------------------------------------------------------------- */

static int on_wal_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct map_writer *w = arg;

	(void)db;
	(void)name;
	if (pages < w->wal_pages) /* the WAL began anew */
		w->checkpointed = 0;
	w->wal_pages = pages;
	return SQLITE_OK;
}

int map_writer_new(struct map *m, struct map_writer **out)
{
	struct map_writer *w;
	int err;

	if (m->config.readonly)
		return -EROFS;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->m = m;
	w->data_version = -1;
	err = map_connect(m, MAP_CACHE_KIB_WRITER, &w->db);
	if (!err)
		err = envelope_new(m->config.keyring, &w->envelope);
	/* A WAL that had to grow is cut back when it begins anew. */
	if (!err)
		err = map_exec(w->db, "PRAGMA journal_size_limit=8388608");
	if (!err)
		err = map_prepare(w->db, writer_sql, w->stmts, W_STMTS);
	if (err) {
		map_writer_free(w);
		return err;
	}
	(void)sqlite3_wal_hook(w->db, on_wal_commit, w);
	*out = w;
	return 0;
}

void map_writer_free(struct map_writer *w)
{
	if (!w)
		return;
	map_finalize(w->stmts, W_STMTS);
	(void)sqlite3_close(w->db); /* rolls back what is open */
	envelope_free(w->envelope);
	free(w->places.entries);
	free(w->reseal);
	free(w);
}

int writer_run(struct map_writer *w, enum writer_stmt which, rowid_t rowid, const uint8_t *blob,
	       size_t len)
{
	sqlite3_stmt *s = w->stmts[which];

	(void)sqlite3_bind_int64(s, 1, rowid_signed(rowid));
	if (blob)
		(void)sqlite3_bind_blob(s, 2, blob, (int)len, SQLITE_STATIC);
	int err = stmt_run(s);

	/* The blob lives as long as its caller: leave no pointer behind. */
	if (blob)
		(void)sqlite3_bind_null(s, 2);
	return err;
}

/* --- transactions ------------------------------------------------------------------------------- */

/* What is read once at the begin of a transaction: are we still the map's, who else wrote? */
static int transaction_check(struct map_writer *w)
{
	int64_t version;
	int err = meta_generation_check(w->stmts[W_META_GET], w->m->config.keyring);

	if (err)
		return err == -EKEYEXPIRED ? -ESTALE : err;
	err = stmt_number(w->stmts[W_DATA_VERSION], &version);
	if (err || version == w->data_version)
		return err;
	w->data_version = -1;
	err = place_reload(w);
	if (!err)
		w->data_version = version;
	return err;
}

int map_begin(struct map_writer *w)
{
	int err = stmt_run(w->stmts[W_BEGIN]);

	if (err)
		return err;
	err = transaction_check(w);
	if (err)
		map_rollback(w);
	return err;
}

void map_rollback(struct map_writer *w)
{
	/* SQLite may have rolled back by itself. An error of ROLLBACK leaves it rolled back all the same. */
	if (!sqlite3_get_autocommit(w->db))
		(void)map_exec(w->db, "ROLLBACK");
	w->places.count = w->places.committed;
}

int map_commit(struct map_writer *w, uint64_t drained)
{
	int err = meta_put(w->stmts[W_META_PUT], w->envelope, MAP_DRAINED, drained);

	if (!err)
		err = stmt_run(w->stmts[W_COMMIT]);
	if (err)
		map_rollback(w);
	else
		w->places.committed = w->places.count;
	return err;
}

/* --- rows --------------------------------------------------------------------------------------- */

int writer_row(struct map_writer *w, rowid_t rowid, struct row *row, bool *damaged)
{
	sqlite3_stmt *s = w->stmts[W_NODE_GET];
	const struct place *place;
	uint8_t sealed[MAP_SEALED_MAX];
	uint32_t number = 0;
	ssize_t n = -EBADMSG;
	int got, err = -EBADMSG;

	*damaged = false;
	(void)sqlite3_bind_int64(s, 1, rowid_signed(rowid));
	got = stmt_row(s);
	if (got > 0)
		n = stmt_blob(s, 0, sealed, sizeof(sealed));
	stmt_done(s);
	if (got <= 0)
		return got < 0 ? got : -ENOENT;
	if (n > 0)
		err = row_open(w->envelope, rowid, sealed, (size_t)n, row, &number);
	if (err && err != -EBADMSG)
		return err;
	place = err ? NULL : place_by_number(&w->places, number);
	if (place) {
		row->identity.place = *place;
		return 0;
	}
	*damaged = true;
	return -ENOENT;
}

/* By W_NODE_PUT, or W_NODE_ADD, which leaves a row alone that is there. */
static int row_store(struct map_writer *w, enum writer_stmt how, rowid_t rowid,
		     const struct row *row)
{
	uint8_t plain[ROW_MAX], sealed[MAP_SEALED_MAX];
	uint32_t place;
	ssize_t n;
	int err = place_number(w, &row->identity.place, &place);

	if (err)
		return err;
	n = envelope_seal(w->envelope, ENVELOPE_ROW, rowid.v, plain, row_encode(row, place, plain),
			  sealed, sizeof(sealed));
	if (n < 0)
		return (int)n;
	return writer_run(w, how, rowid, sealed, (size_t)n);
}

static int row_write(struct map_writer *w, rowid_t rowid, const struct row *row)
{
	return row_store(w, W_NODE_PUT, rowid, row);
}

/* Writes a row where there is none: 0, 1 if there is one, or -errno. */
static int row_add(struct map_writer *w, rowid_t rowid, const struct row *row)
{
	int err = row_store(w, W_NODE_ADD, rowid, row);

	return err ? err : sqlite3_changes(w->db) == 0;
}

/* --- aliases ------------------------------------------------------------------------------------ */

/* What is known of an object's further names; seq 0: none. Only the newest ALIASES_MAX are looked at. */
struct alias_list {
	int64_t newest;	  /* highest seq */
	int64_t oldest;	  /* seq of the last that may stay before one more comes */
	int64_t match;	  /* seq of the name looked for */
	int64_t best;	  /* seq of the newest name that authenticates */
	struct name name; /* that name */
	unsigned count;
};

static int alias_scan(struct map_writer *w, rowid_t rowid, const struct name *look,
		      struct alias_list *l)
{
	sqlite3_stmt *s = w->stmts[W_ALIAS_LIST];
	uint8_t sealed[MAP_SEALED_MAX];
	struct name name;
	int got = 0;

	memset(l, 0, sizeof(*l));
	(void)sqlite3_bind_int64(s, 1, rowid_signed(rowid));
	while (l->count < ALIASES_MAX && got >= 0 && (got = stmt_row(s)) > 0) {
		int64_t seq = sqlite3_column_int64(s, 0);
		ssize_t n = stmt_blob(s, 1, sealed, sizeof(sealed));

		if (!l->count++)
			l->newest = seq;
		l->oldest = seq;
		int err =
			n < 0 ? -EBADMSG : alias_open(w->envelope, rowid, sealed, (size_t)n, &name);

		if (err && err != -EBADMSG)
			got = err;
		if (err)
			continue;
		if (!l->match && name_equal(&name, look))
			l->match = seq;
		if (!l->best) {
			l->best = seq;
			l->name = name;
		}
	}
	stmt_done(s);
	return got < 0 ? got : 0;
}

static int alias_delete(struct map_writer *w, rowid_t rowid, int64_t first, int64_t last)
{
	(void)sqlite3_bind_int64(w->stmts[W_ALIAS_DELETE], 3, first);
	(void)sqlite3_bind_int64(w->stmts[W_ALIAS_DELETE], 4, last);
	return writer_run(w, W_ALIAS_DELETE, rowid, NULL, 0);
}

/* Adds a name as the newest. 0, 1 if it is there, -errno. */
static int alias_add(struct map_writer *w, rowid_t rowid, const struct name *name)
{
	uint8_t plain[NAME_ENCODED_MAX], sealed[ENVELOPE_OVERHEAD + NAME_ENCODED_MAX];
	struct alias_list l;
	ssize_t n;
	int err = alias_scan(w, rowid, name, &l);

	if (err)
		return err;
	if (l.match)
		return 1;
	if (l.newest < 0 || l.newest == INT64_MAX) { /* not of our making */
		err = writer_run(w, W_ALIAS_CLEAR, rowid, NULL, 0);
		l.newest = 0;
	} else if (l.count == ALIASES_MAX) {
		err = alias_delete(w, rowid, INT64_MIN, l.oldest);
	}
	if (err)
		return err;
	n = envelope_seal(w->envelope, ENVELOPE_ALIAS, rowid.v, plain, name_encode(name, plain),
			  sealed, sizeof(sealed));
	if (n < 0)
		return (int)n;
	(void)sqlite3_bind_int64(w->stmts[W_ALIAS_PUT], 3, l.newest + 1);
	return writer_run(w, W_ALIAS_PUT, rowid, sealed, (size_t)n);
}

/* --- records ------------------------------------------------------------------------------------ */

/* Another name of an object that has, or had, several: beside the first. */
static int seen_further(struct map_writer *w, rowid_t rowid, struct row *old,
			const struct name *name)
{
	int err = alias_add(w, rowid, name);

	if (err < 0 || old->multi)
		return err;
	old->multi = true; /* who reads the row looks for aliases by this */
	return row_write(w, rowid, old);
}

static int apply_seen(struct map_writer *w, const struct record *rec)
{
	const struct row *seen = &rec->row;
	struct alias_list l;
	struct row old;
	bool damaged;
	int err;

	/* Most are new, and then it is all done without a look first. */
	if (!w->known) {
		err = row_add(w, rec->rowid, seen);
		if (err <= 0)
			return err;
	}
	err = writer_row(w, rec->rowid, &old, &damaged);
	w->known = !err;
	if (err == -ENOENT) {
		old = *seen;
		old.multi = seen->multi || damaged; /* it may have aliases */
		return row_write(w, rec->rowid, &old);
	}
	if (err)
		return err;
	if (!identity_equal(&old.identity, &seen->identity))
		return -EEXIST;
	if (!seen->name.len || name_equal(&old.name, &seen->name))
		return 1;
	if (old.name.len && (seen->multi || old.multi))
		return seen_further(w, rec->rowid, &old, &seen->name);

	/* The name is replaced, or the first one it has again; then it is no alias any more. */
	if (old.multi) {
		err = alias_scan(w, rec->rowid, &seen->name, &l);
		if (!err && l.match)
			err = alias_delete(w, rec->rowid, l.match, l.match);
		if (err)
			return err;
	}
	old.name = seen->name;
	old.multi = old.multi || seen->multi;
	return row_write(w, rec->rowid, &old);
}

static int apply_unnamed(struct map_writer *w, const struct record *rec)
{
	struct alias_list l;
	struct row old;
	bool damaged;
	int err = writer_row(w, rec->rowid, &old, &damaged);

	if (err)
		return err == -ENOENT ? 1 : err;
	if (!rec->row.name.len || !identity_equal(&old.identity, &rec->row.identity))
		return 1;
	memset(&l, 0, sizeof(l));
	if (old.multi) {
		err = alias_scan(w, rec->rowid, &rec->row.name, &l);
		if (err)
			return err;
	}
	if (!name_equal(&old.name, &rec->row.name))
		return l.match ? alias_delete(w, rec->rowid, l.match, l.match) : 1;
	if (l.best) {
		old.name = l.name;
		err = alias_delete(w, rec->rowid, l.best, l.best);
		if (err)
			return err;
	} else {
		memset(&old.name, 0, sizeof(old.name));
	}
	return row_write(w, rec->rowid, &old);
}

static int apply_gone(struct map_writer *w, const struct record *rec)
{
	struct row old;
	bool damaged;
	int err = writer_row(w, rec->rowid, &old, &damaged);

	if (err && !damaged)
		return err == -ENOENT ? 1 : err;
	if (!damaged && !identity_equal(&old.identity, &rec->row.identity))
		return 1;
	if (damaged || old.multi) {
		err = writer_run(w, W_ALIAS_CLEAR, rec->rowid, NULL, 0);
		if (err)
			return err;
	}
	return writer_run(w, W_NODE_DELETE, rec->rowid, NULL, 0);
}

int map_apply(struct map_writer *w, const struct record *rec)
{
	int err;

	assert(!sqlite3_get_autocommit(w->db));
	switch (rec->kind) {
	case RECORD_SEEN:
		err = apply_seen(w, rec);
		break;
	case RECORD_UNNAMED:
		err = apply_unnamed(w, rec);
		break;
	case RECORD_GONE:
		err = apply_gone(w, rec);
		break;
	default:
		err = -EINVAL;
	}
	if (err < 0 && err != -EEXIST)
		map_rollback(w);
	return err;
}
