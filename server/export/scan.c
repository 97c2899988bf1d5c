/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scan.c - walks the share and tells the map what it finds.
 *
 * Heals a lost or incomplete map, finds what the host moved while nobody looked, and afterwards drops the
 * rows of objects that are nowhere. One daemon of an export scans at a time (SCAN_LOCK_FILE).
 *
 * One walk does not prove that an object is nowhere: the host may have moved it meanwhile, from where the walk had not
 * yet been to where it had. So a row is dropped when two walks in a row, both of them whole, have missed its object.
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

#define SEEN_BITS_LOG2 26 /* 8 MiB: few false "seen" up to 10 M objects; those only keep a row */
#define PROGRESS_NS 2000000000ULL
#define DELETE_BATCH 512
#define MISSED_MAX (1u << 20) /* what is more is for the walks after the next one */

#define FAULTY_MAX 3 /* scans in a row that are done again for faults that pass */

/* --- the walk ---------------------------------------------------------------------------------------------- */

struct walk {
	struct worker *w;
	uint64_t *seen; /* bitmap by hash of the rowid */
	nodeid_t *todo; /* directories to be read */
	size_t count, room;
	struct place *places; /* where the walk came by */
	size_t place_count;
	uint64_t objects, failures, last_said;
	bool faulty; /* some of the failures are faults that pass */
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

		ret = entry_look(w, dir, name, &looked, &n);
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
	for (errno = 0; (d = readdir(stream)) && !walk_cancelled(k); errno = 0) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		ret = walk_entry(k, dir, d->d_name);
		if (ret < 0) {
			k->failures++;
			k->faulty |= error_passes(ret);
			log_limited(LOG_LEVEL_WARN,
				    "scan: cannot look at an object in the share: %s",
				    strerror(-ret));
		}
	}
	ret = d ? 0 : -errno; /* 0 at its end */
	closedir(stream);
out:
	node_put(k->w, dir);
	return ret;
}

/* --- rows of what is nowhere ------------------------------------------------------------------------------- */

struct sweep {
	struct walk *k;
	struct missed missed; /* by this walk */
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

/* Rowids come in ascending order. What does not fit is missed again. */
static void missed_add(struct missed *m, rowid_t rowid)
{
	if (m->count == m->room) {
		size_t room = m->room ? m->room * 2 : 256;
		rowid_t *grown =
			room <= MISSED_MAX ? realloc(m->rowids, room * sizeof(*grown)) : NULL;

		if (!grown)
			return;
		m->rowids = grown;
		m->room = room;
	}
	m->rowids[m->count++] = rowid;
}

static int rowid_compare(const void *a, const void *b)
{
	const rowid_t *x = a, *y = b;

	return x->v < y->v ? -1 : x->v > y->v;
}

static bool is_missed(const struct missed *m, rowid_t rowid)
{
	return m->count && bsearch(&rowid, m->rowids, m->count, sizeof(rowid), rowid_compare);
}

/* The walk did not see these. Those that cannot be found by any other way, and were missed before, are no more. */
static int64_t sweep_delete(struct worker *w, struct map_writer *writer, struct sweep *s)
{
	size_t dead = 0;
	bool drops = false;

	for (size_t i = 0; i < s->count && !drops; i++)
		drops = is_missed(&w->x->scan.missed, s->rowids[i]);
	/* Behind `since`, and before the look (store_mark()): whatever was recorded until now is recorded again. */
	if (drops)
		(void)ring_shared_add(w->x->ring, RING_DROPS, 1);
	for (size_t i = 0; i < s->count; i++) {
		struct node *n;
		int ret = resolve(w, mint_nodeid(w->mint, s->rowids[i]), &n, NULL, NULL);

		if (ret == 0)
			cache_put(w->x->cache, n);
		else if (ret != -ESTALE) /* it could not be told */
			continue;
		else if (is_missed(&w->x->scan.missed, s->rowids[i]))
			s->rowids[dead++] = s->rowids[i];
		else
			missed_add(&s->missed, s->rowids[i]);
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
	bool ended = false;
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
	ended = shown == 0 && ret >= 0;
out:
	map_writer_free(writer);
	free(w->x->scan.missed.rowids);
	w->x->scan.missed = (struct missed){ 0 };
	if (ended)
		w->x->scan.missed = s->missed;
	else if (s)
		free(s->missed.rowids);
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
		ring_shared_settle(x->ring, RING_OVERFLOWED, overflowed);
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
	/* What was lost counts as recorded in the caches: directories would get no row by being met. */
	if (overflowed)
		(void)ring_shared_add(x->ring, RING_DROPS, 1);
	ring_shared_set(x->ring, RING_SCANNING, 1);
	w->scanning = true;
	k.last_said = clock_ns();
	k.seen = calloc((1ULL << SEEN_BITS_LOG2) / 64, sizeof(uint64_t));
	ret = k.seen ? walk_push(&k, NODEID_ROOT) : -ENOMEM;
	while (!ret && k.count && !walk_cancelled(&k)) {
		const nodeid_t dir = k.todo[--k.count];

		ret = walk_dir(&k, dir);
		/* Without the root nothing was seen at all. */
		if (ret < 0 && !nodeid_is_root(dir)) {
			k.failures++;
			k.faulty |= error_passes(ret);
			log_limited(LOG_LEVEL_WARN,
				    "scan: cannot read a directory of the share: %s",
				    strerror(-ret));
			ret = 0;
		}
	}
	if (!ret)
		ret = walk_cancelled(&k);
	x->scan.failures = k.failures;
	/* It is not the last word on what it could not look at. */
	x->scan.faulty = k.faulty ? x->scan.faulty + 1 : 0;
	if (!ret && k.faulty && x->scan.faulty <= FAULTY_MAX)
		ret = -EAGAIN;
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
