/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_upkeep.c - the writes that do not come from the ring: clashes, deleting by list, clearing, and
 * taking the WAL in.
 *
 * Each is a transaction of its own on a writer that belongs to one thread and has none open.
 */
#include <assert.h>
#include <errno.h>

#include "base/util.h"
#include "export/map_private.h"
#include "export/nodeid.h"

#define CHECKPOINT_BYTES ((uint64_t)4 << 20)
#define CHECKPOINT_WAIT_MS                                                                         \
	250 /* for readers, over the cap; a stopped one must not stop the drainer */

/* --- clashes ------------------------------------------------------------------------------------ */

/* Which tweaks have an entry at `rowid`, and which one is that of `id` (0: none). */
static int clash_list(struct map_writer *w, rowid_t rowid, const struct identity *id,
		      unsigned *taken, unsigned *own)
{
	sqlite3_stmt *s = w->stmts[W_CLASH_LIST];
	uint8_t sealed[MAP_SEALED_MAX];
	struct identity other;
	unsigned tweak;
	int got = 0;

	*taken = 0;
	*own = 0;
	(void)sqlite3_bind_int64(s, 1, rowid_signed(rowid));
	while (got >= 0 && (got = stmt_row(s)) > 0) {
		int64_t column = sqlite3_column_int64(s, 0);
		ssize_t n = stmt_blob(s, 1, sealed, sizeof(sealed));
		int err = n > 0 ? clash_open(w->envelope, rowid, sealed, (size_t)n, &other, &tweak)
				: -EBADMSG;

		/* What does not authenticate still takes its place. */
		if (column >= 0 && column <= MINT_TWEAK_MAX)
			*taken |= 1u << column;
		if (err && err != -EBADMSG)
			got = err;
		if (!err && tweak >= 1 && tweak <= MINT_TWEAK_MAX && tweak == column &&
		    identity_equal(&other, id) && !*own)
			*own = tweak;
	}
	stmt_done(s);
	return got < 0 ? got : 0;
}

/* May `id` have this rowid? No row of another identity, and no clash was ever fought over it. */
static int rowid_free(struct map_writer *w, rowid_t rowid, const struct identity *id,
		      bool *available)
{
	unsigned taken, own;
	struct row row;
	bool damaged;
	int err = writer_row(w, rowid, &row, &damaged);

	*available = false;
	if (err && err != -ENOENT)
		return err;
	if (damaged || (!err && !identity_equal(&row.identity, id)))
		return 0;
	err = clash_list(w, rowid, id, &taken, &own);
	if (!err)
		*available = !taken;
	return err;
}

static int clash_write(struct map_writer *w, rowid_t rowid, const struct identity *id,
		       unsigned tweak)
{
	uint8_t plain[CLASH_MAX], sealed[ENVELOPE_OVERHEAD + CLASH_MAX];
	size_t len = 1 + identity_encode(id, plain + 1);
	ssize_t n;

	plain[0] = (uint8_t)tweak;
	n = envelope_seal(w->envelope, ENVELOPE_CLASH, rowid.v, plain, len, sealed, sizeof(sealed));
	if (n < 0)
		return (int)n;
	(void)sqlite3_bind_int64(w->stmts[W_CLASH_PUT], 3, tweak);
	return writer_run(w, W_CLASH_PUT, rowid, sealed, (size_t)n);
}

/* Within a transaction. */
static int clash_settle(struct map_writer *w, const struct identity *id, const rowid_t *rowids,
			unsigned *tweak)
{
	unsigned taken, own;
	int err = clash_list(w, rowids[0], id, &taken, &own);

	if (err)
		return err;
	if (own) {
		*tweak = own;
		return 0;
	}
	for (unsigned t = 1; t <= MINT_TWEAK_MAX; t++) {
		bool available;

		if (taken >> t & 1)
			continue;
		err = rowid_free(w, rowids[t], id, &available);
		if (err)
			return err;
		if (available) {
			*tweak = t;
			return clash_write(w, rowids[0], id, t);
		}
	}
	return -EOVERFLOW;
}

int map_clash_add(struct map_writer *w, const struct identity *id, const rowid_t *rowids,
		  unsigned *tweak)
{
	int err = map_exec(w->db, "PRAGMA synchronous=FULL");
	int restored;

	if (err)
		return err;
	err = map_begin(w);
	if (!err) {
		err = clash_settle(w, id, rowids, tweak);
		if (!err)
			err = stmt_run(w->stmts[W_COMMIT]);
		if (err)
			map_rollback(w);
	}
	/* If this fails, commits are synced that need not be. */
	restored = w->m->config.strict ? 0 : map_exec(w->db, "PRAGMA synchronous=NORMAL");
	(void)restored;
	return err;
}

/* --- deleting ----------------------------------------------------------------------------------- */

static bool any_record(void *arg, uint64_t position, const struct record *rec)
{
	(void)arg;
	(void)position;
	(void)rec;
	return false;
}

int64_t map_delete(struct map_writer *w, struct ring *ring, uint64_t since, const rowid_t *rowids,
		   size_t n)
{
	int64_t deleted = 0;
	int err = map_begin(w);

	for (size_t i = 0; !err && i < n; i++) {
		/* What the ring cannot tell any more counts as news too: the row stays. */
		if (ring && ring_find(ring, rowids[i], since, any_record, NULL) != 0)
			continue;
		err = writer_run(w, W_ALIAS_CLEAR, rowids[i], NULL, 0);
		if (!err)
			err = writer_run(w, W_NODE_DELETE, rowids[i], NULL, 0);
		if (!err)
			deleted += sqlite3_changes(w->db);
	}
	if (!err)
		err = stmt_run(w->stmts[W_COMMIT]);
	if (err)
		map_rollback(w);
	return err ? err : deleted;
}

int map_clear(struct map_writer *w)
{
	int err = map_begin(w);

	if (err)
		return err;
	err = map_exec(w->db, MAP_CLEAR_SQL);
	if (!err)
		err = stmt_run(w->stmts[W_COMMIT]);
	if (err) {
		map_rollback(w);
		return err;
	}
	w->data_version = -1; /* the place book goes with the places */
	return 0;
}

/* --- the WAL ------------------------------------------------------------------------------------ */

int map_checkpoint(struct map_writer *w)
{
	uint64_t bytes = (uint64_t)w->wal_pages * MAP_PAGE;
	uint64_t fresh = (uint64_t)(w->wal_pages - w->checkpointed) * MAP_PAGE;
	bool over = bytes > w->m->config.wal_cap;
	int in_wal = 0, done = 0;
	int rc;

	if (!over && fresh < CHECKPOINT_BYTES)
		return 0;
	(void)sqlite3_busy_timeout(w->db, CHECKPOINT_WAIT_MS);
	rc = sqlite3_wal_checkpoint_v2(w->db, NULL,
				       over ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE,
				       &in_wal, &done);
	(void)sqlite3_busy_timeout(w->db, MAP_BUSY_MS);
	if (in_wal >= 0 && done >= 0) {
		w->wal_pages = in_wal;
		w->checkpointed = done;
	}
	if (rc == SQLITE_OK && over) /* the next commit begins at the front */
		w->wal_pages = w->checkpointed = 0;
	return rc == SQLITE_OK ? 0 : map_errno(w->db, rc);
}
