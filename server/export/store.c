/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * store.c - map and ring as one: what is known of a rowid, and how it becomes known.
 *
 * The map's snapshot is a little old, so the ring is asked for what came since. The position from which
 * on it is asked is read before the snapshot is taken, so nothing falls between the two. Each worker calls with
 * its own reader.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"

#define SNAPSHOT_MS 100
#define FULL_WAIT_MS 100 /* a full ring: wait this long, */
#define FULL_WAITS 20	 /* so many times, then go on without */

uint64_t store_since(struct worker *w)
{
	return w->x->ring ? ring_tail(w->x->ring) : 0;
}

uint32_t store_mark(struct worker *w)
{
	const struct ring *r = w->x->ring;

	/* So many drops as begin it anew take years. */
	return STORE_MARK_FIRST +
	       (r ? (uint32_t)(ring_shared_get(r, RING_DROPS) % CACHE_MARK_MAX) : 0);
}

/* --- finding ------------------------------------------------------------------------------------------------ */

struct gather {
	struct found *found;
	struct name unnamed[STORE_NAMES]; /* names that newer records take away */
	unsigned unnamed_count;
	bool any, gone;
};

static bool name_in(const struct name *list, unsigned count, const struct name *name)
{
	for (unsigned i = 0; i < count; i++)
		if (name_equal(&list[i], name))
			return true;
	return false;
}

static void gather_name(struct gather *g, const struct name *name)
{
	struct found *f = g->found;

	if (name->len == 0 || rowid_equal(name->parent, ROWID_NONE) || f->count == STORE_NAMES ||
	    name_in(g->unnamed, g->unnamed_count, name) || name_in(f->names, f->count, name))
		return;
	f->names[f->count++] = *name;
}

/* Newest first. */
static bool gather_record(void *arg, uint64_t position, const struct record *rec)
{
	struct gather *g = arg;

	(void)position;
	if (rec->kind == RECORD_GONE) {
		g->gone = true;
		return false;
	}
	if (!g->any)
		g->found->row = rec->row;
	g->any = true;
	if (rec->kind == RECORD_SEEN)
		gather_name(g, &rec->row.name);
	else if (g->unnamed_count < STORE_NAMES)
		g->unnamed[g->unnamed_count++] = rec->row.name;
	return true;
}

static int gather_ring(struct worker *w, rowid_t rowid, struct gather *g, uint64_t *position)
{
	bool force = w->clashes_seen != ring_shared_get(w->x->ring, RING_CLASHES);
	int ret = -EAGAIN;

	w->clashes_seen = ring_shared_get(w->x->ring, RING_CLASHES);
	for (int tries = 0; ret == -EAGAIN && tries < 3; tries++) {
		uint64_t since;

		ret = map_reader_snapshot(w->reader, w->x->ring, SNAPSHOT_MS, force || tries > 0,
					  &since);
		if (ret)
			return ret;
		if (ring_tail(w->x->ring) - since > ring_capacity(w->x->ring) / 2) {
			ret = map_reader_snapshot(w->reader, w->x->ring, 0, true, &since);
			if (ret)
				return ret;
		}
		g->any = g->gone = false;
		g->unnamed_count = g->found->count = 0;
		ret = ring_find(w->x->ring, rowid, since, gather_record, g);
		*position = since;
	}
	if (ret == -ETIMEDOUT) {
		log_limited(
			LOG_LEVEL_WARN,
			"map: a daemon of this export holds the ring and stands still: guests are "
			"told to try again");
		return -ENOMEM;
	}
	return ret < 0 ? ret : 0;
}

static bool rowid_listed(const struct neighbours *l, rowid_t rowid)
{
	unsigned from = 0, to = l->count;

	while (from < to) {
		unsigned middle = (from + to) / 2;

		if (l->rowids[middle].v == rowid.v)
			return true;
		if (l->rowids[middle].v < rowid.v)
			from = middle + 1;
		else
			to = middle;
	}
	return false;
}

