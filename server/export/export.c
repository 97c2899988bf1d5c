/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * export.c - an export from its opening to its end, its workers, and the root generation they live in.
 *
 * Opening goes in named stages, each of which says in one line what is wrong: the share, the key, the
 * ring, the map, the root. What belongs to one root generation (keys, map, drainer) is an epoch; when
 * `revoke` raises the generation, the first worker to notice makes the next epoch, and each worker moves
 * over at its next request.
 */
#include "export/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/util.h"
#include "export/map_files.h"
#include "holdfast/exit.h"

/* --- epochs --------------------------------------------------------------------------------------------------- */

static void epoch_free(struct epoch *e)
{
	if (!e)
		return;
	drain_stop(e->drain, DRAIN_TIMEOUT_MS);
	map_close(e->map);
	keyring_free(e->keyring);
	free(e);
}

static void epoch_put(struct export *x, struct epoch *e)
{
	bool last;

	pthread_mutex_lock(&x->epoch_lock);
	last = --e->refs == 0;
	pthread_mutex_unlock(&x->epoch_lock);
	if (last)
		epoch_free(e);
}

static struct epoch *epoch_get(struct export *x)
{
	struct epoch *e;

	pthread_mutex_lock(&x->epoch_lock);
	e = x->epoch;
	e->refs++;
	pthread_mutex_unlock(&x->epoch_lock);
	return e;
}

static int epoch_map(struct export *x, struct epoch *e, bool create, bool *created)
{
	char path[MAP_FILES_PATH_MAX];
	struct map_config config = {
		.path = path,
		.vfs = x->config.vfs,
		.keyring = e->keyring,
		.strict = x->config.strict,
		.create = create,
	};

	map_files_path(x->config.statedir, MAP_FILE, path);
	return map_open(&config, &e->map, created);
}

/*
 * `revoke` has raised the root generation: new keys, the map with its rows dropped, an empty cache. On
 * failure the old epoch stays, and its workers are unfit: they answer nothing until it works.
 */
static int epoch_next(struct export *x, uint32_t root_generation)
{
	struct epoch *old = NULL, *e;
	int ret = 0;

	pthread_mutex_lock(&x->epoch_lock);
	if (x->epoch->root_generation >= root_generation)
		goto out; /* another worker was first */
	e = calloc(1, sizeof(*e));
	ret = e ? key_load(x, &e->keyring) : -ENOMEM;
	if (ret < 0)
		goto fail;
	keyring_set_renew(e->keyring, key_renew, x);
	e->root_generation = keyring_root_generation(e->keyring);
	if (e->root_generation < root_generation) {
		ret = -EAGAIN; /* the key in the state directory is not the one that was raised */
		goto fail;
	}
	/* What it has not drained is of no use to anybody now. */
	drain_stop(x->epoch->drain, 0);
	x->epoch->drain = NULL;
	ret = epoch_map(x, e, true, NULL);
	if (!ret)
		ret = map_field_set(
			e->map, MAP_CLEAN,
			0); /* emptied, it had nothing to lose; it is served from now on */
	if (!ret)
		ret = drain_start(e->map, x->ring, x->config.statedir, &e->drain);
	if (ret < 0)
		goto fail;
	e->refs = 1;
	old = x->epoch;
	x->epoch = e;
	cache_drop_all(x->cache, e->root_generation);
	log_warn("export: root generation %u: all handles given out before are stale",
		 e->root_generation);
out:
	pthread_mutex_unlock(&x->epoch_lock);
	if (old)
		epoch_put(x, old);
	return ret;
fail:
	log_limited(LOG_LEVEL_ERROR, "export: cannot take the new root generation over: %s",
		    strerror(-ret));
	epoch_free(e);
	goto out;
}

/* --- workers --------------------------------------------------------------------------------------------------- */

static void worker_leave(struct worker *w)
{
	if (w->reader) {
		/* epoch_next() stops the drainer of an epoch that is in use. */
		pthread_mutex_lock(&w->x->epoch_lock);
		if (w->epoch->drain)
			drain_unregister(w->epoch->drain, w->reader);
		pthread_mutex_unlock(&w->x->epoch_lock);
	}
	map_reader_free(w->reader);
	map_writer_free(w->writer);
	envelope_free(w->envelope);
	mint_free(w->mint);
	if (w->epoch)
		epoch_put(w->x, w->epoch);
	w->reader = NULL;
	w->writer = NULL;
	w->envelope = NULL;
	w->mint = NULL;
	w->epoch = NULL;
}

