/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.h - the state directory of a share: found again, or made.
 *
 * Where it is: /var/lib/holdfast/NAME-XXXXXXXX/ for root, $XDG_STATE_HOME/holdfast/... (default
 * ~/.local/state) for others; `--state-dir` overrides. What is in it: `export` (state_file.h), `key`,
 * `map.db` with its -wal and -shm, `lock`, `drainer.lock`. Beside it there is the run directory,
 * /run/holdfast/ID/ or $XDG_RUNTIME_DIR/holdfast/ID/, else the state directory itself, with `ring` and a
 * control socket for each daemon.
 *
 * A share is known by the identity of its root first, wherever it is mounted or was moved to; by its path
 * second. A known path that shows another root is refused: a disk may not be mounted.
 */
#ifndef HOLDFAST_ADMIN_STATE_H
#define HOLDFAST_ADMIN_STATE_H

#include <stdbool.h>

#include "admin/state_file.h"
#include "export/keysource.h"

#define STATE_KEY_FILE "key"
#define STATE_RING_FILE "ring"
#define STATE_LOCK_FILE "lock"

struct state {
	int share;    /* the shared directory, or -1 (STATE_ANY_SHARE with --state-dir) */
	int statedir; /* the state directory; an flock on it guards the record */
	int rundir;
	int lock;	 /* STATE_LOCK_FILE, open for reading and writing */
	char *sharepath; /* absolute, without symbolic links; NULL if `share` is -1 */
	char *statepath;
	char *runpath;
	uint64_t boot; /* tells this boot of the host from every other; never 0 */
	bool created;  /* by this call */
	bool adopted;  /* the record had another root (STATE_ADOPT) */
	struct state_record record;
	struct keysource key; /* by tool_key_source() */
};

enum state_mode {
	STATE_CREATE,	/* make what is missing: a daemon that starts */
	STATE_EXISTING, /* must be there */
	STATE_ADOPT,	/* must be there; the share's root becomes the known one */
	STATE_NONE,	/* nothing persists: the share alone is opened, all else is -1 and NULL */
};

struct state_request {
	const char *share;    /* NULL only with `statedir` and STATE_EXISTING */
	const char *statedir; /* --state-dir, or NULL: search */
	enum state_mode mode;
	const char *base,
		*runbase; /* where to search and to put the ring; NULL: from uid and environment */
};

/*
 * Finds the state. 0, or -1: the reason was logged in one line and *exit_code is the exit code that is
 * due (enum holdfast_exit). On success the state is marked as in use (a shared lock) until state_free().
 */
int state_find(const struct state_request *request, struct state **out, int *exit_code);
void state_free(struct state *s); /* takes NULL */

/*
 * The directory `mount` (open, O_PATH will do; `path` is its absolute path) as mount point: it must neither
 * be, hold or lie in the share or the state directory. 0, or -1 after one line in the log.
 */
int state_check_mount(const struct state *s, int mount, const char *path);

/*
 * A daemon holds this lock while it opens key and ring, `revoke` while it changes them, so that no
 * daemon starts with a key that is just being replaced. 0 or -errno; waits.
 */
int state_lock_start(struct state *s);
void state_unlock_start(struct state *s);

/* Makes this process the only user of the state, or says -EBUSY; state_lock_shared() lets others in again. */
int state_lock_alone(struct state *s);
int state_lock_shared(struct state *s);

/* Renames `name` in the state directory to name.SUFFIX-TIME; 0, -ENOENT or another -errno. */
int state_move_aside(struct state *s, const char *name, const char *suffix, long long now);

#endif
