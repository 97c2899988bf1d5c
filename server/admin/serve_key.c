/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve_key.c - where a daemon has its key from, and the helper that keeps it from the daemon.
 *
 * The helper is forked before the sandbox, while there is one thread and no key was read. When it ends, a thread
 * that waits for just that says so and stops the daemon as SIGTERM would: what guests were told is in the
 * ring, and the next daemon takes it in.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/new_key.h"
#include "admin/serve_private.h"
#include "admin/tool.h"
#include "base/log.h"
#include "export/helper.h"
#include "export/map.h"
#include "holdfast/exit.h"

/* Of a first run: the helper makes no key. 0, or an exit code. */
static int make_first_key(struct serving *v)
{
	const struct state *s = v->state;
	struct keyring *k = NULL;
	int err;

	if (faccessat(s->statedir, STATE_KEY_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	    faccessat(s->statedir, MAP_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	err = keyring_generate(&k);
	if (!err)
		err = keyring_store(k, s->statedir, STATE_KEY_FILE, true);
	keyring_free(k);
	v->key_is_new = err == 0;
	if (!err)
		return 0;
	log_error("key: cannot write %s/%s: %s; see to the state directory or give another by "
		  "--state-dir",
		  s->statepath, STATE_KEY_FILE, strerror(-err));
	return HOLDFAST_EXIT_STATE;
}

static int start_failed(const struct serving *v, int err)
{
	int exit_code;
	const char *what = tool_key_error(err, &exit_code);

	if (err == -EOWNERDEAD) {
		log_error("key: the key helper has ended at once: it could not shut itself in; "
			  "leave --key-helper out");
		return HOLDFAST_EXIT_KEY;
	}
	if (v->state->key.kind != KEYSOURCE_STATE)
		return keysource_failed(&v->state->key, v->state->statepath, err);
	log_error("key: %s/%s is %s (%s)", v->state->statepath, STATE_KEY_FILE, what,
		  strerror(-err));
	return exit_code;
}

static int start_helper(struct serving *v)
{
	struct state *s = v->state;
	int exit_code = 0;
	int err = state_lock_start(s);

	if (err) {
		log_error("state: cannot lock %s: %s", s->statepath, strerror(-err));
		return HOLDFAST_EXIT_STATE;
	}
	if (v->c->new_key)
		exit_code = new_key_prepare(s);
	if (!exit_code && s->key.kind == KEYSOURCE_STATE)
		exit_code = make_first_key(v);
	if (!exit_code) {
		err = helper_start(&s->key, s->statedir, &v->helper);
		exit_code = err ? start_failed(v, err) : 0;
	}
	state_unlock_start(s);
	return exit_code;
}

/* Who has put the key elsewhere wants it nowhere else. */
static void warn_of_a_copy(const struct state *s)
{
	if (s->key.kind != KEYSOURCE_STATE &&
	    faccessat(s->statedir, STATE_KEY_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		log_warn("key: it comes from %s, but %s/%s is there too; remove that",
			 keysource_name(&s->key), s->statepath, STATE_KEY_FILE);
}

int serve_open_key(struct serving *v)
{
	int exit_code = tool_key_source(v->c, v->state);

	if (exit_code || v->state->statedir < 0)
		return exit_code;
	warn_of_a_copy(v->state);
	return v->c->key_helper ? start_helper(v) : 0;
}

static void *watch_helper(void *arg)
{
	struct serving *v = arg;

	if (!helper_wait(v->helper))
		return NULL;
	log_error("key: the key helper has ended, and without it nothing can be sealed or opened; "
		  "the "
		  "daemon ends, start it anew");
	atomic_store(&v->helper_lost, true);
	(void)kill(getpid(), SIGTERM);
	return NULL;
}

int serve_watch_helper(struct serving *v)
{
	int err = v->helper ? pthread_create(&v->helper_watch, NULL, watch_helper, v) : 0;

	if (err) {
		log_error("cannot start a thread: %s", strerror(err));
		return HOLDFAST_EXIT_FAILURE;
	}
	v->helper_watched = v->helper != NULL;
	return 0;
}

void serve_end_helper_watch(struct serving *v)
{
	if (!v->helper_watched)
		return;
	helper_release(v->helper);
	(void)pthread_join(v->helper_watch, NULL);
	v->helper_watched = false;
}
