/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * new_key.c - starting over without the key. Main thread, before anything is served.
 */
#include "admin/new_key.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/tool.h"
#include "base/log.h"
#include "base/util.h"
#include "export/map_files.h"
#include "holdfast/exit.h"

static bool has(const struct state *s, const char *name)
{
	return faccessat(s->statedir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Has the ring seen a later root generation than the key's? Then the key is from before a revoke. */
static bool ring_is_newer(const struct state *s, const struct keyring *k)
{
	struct ring *r = NULL;
	bool newer;

	if (tool_ring(s, k, &r))
		return false;
	newer = ring_shared_get(r, RING_ROOT_GENERATION) > keyring_root_generation(k);
	ring_close(r);
	return newer;
}

/*
 * Is the key that is there the map's? *exit_code: why that cannot be known, after one line in the log. The map is
 * reached by descriptor: in a sandbox there is no path to it any more.
 */
static bool key_fits(const struct state *s, const struct keyring *k, int *exit_code)
{
	char path[MAP_FILES_PATH_MAX];
	const struct map_config config = { .path = path, .keyring = k, .readonly = true };
	struct map *m = NULL;
	int err;

	if (ring_is_newer(s, k))
		return false;
	map_files_path(s->statedir, MAP_FILE, path);
	err = map_open(&config, &m, NULL);
	map_close(m);
	if (err && err != -ENOENT && err != -EBADE && err != -ESTALE)
		log_error("key: whether %s/%s is that of %s there cannot be said, as that is %s "
			  "(%s); leave --new-key out, or move the key away to start over",
			  s->statepath, STATE_KEY_FILE, MAP_FILE, tool_map_error(err, exit_code),
			  strerror(-err));
	return err == 0 || err == -ENOENT;
}

/*
 * What there is goes aside: the key first, so that a crash in between leaves a lost key. The map must not go before a key that
 * does not fit it: nothing else may tell that this one is from before a revoke.
 */
static int move_aside(struct state *s)
{
	int64_t now = (int64_t)time(NULL);
	int err = 0;

	if (has(s, STATE_KEY_FILE))
		err = state_move_aside(s, STATE_KEY_FILE, "lost", now);
	/* On the disk before what follows, as far as that can be had. */
	(void)fsync(s->statedir);
	if (!err)
		err = tool_map_aside(s, "lost", now);
	if (!err && unlinkat(s->rundir, STATE_RING_FILE, 0) && errno != ENOENT)
		err = -errno;
	if (err) {
		log_error("key: --new-key cannot move the old key and map in %s aside: %s",
			  s->statepath, strerror(-err));
		return HOLDFAST_EXIT_STATE;
	}
	log_warn("key: --new-key: every handle of %s given out so far is stale for good; what was "
		 "there is kept as "
		 "%s/*.lost-%" PRId64,
		 s->sharepath, s->statepath, now);
	return 0;
}

int new_key_prepare(struct state *s)
{
	struct keyring *k = NULL;
	int err = keyring_load(s->statedir, STATE_KEY_FILE, &k);
	int exit_code = 0;
	bool fits = err == 0 && key_fits(s, k, &exit_code);

	keyring_free(k);
	if (exit_code)
		return exit_code;
	if (err == -EPROTO) {
		log_error("key: %s/%s was made by a newer version of holdfast; it is not lost",
			  s->statepath, STATE_KEY_FILE);
		return HOLDFAST_EXIT_NEWER;
	}
	if (fits) {
		log_error("key: %s/%s is there and good; leave --new-key out (`holdfast revoke` "
			  "makes all handles stale; "
			  "if others have read the key, move it away first)",
			  s->statepath, STATE_KEY_FILE);
		return HOLDFAST_EXIT_USAGE;
	}
	if (!has(s, STATE_KEY_FILE) && !has(s, MAP_FILE))
		return 0; /* a first run like any other */

	err = state_lock_alone(s);
	if (err) {
		log_error("key: --new-key while %s is in use by another daemon: stop it first",
			  s->statepath);
		return HOLDFAST_EXIT_STATE;
	}
	exit_code = move_aside(s);
	(void)state_lock_shared(s);
	return exit_code;
}