/*
 * Is there surely no row, as far as the snapshot at `position` goes? Two misses in a row in one bucket are the mark
 * of a directory that is seen for the first time: its neighbours are listed then, for those to come.
 */
static bool surely_absent(struct worker *w, rowid_t rowid, uint64_t position)
{
	struct neighbours *l = &w->neighbours;
	uint64_t bucket = rowid.v >> 40;
	int n;

	if (l->bucket != bucket) {
		l->bucket = bucket;
		l->valid = l->missed = false;
		return false;
	}
	if ((!l->valid || l->position != position) && l->missed) {
		rowid_t first = { bucket << 40 }, last = { bucket << 40 | ((1ULL << 40) - 1) };

		n = map_ids(w->reader, first, last, l->rowids, NEIGHBOURS_MAX);
		l->valid = n >= 0;
		l->missed = l->valid; /* too many to list: not again */
		l->count = l->valid ? (unsigned)n : 0;
		l->position = position;
	}
	return l->valid && l->position == position && !rowid_listed(l, rowid);
}

static int get_row(struct worker *w, rowid_t rowid, uint64_t position, struct row *out)
{
	int ret;

	if (surely_absent(w, rowid, position))
		return -ENOENT;
	ret = map_get(w->reader, rowid, out);
	w->neighbours.missed = ret == -ENOENT;
	return ret;
}

int store_find(struct worker *w, rowid_t rowid, struct found *out)
{
	struct gather g = { .found = out };
	struct name aliases[STORE_NAMES];
	struct row row;
	uint64_t position = 0;
	int ret;

	out->count = 0;
	if (!w->reader)
		return -ENOENT;
	ret = gather_ring(w, rowid, &g, &position);
	if (ret)
		return ret;

	if (!g.gone) {
		ret = get_row(w, rowid, position, &row);
		if (ret == 0) {
			if (!g.any)
				out->row = row;
			if (g.any && !identity_equal(&out->row.identity, &row.identity))
				ret = -ENOENT; /* the ring's is newer: it decides */
		}
		if (ret == 0) {
			gather_name(&g, &row.name);
			if (row.multi) {
				ret = map_aliases(w->reader, rowid, aliases, STORE_NAMES);
				for (int i = 0; i < ret; i++)
					gather_name(&g, &aliases[i]);
				ret = ret < 0 ? ret : 0;
			}
		}
		/* A row that does not authenticate is about to be replaced by what the ring holds. */
		if (ret < 0 && !((ret == -ENOENT || ret == -EBADMSG) && g.any))
			return ret;
	} else if (!g.any) {
		return -ENOENT;
	}
	if (out->count)
		out->row.name = out->names[0];
	else
		out->row.name = (struct name){ .parent = ROWID_NONE };
	return 0;
}

/* --- numbers -------------------------------------------------------------------------------------------------- */

int store_clash(struct worker *w, const struct identity *id, uint64_t ino, struct minted *out)
{
	rowid_t rowids[MINT_TWEAK_MAX + 1];
	unsigned tweak;
	int ret;

	if (!w->epoch->map)
		return -EEXIST;
	for (unsigned t = 0; t <= MINT_TWEAK_MAX; t++) {
		ret = mint_identity(w->mint, id, ino, t, out);
		if (ret)
			return ret;
		rowids[t] = out->rowid;
	}
	if (!w->writer) {
		ret = map_writer_new(w->epoch->map, &w->writer);
		if (ret)
			return ret;
	}
	ret = map_clash_add(w->writer, id, rowids, &tweak);
	if (ret < 0) {
		log_limited(LOG_LEVEL_ERROR, "map: cannot record a clash of rowids: %s",
			    strerror(-ret));
		return ret;
	}
	ring_shared_add(w->x->ring, RING_CLASHES, 1);
	return mint_identity(w->mint, id, ino, tweak, out);
}

