/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drain_desk.c - the drainer's work without its thread: the office, a batch of records in one transaction, a step of upkeep.
 *
 * Within a batch the records are sorted by rowid (those of one rowid keep their order; records of different rowids do not touch
 * each other), so that the B-tree is filled from left to right.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "export/drain_private.h"

#define BATCH_MAX 2048u

void desk_close(struct desk *k)
{
	map_writer_free(k->writer);
	free(k->records);
	free(k->order);
	(void)fd_close(k->fd); /* gives the office back */
}

int desk_open(struct desk *k, struct map *m, struct ring *r, int statedir)
{
	int err;

	memset(k, 0, sizeof(*k));
	k->ring = r;
	k->name = map_path(m);
	k->fd = openat(statedir, DRAIN_LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (k->fd < 0)
		return errno_neg();
	k->records = calloc(BATCH_MAX, sizeof(*k->records));
	k->order = calloc(BATCH_MAX, sizeof(*k->order));
	err = k->records && k->order ? map_writer_new(m, &k->writer) : -ENOMEM;
	if (err)
		desk_close(k);
	return err;
}

bool desk_take_office(struct desk *k)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (!k->office && !k->retired)
		k->office = fcntl(k->fd, F_OFD_SETLK, &lock) == 0;
	return k->office;
}

void desk_retire(struct desk *k)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	(void)fcntl(k->fd, F_OFD_SETLK, &lock);
	k->office = false;
	k->retired = true;
}

/* Reads up to a batch of records from where the ring is drained. Gives the position behind. */
static int batch_read(struct desk *k, struct tally *t, uint64_t *position)
{
	*position = ring_drained(k->ring);
	while (t->records < BATCH_MAX) {
		uint64_t before = *position;
		int got = ring_next(k->ring, position, &k->records[t->records]);

		if (got == 0)
			break;
		if (got > 0)
			t->records++;
		else if (*position > before)
			t->damaged++;
		else
			return got; /* the positions themselves make no sense */
	}
	return 0;
}

static int order_compare(const void *a, const void *b, void *arg)
{
	const struct record *records = arg;
	uint16_t ia = *(const uint16_t *)a, ib = *(const uint16_t *)b;
	uint64_t ra = records[ia].rowid.v, rb = records[ib].rowid.v;

	if (ra != rb)
		return ra < rb ? -1 : 1;
	return ia < ib ? -1 : ia > ib;
}

/* What the next record of the same object takes back altogether need not be told to the map: short-lived files. */
static bool gone_at_once(const struct record *rec, const struct record *next)
{
	return next->kind == RECORD_GONE && rowid_equal(rec->rowid, next->rowid) &&
	       identity_equal(&rec->row.identity, &next->row.identity);
}

static int batch_apply(struct desk *k, struct tally *t)
{
	assert(k->order && k->records);
	for (unsigned i = 0; i < t->records; i++)
		k->order[i] = (uint16_t)i;
	qsort_r(k->order, t->records, sizeof(*k->order), order_compare, k->records);

	for (unsigned i = 0; i < t->records; i++) {
		int err;

		if (i + 1 < t->records &&
		    gone_at_once(&k->records[k->order[i]], &k->records[k->order[i + 1]])) {
			t->dropped++;
			continue;
		}
		err = map_apply(k->writer, &k->records[k->order[i]]);
		if (err < 0 && err != -EEXIST)
			return err;
		if (err == -EEXIST)
			log_limited(LOG_LEVEL_WARN,
				    "map %s: left out a record whose row belongs to another object",
				    k->name);
		if (err)
			t->dropped++;
	}
	return 0;
}

int desk_batch(struct desk *k, struct tally *t)
{
	uint64_t position;
	int err;

	memset(t, 0, sizeof(*t));
	err = batch_read(k, t, &position);
	if (err)
		return err;
	if (!t->records && !t->damaged)
		return 0;
	err = map_begin(k->writer);
	if (!err)
		err = batch_apply(k, t);
	if (!err)
		err = map_commit(k->writer, position);
	if (err)
		return err;
	if (t->damaged) {
		/* Before the ring forgets them: only a scan can find what these were. */
		(void)ring_shared_add(k->ring, RING_OVERFLOWED, 1);
		log_limited(LOG_LEVEL_WARN, "ring of map %s: left out %u damaged records", k->name,
			    t->damaged);
	}
	ring_set_drained(k->ring, position);
	return 1;
}

int desk_upkeep(struct desk *k, struct map *m, uint64_t *rows)
{
	uint8_t key = map_active_key(m);
	int ret;

	*rows = 0;
	if (k->sealed_by != key) {
		k->sealed_by = 0;
		ret = map_sealed_by_active(m);
		if (ret == 0) {
			k->resealing = true;
			ret = map_reseal(k->writer, rows);
			ret = ret == 0 ? map_sealed_by_active(m) : ret < 0 ? ret : 0;
		}
		if (ret > 0)
			k->sealed_by = key;
		return ret < 0 ? ret : 1;
	}
	if (k->swept)
		return 0;
	ret = map_sweep(k->writer);
	k->swept = ret == 0;
	return ret;
}

bool desk_has_work(const struct desk *k)
{
	return ring_tail(k->ring) != ring_drained(k->ring);
}
