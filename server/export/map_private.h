/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_private.h - what the map's own source files share: connections, statements, schema, places.
 * map.c: connections, errors, named numbers; map_schema.c: tables and upgrade; map_read.c;
 * map_place.c: numbers of places; map_write.c: transactions of the drainer; map_upkeep.c: the other writes;
 * map_reseal.c: a new sealing key.
 */
#ifndef HOLDFAST_EXPORT_MAP_PRIVATE_H
#define HOLDFAST_EXPORT_MAP_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

#include "export/map.h"

#define MAP_APPLICATION_ID 0x48466d70 /* "HFmp", at offset 68 of the file */
#define MAP_PAGE 4096
#define MAP_BUSY_MS 5000
#define MAP_WAL_CAP_DEFAULT ((uint64_t)64 << 20)

#define MAP_CACHE_KIB_OWN 256
#define MAP_CACHE_KIB_READER 2048
#define MAP_CACHE_KIB_WRITER 8192

/* Rows of `meta` besides enum map_field. */
#define META_UUID 0
#define META_GENERATION_CLEAR 16 /* root generation, readable without its key */

#define MAP_SEALED_MAX (ROW_MAX + ENVELOPE_OVERHEAD) /* nothing longer is stored */
#define PLACE_LEN (HOLDFAST_UUID_LEN + HOLDFAST_UUID_LEN + 8)

struct map {
	struct map_config config; /* path and vfs are ours */
	char *path;
	char *vfs;
	pthread_mutex_t lock; /* guards what is below */
	sqlite3 *db;
	struct envelope *envelope;
	sqlite3_stmt *meta_get, *meta_put;
};

/* What SQLite said, as the negative errno that map.h promises; rc is not SQLITE_OK, ROW or DONE. */
int map_errno(sqlite3 *db, int rc);

/* A connection with all our settings and a page cache of `cache_kib`. */
int map_connect(const struct map *m, int cache_kib, sqlite3 **out);

/* Runs statements that give no rows. */
int map_exec(sqlite3 *db, const char *sql);

/* Prepares the `n` statements of a table; on failure those made are finalized and NULL. */
int map_prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **out, size_t n);
void map_finalize(sqlite3_stmt **stmts, size_t n);

/* Steps a statement that gives no rows to its end and resets it. 0 or -errno. */
int stmt_run(sqlite3_stmt *s);

/* Steps: 1 a row, 0 the end, -errno. stmt_done() resets, which can fail no more than the step did. */
int stmt_row(sqlite3_stmt *s);
void stmt_done(sqlite3_stmt *s);

/* Steps to the only row and gives its number; -ENOENT if there is none. */
int stmt_number(sqlite3_stmt *s, int64_t *out);

/* SQLite's integers are signed; the bits are the same. */
static inline int64_t rowid_signed(rowid_t id)
{
	int64_t v;

	memcpy(&v, &id.v, sizeof(v));
	return v;
}
static inline rowid_t rowid_unsigned(int64_t v)
{
	rowid_t id;

	memcpy(&id.v, &v, sizeof(v));
	return id;
}

/* Copies column `col` (a BLOB or nothing) to `out`: its length, or -EBADMSG if longer than `cap`. */
ssize_t stmt_blob(sqlite3_stmt *s, int col, uint8_t *out, size_t cap);

/* The named numbers, by statements `SELECT value FROM meta WHERE id=?1` and META_PUT. */
#define META_GET "SELECT value FROM meta WHERE id=?1"
#define META_PUT "INSERT INTO meta(id,value) VALUES(?1,?2) ON CONFLICT(id) DO UPDATE SET value=?2"
int meta_get(sqlite3_stmt *get, struct envelope *e, enum map_field field, uint64_t *value);
int meta_put(sqlite3_stmt *put, struct envelope *e, enum map_field field, uint64_t value);
int meta_get_raw(sqlite3_stmt *get, int id, uint8_t *out, size_t cap, size_t *len);
int meta_put_raw(sqlite3_stmt *put, int id, const uint8_t *value, size_t len);

/* Is the map's root generation ours? 0, -ESTALE (newer), -EKEYEXPIRED (older), or a failure. */
int meta_generation_check(sqlite3_stmt *get, const struct keyring *k);