int store_assign(struct worker *w, const struct identity *id, uint64_t ino, struct minted *out,
		 bool *known, struct found *found)
{
	struct found local;
	unsigned tweak = 0;
	int ret, clash = 0;

	if (!found)
		found = &local;
	if (known)
		*known = false;
	if (!w->reader)
		return 0;
	ret = store_find(w, out->rowid, found); /* renews the snapshot after a clash elsewhere */
	if (ret < 0 && ret != -ENOENT && ret != -EBADMSG)
		return ret;
	if (ret == 0 && identity_equal(&found->row.identity, id)) {
		if (known)
			*known = true;
		return 0;
	}
	if (ring_shared_get(w->x->ring, RING_CLASHES) > 0) {
		clash = map_clash_find(w->reader, out->rowid, id, &tweak);
		if (clash == 1) {
			ret = mint_identity(w->mint, id, ino, tweak, out);
			if (ret)
				return ret;
			ret = store_find(w, out->rowid, found);
			if (known && ret == 0)
				*known = identity_equal(&found->row.identity, id);
			return ret == -ENOENT ? 0 : ret;
		}
		if (clash < 0 && clash != -ENOENT)
			return clash;
	}
	/* Free, and no clash was ever here: ours. A row that does not authenticate is no owner. */
	if (ret != 0 && clash == 0)
		return 0;
	return store_clash(w, id, ino, out);
}

/* --- telling ---------------------------------------------------------------------------------------------------- */

int store_record(struct record *rec, enum record_kind kind, const struct minted *minted,
		 const struct looked *looked, rowid_t parent, const char *name)
{
	rec->kind = kind;
	rec->rowid = minted->rowid;
	rec->generation = minted->generation;
	rec->row.identity = looked->id;
	rec->row.ino = looked->stx.stx_ino;
	rec->row.type = (uint8_t)IFTODT(looked->stx.stx_mode);
	rec->row.tweak = (uint8_t)minted->tweak;
	rec->row.multi = looked->stx.stx_nlink > 1 && !S_ISDIR(looked->stx.stx_mode);
	if (!name) {
		rec->row.name = (struct name){ .parent = ROWID_NONE };
		return 0;
	}
	return name_set(&rec->row.name, parent, name);
}

static void store_overflow(struct worker *w, int why)
{
	ring_shared_add(w->x->ring, RING_OVERFLOWED, 1);
	log_limited(LOG_LEVEL_ERROR,
		    "map: cannot take in what the guest sees (%s); serving goes on, and the share "
		    "will be "
		    "scanned when there is room; see to the space in %s",
		    strerror(-why), w->x->config.statepath);
	scan_want(w->x);
}

int store_append(struct worker *w, const struct record *recs, unsigned n, uint64_t since)
{
	struct ring *r = w->x->ring;
	uint64_t end = 0;
	int ret = -ENOSPC;

	if (!r)
		return 0;
	for (int i = 0; ret == -ENOSPC && i < FULL_WAITS; i++) {
		ret = ring_append(r, recs, n, since, &end);
		if (ret == -ENOSPC) {
			/* Known to be stuck: do not make every request wait as long as the first. */
			if (ring_shared_get(r, RING_OVERFLOWED))
				break;
			ring_wake(r);
			ring_wait_drained(r, ring_drained(r) + 1, FULL_WAIT_MS);
		}
	}
	if (ret == -ENOSPC || ret == -ETIMEDOUT) {
		store_overflow(w, ret);
		return 0;
	}
	if (ret == 0 && w->x->config.strict) {
		ring_wake(r);
		ret = ring_wait_drained(r, end, 10000);
		if (ret < 0) {
			log_limited(LOG_LEVEL_ERROR, "map: not on disk after 10 s; see to %s",
				    w->x->config.statepath);
			ret = -EIO;
		}
	}
	return ret;
}
