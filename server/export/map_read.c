/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_read.c - reading the map: one SELECT by primary key, one envelope opened.
 *
 * A reader belongs to one thread; its small mutex (recursive, so that a walk's callback may read) is
 * there for the drainer, which gives back a snapshot that its owner left standing. A snapshot is an
 * open read transaction; without one each SELECT has a newer one of its own, which is right as well,
 * only slower. Blobs are copied before they are opened.
 *
 * Within a snapshot rows that are there, one after another, are read by an incremental BLOB that is moved from row to row:
 * its cursor stays open, which spares more than half of a SELECT. A row that is not there ends it, and it is
 * a read that goes on: it has to be closed before a snapshot can be given back.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "base/util.h"
#include "export/map_private.h"

#define NS_PER_MS 1000000ull
#define PLACES_CACHED 256
#define WALK_STRIDE 1024
#define HITS_MIN                                                                                   \
	8 /* rows found in a row, before a BLOB is opened: that costs as much as some SELECTs */

enum reader_stmt {
	R_BEGIN,
	R_COMMIT,
	R_TOUCH,
	R_NODE,
	R_IDS,
	R_ALIASES,
	R_CLASH,
	R_PLACE,
	R_WALK,
	R_COUNT,
	R_CLASH_COUNT,
	R_STMTS
};

static const char *const reader_sql[R_STMTS] = {
	[R_BEGIN] = "BEGIN",
	[R_COMMIT] = "COMMIT",
	[R_TOUCH] = "SELECT 1 FROM meta LIMIT 1",
	[R_NODE] = "SELECT sealed FROM node WHERE id=?1",
	[R_IDS] = "SELECT id FROM node WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
	[R_ALIASES] = "SELECT sealed FROM alias WHERE id=?1 ORDER BY seq DESC",
	[R_CLASH] = "SELECT sealed FROM clash WHERE id=?1 ORDER BY tweak",
	[R_PLACE] = "SELECT sealed FROM place WHERE id=?1",
	[R_WALK] = "SELECT id,sealed FROM node WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
	[R_COUNT] = "SELECT count(*) FROM node",
	[R_CLASH_COUNT] = "SELECT count(*) FROM clash",
};

struct cached_place {
	uint32_t number; /* 0: empty */
	struct place place;
};

struct map_reader {
	struct map *m;
	pthread_mutex_t lock; /* guards all below */
	sqlite3 *db;
	struct envelope *envelope;
	sqlite3_stmt *stmts[R_STMTS];
	sqlite3_blob *blob; /* at the last row that was read; NULL: none is open */
	unsigned hits;	    /* rows found since one was not */
	bool snapshot;	    /* a read transaction is open */
	uint64_t taken_ns;  /* when */
	uint64_t position;  /* ring_drained() before that */
	bool walking;
	struct cached_place places[PLACES_CACHED];
};

/* --- what is stored ----------------------------------------------------------------------------- */

size_t place_encode(const struct place *place, uint8_t out[PLACE_LEN])
{
	memcpy(out, place->fsid, HOLDFAST_UUID_LEN);
	memcpy(out + HOLDFAST_UUID_LEN, place->subvol, HOLDFAST_UUID_LEN);
	put_le64(out + 2 * HOLDFAST_UUID_LEN, place->attachment);
	return PLACE_LEN;
}

/* A fault says nothing about the bytes: only what was tried and failed is not authentic. */
static int opening_error(ssize_t n)
{
	return n < 0 ? (int)n : -EBADMSG;
}

int place_open(struct envelope *e, uint32_t number, const uint8_t *sealed, size_t len,
	       struct place *out)
{
	uint8_t plain[PLACE_LEN];

	ssize_t n = envelope_open(e, ENVELOPE_PLACE, number, sealed, len, plain, sizeof(plain));

	if (n != PLACE_LEN)
		return opening_error(n);
	memset(out, 0, sizeof(*out));
	memcpy(out->fsid, plain, HOLDFAST_UUID_LEN);
	memcpy(out->subvol, plain + HOLDFAST_UUID_LEN, HOLDFAST_UUID_LEN);
	out->attachment = get_le64(plain + 2 * HOLDFAST_UUID_LEN);
	return 0;
}

int row_open(struct envelope *e, rowid_t rowid, const uint8_t *sealed, size_t len, struct row *row,
	     uint32_t *place)
{
	uint8_t plain[ROW_MAX];
	ssize_t n = envelope_open(e, ENVELOPE_ROW, rowid.v, sealed, len, plain, sizeof(plain));

	memset(row, 0, sizeof(*row));
	if (n < 0 || row_decode(plain, (size_t)n, row, place))
		return opening_error(n);
	return 0;
}

int alias_open(struct envelope *e, rowid_t rowid, const uint8_t *sealed, size_t len,
	       struct name *out)
{
	uint8_t plain[NAME_ENCODED_MAX];
	ssize_t n = envelope_open(e, ENVELOPE_ALIAS, rowid.v, sealed, len, plain, sizeof(plain));

	if (n < 0 || name_decode(plain, (size_t)n, out) != n || !out->len)
		return opening_error(n);
	return 0;
}

int clash_open(struct envelope *e, rowid_t rowid, const uint8_t *sealed, size_t len,
	       struct identity *id, unsigned *tweak)
{
	uint8_t plain[CLASH_MAX];
	ssize_t n = envelope_open(e, ENVELOPE_CLASH, rowid.v, sealed, len, plain, sizeof(plain));

	if (n < 2 || identity_decode(plain + 1, (size_t)n - 1, id) != n - 1)
		return opening_error(n);
	*tweak = plain[0];
	return 0;
}

/* --- a row, by a BLOB or a SELECT ------------------------------------------------------------------ */

static void blob_end(struct map_reader *r)
{
	(void)sqlite3_blob_close(r->blob); /* takes NULL */
	r->blob = NULL;
}

/* The length of the sealed row, or -1: a SELECT has to say what there is. */
static ssize_t blob_read(struct map_reader *r, rowid_t rowid, uint8_t sealed[MAP_SEALED_MAX])
{
	int rc, len;

	if (!r->snapshot || r->hits < HITS_MIN)
		return -1;
	if (r->blob)
		rc = sqlite3_blob_reopen(r->blob, rowid_signed(rowid));
	else
		rc = sqlite3_blob_open(r->db, "main", "node", "sealed", rowid_signed(rowid), 0,
				       &r->blob);
	len = rc == SQLITE_OK ? sqlite3_blob_bytes(r->blob) : -1;
	if (len >= 0 && len <= MAP_SEALED_MAX &&
	    sqlite3_blob_read(r->blob, sealed, len, 0) == SQLITE_OK)
		return len;
	blob_end(r);
	return -1;
}

/* The length of the sealed row, 0 if there is none, -EBADMSG if no row is as long, or another -errno. */
static ssize_t row_read(struct map_reader *r, rowid_t rowid, uint8_t sealed[MAP_SEALED_MAX])
{
	sqlite3_stmt *s = r->stmts[R_NODE];
	ssize_t n = blob_read(r, rowid, sealed);
	int got;

	if (n > 0)
		return n;
	(void)sqlite3_bind_int64(s, 1, rowid_signed(rowid));
	got = stmt_row(s);
	n = got > 0 ? stmt_blob(s, 0, sealed, MAP_SEALED_MAX) : got;
	stmt_done(s);
	r->hits = n > 0 ? r->hits + 1 : 0;
	return n;
}

/* --- a reader ----------------------------------------------------------------------------------- */

static int recursive_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int err = pthread_mutexattr_init(&attr);

	if (err)
		return -err;
	err = pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	if (!err)
		err = pthread_mutex_init(lock, &attr);
	(void)pthread_mutexattr_destroy(&attr);
	return -err;
}

