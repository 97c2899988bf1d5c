/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * export_key.c - the key of an export: read when it is opened, after a revoke, after a rotation.
 *
 * Wherever it comes from (keysource.c), and whether the sealing keys are here or with the helper, is nobody else's business. The
 * main thread opens; any thread takes a rotation over, under renew_lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"
#include "export/generation.h"
#include "holdfast/exit.h"

static const char *key_shown(const struct export *x)
{
	return x->config.key->shown ? x->config.key->shown : "the key in the state directory";
}

/* The key as it is now: by the helper, if there is one. */
int key_load(struct export *x, struct keyring **out)
{
	int ret;

	if (!x->config.helper)
		return keysource_load(x->config.key, x->config.statedir, out);
	ret = helper_keyring(x->config.helper, out);
	/* It reads the key's own generation; what lies in the state directory is ours to read. */
	if (!ret && x->config.key->kind != KEYSOURCE_STATE)
		ret = generation_apply(x->config.statedir, *out);
	if (ret) {
		keyring_free(*out);
		*out = NULL;
	}
	return ret;
}

/*
 * A keyring asks whether there was a rotation: what the daemons share says which key seals. If the key that we can read
 * is not it, that is not tried again before the number changes. -ENOKEY: what the others seal does not open here, which
 * makes none of it a forgery. A key file that is a rotation ahead of the number has the key of before, too.
 */
int key_renew(void *arg, struct keyring *k)
{
	struct export *x = arg;
	struct keyring *fresh = NULL;
	uint64_t active = ring_shared_get(x->ring, RING_ACTIVE_KEY);
	int ret = 0;

	if (active == keyring_active(k))
		return 0;
	pthread_mutex_lock(&x->renew_lock);
	if (active == keyring_active(k))
		goto out;
	if (active == x->renew_tried) {
		ret = x->renew_lacks ? -ENOKEY : 0;
		goto out;
	}
	ret = key_load(x, &fresh);
	if (!ret && keyring_active(fresh) != keyring_active(k)) {
		ret = keyring_take_over(k, fresh);
		if (!ret)
			log_info("key: sealing key %u is in use", keyring_active(k));
	}
	if (ret) {
		log_limited(LOG_LEVEL_ERROR, "key: cannot take the new sealing key over: %s",
			    strerror(-ret));
		goto out;
	}
	x->renew_tried = active == keyring_active(k) ? 0 : active;
	x->renew_lacks = !keyring_has(k, active);
	if (x->renew_lacks) {
		log_limited(LOG_LEVEL_ERROR,
			    "key: daemons of this export seal with key %u, which %s lacks; stop "
			    "them all, then start them with the new key",
			    (unsigned)active, key_shown(x));
		ret = -ENOKEY;
	}
out:
	keyring_free(fresh);
	pthread_mutex_unlock(&x->renew_lock);
	return ret;
}

bool export_state_has(const struct export *x, const char *name)
{
	return faccessat(x->config.statedir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int key_failed(const struct export *x, int error, int *exit_code)
{
	const char *dir = x->config.statepath;

	if (x->config.key->kind != KEYSOURCE_STATE) {
		*exit_code = keysource_failed(x->config.key, dir, error);
		return error;
	}
	*exit_code = HOLDFAST_EXIT_KEY;
	switch (error) {
	case -ENOENT:
		log_error("key: %s/%s is missing, but the map is there; restore the key from a "
			  "backup, or start "
			  "over with --new-key, which makes every handle given out so far stale",
			  dir, KEY_FILE);
		break;
	case -EPERM:
		log_error("key: %s/%s can be read or written by others than its owner; chmod 0600 "
			  "it, and if "
			  "others may have read it, use --new-key",
			  dir, KEY_FILE);
		break;
	case -EBADMSG:
		log_error("key: %s/%s is damaged; restore it from a backup, or start over with "
			  "--new-key",
			  dir, KEY_FILE);
		break;
	case -EPROTO:
		*exit_code = HOLDFAST_EXIT_NEWER;
		log_error("key: %s/%s was made by a newer version of holdfast; use that", dir,
			  KEY_FILE);
		break;
	default:
		*exit_code = HOLDFAST_EXIT_STATE;
		log_error("key: cannot use %s/%s: %s", dir, KEY_FILE, strerror(-error));
	}
	return error;
}

int key_open(struct export *x, struct epoch *e, bool *first_run, int *exit_code)
{
	int ret = key_load(x, &e->keyring);

	/* A key from elsewhere may have served before, and its state may be lost: never a first run. */
	*first_run = x->config.key_is_new && !ret && !export_state_has(x, MAP_FILE);
	if (ret == -ENOENT && x->config.key->kind == KEYSOURCE_STATE && !x->config.helper &&
	    !export_state_has(x, MAP_FILE)) {
		ret = keyring_generate(&e->keyring);
		if (!ret)
			ret = keyring_store(e->keyring, x->config.statedir, KEY_FILE, true);
		*first_run = ret == 0;
		if (ret == -EEXIST) { /* another daemon's first run, at the same moment */
			keyring_free(e->keyring);
			e->keyring = NULL;
			ret = keyring_load(x->config.statedir, KEY_FILE, &e->keyring);
		} else if (ret < 0) {
			*exit_code = HOLDFAST_EXIT_STATE;
			log_error("key: cannot write %s/%s: %s; see to the state directory or give "
				  "another by "
				  "--state-dir",
				  x->config.statepath, KEY_FILE, strerror(-ret));
			return ret;
		}
	}
	if (ret < 0)
		return key_failed(x, ret, exit_code);
	e->root_generation = keyring_root_generation(e->keyring);
	return 0;
}

void key_say_older(const struct export *x)
{
	if (x->config.key->kind == KEYSOURCE_STATE)
		log_error("key: %s/%s is older than the last revoke; restore the newest, or use "
			  "--new-key",
			  x->config.statepath, KEY_FILE);
	else
		log_error("key: %s/%s is missing or older than the last revoke; restore the newest",
			  x->config.statepath, GENERATION_FILE);
}

/* Has another open file a lock on that byte? */
static bool daemons_have(int statedir, enum daemons_byte byte)
{
	CLEANUP_FD int fd = openat(statedir, DAEMONS_LOCK_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};

	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool key_others_serve(const struct export *x)
{
	return daemons_have(x->config.statedir, DAEMONS_BYTE_SERVE);
}

bool export_key_kept(int statedir)
{
	return daemons_have(statedir, DAEMONS_BYTE_KEY_KEPT);
}

/*
 * All daemons of an export must open what one of them seals. Who reads a file follows a rotation; who was given the key
 * does not: it may not come with another one while others serve, nor others with another one while it serves.
 */
int key_settle(struct export *x, struct epoch *e, int *exit_code)
{
	uint64_t others = ring_shared_get(x->ring, RING_ACTIVE_KEY);
	bool differs = others && others != keyring_active(e->keyring);

	keyring_set_renew(e->keyring, key_renew, x);
	if (differs && (keysource_is_file(x->config.key) ? export_key_kept(x->config.statedir)
							 : key_others_serve(x))) {
		*exit_code = HOLDFAST_EXIT_KEY;
		log_error("key: other daemons of this export seal with key %u, and %s has key %u; "
			  "stop them all, then start them with the new key",
			  (unsigned)others, key_shown(x), keyring_active(e->keyring));
		return -EBUSY;
	}
	ring_shared_set(x->ring, RING_ACTIVE_KEY, keyring_active(e->keyring));
	return 0;
}
