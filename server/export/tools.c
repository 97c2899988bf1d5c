/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools.c - what status, rebuild and inspect ask of an export.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "export/core.h"

static uint64_t count_of(const atomic_uint_fast64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void export_ways(const struct export *x, char *out, size_t room)
{
	snprintf(out, room, "%s%s", x->persistent ? "cached, by name" : "none that persists",
		 x->can_open_dir ? ", directory by handle" : "");
}

static void stats_persistent(struct export *x, struct epoch *e, struct export_stats *out)
{
	struct drain_stats d = { 0 };

	if (e->drain)
		drain_stats(e->drain, &d);
	out->drained = d.drained;
	out->map_error = d.last_error;
	out->undrained_bytes = ring_tail(x->ring) - ring_drained(x->ring);
	out->clashes = ring_shared_get(x->ring, RING_CLASHES);
	out->scans = ring_shared_get(x->ring, RING_SCANS);
	out->scanning = ring_shared_get(x->ring, RING_SCANNING) != 0;
	out->scanned = count_of(&x->scan.objects);
	out->resealing = map_sealed_by_active(e->map) == 0;
	out->resealed = ring_shared_get(x->ring, RING_RESEALED);
}

void export_stats(struct export *x, struct export_stats *out)
{
	struct cache_stats cache;

	memset(out, 0, sizeof(*out));
	snprintf(out->key_source, sizeof(out->key_source), "%s", keysource_name(x->config.key));
	out->key_helper = x->config.helper ? helper_pid(x->config.helper) : 0;
	cache_stats(x->cache, &cache);
	out->nodes = cache.nodes;
	out->max_nodes = cache.max_nodes;
	out->fds = cache.fds;
	out->max_fds = cache.max_fds;
	out->pinned = cache.pinned;
	out->persistent = x->persistent;
	snprintf(out->fs_type, sizeof(out->fs_type), "%s", hostfs_kind_name(x->root_look.kind));
	export_ways(x, out->ways, sizeof(out->ways));
	out->lookups = count_of(&x->count.lookups);
	out->hits = count_of(&x->count.hits);
	out->resolved_by_name = count_of(&x->count.by_name);
	out->resolved_by_handle = count_of(&x->count.by_handle);
	out->resolved_by_path = count_of(&x->count.by_path);
	out->stale = count_of(&x->count.stale);
	out->again = count_of(&x->count.again);
	out->unknown = count_of(&x->count.unknown);
	out->forged = count_of(&x->count.forged);
	out->complete = nothing_lost(x);

	/* The epoch cannot be left while its lock is held. */
	pthread_mutex_lock(&x->epoch_lock);
	memcpy(out->uuid, keyring_uuid(x->epoch->keyring), sizeof(out->uuid));
	out->root_generation = x->epoch->root_generation;
	(void)keyring_renew(x->epoch->keyring); /* idle as we are, we may not have met it yet */
	out->sealing_key = keyring_active(x->epoch->keyring);
	if (x->persistent)
		stats_persistent(x, x->epoch, out);
	pthread_mutex_unlock(&x->epoch_lock);
}

/* Another scan may be under way, in this process or in a daemon: ours comes after it. */
static int scan_alone(struct worker *w, export_progress_fn *progress, void *arg)
{
	int ret;

	while ((ret = scan_run(w, progress, arg)) == -EBUSY || ret == -EAGAIN) {
		struct timespec nap = { .tv_nsec = 50000000 };

		nanosleep(&nap, NULL);
	}
	return ret;
}

int export_rebuild(struct export *x, export_progress_fn *progress, void *arg, uint64_t *failures)
{
	struct worker *w;
	int ret;

	if (!x->persistent)
		return -EOPNOTSUPP;
	ret = worker_new(x, &w);
	if (ret)
		return ret;
	ret = scan_alone(w, progress, arg);
	/* Whoever asks by hand wants to be rid of the rows of what is gone: that takes two. */
	if (!ret && x->scan.missed.count)
		ret = scan_alone(w, progress, arg);
	if (failures)
		*failures = x->scan.failures;
	worker_free(w);
	return ret;
}

/* Where is it now? */
static void inspect_path(struct worker *w, struct export_inspection *out)
{
	struct node *n;
	int ret = resolve(w, out->nodeid, &n, NULL, NULL), fd;

	if (!ret) {
		if (!nodeid_is_root(out->nodeid))
			out->generation = node_generation(n);
		fd = node_fd(w, n);
		ret = fd < 0 ? fd : resolve_fd_path(w, fd, out->path, sizeof(out->path));
		cache_put(w->x->cache, n);
	}
	out->resolve_error = ret;
}

/* It has no row: it is what the share was opened by. */
static int inspect_root(struct worker *w, struct export_inspection *out)
{
	const struct looked *looked = &w->x->root_look;

	memset(out, 0, sizeof(*out));
	out->known = out->has_row = true;
	out->nodeid = NODEID_ROOT;
	out->row.identity = looked->id;
	if (!w->x->persistent)
		out->row.identity.btime_ns = IDENTITY_BTIME_NONE;
	out->row.ino = looked->stx.stx_ino;
	out->row.type = (uint8_t)IFTODT(looked->stx.stx_mode);
	return 0;
}

/* What is said of something that has no row. */
static int no_row(const struct worker *w)
{
	return nothing_lost(w->x) ? -ESTALE : -ENOMEM;
}

int export_inspect_nodeid(struct worker *w, nodeid_t id, struct export_inspection *out)
{
	struct minted minted;
	struct found found;
	int ret;

	if (nodeid_is_root(id))
		return inspect_root(w, out);
	memset(out, 0, sizeof(*out));
	out->nodeid = id;
	ret = store_find(w, mint_rowid(w->mint, id), &found);
	if (ret == 0) {
		ret = mint_identity(w->mint, &found.row.identity, found.row.ino, found.row.tweak,
				    &minted);
		if (!ret && !nodeid_equal(minted.nodeid, id))
			ret = -EBADMSG;
	}
	if (ret < 0) {
		out->resolve_error = ret == -ENOENT ? no_row(w) : -ESTALE;
		return ret == -ENOENT || ret == -EBADMSG ? 0 : ret;
	}
	out->known = out->has_row = true;
	out->generation = minted.generation;
	out->row = found.row;
	inspect_path(w, out);
	return 0;
}

struct search {
	const struct identity *id;
	rowid_t rowid;
	bool found;
};

static bool search_row(void *arg, rowid_t rowid, bool authentic, const struct row *row)
{
	struct search *s = arg;

	s->found = authentic && identity_equal(&row->identity, s->id);
	s->rowid = rowid;
	return !s->found;
}

/* A sealed handle holds no inode number, so its row is searched for: a tool may take its time. */
static int inspect_identity(struct worker *w, const struct identity *id,
			    struct export_inspection *out)
{
	struct search s = { .id = id };
	uint64_t position;
	int64_t shown;
	int ret;

	if (!w->reader)
		return 0;
	if (identity_equal(id, &w->x->root_look.id))
		return inspect_root(w, out);
	ring_wake(w->x->ring);
	ring_wait_drained(w->x->ring, ring_tail(w->x->ring), 2000);
	ret = map_reader_snapshot(w->reader, w->x->ring, 0, true, &position);
	if (ret)
		return ret;
	shown = map_walk(w->reader, ROWID_NONE, search_row, &s);
	if (shown < 0)
		return (int)shown;
	if (s.found)
		return export_inspect_nodeid(w, mint_nodeid(w->mint, s.rowid), out);
	out->resolve_error = no_row(w);
	return 0;
}

int export_inspect_sealed(struct worker *w, const uint8_t *sealed, size_t len,
			  struct export_inspection *out)
{
	struct identity id;
	int ret = envelope_open_handle(w->envelope, sealed, len, &id);

	memset(out, 0, sizeof(*out));
	out->resolve_error = -ESTALE;
	if (ret == -EBADMSG) {
		worker_count_forged(w, "a sealed handle that is not authentic");
		return 0;
	}
	if (ret)
		return ret;
	out->row.identity = id;
	ret = inspect_identity(w, &id, out);
	out->known = true;
	return ret;
}
