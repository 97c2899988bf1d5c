/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_schema.c - the tables of the map, their versions, and whose map it is.
 *
 * SQLite's header says application_id MAP_APPLICATION_ID and user_version MAP_SCHEMA. Tables:
 *
 *     meta   id, value    0: export UUID, in the clear. 16: root generation, 4 bytes little-endian, in
 *                         the clear, so that an older key can tell. 1..8 (enum map_field): 8 bytes
 *                         little-endian, sealed (ENVELOPE_META, number id).
 *     place  id, sealed   ENVELOPE_PLACE, number id: file system UUID 16, subvolume UUID 16,
 *                         attachment 8, little-endian. Ids are never used again (AUTOINCREMENT).
 *     node   id, sealed   id is the rowid (as signed number). ENVELOPE_ROW, number id: row.c
 *     alias  id, seq, sealed    ENVELOPE_ALIAS, number id: a name (row.c); the highest seq is the newest
 *     clash  id, tweak, sealed  id is the rowid that tweak 0 gives. ENVELOPE_CLASH, number id: the
 *                         tweak, 1 byte, and the identity (identity.c)
 *     old_G_node, old_G_alias   those of before root generation G, until map_sweep() has emptied them
 *
 * A schema is made as version 0 and brought up by the same steps that upgrade an older one, all in one
 * transaction. Only called by map_open().
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/util.h"
#include "export/map_private.h"

#define WAL_TRIES 100
#define WAL_PAUSE_NS 50000000L

static const char schema_0[] = "CREATE TABLE meta(id INTEGER PRIMARY KEY, value BLOB NOT NULL);"
			       "CREATE TABLE place(id INTEGER PRIMARY KEY AUTOINCREMENT, sealed "
			       "BLOB NOT NULL);" MAP_NODE_SQL;

/* upgrades[v] leads from version v to v + 1. */
static const char *const upgrades[] = {
	MAP_ALIAS_SQL
	"CREATE TABLE clash(id INTEGER NOT NULL, tweak INTEGER NOT NULL, sealed BLOB NOT NULL,"
	" PRIMARY KEY(id,tweak)) WITHOUT ROWID;",
};
_Static_assert(ARRAY_LEN(upgrades) == MAP_SCHEMA, "a step for each version");

struct schema_state {
	int64_t application, version, tables;
};

static int schema_state(sqlite3 *db, struct schema_state *out)
{
	static const char *const sql[] = { "PRAGMA application_id", "PRAGMA user_version",
					   "SELECT count(*) FROM sqlite_schema" };
	sqlite3_stmt *stmts[ARRAY_LEN(sql)] = { NULL, NULL, NULL };
	int err = map_prepare(db, sql, stmts, ARRAY_LEN(sql));

	if (err)
		return err;
	err = stmt_number(stmts[0], &out->application);
	if (!err)
		err = stmt_number(stmts[1], &out->version);
	if (!err)
		err = stmt_number(stmts[2], &out->tables);
	map_finalize(stmts, ARRAY_LEN(sql));
	return err;
}

static bool state_is_new(const struct schema_state *s)
{
	return s->application == 0 && s->version == 0 && s->tables == 0;
}

/* 0: usable as it is; 1: to be made or upgraded; -errno. */
static int state_judge(const struct schema_state *s)
{
	if (state_is_new(s))
		return 1;
	if (s->application != MAP_APPLICATION_ID || s->version < 0)
		return -EUCLEAN;
	if (s->version > MAP_SCHEMA)
		return -EPROTO;
	return s->version < MAP_SCHEMA;
}

/*
 * Changing to WAL needs the file alone for a moment, for which SQLite does not always wait. Once it is
 * in WAL mode this changes nothing.
 */
