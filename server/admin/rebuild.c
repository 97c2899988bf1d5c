/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rebuild.c - `holdfast rebuild`: a scan of the share that brings the map up to date, in the foreground.
 *
 * A damaged map is moved aside first, never deleted; for that no daemon may have it open. With a sound
 * map daemons may run beside it. Main thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/commands.h"
#include "admin/tool.h"
#include "base/log.h"
#include "base/util.h"
#include "holdfast/exit.h"

#define PROGRESS_NS 2000000000ULL

struct progress {
	uint64_t last; /* clock_ns() of the last line */
	uint64_t objects;
};

static void show_progress(void *arg, uint64_t objects)
{
	struct progress *p = arg;
	uint64_t now = clock_ns();

	p->objects = objects;
	if (now - p->last < PROGRESS_NS)
		return;
	p->last = now;
	(void)fprintf(stderr, "holdfast: rebuild: %" PRIu64 " objects so far\n", objects);
}

/* Is the map beyond use? 1 with the reason in `what`, 0, or -errno. */
static int is_damaged(const struct state *s, const struct keyring *k, char what[256])
{
	CLEANUP_FREE char *path = tool_map_path(s);
	const struct map_config config = { .path = path, .keyring = k, .readonly = true };
	struct map *m = NULL;
	int err;

	if (faccessat(s->statedir, MAP_FILE, F_OK, AT_SYMLINK_NOFOLLOW))
		return 0; /* lost: the scan makes a new one */
	err = tool_map_integrity(s, what);
	if (err)
		return err;
	err = path ? map_open(&config, &m, NULL) : -ENOMEM;
	map_close(m);
	if (err == -EBADE)
		(void)snprintf(what, 256, "it belongs to another export than the key");
	if (err == -EUCLEAN)
		(void)snprintf(what, 256, "its tables are not a map's");
	return err == -EBADE || err == -EUCLEAN;
}

/* Moves a damaged map out of the way. 0 or an exit code. */
static int clear_damage(struct state *s, const struct keyring *k)
{
	char what[256] = "";
	int64_t now = (int64_t)time(NULL);
	int err = is_damaged(s, k, what);

	if (err == 0)
		return 0;
	if (err < 0) {
		log_error("map: cannot check %s/%s: %s", s->statepath, MAP_FILE,
			  what[0] ? what : strerror(-err));
		return HOLDFAST_EXIT_STATE;
	}
	err = state_lock_alone(s);
	if (err) {
		log_error("map: %s/%s is damaged (%s) and in use; stop the daemons, then rebuild",
			  s->statepath, MAP_FILE, what);
		return HOLDFAST_EXIT_MAP;
	}
	err = tool_map_aside(s, "damaged", now);
	if (err) {
		log_error("map: cannot move %s/%s aside: %s", s->statepath, MAP_FILE,
			  strerror(-err));
		return HOLDFAST_EXIT_STATE;
	}
	log_warn("map: it was damaged (%s); it is kept as %s/%s.damaged-%" PRId64, what,
		 s->statepath, MAP_FILE, now);
	(void)state_lock_shared(s);
	return 0;
}

int command_rebuild(const struct config *c)
{
	struct progress progress = { .last = clock_ns() };
	struct export *x = NULL;
	struct keyring *k = NULL;
	struct state *s;
	int exit_code = tool_state(c, STATE_EXISTING, &s);
	uint64_t failures;
	int err;

	if (exit_code)
		return exit_code;
	/* Without its key a map is of no use, and nothing is touched. */
	exit_code = tool_key(s, &k);
	if (!exit_code)
		exit_code = clear_damage(s, k);
	keyring_free(k);
	if (!exit_code)
		exit_code = tool_export(s, &x);
	if (exit_code)
		goto out;
	err = export_rebuild(x, show_progress, &progress, &failures);
	if (err) {
		log_error("rebuild: the scan of %s ended early: %s", s->sharepath, strerror(-err));
		exit_code = HOLDFAST_EXIT_FAILURE;
		goto out;
	}
	if (failures) {
		log_error("rebuild: %" PRIu64 " objects in %s were looked at, and %" PRIu64
			  " could not be, for the reasons above; mend these, then rebuild",
			  progress.objects, s->sharepath, failures);
		exit_code = HOLDFAST_EXIT_FAILURE;
		goto out;
	}
	(void)printf("done, %" PRIu64 " objects in %s\n", progress.objects, s->sharepath);
out:
	export_close(x);
	state_free(s);
	return exit_code;
}