static int worker_enter(struct worker *w)
{
	int ret;

	w->epoch = epoch_get(w->x);
	ret = mint_new(w->epoch->keyring, &w->mint);
	if (!ret)
		ret = envelope_new(w->epoch->keyring, &w->envelope);
	if (!ret && w->epoch->map)
		ret = map_reader_new(w->epoch->map, &w->reader);
	if (!ret && w->reader) {
		pthread_mutex_lock(&w->x->epoch_lock);
		if (w->epoch->drain)
			ret = drain_register(w->epoch->drain, w->reader);
		pthread_mutex_unlock(&w->x->epoch_lock);
	}
	return ret;
}

int worker_new(struct export *x, struct worker **out)
{
	struct worker *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	w->x = x;
	w->may_wait = true;
	ret = worker_enter(w);
	if (ret < 0) {
		worker_free(w);
		return ret;
	}
	*out = w;
	return 0;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	worker_leave(w);
	free(w->steps);
	free(w);
}

int worker_proc(const struct worker *w)
{
	return w->x->proc;
}

bool worker_would_wait(const struct worker *w)
{
	return w->would_wait;
}

void worker_begin(struct worker *w, bool may_wait)
{
	struct export *x = w->x;
	uint64_t generation;

	w->may_wait = may_wait;
	w->would_wait = false;
	if (!x->ring)
		return;
	if (ring_shared_get(x->ring, RING_ACTIVE_KEY) != keyring_active(w->epoch->keyring))
		(void)keyring_renew(w->epoch->keyring);
	generation = ring_shared_get(x->ring, RING_ROOT_GENERATION);
	if (generation == w->epoch->root_generation && !w->unfit)
		return;
	if (generation > w->epoch->root_generation)
		epoch_next(x, (uint32_t)generation);
	/* Without the new keys nothing may be answered by the old ones. */
	worker_leave(w);
	w->unfit = worker_enter(w) < 0 || w->epoch->root_generation < generation;
	if (w->unfit)
		log_limited(LOG_LEVEL_ERROR,
			    "export: a worker could not take the new root generation over");
}

void worker_count_forged(struct worker *w, const char *what)
{
	atomic_fetch_add_explicit(&w->x->count.forged, 1, memory_order_relaxed);
	log_limited(LOG_LEVEL_WARN, "guest: refused %s", what);
}

/* --- opening: the share ----------------------------------------------------------------------------------------- */

static int open_hostfs(struct export *x, bool handles)
{
	return hostfs_new(handles, x->run_id, x->config.places, &x->hostfs);
}