static int wal_mode(sqlite3 *db)
{
	const struct timespec pause = { .tv_nsec = WAL_PAUSE_NS };
	int err = -EBUSY;

	for (int i = 0; i < WAL_TRIES && err == -EBUSY; i++) {
		static const char *const sql = "PRAGMA journal_mode=WAL";
		sqlite3_stmt *s = NULL;

		if (i)
			(void)nanosleep(&pause, NULL);
		err = map_prepare(db, &sql, &s, 1);
		if (err)
			continue;
		err = stmt_row(s);
		if (err >= 0) {
			const unsigned char *mode = err ? sqlite3_column_text(s, 0) : NULL;

			err = mode && !strcmp((const char *)mode, "wal") ? 0 : -EIO;
		}
		map_finalize(&s, 1);
	}
	return err;
}

/* Says whose map this is from now on. In a transaction. */
static int write_owner(struct map *m)
{
	static const char *const sql = META_PUT;
	const struct keyring *k = m->config.keyring;
	uint32_t generation = keyring_root_generation(k);
	uint8_t clear[4];
	sqlite3_stmt *put = NULL;
	int err = map_prepare(m->db, &sql, &put, 1);

	if (err)
		return err;
	put_le32(clear, generation);
	err = meta_put_raw(put, META_UUID, keyring_uuid(k), HOLDFAST_UUID_LEN);
	if (!err)
		err = meta_put_raw(put, META_GENERATION_CLEAR, clear, sizeof(clear));
	if (!err)
		err = meta_put(put, m->envelope, MAP_ROOT_GENERATION, generation);
	map_finalize(&put, 1);
	return err;
}

/* Within a transaction: others may have been here between our look and our lock. */
static int make_or_upgrade(struct map *m, bool *created)
{
	struct schema_state state;
	char sql[128];
	bool fresh;
	int err = schema_state(m->db, &state);

	if (err)
		return err;
	err = state_judge(&state);
	if (err <= 0)
		return err;
	fresh = state_is_new(&state);
	if (fresh && !m->config.create)
		return -ENOENT;

	err = fresh ? map_exec(m->db, schema_0) : 0;
	for (size_t v = (size_t)state.version; !err && v < MAP_SCHEMA; v++)
		err = map_exec(m->db, upgrades[v]);
	if (err)
		return err;
	err = snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%d;",
		       MAP_APPLICATION_ID, MAP_SCHEMA);
	if (err < 0 || (size_t)err >= sizeof(sql))
		return -EIO;
	err = map_exec(m->db, sql);
	if (!err && fresh)
		err = write_owner(m);
	if (!err)
		*created = fresh;
	return err;
}

/* Runs `step` as one synced transaction. */
static int transact(struct map *m, int (*step)(struct map *m, bool *flag), bool *flag)
{
	int err = map_exec(m->db, "PRAGMA synchronous=FULL; BEGIN IMMEDIATE");

	if (!err)
		err = step(m, flag);
	if (!err)
		err = map_exec(m->db, "COMMIT");
	if (err && !sqlite3_get_autocommit(m->db))
		(void)map_exec(m->db, "ROLLBACK");
	return err;
}

int meta_generation_check(sqlite3_stmt *get, const struct keyring *k)
{
	uint32_t ours = keyring_root_generation(k);
	uint8_t clear[4];
	size_t len;
	int err = meta_get_raw(get, META_GENERATION_CLEAR, clear, sizeof(clear), &len);

	if (err == -ENOENT || err == -EBADMSG || (!err && len != sizeof(clear)))
		return -EUCLEAN;
	if (err)
		return err;
	if (get_le32(clear) > ours)
		return -ESTALE;
	return get_le32(clear) < ours ? -EKEYEXPIRED : 0;
}

