/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map.c - connections to the map, what their errors mean, opening and closing, the named numbers.
 *
 * Each reader and writer has a connection of its own, without SQLite's mutex: who uses it serializes.
 * A struct map has one more for the named numbers, under its lock. Called when a daemon starts, by the
 * drainer and by tools; never on the request path.
 *
 * The file belongs to us alone, but its contents are not believed: no triggers, no views, no functions
 * from the schema, cells checked; and what is stored is sealed (map_schema.c lists it).
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>

#include "base/util.h"
#include "export/map_files.h"
#include "export/map_private.h"

/* --- errors ------------------------------------------------------------------------------------- */

/*
 * The errno behind a failed open, where it says more than -EIO. Not -ENOENT: a WAL that cannot be found
 * must not look like a row that is not there.
 */
static int errno_of_open(int e)
{
	switch (e) {
	case EACCES:
	case EPERM:
	case EROFS:
	case ENOSPC:
	case EMFILE:
	case ENFILE:
	case ELOOP:
	case ENOTDIR:
		return -e;
	case EDQUOT:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

/* The errno of a failed read, write or sync: a full disk is one that an administrator can mend. */
static int errno_of_io(int e)
{
	return e == ENOSPC || e == EDQUOT ? -ENOSPC : -EIO;
}

int map_errno(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return -EBUSY;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CANTOPEN:
		if (rc == SQLITE_CANTOPEN_SYMLINK)
			return -ELOOP;
		return errno_of_open(sqlite3_system_errno(db));
	case SQLITE_IOERR:
		return rc == SQLITE_IOERR_NOMEM ? -ENOMEM : errno_of_io(sqlite3_system_errno(db));
	default:
		return -EIO;
	}
}

/* --- statements --------------------------------------------------------------------------------- */

int map_exec(sqlite3 *db, const char *sql)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : map_errno(db, rc);
}

int map_prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i],
					    NULL);

		if (rc != SQLITE_OK) {
			/* A table that is not there, or no table: this is no map of ours. */
			int err = (rc & 0xff) == SQLITE_ERROR ? -EUCLEAN : map_errno(db, rc);

			map_finalize(out, i);
			return err;
		}
	}
	return 0;
}

void map_finalize(sqlite3_stmt **stmts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)sqlite3_finalize(stmts[i]);
		stmts[i] = NULL;
	}
}

int stmt_row(sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return map_errno(sqlite3_db_handle(s), rc);
}

void stmt_done(sqlite3_stmt *s)
{
	(void)sqlite3_reset(s); /* repeats the error of the step, which the caller has */
}

int stmt_run(sqlite3_stmt *s)
{
	int got = stmt_row(s);

	stmt_done(s);
	return got < 0 ? got : 0;
}

int stmt_number(sqlite3_stmt *s, int64_t *out)
{
	int got = stmt_row(s);

	if (got > 0)
		*out = sqlite3_column_int64(s, 0);
	stmt_done(s);
	if (got < 0)
		return got;
	return got ? 0 : -ENOENT;
}

ssize_t stmt_blob(sqlite3_stmt *s, int col, uint8_t *out, size_t cap)
{
	const void *p = sqlite3_column_blob(s, col);
	size_t len = (size_t)sqlite3_column_bytes(s, col);

	if (!p || len > cap)
		return -EBADMSG;
	memcpy(out, p, len);
	return (ssize_t)len;
}

/* --- connections -------------------------------------------------------------------------------- */

static int configure(const struct map *m, sqlite3 *db, int cache_kib)
{
	char sql[256];
	int n;

	(void)sqlite3_extended_result_codes(db, 1);
	(void)sqlite3_busy_timeout(db, MAP_BUSY_MS);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, (int *)NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, (int *)NULL);
	n = snprintf(
		sql, sizeof(sql),
		"PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;"
		"PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-%d;"
		"PRAGMA synchronous=%s;",
		cache_kib, m->config.strict ? "FULL" : "NORMAL");
	if (n < 0 || (size_t)n >= sizeof(sql))
		return -EIO;
	return map_exec(db, sql);
}

