/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * status_command.c - `holdfast status`: what the files say, and what each running daemon answers.
 *
 * Changes nothing. The daemon words its own part (status.c); here the parts are put together. Main thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "admin/commands.h"
#include "admin/json.h"
#include "admin/status.h"
#include "admin/tool.h"
#include "base/log.h"
#include "base/util.h"
#include "holdfast/exit.h"
#include "holdfast/status.h"

#define DAEMONS_MAX 1024
#define ANSWER_MAX ((size_t)1 << 20)

struct files {
	const char *key, *map; /* words of status.h */
	char uuid[2 * HOLDFAST_UUID_LEN + 1];
	uint32_t root_generation;
	uint64_t map_bytes, clean, complete, scanned_at;
};

static void read_map(const struct state *s, const struct keyring *k, struct files *f)
{
	CLEANUP_FREE char *path = tool_map_path(s);
	const struct map_config config = { .path = path, .keyring = k, .readonly = true };
	struct map *m = NULL;
	struct stat st;
	int ignored;
	int err;

	if (fstatat(s->statedir, MAP_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0)
		f->map_bytes = (uint64_t)st.st_size;
	err = path ? map_open(&config, &m, NULL) : -ENOMEM;
	if (!err)
		err = map_field_get(m, MAP_CLEAN, &f->clean);
	if (!err)
		err = map_field_get(m, MAP_COMPLETE, &f->complete);
	if (!err)
		err = map_field_get(m, MAP_SCANNED_AT, &f->scanned_at);
	map_close(m);
	f->map = tool_map_error(err, &ignored);
}

static void read_files(struct state *s, struct files *f)
{
	struct keyring *k = NULL;
	int ignored;
	int err = keysource_load(&s->key, s->statedir, &k);

	memset(f, 0, sizeof(*f));
	f->key = tool_key_error(err, &ignored);
	f->map = faccessat(s->statedir, MAP_FILE, F_OK, AT_SYMLINK_NOFOLLOW) ? "missing"
									     : "unreadable";
	if (err)
		return;
	hex_encode(keyring_uuid(k), HOLDFAST_UUID_LEN, f->uuid);
	f->root_generation = keyring_root_generation(k);
	read_map(s, k, f);
	keyring_free(k);
}

static int compare_pids(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

/* The pids of the control sockets in the run directory, in order; their number. */
static size_t list_daemons(const struct state *s, long pids[DAEMONS_MAX])
{
	int dirfd = openat(s->rundir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = dirfd >= 0 ? fdopendir(dirfd) : NULL;
	const struct dirent *d;
	size_t n = 0;

	if (!dir) {
		fd_close(dirfd);
		return 0;
	}
	while (n < DAEMONS_MAX && (d = readdir(dir))) {
		char *end = NULL;

		if (strncmp(d->d_name, HOLDFAST_STATUS_SOCKET_PREFIX,
			    strlen(HOLDFAST_STATUS_SOCKET_PREFIX)) != 0)
			continue;
		pids[n] = strtol(d->d_name + strlen(HOLDFAST_STATUS_SOCKET_PREFIX), &end, 10);
		if (pids[n] > 0 && strcmp(end, HOLDFAST_STATUS_SOCKET_SUFFIX) == 0)
			n++;
	}
	(void)closedir(dir);
	qsort(pids, n, sizeof(pids[0]), compare_pids);
	return n;
}

/* Asks on the connection `fd` and reads up to ANSWER_MAX bytes; their number or -errno. */
static ssize_t converse(int fd, const char *line, char *text)
{
	size_t got = 0;

	if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
		return -EPIPE;
	while (got < ANSWER_MAX) {
		ssize_t n = recv(fd, text + got, ANSWER_MAX - got, 0);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return got ? (ssize_t)got : -EPIPE;
}

/* The answer of a daemon, NUL-terminated, for the caller to free. 0 or -errno (-ECONNREFUSED: it is dead). */
static int ask(const struct state *s, long pid, bool json, char **out)
{
	CLEANUP_FD int fd = -1;
	char name[64];
	char *text;
	ssize_t n;

	*out = NULL;
	(void)snprintf(name, sizeof(name), "%s%ld%s", HOLDFAST_STATUS_SOCKET_PREFIX, pid,
		       HOLDFAST_STATUS_SOCKET_SUFFIX);
	fd = status_connect(s->rundir, name);
	if (fd < 0)
		return fd;
	text = malloc(ANSWER_MAX + 1);
	if (!text)
		return -ENOMEM;
	n = converse(fd, json ? "json\n" : "text\n", text);
	if (n < 0) {
		free(text);
		return (int)n;
	}
	text[n] = '\0';
	*out = text;
	return 0;
}

static void begin_json(const struct state *s, const struct files *f)
{
	(void)printf("{\"format\": %d, \"share\": ", HOLDFAST_STATUS_FORMAT);
	json_string(stdout, s->record.path);
	(void)fputs(", \"state_directory\": ", stdout);
	json_string(stdout, s->statepath);
	(void)fputs(", \"run_directory\": ", stdout);
	json_string(stdout, s->runpath);
	(void)printf(", \"files\": {\"key\": \"%s\", \"uuid\": \"%s\", \"root_generation\": %u, "
		     "\"map\": \"%s\", "
		     "\"map_bytes\": %llu, \"clean\": %s, \"complete\": %s, \"scanned_at\": %llu}, "
		     "\"daemons\": [",
		     f->key, f->uuid, f->root_generation, f->map, (unsigned long long)f->map_bytes,
		     f->clean ? "true" : "false", f->complete ? "true" : "false",
		     (unsigned long long)f->scanned_at);
}

static void begin_text(const struct state *s, const struct files *f)
{
	char scanned[64] = "never";

	if (f->scanned_at)
		tool_format_time((int64_t)f->scanned_at, 0, scanned);
	(void)fputs("state: ", stdout);
	status_put_path(stdout, s->statepath);
	(void)printf("\n  key: %s", f->key);
	if (f->uuid[0])
		(void)printf(", export %s, root generation %u", f->uuid, f->root_generation);
	(void)printf("\n  map: %s, %llu bytes", f->map, (unsigned long long)f->map_bytes);
	if (strcmp(f->map, "ok") == 0)
		(void)printf(", %s, last scan: %s", f->complete ? "complete" : "to be rebuilt",
			     scanned);
	(void)putchar('\n');
}

/* Shows all daemons; the number that run. */
static size_t show_daemons(const struct state *s, bool json)
{
	static long pids[DAEMONS_MAX];
	static long silent[DAEMONS_MAX];
	size_t n = list_daemons(s, pids), answered = 0, silents = 0;

	for (size_t i = 0; i < n; i++) {
		char *text;
		int err = ask(s, pids[i], json, &text);

		if (!err)
			(void)printf("%s%s", json && answered++ ? ", " : "", text);
		else if (err != -ECONNREFUSED && err != -ENOENT)
			silent[silents++] = pids[i];
		if (!err && !json)
			answered++;
		free(text);
	}
	if (json)
		(void)fputs("], \"silent\": [", stdout);
	for (size_t i = 0; i < silents; i++) {
		if (json)
			(void)printf("%s%ld", i ? ", " : "", silent[i]);
		else
			(void)printf("daemon %ld does not answer\n", silent[i]);
	}
	if (json)
		(void)puts("]}");
	return answered + silents;
}

int command_status(const struct config *c)
{
	struct state *s;
	struct files f;
	int exit_code = tool_state(c, STATE_EXISTING, &s);

	if (exit_code)
		return exit_code;
	read_files(s, &f);
	if (c->json)
		begin_json(s, &f);
	else
		begin_text(s, &f);
	if (show_daemons(s, c->json) == 0 && !c->json)
		(void)puts("no daemon is running");
	state_free(s);
	return fflush(stdout) ? HOLDFAST_EXIT_FAILURE : HOLDFAST_EXIT_OK;
}
