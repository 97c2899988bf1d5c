/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tool.c - opening state, key, map and export for the commands. Main thread.
 */
#include "admin/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "admin/dirs.h"
#include "base/log.h"
#include "base/util.h"
#include "holdfast/exit.h"

#define TOOL_MAX_NODES 10000
#define TOOL_MAX_FDS 256

int tool_state(const struct config *c, enum state_mode mode, struct state **out)
{
	const struct state_request request = { .share = c->share,
					       .statedir = c->statedir,
					       .mode = mode };
	int exit_code = HOLDFAST_EXIT_FAILURE;

	if (state_find(&request, out, &exit_code))
		return exit_code;
	exit_code = tool_key_source(c, *out);
	if (exit_code) {
		state_free(*out);
		*out = NULL;
	}
	return exit_code;
}

/*
 * Asked before the key's source is opened, which takes the directory as one that has no way up. One that cannot be opened is left
 * for that to say.
 */
int tool_key_place(const struct state *s, const char *option, const char *path)
{
	const char *sharepath = s->share >= 0 ? s->sharepath : s->record.path;
	CLEANUP_FREE char *name = path_directory(path);
	CLEANUP_FD int dir = name ? open(name, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	CLEANUP_FD int share = open(sharepath, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int inside;

	if (dir < 0 || share < 0)
		return 0;
	inside = dirs_inside(dir, s->share >= 0 ? s->share : share);
	if (inside == 0)
		return 0;
	if (inside < 0) {
		log_error("key: cannot compare %s with %s: %s", name, sharepath, strerror(-inside));
		return HOLDFAST_EXIT_KEY;
	}
	log_error("key: --%s=%s lies in the shared directory %s, which would serve it; give "
		  "another place",
		  option, path, sharepath);
	return HOLDFAST_EXIT_USAGE;
}

int tool_key_source(const struct config *c, struct state *s)
{
	const struct {
		const char *value;
		enum keysource_kind kind;
	} given[] = {
		{ c->key_file, KEYSOURCE_FILE },
		{ c->key_fd, KEYSOURCE_FD },
		{ c->key_credential, KEYSOURCE_CREDENTIAL },
		{ c->key_keyring, KEYSOURCE_KEYRING },
	};
	int exit_code = c->key_file ? tool_key_place(s, "key-file", c->key_file) : 0;

	if (exit_code)
		return exit_code;
	for (size_t i = 0; i < ARRAY_LEN(given); i++)
		if (given[i].value)
			return keysource_open(&s->key, given[i].kind, given[i].value)
				       ? HOLDFAST_EXIT_KEY
				       : 0;
	return 0;
}

const char *tool_key_error(int err, int *exit_code)
{
	*exit_code = HOLDFAST_EXIT_KEY;
	switch (err) {
	case 0:
		return "ok";
	case -ENOENT:
		return "missing";
	case -EBADMSG:
	case -ELOOP:
		return "damaged";
	case -EPROTO:
		*exit_code = HOLDFAST_EXIT_NEWER;
		return "newer";
	case -EPERM:
		return "open to others";
	default:
		return "unreadable";
	}
}

const char *tool_map_error(int err, int *exit_code)
{
	*exit_code = HOLDFAST_EXIT_MAP;
	switch (err) {
	case 0:
		return "ok";
	case -ENOENT:
		return "missing";
	case -EUCLEAN:
	case -EBADMSG:
		return "damaged";
	case -EPROTO:
		*exit_code = HOLDFAST_EXIT_NEWER;
		return "newer";
	case -EBADE:
		return "other export";
	case -ESTALE:
		*exit_code = HOLDFAST_EXIT_KEY;
		return "older key";
	case -EKEYEXPIRED:
		*exit_code = HOLDFAST_EXIT_STATE;
		return "revoked";
	default:
		*exit_code = HOLDFAST_EXIT_STATE;
		return "unreadable";
	}
}

int tool_key(struct state *s, struct keyring **out)
{
	int err = keysource_load(&s->key, s->statedir, out);
	int exit_code;
	const char *what = tool_key_error(err, &exit_code);

	if (!err)
		return 0;
	if (s->key.kind != KEYSOURCE_STATE)
		return keysource_failed(&s->key, s->statepath, err);
	log_error("key: %s/%s is %s (%s)", s->statepath, STATE_KEY_FILE, what, strerror(-err));
	return exit_code;
}

char *tool_map_path(const struct state *s)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", s->statepath, MAP_FILE) < 0)
		return NULL;
	return path;
}

int tool_map(const struct state *s, const struct keyring *k, struct map **out)
{
	CLEANUP_FREE char *path = tool_map_path(s);
	const struct map_config config = { .path = path, .keyring = k, .readonly = true };
	int err = path ? map_open(&config, out, NULL) : -ENOMEM;
	int exit_code;
	const char *what = tool_map_error(err, &exit_code);

	if (!err || err == -EKEYEXPIRED)
		return 0;
	log_error("map: %s/%s is %s (%s)", s->statepath, MAP_FILE, what, strerror(-err));
	return exit_code;
}

int tool_export(struct state *s, struct export **out)
{
	struct export_config config = {
		.share = s->sharepath,
		.statedir = s->statedir,
		.statepath = s->statepath,
		.rundir = s->rundir,
		.boot = s->boot,
		.key = &s->key,
		.handles = HANDLES_PREFER,
		.max_nodes = TOOL_MAX_NODES,
		.max_fds = TOOL_MAX_FDS,
	};
	struct keyring *k;
	int exit_code = tool_key(s, &k);
	int err;

	if (exit_code)
		return exit_code;
	keyring_free(k);
	err = state_lock_start(s);
	if (err) {
		log_error("state: cannot lock %s: %s", s->statepath, strerror(-err));
		return HOLDFAST_EXIT_STATE;
	}
	exit_code = HOLDFAST_EXIT_FAILURE;
	err = export_open(&config, out, &exit_code);
	state_unlock_start(s);
	return err ? exit_code : 0;
}

int tool_map_integrity(const struct state *s, char what[256])
{
	CLEANUP_FREE char *path = tool_map_path(s);
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;
	int rc, result = -EIO;

	if (!path)
		return -ENOMEM;
	rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(db, 5000);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &stmt, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		const char *said = (const char *)sqlite3_column_text(stmt, 0);

		result = said && strcmp(said, "ok") == 0 ? 0 : 1;
		(void)snprintf(what, 256, "%s", said ? said : "no answer");
	} else {
		(void)snprintf(what, 256, "%s", db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
		if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB)
			result = 1;
	}
	(void)sqlite3_finalize(stmt);
	(void)sqlite3_close(db);
	/* SQLite speaks of a page in two lines. */
	for (char *p = what; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return result;
}

int tool_map_aside(struct state *s, const char *suffix, int64_t now)
{
	/* The log first: one that is left alone would be taken for that of the next database. */
	static const char *const behind[] = { "-wal", "-shm", "" };

	for (size_t i = 0; i < ARRAY_LEN(behind); i++) {
		char from[64], to[128];

		(void)snprintf(from, sizeof(from), MAP_FILE "%s", behind[i]);
		(void)snprintf(to, sizeof(to), MAP_FILE ".%s-%lld%s", suffix, (long long)now,
			       behind[i]);
		if (renameat2(s->statedir, from, s->statedir, to, RENAME_NOREPLACE) &&
		    errno != ENOENT)
			return -errno;
	}
	return 0;
}

int tool_ring(const struct state *s, const struct keyring *k, struct ring **out)
{
	bool created;

	if (faccessat(s->rundir, STATE_RING_FILE, F_OK, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return ring_open(s->rundir, STATE_RING_FILE, keyring_uuid(k), RING_SIZE_DEFAULT, out,
			 &created);
}

const char *tool_type_name(unsigned mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "regular file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symbolic link";
	case S_IFIFO:
		return "FIFO";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	default:
		return "object of unknown type";
	}
}

void tool_format_time(int64_t seconds, uint32_t nanoseconds, char out[64])
{
	time_t t = (time_t)seconds;
	char date[40];
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(date, sizeof(date), "%lld", (long long)seconds);
	(void)snprintf(out, 64, "%s.%09u UTC", date, nanoseconds % 1000000000U);
}