int map_connect(const struct map *m, int cache_kib, sqlite3 **out)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_PRIVATECACHE |
		    (m->config.readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	sqlite3 *db = NULL;
	int rc = sqlite3_open_v2(m->path, &db, flags, m->vfs);
	int err;

	if (rc == SQLITE_OK) {
		err = configure(m, db, cache_kib);
	} else {
		if (db)
			rc = sqlite3_extended_errcode(db);
		if (db && (rc & 0xff) == SQLITE_CANTOPEN && rc != SQLITE_CANTOPEN_SYMLINK &&
		    sqlite3_system_errno(db) == ENOENT)
			err = -ENOENT;
		else
			err = db ? map_errno(db, rc) : -ENOMEM;
	}
	if (err) {
		(void)sqlite3_close(db);
		return err;
	}
	*out = db;
	return 0;
}

/* --- the named numbers -------------------------------------------------------------------------- */

int meta_get_raw(sqlite3_stmt *get, int id, uint8_t *out, size_t cap, size_t *len)
{
	ssize_t n = 0;
	int got;

	(void)sqlite3_bind_int(get, 1, id);
	got = stmt_row(get);
	if (got > 0)
		n = stmt_blob(get, 0, out, cap);
	stmt_done(get);
	if (got <= 0)
		return got < 0 ? got : -ENOENT;
	if (n < 0)
		return (int)n;
	*len = (size_t)n;
	return 0;
}

int meta_put_raw(sqlite3_stmt *put, int id, const uint8_t *value, size_t len)
{
	int err;

	(void)sqlite3_bind_int(put, 1, id);
	(void)sqlite3_bind_blob(put, 2, value, (int)len, SQLITE_STATIC);
	err = stmt_run(put);
	(void)sqlite3_clear_bindings(put);
	return err;
}

int meta_get(sqlite3_stmt *get, struct envelope *e, enum map_field field, uint64_t *value)
{
	uint8_t sealed[MAP_SEALED_MAX], plain[8];
	size_t len;
	ssize_t n;
	int err = meta_get_raw(get, (int)field, sealed, sizeof(sealed), &len);

	*value = 0;
	if (err)
		return err == -ENOENT ? 0 : err;
	n = envelope_open(e, ENVELOPE_META, field, sealed, len, plain, sizeof(plain));
	if (n != (ssize_t)sizeof(plain))
		return n < 0 ? (int)n : -EBADMSG;
	*value = get_le64(plain);
	return 0;
}

int meta_put(sqlite3_stmt *put, struct envelope *e, enum map_field field, uint64_t value)
{
	uint8_t sealed[ENVELOPE_OVERHEAD + 8], plain[8];
	ssize_t n;

	put_le64(plain, value);
	n = envelope_seal(e, ENVELOPE_META, field, plain, sizeof(plain), sealed, sizeof(sealed));
	if (n < 0)
		return (int)n;
	return meta_put_raw(put, (int)field, sealed, (size_t)n);
}

int map_field_get(struct map *m, enum map_field field, uint64_t *value)
{
	int err;

	(void)pthread_mutex_lock(&m->lock);
	err = meta_get(m->meta_get, m->envelope, field, value);
	(void)pthread_mutex_unlock(&m->lock);
	return err;
}

int map_field_set(struct map *m, enum map_field field, uint64_t value)
{
	int err;

	if (m->config.readonly)
		return -EROFS;
	/* The root generation is the key's; map_open() writes it. */
	if (field == MAP_ROOT_GENERATION && value != keyring_root_generation(m->config.keyring))
		return -EINVAL;
	(void)pthread_mutex_lock(&m->lock);
	err = meta_generation_check(m->meta_get, m->config.keyring);
	if (!err)
		err = meta_put(m->meta_put, m->envelope, field, value);
	(void)pthread_mutex_unlock(&m->lock);
	return err;
}