/* Is it of this export and root generation? -EBADE, -ESTALE, -EKEYEXPIRED: older than the key. */
static int check_owner(struct map *m)
{
	static const char *const sql = META_GET;
	const struct keyring *k = m->config.keyring;
	uint8_t uuid[HOLDFAST_UUID_LEN];
	uint64_t sealed = 0;
	size_t len;
	sqlite3_stmt *get = NULL;
	int err = map_prepare(m->db, &sql, &get, 1);

	if (err)
		return err;
	err = meta_get_raw(get, META_UUID, uuid, sizeof(uuid), &len);
	if (err == -ENOENT || err == -EBADMSG || (!err && len != sizeof(uuid)))
		err = -EUCLEAN;
	if (!err && memcmp(uuid, keyring_uuid(k), sizeof(uuid)) != 0)
		err = -EBADE;
	if (!err)
		err = meta_generation_check(get, k);
	/* The clear number may lie; under our own generation its sealed twin must open. */
	if (!err) {
		err = meta_get(get, m->envelope, MAP_ROOT_GENERATION, &sealed);
		if (err == -EBADMSG || (!err && sealed != keyring_root_generation(k)))
			err = -EBADE;
	}
	map_finalize(&get, 1);
	return err;
}

/* Nobody has seen a handle of this root generation yet, so no row is missing, nor sealed by an older key. */
static int write_complete(struct map *m)
{
	static const char *const sql = META_PUT;
	sqlite3_stmt *put = NULL;
	int err = map_prepare(m->db, &sql, &put, 1);

	if (!err)
		err = meta_put(put, m->envelope, MAP_COMPLETE, 1);
	if (!err)
		err = meta_put(put, m->envelope, MAP_CLEAN, 1);
	if (!err)
		err = meta_put(put, m->envelope, MAP_SEALED_BY, keyring_active(m->config.keyring));
	map_finalize(&put, 1);
	return err;
}

/* The large tables get other names, and empty ones take their place. Within a transaction. */
static int put_aside(struct map *m)
{
	uint32_t generation = keyring_root_generation(m->config.keyring);
	char sql[512];
	int n = snprintf(sql, sizeof(sql),
			 "ALTER TABLE node RENAME TO " MAP_OLD_PREFIX "%u_node;"
			 "ALTER TABLE alias RENAME TO " MAP_OLD_PREFIX
			 "%u_alias;" MAP_NODE_SQL MAP_ALIAS_SQL,
			 generation, generation);

	return n < 0 || (size_t)n >= sizeof(sql) ? -EIO : map_exec(m->db, sql);
}

/* Nothing of an older root generation can ever be opened again. Within a transaction. */
static int drop_old_generation(struct map *m, bool *dropped)
{
	int err = check_owner(m);

	if (err != -EKEYEXPIRED)
		return err;
	err = put_aside(m);
	if (!err)
		err = map_exec(m->db, MAP_CLEAR_SQL); /* of the large tables nothing is left */
	if (!err)
		err = write_owner(m);
	if (!err)
		err = write_complete(m);
	if (!err)
		*dropped = true;
	return err;
}

/* The state at one moment: another daemon may be making the tables right now. */
static int schema_state_now(sqlite3 *db, struct schema_state *out)
{
	int err = map_exec(db, "BEGIN");

	if (!err)
		err = schema_state(db, out);
	if (!sqlite3_get_autocommit(db)) {
		int ended = map_exec(db, "ROLLBACK");

		if (!err)
			err = ended;
	}
	return err;
}

int map_schema_ready(struct map *m, bool *created)
{
	struct schema_state state;
	bool dropped = false;
	int err = schema_state_now(m->db, &state);

	if (err)
		return err;
	err = state_judge(&state);
	if (err < 0)
		return err;
	if (state_is_new(&state) && (!m->config.create || m->config.readonly))
		return -ENOENT;
	if (err && m->config.readonly)
		return -EROFS; /* an older schema: who may write upgrades it */
	if (!m->config.readonly) {
		if (state_is_new(&state))
			err = map_exec(m->db, "PRAGMA page_size=4096");
		else
			err = 0;
		if (!err)
			err = wal_mode(m->db);
		if (!err && state_judge(&state))
			err = transact(m, make_or_upgrade, created);
		if (err)
			return err;
	}
	err = check_owner(m);
	if (err == -EKEYEXPIRED && !m->config.readonly)
		err = transact(m, drop_old_generation, &dropped);
	return err;
}