/* map_schema.c: makes or upgrades the tables, checks whose map it is, drops old root generations. */
int map_schema_ready(struct map *m, bool *created);

/* The statements that empty the map but for its schema, UUID and root generation. */
#define MAP_CLEAR_SQL                                                                              \
	"DELETE FROM node; DELETE FROM alias; DELETE FROM clash; DELETE FROM place;"               \
	"DELETE FROM meta WHERE id NOT IN (0,3,16);"

/*
 * The tables that grow with the share, as they are made. Those of an older root generation are put aside by a change of
 * their names, which takes no longer for ten million rows than for ten; map_sweep() empties them.
 */
#define MAP_NODE_SQL "CREATE TABLE node(id INTEGER PRIMARY KEY, sealed BLOB NOT NULL);"
#define MAP_ALIAS_SQL                                                                              \
	"CREATE TABLE alias(id INTEGER NOT NULL, seq INTEGER NOT NULL, sealed BLOB NOT NULL,"      \
	" PRIMARY KEY(id,seq)) WITHOUT ROWID;"
#define MAP_OLD_PREFIX "old_"

/* A place as it is sealed. */
size_t place_encode(const struct place *place, uint8_t out[PLACE_LEN]);
int place_open(struct envelope *e, uint32_t number, const uint8_t *sealed, size_t len,
	       struct place *out);

/* Opens and decodes a row whose place the caller still has to look up. 0 or -EBADMSG. */
int row_open(struct envelope *e, rowid_t rowid, const uint8_t *sealed, size_t len, struct row *row,
	     uint32_t *place);
int alias_open(struct envelope *e, rowid_t rowid, const uint8_t *sealed, size_t len,
	       struct name *out);

/* An entry of the clash table: the tweak is sealed with the identity. */
#define CLASH_MAX (1 + IDENTITY_MAX)
int clash_open(struct envelope *e, rowid_t rowid, const uint8_t *sealed, size_t len,
	       struct identity *id, unsigned *tweak);

/* --- the writer --------------------------------------------------------------------------------- */

enum writer_stmt {
	W_BEGIN,
	W_COMMIT,
	W_META_GET,
	W_META_PUT,
	W_DATA_VERSION,
	W_NODE_GET,
	W_NODE_ADD,
	W_NODE_PUT,
	W_NODE_DELETE,
	W_ALIAS_LIST,
	W_ALIAS_PUT,
	W_ALIAS_DELETE,
	W_ALIAS_CLEAR,
	W_PLACE_LIST,
	W_PLACE_LAST,
	W_PLACE_PUT,
	W_CLASH_LIST,
	W_CLASH_PUT,
	W_OLD_TABLE,
	W_STMTS
};

/* The places of the map, in order of their numbers. */
#define PLACE_HINTS 256
struct place_entry {
	uint32_t number;
	struct place place;
};
struct place_book {
	struct place_entry *entries;
	size_t count, room;
	size_t committed;	   /* entries after a rollback */
	size_t hints[PLACE_HINTS]; /* index + 1 by a hash of the place */
};

struct map_writer {
	struct map *m;
	sqlite3 *db;
	struct envelope *envelope;
	sqlite3_stmt *stmts[W_STMTS];
	struct place_book places;
	int64_t data_version;  /* of the place book; changes when another connection commits */
	int wal_pages;	       /* in the WAL after our last commit */
	int checkpointed;      /* of those, taken into the database */
	bool known;	       /* the last object that was seen had a row: a guess for the next */
	struct reseal *reseal; /* map_reseal.c's; NULL: no step was made yet */
};

/* The row of `rowid`: 0, -ENOENT (also what does not authenticate: *damaged), or a failure. */
int writer_row(struct map_writer *w, rowid_t rowid, struct row *row, bool *damaged);

/* Binds ?1 = rowid and, if not NULL, ?2 = blob; runs. */
int writer_run(struct map_writer *w, enum writer_stmt which, rowid_t rowid, const uint8_t *blob,
	       size_t len);

/* map_place.c: the number of a place (allocated if new), a place by number (NULL: unknown), reload. */
int place_number(struct map_writer *w, const struct place *place, uint32_t *number);
const struct place *place_by_number(const struct place_book *book, uint32_t number);
int place_reload(struct map_writer *w);

#endif