/* --- opening and closing ------------------------------------------------------------------------ */

/* Our own copy of the path, its directory without symlinks: SQLite is told to follow none. */
static int resolve_path(struct map *m, const char *path)
{
	CLEANUP_FREE char *dir_copy = strdup(path);
	CLEANUP_FREE char *base_copy = strdup(path);
	CLEANUP_FREE char *dir = NULL;

	if (map_files_is(path)) {
		m->path = strdup(path);
		return m->path ? 0 : -ENOMEM;
	}
	if (!dir_copy || !base_copy)
		return -ENOMEM;
	dir = realpath(dirname(dir_copy), NULL);
	if (!dir)
		return errno_neg();
	if (asprintf(&m->path, "%s/%s", dir, basename(base_copy)) < 0) {
		m->path = NULL;
		return -ENOMEM;
	}
	return 0;
}

/*
 * Makes an empty file of mode 0600, which SQLite takes for a new database. Only ever opened here with
 * O_EXCL: closing a file that SQLite has open in this process would drop SQLite's locks (fcntl(2)).
 */
static int make_file(const struct map *m)
{
	int fd = map_files_open(m->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return errno == EEXIST ? 0 : errno_neg();
	(void)fd_close(fd);
	return 0;
}

static void map_free(struct map *m)
{
	(void)sqlite3_finalize(m->meta_get);
	(void)sqlite3_finalize(m->meta_put);
	(void)sqlite3_close(m->db);
	envelope_free(m->envelope);
	(void)pthread_mutex_destroy(&m->lock);
	free(m->path);
	free(m->vfs);
	free(m);
}

static int map_new(const struct map_config *config, struct map **out)
{
	struct map *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	err = -pthread_mutex_init(&m->lock, NULL);
	if (err) {
		free(m);
		return err;
	}
	m->config = *config;
	if (!m->config.wal_cap)
		m->config.wal_cap = MAP_WAL_CAP_DEFAULT;
	err = map_files_init();
	if (!err)
		err = resolve_path(m, config->path);
	if (!err && config->vfs) {
		m->vfs = strdup(config->vfs);
		err = m->vfs ? 0 : -ENOMEM;
	}
	if (!err)
		err = envelope_new(config->keyring, &m->envelope);
	if (err) {
		map_free(m);
		return err;
	}
	m->config.path = m->path;
	m->config.vfs = m->vfs;
	*out = m;
	return 0;
}

int map_open(const struct map_config *config, struct map **out, bool *created)
{
	static const char *const sql[] = { META_GET, META_PUT };
	sqlite3_stmt *stmts[ARRAY_LEN(sql)] = { NULL, NULL };
	bool made = false;
	struct map *m;
	int err = map_new(config, &m);

	if (err)
		return err;
	if (config->create && !config->readonly)
		err = make_file(m);
	if (!err)
		err = map_connect(m, MAP_CACHE_KIB_OWN, &m->db);
	if (!err)
		err = map_schema_ready(m, &made);
	if (!err)
		err = map_prepare(m->db, sql, stmts, ARRAY_LEN(sql));
	/* The named numbers are few and matter: always with a sync. */
	if (!err)
		err = map_exec(m->db, "PRAGMA synchronous=FULL");
	m->meta_get = stmts[0];
	m->meta_put = stmts[1];
	if (err) {
		map_free(m);
		return err;
	}
	*out = m;
	if (created)
		*created = made;
	return 0;
}

bool map_strict(const struct map *m)
{
	return m->config.strict;
}

const char *map_path(const struct map *m)
{
	return m->path;
}

void map_close(struct map *m)
{
	if (!m)
		return;
	if (!m->config.readonly) {
		/* Without waiting: who else has it open takes the WAL in later. */
		(void)sqlite3_busy_timeout(m->db, 0);
		(void)sqlite3_wal_checkpoint_v2(m->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
						NULL);
	}
	map_free(m);
}
