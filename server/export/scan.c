/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scan.c - walks the share in the background and tells the map what it finds.
 *
 * Heals a lost or incomplete map, finds what the host moved while nobody looked, and afterwards drops the
 * rows of objects that are nowhere. One daemon of an export scans at a time (SCAN_LOCK_FILE). Guests can
 * ask for scans by using handles of objects that are not where the map says; so those have a rate limit:
 * at most a tenth of the time is spent on them. When there is nothing to scan, its thread sees to it that the cache keeps
 * nothing of what the host has deleted.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"

#define WAIT_MS 1500  /* a request waits so long for the end of a scan, */
#define WAITING_MAX 2 /* if no more than so many wait already */
#define PAUSE_MIN_NS 1000000000ULL
#define PAUSE_FACTOR 10
#define SEEN_BITS_LOG2 26 /* 8 MiB: few false "seen" up to 10 M objects; those only keep a row */
#define PROGRESS_NS 2000000000ULL
#define DELETE_BATCH 512
#define LET_GO_NS 5000000000ULL /* between two looks for descriptors of what was deleted */

/* --- the walk ---------------------------------------------------------------------------------------------- */

struct walk {
	struct worker *w;
	uint64_t *seen; /* bitmap by hash of the rowid */
	nodeid_t *todo; /* directories to be read */
	size_t count, room;
	struct place *places; /* where the walk came by */
	size_t place_count;
	uint64_t objects, failures, last_said;
	export_progress_fn *progress;
	void *arg;
};

static uint64_t seen_bit(rowid_t rowid)
{
	return (rowid.v * 0x9e3779b97f4a7c15ULL) >> (64 - SEEN_BITS_LOG2);
}

static void mark_seen(struct walk *k, rowid_t rowid)
{
	uint64_t bit = seen_bit(rowid);

	k->seen[bit / 64] |= 1ULL << (bit % 64);
}

static bool is_seen(const struct walk *k, rowid_t rowid)
{
	uint64_t bit = seen_bit(rowid);

	return k->seen[bit / 64] >> (bit % 64) & 1;
}

/* The same mounted file system? A subvolume that is not there is gone, not unmounted. */
static bool same_mount(const struct place *a, const struct place *b)
{
	return a->attachment == b->attachment && memcmp(a->fsid, b->fsid, sizeof(a->fsid)) == 0;
}

static bool place_visited(const struct walk *k, const struct place *place)
{
	for (size_t i = 0; i < k->place_count; i++)
		if (same_mount(&k->places[i], place))
			return true;
	return false;
}

