/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rotate_key.c - `holdfast rotate-key`: from now on another key seals; `holdfast make-key`: a key for elsewhere.
 *
 * A rotation changes no handle. The key file gets a new sealing key first, the old ones stay in it and open. Then running
 * daemons are told by the number that they share, and one drainer seals the map anew: that of a daemon, or
 * this process if there is none. Who is killed at any point leaves a key file that opens everything; the next
 * daemon to start, or the next rotate-key, goes on. Main thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/commands.h"
#include "admin/tool.h"
#include "base/log.h"
#include "base/util.h"
#include "export/drain.h"
#include "export/export.h"
#include "holdfast/exit.h"

#define PROGRESS_NS 2000000000ULL
#define POLL_NS 100000000L

struct rotation {
	struct state *state;
	struct keyring *keyring;
	struct map *map;   /* NULL: there is none */
	struct ring *ring; /* NULL: no daemon has served since the host came up */
	uint64_t last;	   /* clock_ns() of the last line */
	uint64_t rows, total;
	bool resumed; /* an earlier rotation has not ended */
};

/* --- the key ---------------------------------------------------------------------------------------- */

/* A new file of that path. 0, or an exit code after one line in the log. */
static int write_new(const char *command, const char *path, const struct keyring *k)
{
	struct keysource s;
	int err = keysource_open(&s, KEYSOURCE_FILE, path);

	if (!err)
		err = keyring_store(k, s.dir, s.name, true);
	if (err)
		log_error("%s: cannot write %s: %s", command, path, strerror(-err));
	keysource_close(&s);
	if (!err)
		return 0;
	return err == -EEXIST ? HOLDFAST_EXIT_USAGE : HOLDFAST_EXIT_FAILURE;
}

/* A rotated key beside the one that cannot be written. */
static int write_elsewhere(const struct config *c, const struct keyring *k)
{
	int exit_code = write_new("rotate-key", c->key_output, k);

	if (exit_code)
		return exit_code;
	(void)printf("%s has the key with a new sealing key; stop all daemons of the export, put "
		     "it where "
		     "the old key is, start them again\n",
		     c->key_output);
	return 0;
}

static int rotate_file(struct rotation *r)
{
	struct state *s = r->state;
	int err = keyring_rotate(r->keyring);

	if (!err)
		err = keysource_store(&s->key, s->statedir, r->keyring);
	if (!err)
		return 0;
	log_error("rotate-key: cannot write %s: %s",
		  s->key.kind == KEYSOURCE_STATE ? "the key in the state directory" : s->key.shown,
		  strerror(-err));
	return HOLDFAST_EXIT_STATE;
}

static int rotate_key(struct rotation *r, const struct config *c)
{
	struct state *s = r->state;

	if (c->key_output) {
		int err = keyring_rotate(r->keyring);

		if (!err)
			return write_elsewhere(c, r->keyring);
		log_error("rotate-key: no random numbers: %s", strerror(-err));
		return HOLDFAST_EXIT_FAILURE;
	}
	if (!keysource_is_file(&s->key)) {
		log_error("rotate-key: %s cannot be written; say --output=FILE, stop all daemons "
			  "of the export, and put FILE in its place",
			  s->key.shown);
		return HOLDFAST_EXIT_KEY;
	}
	if (export_key_kept(s->statedir)) {
		log_error("rotate-key: a daemon of this export has read its key once and cannot "
			  "follow; say --output=FILE, stop all daemons of the export, and put FILE "
			  "in the key's place");
		return HOLDFAST_EXIT_KEY;
	}
	return r->resumed ? 0 : rotate_file(r);
}

/* --- daemons and map -------------------------------------------------------------------------------- */

static int open_map(struct rotation *r, bool readonly)
{
	CLEANUP_FREE char *path = tool_map_path(r->state);
	const struct map_config config = { .path = path,
					   .keyring = r->keyring,
					   .readonly = readonly };
	int exit_code;
	int err = path ? map_open(&config, &r->map, NULL) : -ENOMEM;

	/* From before the last revoke: no row can be opened any more, and the next who writes drops them. */
	if (!err || err == -ENOENT || (readonly && err == -EKEYEXPIRED))
		return 0;
	log_error("rotate-key: the map in %s is %s (%s)", r->state->statepath,
		  tool_map_error(err, &exit_code), strerror(-err));
	return exit_code;
}

/* Has an earlier rotation not ended? Then no further key is made: of those there are only so many. */
static int find_unfinished(struct rotation *r)
{
	int exit_code = open_map(r, true);
	int sealed = r->map ? map_sealed_by_active(r->map) : 1;

	map_close(r->map);
	r->map = NULL;
	if (exit_code)
		return exit_code;
	r->resumed = sealed == 0;
	return 0;
}