int map_reader_new(struct map *m, struct map_reader **out)
{
	struct map_reader *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	err = recursive_init(&r->lock);
	if (err) {
		free(r);
		return err;
	}
	r->m = m;
	err = map_connect(m, MAP_CACHE_KIB_READER, &r->db);
	if (!err)
		err = envelope_new(m->config.keyring, &r->envelope);
	if (!err)
		err = map_prepare(r->db, reader_sql, r->stmts, R_STMTS);
	if (err) {
		map_reader_free(r);
		return err;
	}
	*out = r;
	return 0;
}

void map_reader_free(struct map_reader *r)
{
	if (!r)
		return;
	blob_end(r);
	map_finalize(r->stmts, R_STMTS);
	(void)sqlite3_close(r->db); /* ends an open transaction */
	envelope_free(r->envelope);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

static void snapshot_end(struct map_reader *r)
{
	blob_end(r);
	if (!sqlite3_get_autocommit(r->db) && stmt_run(r->stmts[R_COMMIT]))
		(void)map_exec(r->db, "ROLLBACK");
	r->snapshot = false;
}

static bool snapshot_older(const struct map_reader *r, unsigned max_age_ms)
{
	return clock_ns() - r->taken_ns > max_age_ms * NS_PER_MS;
}

int map_reader_snapshot(struct map_reader *r, struct ring *ring, unsigned max_age_ms, bool force,
			uint64_t *position)
{
	int64_t one;
	int err = 0;

	(void)pthread_mutex_lock(&r->lock);
	if (r->snapshot && !force && !snapshot_older(r, max_age_ms))
		goto out;
	snapshot_end(r);
	r->taken_ns = clock_ns();
	r->position =
		ring ? ring_drained(ring) : 0; /* before the snapshot: what it says is in it */
	err = stmt_run(r->stmts[R_BEGIN]);
	if (!err)
		err = stmt_number(r->stmts[R_TOUCH], &one);
	if (err)
		snapshot_end(r);
	else
		r->snapshot = true;
out:
	if (!err && position)
		*position = r->position;
	(void)pthread_mutex_unlock(&r->lock);
	return err;
}

void map_reader_relax(struct map_reader *r, unsigned max_age_ms)
{
	if (pthread_mutex_trylock(&r->lock))
		return;
	if (r->snapshot && !r->walking && snapshot_older(r, max_age_ms))
		snapshot_end(r);
	(void)pthread_mutex_unlock(&r->lock);
}

/* The place with a number, cached: numbers are never used again. -EBADMSG if there is none. */
static int reader_place(struct map_reader *r, uint32_t number, struct place *out)
{
	struct cached_place *c = &r->places[number % PLACES_CACHED];
	sqlite3_stmt *s = r->stmts[R_PLACE];
	uint8_t sealed[MAP_SEALED_MAX];
	ssize_t n = -EBADMSG;
	int got, err;

	if (number && c->number == number) {
		*out = c->place;
		return 0;
	}
	(void)sqlite3_bind_int64(s, 1, number);
	got = stmt_row(s);
	if (got > 0)
		n = stmt_blob(s, 0, sealed, sizeof(sealed));
	stmt_done(s);
	if (got < 0)
		return got;
	if (n < 0)
		return -EBADMSG;
	err = place_open(r->envelope, number, sealed, (size_t)n, out);
	if (!err) {
		c->number = number;
		c->place = *out;
	}
	return err;
}

/* Opens what was read as the row of `rowid`. */
static int reader_row(struct map_reader *r, rowid_t rowid, const uint8_t *sealed, size_t len,
		      struct row *out)
{
	uint32_t place;
	int err = row_open(r->envelope, rowid, sealed, len, out, &place);

	return err ? err : reader_place(r, place, &out->identity.place);
}

int map_get(struct map_reader *r, rowid_t rowid, struct row *out)
{
	uint8_t sealed[MAP_SEALED_MAX];
	ssize_t n;
	int err;

	(void)pthread_mutex_lock(&r->lock);
	n = row_read(r, rowid, sealed);
	if (n > 0)
		err = reader_row(r, rowid, sealed, (size_t)n, out);
	else
		err = n < 0 ? (int)n : -ENOENT;
	(void)pthread_mutex_unlock(&r->lock);
	return err;
}

int map_ids(struct map_reader *r, rowid_t first, rowid_t last, rowid_t *out, unsigned max)
{
	sqlite3_stmt *s = r->stmts[R_IDS];
	unsigned n = 0;
	int got;

	(void)pthread_mutex_lock(&r->lock);
	(void)sqlite3_bind_int64(s, 1, rowid_signed(first));
	(void)sqlite3_bind_int64(s, 2, rowid_signed(last));
	(void)sqlite3_bind_int64(s, 3, (sqlite3_int64)max + 1);
	while ((got = stmt_row(s)) > 0 && n < max)
		out[n++].v = (uint64_t)sqlite3_column_int64(s, 0);
	stmt_done(s);
	(void)pthread_mutex_unlock(&r->lock);
	if (got > 0)
		return -E2BIG;
	return got < 0 ? got : (int)n;
}

int map_aliases(struct map_reader *r, rowid_t rowid, struct name *out, unsigned max)
{
	sqlite3_stmt *s = r->stmts[R_ALIASES];
	uint8_t sealed[MAP_SEALED_MAX];
	unsigned n = 0;
	int got = 0;

	(void)pthread_mutex_lock(&r->lock);
	(void)sqlite3_bind_int64(s, 1, rowid_signed(rowid));
	while (n < max && got >= 0 && (got = stmt_row(s)) > 0) {
		ssize_t len = stmt_blob(s, 0, sealed, sizeof(sealed));
		int err = len > 0 ? alias_open(r->envelope, rowid, sealed, (size_t)len, &out[n])
				  : -EBADMSG;

		if (!err)
			n++;
		else if (err != -EBADMSG)
			got = err;
	}
	stmt_done(s);
	(void)pthread_mutex_unlock(&r->lock);
	return got < 0 ? got : (int)n;
}

int map_clash_find(struct map_reader *r, rowid_t rowid, const struct identity *id, unsigned *tweak)
{
	sqlite3_stmt *s = r->stmts[R_CLASH];
	uint8_t sealed[MAP_SEALED_MAX];
	struct identity other;
	unsigned entries = 0;
	bool found = false;
	int got = 0;

	(void)pthread_mutex_lock(&r->lock);
	(void)sqlite3_bind_int64(s, 1, rowid_signed(rowid));
	while (!found && got >= 0 && (got = stmt_row(s)) > 0) {
		ssize_t len = stmt_blob(s, 0, sealed, sizeof(sealed));
		int err =
			len > 0 ? clash_open(r->envelope, rowid, sealed, (size_t)len, &other, tweak)
				: -EBADMSG;

		entries++;
		found = !err && identity_equal(&other, id);
		if (err && err != -EBADMSG)
			got = err;
	}
	stmt_done(s);
	(void)pthread_mutex_unlock(&r->lock);
	if (got < 0)
		return got;
	if (found)
		return 1;
	return entries ? -ENOENT : 0;
}

/* --- all rows ----------------------------------------------------------------------------------- */

struct walk {
	uint64_t next; /* rowid to go on from */
	int64_t shown;
	bool stop, end; /* the callback had enough; the range is done */
	map_each_fn *each;
	void *arg;
};

/* Up to WALK_STRIDE rows of next..last. With the lock. */
static int walk_stride(struct map_reader *r, struct walk *w, uint64_t last)
{
	sqlite3_stmt *s = r->stmts[R_WALK];
	uint8_t sealed[MAP_SEALED_MAX];
	struct row row;
	int got = 0;

	(void)sqlite3_bind_int64(s, 1, rowid_signed((rowid_t){ w->next }));
	(void)sqlite3_bind_int64(s, 2, rowid_signed((rowid_t){ last }));
	for (int i = 0; i < WALK_STRIDE && !w->stop && !w->end; i++) {
		rowid_t rowid;
		ssize_t n;
		int err = -EBADMSG;

		got = stmt_row(s);
		if (got <= 0) {
			w->end = true;
			break;
		}
		rowid = rowid_unsigned(sqlite3_column_int64(s, 0));
		n = stmt_blob(s, 1, sealed, sizeof(sealed));
		if (n > 0)
			err = reader_row(r, rowid, sealed, (size_t)n, &row);
		if (err && err != -EBADMSG) {
			got = err;
			break;
		}
		w->shown++;
		w->stop = !w->each(w->arg, rowid, !err, &row);
		w->end = rowid.v == last;
		w->next = rowid.v + 1;
	}
	stmt_done(s);
	return got < 0 ? got : 0;
}

int64_t map_walk(struct map_reader *r, rowid_t from, map_each_fn *each, void *arg)
{
	/* SQLite sorts rowids as signed numbers: the upper half of ours comes first there. */
	static const uint64_t lasts[] = { INT64_MAX, UINT64_MAX };
	struct walk w = { .next = from.v, .each = each, .arg = arg };
	int err = 0;

	for (size_t i = 0; i < ARRAY_LEN(lasts) && !w.stop && !err; i++) {
		if (w.next > lasts[i])
			continue;
		w.end = false;
		while (!w.end && !w.stop && !err) {
			/* Between strides the drainer may give the snapshot back. */
			(void)pthread_mutex_lock(&r->lock);
			assert(!r->walking);
			r->walking = true;
			err = walk_stride(r, &w, lasts[i]);
			r->walking = false;
			(void)pthread_mutex_unlock(&r->lock);
		}
		w.next = lasts[i] + 1;
	}
	return err ? err : w.shown;
}

static int64_t reader_count(struct map_reader *r, enum reader_stmt which)
{
	int64_t n = 0;
	int err;

	(void)pthread_mutex_lock(&r->lock);
	err = stmt_number(r->stmts[which], &n);
	(void)pthread_mutex_unlock(&r->lock);
	return err ? err : n;
}

int64_t map_count(struct map_reader *r)
{
	return reader_count(r, R_COUNT);
}

int64_t map_clash_count(struct map_reader *r)
{
	return reader_count(r, R_CLASH_COUNT);
}