static int visit_place(struct walk *k, const struct place *place)
{
	struct place *grown;

	if (k->place_count && same_mount(&k->places[k->place_count - 1], place))
		return 0; /* the usual case */
	if (place_visited(k, place))
		return 0;
	grown = realloc(k->places, (k->place_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	k->places = grown;
	k->places[k->place_count++] = *place;
	return 0;
}

static int walk_push(struct walk *k, nodeid_t dir)
{
	if (k->count == k->room) {
		size_t room = k->room ? k->room * 2 : 256;
		nodeid_t *grown = realloc(k->todo, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		k->todo = grown;
		k->room = room;
	}
	k->todo[k->count++] = dir;
	return 0;
}

static void walk_progress(struct walk *k)
{
	uint64_t now;

	k->objects++;
	atomic_store_explicit(&k->w->x->scan.objects, k->objects, memory_order_relaxed);
	if (k->objects % 1024 != 0 || !k->progress)
		return;
	now = clock_ns();
	if (now - k->last_said > PROGRESS_NS) {
		k->last_said = now;
		k->progress(k->arg, k->objects);
	}
}

/* Is the scan to end? The numbers of a root generation that was left help nobody. */
static int walk_cancelled(const struct walk *k)
{
	const struct worker *w = k->w;

	if (atomic_load(&w->x->scan.cancel))
		return -ECANCELED;
	return ring_shared_get(w->x->ring, RING_ROOT_GENERATION) == w->epoch->root_generation
		       ? 0
		       : -ESTALE;
}

/* A file needs its row, not a node in the cache. */
static int walk_file(struct walk *k, struct node *dir, const char *name,
		     const struct looked *looked, uint64_t since)
{
	struct worker *w = k->w;
	struct minted minted;
	struct found found;
	struct record rec;
	bool known;
	int ret = mint_identity(w->mint, &looked->id, looked->stx.stx_ino, 0, &minted);

	if (!ret)
		ret = store_assign(w, &looked->id, looked->stx.stx_ino, &minted, &known, &found);
	if (!ret)
		ret = store_record(&rec, RECORD_SEEN, &minted, looked, cache_rowid(dir), name);
	if (ret)
		return ret;
	mark_seen(k, minted.rowid);
	for (unsigned i = 0; known && i < found.count; i++)
		if (name_equal(&found.names[i], &rec.row.name) &&
		    (found.row.multi || !rec.row.multi))
			return 0;
	/* -EAGAIN: it was renamed or unlinked since; whoever did that has told the map. */
	ret = store_append(w, &rec, 1, since);
	return ret == -EAGAIN ? 0 : ret;
}

static int walk_entry(struct walk *k, struct node *dir, const char *name)
{
	struct worker *w = k->w;
	struct identity id;
	struct vantage at;
	struct looked looked;
	uint64_t since = store_since(w);
	int ret = entry_vantage(w, dir, &id, &at);

	if (!ret)
		ret = hostfs_look(w->x->hostfs, w->mint, &at, name, &looked);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	walk_progress(k);
	if (!looked.persistent)
		return 0; /* nothing below has a handle that persists either */
	ret = visit_place(k, &looked.id.place);
	if (ret)
		return ret;
	if (S_ISDIR(looked.stx.stx_mode)) {
		struct node *n;

		ret = entry_look(w, dir, name, -1, &looked, &n);
		if (ret)
			return ret == -ENOENT ? 0 : ret;
		if (!nodeid_is_root(cache_nodeid(n))) {
			mark_seen(k, cache_rowid(n));
			ret = walk_push(k, cache_nodeid(n));
		}
		cache_put(w->x->cache, n);
		return ret;
	}
	ret = walk_file(k, dir, name, &looked, since);
	if (ret == -EEXIST) {
		struct minted minted;

		ret = store_clash(w, &looked.id, looked.stx.stx_ino, &minted);
		if (!ret)
			ret = walk_file(k, dir, name, &looked, store_since(w));
	}
	return ret;
}

static int walk_dir(struct walk *k, nodeid_t id)
{
	struct node *dir;
	struct dirent *d;
	DIR *stream;
	int ret = node_get(k->w, id, &dir), fd;

	if (ret < 0)
		return ret == -ESTALE ? 0 : ret; /* removed or moved since it was pushed */
	fd = node_open(k->w, dir, O_RDONLY | O_DIRECTORY);
	stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		ret = fd < 0 ? fd : errno_neg();
		if (fd >= 0)
			fd_close(fd);
		goto out;
	}
	while ((d = readdir(stream)) && !walk_cancelled(k)) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		ret = walk_entry(k, dir, d->d_name);
		if (ret < 0) {
			k->failures++;
			log_limited(LOG_LEVEL_WARN,
				    "scan: cannot look at an object in the share: %s",
				    strerror(-ret));
		}
	}
	closedir(stream);
	ret = 0;
out:
	node_put(k->w, dir);
	return ret;
}

/* --- rows of what is nowhere ------------------------------------------------------------------------------- */

struct sweep {
	const struct walk *k;
	rowid_t rowids[DELETE_BATCH];
	size_t count;
	rowid_t next;
	uint64_t since; /* ring position from before this batch was looked at */
};

static bool sweep_row(void *arg, rowid_t rowid, bool authentic, const struct row *row)
{
	struct sweep *s = arg;

	s->next.v = rowid.v + 1;
	/* What is not mounted at the moment may come back: nobody can say that its objects are gone. */
	if (authentic && !is_seen(s->k, rowid) && place_visited(s->k, &row->identity.place))
		s->rowids[s->count++] = rowid;
	return s->count < DELETE_BATCH && !walk_cancelled(s->k);
}

/* The scan did not see these; those that cannot be found by any other way are no more. */
static int64_t sweep_delete(struct worker *w, struct map_writer *writer, struct sweep *s)
{
	size_t dead = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct node *n;
		int ret = resolve(w, mint_nodeid(w->mint, s->rowids[i]), &n, NULL, NULL);

		if (ret == 0)
			cache_put(w->x->cache, n);
		else if (ret == -ESTALE) /* any other error says that it could not be told */
			s->rowids[dead++] = s->rowids[i];
	}
	s->count = 0;
	return dead ? map_delete(writer, w->x->ring, s->since, s->rowids, dead) : 0;
}

static void scan_sweep(struct walk *k)
{
	struct worker *w = k->w;
	struct sweep *s = calloc(1, sizeof(*s));
	struct map_writer *writer = NULL;
	int64_t shown = 1, deleted = 0, ret = 0;
	uint64_t position;

	if (!s || map_writer_new(w->epoch->map, &writer) < 0)
		goto out;
	s->k = k;
	ring_wake(w->x->ring);
	if (ring_wait_drained(w->x->ring, ring_tail(w->x->ring), 10000) < 0)
		goto out;
	while (shown > 0 && ret >= 0 && !walk_cancelled(k)) {
		s->since = store_since(w);
		if (map_reader_snapshot(w->reader, w->x->ring, 0, true, &position) < 0)
			break;
		shown = map_walk(w->reader, s->next, sweep_row, s);
		if (shown > 0 && s->count) {
			ret = sweep_delete(w, writer, s);
			deleted += ret > 0 ? ret : 0;
		}
	}
	if (deleted)
		log_info("scan: %lld rows of objects that are gone were dropped",
			 (long long)deleted);
out:
	map_writer_free(writer);
	free(s);
}