static int tell_daemons(struct rotation *r)
{
	int err = tool_ring(r->state, r->keyring, &r->ring);

	if (err) {
		r->ring = NULL;
		if (err == -ENOENT)
			return 0;
		log_error("rotate-key: running daemons cannot be told (%s/%s: %s); start them anew",
			  r->state->runpath, STATE_RING_FILE, strerror(-err));
		return HOLDFAST_EXIT_FAILURE;
	}
	if (!r->resumed)
		ring_shared_set(r->ring, RING_RESEALED, 0);
	ring_shared_set(r->ring, RING_ACTIVE_KEY, keyring_active(r->keyring));
	ring_wake(r->ring);
	return 0;
}

/* --- waiting ---------------------------------------------------------------------------------------- */

/* How many there are: asked when somebody has to wait, on a connection of our own. */
static uint64_t count_rows(const struct rotation *r)
{
	struct map_reader *reader;
	int64_t n;

	if (map_reader_new(r->map, &reader))
		return 0;
	n = map_count(reader);
	map_reader_free(reader);
	return n > 0 ? (uint64_t)n : 0;
}

static void show_progress(struct rotation *r)
{
	uint64_t now = clock_ns();
	uint64_t rows = r->ring ? ring_shared_get(r->ring, RING_RESEALED) : r->rows;

	if (now - r->last < PROGRESS_NS)
		return;
	if (!r->total)
		r->total = count_rows(r);
	r->last = now;
	(void)fprintf(stderr, "holdfast: rotate-key: %" PRIu64 " of %" PRIu64 " objects\n",
		      rows < r->total ? rows : r->total, r->total);
}

static int progress(void *arg, uint64_t rows)
{
	struct rotation *r = arg;

	r->rows += rows;
	show_progress(r);
	return 0;
}

/* Who has the office may have come with another key since, and would be waited for in vain. */
static bool overruled(const struct rotation *r)
{
	return r->ring && ring_shared_get(r->ring, RING_ACTIVE_KEY) != keyring_active(r->keyring);
}

/* Until everything is sealed by the new key, by whoever has the drainer's office. */
static int seal_anew(struct rotation *r)
{
	const struct timespec nap = { .tv_nsec = POLL_NS };
	int err;

	while ((err = map_sealed_by_active(r->map)) == 0) {
		err = drain_reseal(r->map, r->ring, r->state->statedir, progress, r);
		if (err == -EBUSY && overruled(r))
			err = -EKEYREJECTED;
		if (err && err != -EBUSY)
			break;
		if (err == -EBUSY)
			(void)nanosleep(&nap, NULL);
		show_progress(r);
	}
	if (err >= 0)
		return 0;
	log_error("rotate-key: the map is not sealed anew yet: %s; daemons go on with it, or say "
		  "rotate-key again",
		  strerror(-err));
	return HOLDFAST_EXIT_FAILURE;
}

static int rotate_locked(struct rotation *r, const struct config *c)
{
	int exit_code = c->key_output ? tool_key_place(r->state, "output", c->key_output) : 0;

	if (!exit_code)
		exit_code = tool_key(r->state, &r->keyring);
	if (!exit_code)
		exit_code = find_unfinished(r);
	if (!exit_code && r->resumed && !c->key_output)
		(void)printf("the rotation to key %u has not ended; it goes on\n",
			     keyring_active(r->keyring));
	if (!exit_code)
		exit_code = rotate_key(r, c);
	if (!exit_code && !c->key_output)
		exit_code = tell_daemons(r);
	return exit_code;
}

int command_rotate_key(const struct config *c)
{
	struct rotation r = { .last = clock_ns() };
	int exit_code = tool_state(c, STATE_EXISTING, &r.state);
	int err;

	if (exit_code)
		return exit_code;
	err = state_lock_start(r.state);
	if (err) {
		log_error("state: cannot lock %s: %s", r.state->statepath, strerror(-err));
		exit_code = HOLDFAST_EXIT_STATE;
		goto out;
	}
	exit_code = rotate_locked(&r, c);
	state_unlock_start(r.state);
	if (exit_code || c->key_output)
		goto out;
	/* Told at once: who is impatient may go, and the daemons go on. */
	(void)printf("sealing key %u is in use; back the key up\n", keyring_active(r.keyring));
	(void)fflush(stdout);
	exit_code = open_map(&r, false);
	if (!exit_code && r.map)
		exit_code = seal_anew(&r);
	if (!exit_code)
		(void)printf("everything is sealed with it; no handle has changed\n");
out:
	map_close(r.map);
	ring_close(r.ring);
	keyring_free(r.keyring);
	state_free(r.state);
	return exit_code;
}

int command_make_key(const struct config *c)
{
	struct keyring *k = NULL;
	int err = keyring_generate(&k);
	int exit_code;

	if (err) {
		log_error("make-key: no random numbers: %s", strerror(-err));
		return HOLDFAST_EXIT_FAILURE;
	}
	exit_code = write_new("make-key", c->operand[0], k);
	keyring_free(k);
	if (!exit_code)
		(void)printf("%s is the key of a new export; back it up\n", c->operand[0]);
	return exit_code;
}
