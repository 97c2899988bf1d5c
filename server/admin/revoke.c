/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * revoke.c - `holdfast revoke`: every handle given out so far, but the root's, is stale from now on.
 *
 * The key file is replaced first (of a key that lies elsewhere, the root generation beside the map), then running daemons are told by the number that they share: a crash in
 * between leaves daemons with the old keys until they start again, never a revoke that is undone. Under the
 * start lock, so that no daemon comes up with the old key in the meantime. Main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/tool.h"
#include "base/log.h"
#include "export/generation.h"
#include "holdfast/exit.h"

static bool is_sure(const struct config *c, const struct state *s)
{
	char line[16];

	if (c->yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		log_error("revoke: makes every handle of %s stale; say --yes", s->record.path);
		return false;
	}
	(void)fprintf(stderr,
		      "Every file handle of %s that was given out so far will be stale, for good, "
		      "in running\n"
		      "guests too; they must mount anew. Type \"yes\" to go on: ",
		      s->record.path);
	return fgets(line, sizeof(line), stdin) && strcmp(line, "yes\n") == 0;
}

/* Writes a key with the next root generation. 0 or -errno; the new key in *out. */
static int raise_key(const struct state *s, const struct keyring *old, struct keyring **out)
{
	int err = keyring_copy(old, out);

	if (!err)
		err = keyring_raise(*out);
	if (err)
		return err;
	if (s->key.kind == KEYSOURCE_STATE)
		return keysource_store(&s->key, s->statedir, *out);
	/* A key elsewhere is not ours to write, but its generation counts only where no file here says more. */
	return generation_store(s->statedir, *out);
}

/* What has to be kept from now on, so that no backup undoes the revoke. */
static void say_what_to_keep(const struct state *s)
{
	if (s->key.kind == KEYSOURCE_STATE)
		(void)printf("back the key up: %s/%s\n", s->statepath, STATE_KEY_FILE);
	else
		(void)printf("%s stays as it is; back up %s/%s with it, which holds the root "
			     "generation\n",
			     s->key.shown, s->statepath, GENERATION_FILE);
}

/* Tells the daemons that run. 0, also when there are none, or -errno. */
static int tell_daemons(const struct state *s, const struct keyring *k)
{
	struct ring *r = NULL;
	int err = tool_ring(s, k, &r);

	if (err)
		return err == -ENOENT ? 0 : err;
	ring_shared_set(r, RING_ROOT_GENERATION, keyring_root_generation(k));
	ring_wake(r);
	ring_close(r);
	return 0;
}

/*
 * Writing the key has failed: not on the disk for sure, perhaps, but in its place? Then daemons must know, or those that start from
 * now on would know alone.
 */
static bool was_raised(struct state *s, const struct keyring *old, struct keyring **now)
{
	keyring_free(*now);
	*now = NULL;
	return keysource_load(&s->key, s->statedir, now) == 0 &&
	       keyring_root_generation(*now) > keyring_root_generation(old);
}

static int revoke_all(struct state *s)
{
	struct keyring *old = NULL, *raised = NULL;
	int exit_code = tool_key(s, &old);
	int unsynced;
	int err;

	if (exit_code)
		return exit_code;
	err = raise_key(s, old, &raised);
	unsynced = err;
	if (err && !was_raised(s, old, &raised)) {
		log_error("revoke: cannot write %s/%s: %s", s->statepath,
			  s->key.kind == KEYSOURCE_STATE ? STATE_KEY_FILE : GENERATION_FILE,
			  strerror(-err));
		exit_code = HOLDFAST_EXIT_STATE;
		goto out;
	}
	err = tell_daemons(s, raised);
	if (err) {
		log_error("revoke: the key is replaced, but running daemons cannot be told (%s/%s: "
			  "%s); stop them now",
			  s->runpath, STATE_RING_FILE, strerror(-err));
		exit_code = HOLDFAST_EXIT_FAILURE;
		goto out;
	}
	if (unsynced) {
		log_error("revoke: root generation %u holds from now on, but may not be on the "
			  "disk yet (%s); say revoke again when that is mended",
			  keyring_root_generation(raised), strerror(-unsynced));
		exit_code = HOLDFAST_EXIT_STATE;
		goto out;
	}
	(void)printf("root generation of %s is now %u; every handle given out before is stale\n",
		     s->record.path, keyring_root_generation(raised));
	say_what_to_keep(s);
out:
	keyring_free(raised);
	keyring_free(old);
	return exit_code;
}

int command_revoke(const struct config *c)
{
	struct state *s;
	int exit_code = tool_state(c, STATE_EXISTING, &s);
	int err;

	if (exit_code)
		return exit_code;
	if (!is_sure(c, s)) {
		exit_code = HOLDFAST_EXIT_USAGE;
		goto out;
	}
	err = state_lock_start(s);
	if (err) {
		log_error("state: cannot lock %s: %s", s->statepath, strerror(-err));
		exit_code = HOLDFAST_EXIT_STATE;
		goto out;
	}
	exit_code = revoke_all(s);
	state_unlock_start(s);
out:
	state_free(s);
	return exit_code;
}