/* --- one scan ------------------------------------------------------------------------------------------------- */

static int scan_lock(struct export *x, int *fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	*fd = openat(x->config.statedir, SCAN_LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		     0600);
	if (*fd < 0)
		return errno_neg();
	if (fcntl(*fd, F_OFD_SETLK, &lock) < 0)
		return errno == EAGAIN || errno == EACCES ? -EBUSY : errno_neg();
	return 0;
}

/* The map vouches for everything now, unless more was lost since the scan began. */
static int scan_finish(struct worker *w, uint64_t overflowed)
{
	struct export *x = w->x;
	int ret;

	ring_wake(x->ring);
	ret = ring_wait_drained(x->ring, ring_tail(x->ring), 10000);
	if (!ret)
		ret = map_field_set(w->epoch->map, MAP_COMPLETE, 1);
	if (!ret)
		ret = map_field_set(w->epoch->map, MAP_SCANNED_AT, (uint64_t)time(NULL));
	if (!ret) {
		if (ring_shared_get(x->ring, RING_OVERFLOWED) == overflowed)
			ring_shared_set(x->ring, RING_OVERFLOWED, 0);
		ring_shared_add(x->ring, RING_SCANS, 1);
		atomic_store(&x->complete, true);
	}
	return ret;
}

int scan_run(struct worker *w, export_progress_fn *progress, void *arg)
{
	struct export *x = w->x;
	struct walk k = { .w = w, .progress = progress, .arg = arg };
	CLEANUP_FD int lock = -1;
	uint64_t overflowed;
	int ret;

	if (!w->reader)
		return -EOPNOTSUPP;
	ret = scan_lock(x, &lock);
	if (ret)
		return ret;
	overflowed = ring_shared_get(x->ring, RING_OVERFLOWED);
	ring_shared_set(x->ring, RING_SCANNING, 1);
	w->scanning = true;
	k.last_said = clock_ns();
	k.seen = calloc((1ULL << SEEN_BITS_LOG2) / 64, sizeof(uint64_t));
	ret = k.seen ? walk_push(&k, NODEID_ROOT) : -ENOMEM;
	while (!ret && k.count && !walk_cancelled(&k)) {
		ret = walk_dir(&k, k.todo[--k.count]);
		if (ret < 0 && k.count) {
			k.failures++;
			log_limited(LOG_LEVEL_WARN,
				    "scan: cannot read a directory of the share: %s",
				    strerror(-ret));
			ret = 0;
		}
	}
	if (!ret)
		ret = walk_cancelled(&k);
	if (!ret && k.failures == 0)
		scan_sweep(&k);
	if (!ret)
		ret = scan_finish(w, overflowed);
	if (!ret && k.failures)
		log_warn("scan: %llu objects of the share could not be looked at; their handles "
			 "come back "
			 "when the guest looks them up",
			 (unsigned long long)k.failures);
	if (progress)
		progress(arg, k.objects);
	w->scanning = false;
	ring_shared_set(x->ring, RING_SCANNING, 0);
	free(k.seen);
	free(k.todo);
	free(k.places);
	return ret;
}

/* --- the thread ------------------------------------------------------------------------------------------------- */

static void say_progress(void *arg, uint64_t objects)
{
	(void)arg;
	log_info("scan: %llu objects so far", (unsigned long long)objects);
}

/* Waits for something to do; true: for so long that it is time to see what the cache holds for nothing. */
static bool wait_idle(struct scan *scan)
{
	const uint64_t end = clock_ns() + LET_GO_NS;
	const struct timespec until = { .tv_sec = (time_t)(end / 1000000000),
					.tv_nsec = (long)(end % 1000000000) };

	return pthread_cond_timedwait(&scan->changed, &scan->lock, &until) == ETIMEDOUT;
}

static void let_go(struct export *x)
{
	pthread_mutex_unlock(&x->scan.lock);
	cache_let_go(x->cache);
	pthread_mutex_lock(&x->scan.lock);
}