static int open_share(struct export *x, int *exit_code)
{
	const struct places *places = x->config.places;

	*exit_code = HOLDFAST_EXIT_SHARE;
	x->root = open(places ? places->root : x->config.share, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (x->root < 0) {
		int error = errno;

		log_error("share: cannot open %s: %s; give --shared-dir a directory that exists",
			  x->config.share, strerror(error));
		return -error;
	}
	x->root_dir = openat(x->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	x->proc = places ? fcntl(places->proc, F_DUPFD_CLOEXEC, 0)
			 : open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (x->proc < 0) {
		int error = errno;

		log_error("cannot open /proc/self/fd: %s; mount /proc", strerror(error));
		return -error;
	}
	if (getrandom(x->run_id, sizeof(x->run_id), 0) != (ssize_t)sizeof(x->run_id))
		return -EIO;
	return open_hostfs(x, x->config.handles != HANDLES_NEVER);
}

/* Handles persist if those of the share's own root do: all attachments begin there. */
static int probe_share(struct export *x, struct mint *mint, int *exit_code)
{
	int ret = hostfs_look_root(x->hostfs, mint, x->root, &x->root_look);

	if (ret < 0) {
		log_error("share: cannot look at %s: %s", x->config.share, strerror(-ret));
		return ret;
	}
	x->persistent = x->root_look.persistent;
	if (x->persistent)
		return 0;
	if (x->config.handles == HANDLES_MANDATORY) {
		*exit_code = HOLDFAST_EXIT_HANDLES;
		log_error("share: the file system of %s (%s) has no handles that persist, and "
			  "--inode-file-handles=mandatory wants them",
			  x->config.share, hostfs_kind_name(x->root_look.kind));
		return -EOPNOTSUPP;
	}
	/* Begin anew, so that no file system below claims to persist either. */
	hostfs_free(x->hostfs);
	x->hostfs = NULL;
	ret = open_hostfs(x, false);
	return ret < 0 ? ret : hostfs_look_root(x->hostfs, mint, x->root, &x->root_look);
}

/* --- opening: ring and map ------------------------------------------------------------------------------------------ */

static int map_failed(const struct export *x, int error, int *exit_code)
{
	const char *dir = x->config.statepath;

	*exit_code = HOLDFAST_EXIT_MAP;
	switch (error) {
	case -EUCLEAN:
		log_error("map: %s/%s is damaged; `holdfast rebuild` moves it aside and makes a "
			  "new one from the "
			  "share",
			  dir, MAP_FILE);
		break;
	case -EBADE:
		log_error("map: %s/%s belongs to another export than the key beside it; restore "
			  "both from one "
			  "backup, or `holdfast rebuild`",
			  dir, MAP_FILE);
		break;
	case -ESTALE:
		*exit_code = HOLDFAST_EXIT_KEY;
		key_say_older(x);
		break;
	case -EPROTO:
		*exit_code = HOLDFAST_EXIT_NEWER;
		log_error("map: %s/%s was made by a newer version of holdfast; use that", dir,
			  MAP_FILE);
		break;
	default:
		*exit_code = HOLDFAST_EXIT_STATE;
		log_error("map: cannot use %s/%s: %s; see to the state directory or give another "
			  "by --state-dir",
			  dir, MAP_FILE, strerror(-error));
	}
	return error;
}

/*
 * The ring makes no sense with our key. If it is the key that is wrong, which the map knows, or others serve by this ring, it
 * stays: it may hold what no map has yet, and is how the others are told of a revoke.
 */
static int set_ring_aside(struct export *x, struct epoch *e, int *exit_code)
{
	int ret = epoch_map(x, e, false, NULL);

	if (ret && ret != -ENOENT)
		return map_failed(x, ret, exit_code);
	map_close(e->map);
	e->map = NULL;
	*exit_code = HOLDFAST_EXIT_STATE;
	if (key_others_serve(x)) {
		log_error(
			"ring: the ring in the run directory is damaged or of another export, and "
			"other daemons serve by it; stop them, then start all again");
		return -EBUSY;
	}
	log_warn("ring: the ring in the run directory is damaged or of another export; it is moved "
		 "aside and the share is scanned");
	if (renameat(x->config.rundir, RING_FILE, x->config.rundir, RING_FILE ".damaged") < 0)
		return errno_neg();
	return 0;
}

/* A ring that makes no sense is kept for who wants to look, and a scan makes good what it held. */
static int open_ring(struct export *x, struct epoch *e, int *exit_code)
{
	int ret = ring_open(x->config.rundir, RING_FILE, keyring_uuid(e->keyring),
			    RING_SIZE_DEFAULT, &x->ring, NULL);

	*exit_code = HOLDFAST_EXIT_STATE;
	if (ret == -EBADMSG) {
		ret = set_ring_aside(x, e, exit_code);
		if (ret)
			return ret;
		ret = ring_open(x->config.rundir, RING_FILE, keyring_uuid(e->keyring),
				RING_SIZE_DEFAULT, &x->ring, NULL);
	}
	if (ret < 0) {
		log_error("ring: cannot make the ring in the run directory: %s%s", strerror(-ret),
			  ret == -ENOSPC ? "; it needs 17 MiB" : "");
		return ret;
	}
	if (ring_shared_get(x->ring, RING_ROOT_GENERATION) > e->root_generation) {
		*exit_code = HOLDFAST_EXIT_KEY;
		key_say_older(x);
		return -ESTALE;
	}
	ring_shared_set(x->ring, RING_ROOT_GENERATION, e->root_generation);
	return key_settle(x, e, exit_code);
}

static int open_map(struct export *x, struct epoch *e, bool first_run, int *exit_code)
{
	bool map_created = false;
	int ret = open_ring(x, e, exit_code);

	if (ret)
		return ret;
	ret = epoch_map(x, e, true, &map_created);
	if (!ret)
		ret = complete_settle(x, e, first_run, map_created);
	if (!ret) {
		struct map_reader *r;

		ret = map_reader_new(e->map, &r);
		if (!ret) {
			int64_t clashes = map_clash_count(r);

			ring_shared_set(x->ring, RING_CLASHES, clashes > 0 ? (uint64_t)clashes : 0);
			ret = clashes < 0 ? (int)clashes : 0;
			map_reader_free(r);
		}
	}
	if (!ret)
		ret = drain_start(e->map, x->ring, x->config.statedir, &e->drain);
	if (ret < 0)
		return map_failed(x, ret, exit_code);
	if (first_run)
		log_info("state: first run: key and map were made in %s; back the key up",
			 x->config.statepath);
	else if (map_created && x->config.key->kind != KEYSOURCE_STATE)
		log_info("map: %s/%s is new; it is filled from the share in the background",
			 x->config.statepath, MAP_FILE);
	else if (map_created)
		log_warn("map: %s/%s was lost; it is made anew from the share in the background",
			 x->config.statepath, MAP_FILE);
	return 0;
}

/* --- opening: the root --------------------------------------------------------------------------------------------- */

static int open_root(struct export *x)
{
	struct node_spec spec = {
		.nodeid = NODEID_ROOT,
		.rowid = ROWID_ROOT,
		.looked = &x->root_look,
		.shown_ino = x->root_look.stx.stx_ino,
	};
	struct identity made_up = { .btime_ns = IDENTITY_BTIME_NONE, .handle_len = 1 };
	char ways[128];
	int fd, ret;

	spec.id = x->root_look.persistent ? &x->root_look.id : &made_up;
	ret = cache_enter(x->cache, &spec, &x->root_node);
	if (ret)
		return ret;
	fd = fcntl(x->root, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return errno_neg();
	fd = cache_give_fd(x->cache, x->root_node, fd);
	if (fd < 0)
		return fd;
	x->can_open_dir = x->persistent && hostfs_can_open_dir(x->hostfs, x->root_dir);
	export_ways(x, ways, sizeof(ways));
	log_info("share: %s is on %s; handles %s; ways to an object: %s%s%s", x->config.share,
		 hostfs_kind_name(x->root_look.kind), x->persistent ? "persist" : "do not persist",
		 ways, x->config.moved_out_allow && x->persistent ? ", moved out allowed" : "",
		 x->config.strict && x->persistent ? "; durability strict" : "");

	return 0;
}

int export_open(const struct export_config *config, struct export **out, int *exit_code)
{
	struct export *x = calloc(1, sizeof(*x));
	struct epoch *e = calloc(1, sizeof(*e));
	struct mint *mint = NULL;
	bool first_run = false;
	int ret = -ENOMEM;

	*exit_code = HOLDFAST_EXIT_FAILURE;
	if (!x || !e)
		goto out;
	x->config = *config;
	x->root = x->root_dir = x->proc = x->daemons = -1;
	if (!x->config.key)
		x->config.key = &x->own_key;
	x->epoch = e;
	e->refs = 1;
	atomic_store(&x->complete, true);
	pthread_mutex_init(&x->epoch_lock, NULL);
	pthread_mutex_init(&x->trouble_lock, NULL);
	pthread_mutex_init(&x->renew_lock, NULL);

	ret = open_share(x, exit_code);
	if (!ret)
		ret = cache_new(config->max_nodes, config->max_fds, &x->cache);
	if (!ret) {
		x->recent = malloc(RECENTS * sizeof(*x->recent));
		ret = x->recent ? 0 : -ENOMEM;
	}
	if (!ret) {
		/* Now, and not page by page when somebody waits. */
		for (size_t i = 0; i < RECENTS; i++)
			atomic_init(&x->recent[i], 0);
	}
	/* The attachments' key is needed for nothing in a look at the root: any will do to probe. */
	if (!ret)
		ret = config->handles == HANDLES_NEVER ? keyring_generate(&e->keyring)
						       : key_open(x, e, &first_run, exit_code);
	if (!ret)
		ret = mint_new(e->keyring, &mint);
	if (!ret)
		ret = probe_share(x, mint, exit_code);
	if (!ret && x->persistent)
		ret = open_map(x, e, first_run, exit_code);
	if (!ret)
		ret = open_root(x);
	if (!ret && x->persistent)
		ret = scan_start(x);
	if (!ret && x->persistent && !atomic_load(&x->complete))
		scan_want(x);
out:
	mint_free(mint);
	if (ret < 0) {
		if (*exit_code == HOLDFAST_EXIT_FAILURE)
			log_error("export: cannot serve %s: %s", config->share, strerror(-ret));
		if (x && x->epoch)
			export_close(x);
		else
			free(x), free(e);
		return ret;
	}
	*out = x;
	return 0;
}

void export_close(struct export *x)
{
	if (!x)
		return;
	scan_stop(x);
	if (x->persistent)
		complete_leave(x);
	epoch_put(x, x->epoch);
	ring_close(x->ring);
	if (x->root_node)
		cache_put(x->cache, x->root_node);
	cache_free(x->cache);
	free(x->recent);
	free(x->scan.missed.rowids);
	hostfs_free(x->hostfs);
	fd_close(x->root);
	fd_close(x->root_dir);
	fd_close(x->proc);
	pthread_mutex_destroy(&x->renew_lock);
	pthread_mutex_destroy(&x->trouble_lock);
	pthread_mutex_destroy(&x->epoch_lock);
	free(x);
}