static void *scan_main(void *arg)
{
	struct export *x = arg;
	struct scan *scan = &x->scan;
	struct worker *w = NULL;

	pthread_mutex_lock(&scan->lock);
	while (!scan->stop) {
		uint64_t begun, scans;
		int ret;

		if (!scan->wanted) {
			if (wait_idle(scan))
				let_go(x);
			continue;
		}
		if (clock_ns() < scan->not_before) {
			struct timespec until = { .tv_sec = (time_t)(scan->not_before / 1000000000),
						  .tv_nsec =
							  (long)(scan->not_before % 1000000000) };

			pthread_cond_timedwait(&scan->changed, &scan->lock, &until);
			continue;
		}
		scan->wanted = false;
		scan->running = true;
		pthread_mutex_unlock(&scan->lock);

		begun = clock_ns();
		scans = ring_shared_get(x->ring, RING_SCANS);
		ret = w ? 0 : worker_new(x, &w);
		if (!ret) {
			worker_begin(w, true);
			ret = w->unfit ? -ENOMEM : scan_run(w, say_progress, NULL);
		}
		/* Another daemon of the export scans: its result is ours. */
		while (ret == -EBUSY && !atomic_load(&scan->cancel)) {
			struct timespec nap = { .tv_nsec = 50000000 };

			nanosleep(&nap, NULL);
			if (ring_shared_get(x->ring, RING_SCANS) != scans)
				ret = 0;
			else
				ret = scan_run(w, say_progress, NULL);
		}
		if (!ret)
			atomic_store(&x->complete, true);
		else if (ret != -ECANCELED)
			log_warn("scan: not finished: %s; it is tried again", strerror(-ret));
		pthread_mutex_lock(&scan->lock);
		scan->running = false;
		if ((ret && ret != -ECANCELED) || ring_shared_get(x->ring, RING_OVERFLOWED))
			scan->wanted = true;
		if (!ret)
			scan->finished++;
		scan->not_before = clock_ns() + PAUSE_FACTOR * (clock_ns() - begun);
		if (scan->not_before < clock_ns() + PAUSE_MIN_NS / 4)
			scan->not_before = clock_ns() + (ret ? PAUSE_MIN_NS : PAUSE_MIN_NS / 4);
		pthread_cond_broadcast(&scan->changed);
	}
	pthread_mutex_unlock(&scan->lock);
	worker_free(w);
	return NULL;
}

int scan_start(struct export *x)
{
	pthread_condattr_t attr;
	int ret;

	pthread_mutex_init(&x->scan.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&x->scan.changed, &attr);
	pthread_condattr_destroy(&attr);
	ret = pthread_create(&x->scan.thread, NULL, scan_main, x);
	x->scan.started = ret == 0;
	return -ret;
}

void scan_stop(struct export *x)
{
	if (!x->scan.started)
		return;
	atomic_store(&x->scan.cancel, true);
	pthread_mutex_lock(&x->scan.lock);
	x->scan.stop = true;
	pthread_cond_broadcast(&x->scan.changed);
	pthread_mutex_unlock(&x->scan.lock);
	pthread_join(x->scan.thread, NULL);
	pthread_cond_destroy(&x->scan.changed);
	pthread_mutex_destroy(&x->scan.lock);
	x->scan.started = false;
}

void scan_want(struct export *x)
{
	if (!x->scan.started)
		return;
	pthread_mutex_lock(&x->scan.lock);
	x->scan.wanted = true;
	pthread_cond_broadcast(&x->scan.changed);
	pthread_mutex_unlock(&x->scan.lock);
}

uint64_t scan_finished(struct export *x)
{
	uint64_t finished;

	if (!x->scan.started)
		return 0;
	pthread_mutex_lock(&x->scan.lock);
	/* One that runs now may have passed the place already: only one begun later counts. */
	finished = x->scan.finished + (x->scan.running ? 1 : 0);
	pthread_mutex_unlock(&x->scan.lock);
	return finished;
}

int scan_consult(struct worker *w, uint64_t finished)
{
	struct scan *scan = &w->x->scan;
	struct timespec until;
	uint64_t end = clock_ns() + WAIT_MS * 1000000ULL;
	int ret = -ENOMEM;

	if (!scan->started)
		return -ESTALE;
	until.tv_sec = (time_t)(end / 1000000000);
	until.tv_nsec = (long)(end % 1000000000);
	pthread_mutex_lock(&scan->lock);
	if (scan->finished <= finished) {
		scan->wanted = true;
		pthread_cond_broadcast(&scan->changed);
	}
	if (!w->may_wait && scan->finished <= finished) {
		w->would_wait = true;
	} else if (scan->waiting < WAITING_MAX) {
		scan->waiting++;
		while (!scan->stop && scan->finished <= finished && clock_ns() < end)
			pthread_cond_timedwait(&scan->changed, &scan->lock, &until);
		scan->waiting--;
	}
	if (scan->finished > finished)
		ret = 0;
	else if (scan->running)
		ret = -EINPROGRESS;
	pthread_mutex_unlock(&scan->lock);
	return ret;
}
