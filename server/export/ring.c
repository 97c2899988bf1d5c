/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - the records: appending, finding by rowid, reading in order.
 *
 * Appenders and finders of all threads and daemons take turns under the robust mutex in the file. The
 * order of an append is: records, tail, buckets. A writer that dies before the tail moved leaves
 * nothing that counts; one that dies before its last bucket leaves the mutex to a heir, who makes the
 * buckets anew (ring_reindex) before going on. The drainer reads without the lock: what lies between
 * drained and tail is never overwritten.
 *
 * A record, little-endian, padded with zeros to a multiple of 8 bytes:
 *     0  u32  length of the whole, padding included
 *     4  u32  checksum of its position and everything behind this field
 *     8  u64  position + 1 of the bucket's record before this one; 0: none
 *    16  u64  rowid
 *    24  u32  generation
 *    28  u8   kind, u8 type, u8 tweak, u8 flags (1: multi)
 *    32  u64  host inode number
 *    40  u16  bytes of the identity, u16 bytes of the name (0: none), u32 zero
 *    48  the identity (identity_encode), the name (name_encode)
 *
 * Nothing in the file is believed: a record is copied, then checked against its checksum and bounds,
 * then decoded; positions only ever index after being reduced to the area; chains strictly descend.
 * The checksum is against accidents. Against lies stand the checks after each open of an object.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "export/nodeid.h"
#include "export/ring_private.h"

#define SLOT_HEADER 48u
#define SLOT_MAX                                                                                   \
	((SLOT_HEADER + IDENTITY_MAX + NAME_ENCODED_MAX + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN)
#define SLOT_MULTI 1u
#define APPEND_MAX 4u
#define LOCK_TIMEOUT_NS 1000000000U
/* Once it was waited for in vain: who holds it is stopped, and not every request is to wait so long. */
#define LOCK_STUCK_NS 10000000U

_Static_assert(SLOT_MAX *APPEND_MAX < RING_CAPACITY_MIN, "an append fits into every ring");

/* One encoded record. */
struct slot {
	uint64_t position;
	size_t len;
	uint8_t bytes[SLOT_MAX];
};

/* What slots are tested against; read once, under the lock where one is held. */
struct range {
	uint64_t low; /* nothing before is readable by the chains */
	uint64_t tail;
};

/* --- bytes of the area -------------------------------------------------------------------------- */

static void area_read(const struct ring *r, uint64_t position, uint8_t *out, size_t len)
{
	size_t at = (size_t)(position & (r->capacity - 1));
	size_t first = len < r->capacity - at ? len : (size_t)(r->capacity - at);

	memcpy(out, r->data + at, first);
	memcpy(out + first, r->data, len - first);
}

static void area_write(struct ring *r, uint64_t position, const uint8_t *in, size_t len)
{
	size_t at = (size_t)(position & (r->capacity - 1));
	size_t first = len < r->capacity - at ? len : (size_t)(r->capacity - at);

	memcpy(r->data + at, in, first);
	memcpy(r->data, in + first, len - first);
}

static uint64_t *bucket_of(const struct ring *r, rowid_t rowid)
{
	/* Fibonacci hashing: the low bits of a rowid are random, its high bits cluster. */
	return &r->buckets[(rowid.v * 0x9e3779b97f4a7c15u) >> (64 - r->bucket_bits)];
}

static uint32_t slot_checksum(uint64_t position, const uint8_t *bytes, size_t len)
{
	uint64_t h = (position + 1) * 0x9e3779b97f4a7c15u ^ get_le32(bytes);

	for (size_t i = RING_ALIGN; i < len; i += RING_ALIGN) {
		h = (h ^ get_le64(bytes + i)) * 0xff51afd7ed558ccdu;
		h ^= h >> 29;
	}
	return (uint32_t)(h ^ h >> 32);
}

/* --- one record --------------------------------------------------------------------------------- */

/* A record that will become a row has a type that a row can have. */
static bool type_fits(enum record_kind kind, uint8_t type)
{
	const unsigned known = 1u << DT_FIFO | 1u << DT_CHR | 1u << DT_DIR | 1u << DT_BLK |
			       1u << DT_REG | 1u << DT_LNK | 1u << DT_SOCK;

	return kind != RECORD_SEEN || (type <= DT_SOCK && known >> type & 1);
}

static void slot_encode(struct slot *s, const struct record *rec)
{
	uint8_t *p = s->bytes;
	size_t identity, name = 0, len;

	assert(type_fits(rec->kind, rec->row.type) && rec->row.tweak <= MINT_TWEAK_MAX);
	memset(p, 0, sizeof(s->bytes));
	identity = identity_encode(&rec->row.identity, p + SLOT_HEADER);
	if (rec->row.name.len)
		name = name_encode(&rec->row.name, p + SLOT_HEADER + identity);
	len = SLOT_HEADER + identity + name;
	s->len = (len + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN;

	put_le32(p, (uint32_t)s->len);
	put_le64(p + 16, rec->rowid.v);
	put_le32(p + 24, rec->generation.v);
	p[28] = (uint8_t)rec->kind;
	p[29] = rec->row.type;
	p[30] = rec->row.tweak;
	p[31] = rec->row.multi ? SLOT_MULTI : 0;
	put_le64(p + 32, rec->row.ino);
	put_le16(p + 40, (uint16_t)identity);
	put_le16(p + 42, (uint16_t)name);
}

static uint64_t slot_prev(const struct slot *s)
{
	return get_le64(s->bytes + 8);
}

static rowid_t slot_rowid(const struct slot *s)
{
	return (rowid_t){ get_le64(s->bytes + 16) };
}

/* Copies the record at `position`, which must end by `limit`: is there one, as it was written? */
static bool slot_read(const struct ring *r, uint64_t position, uint64_t limit, struct slot *s)
{
	uint8_t first[4];
	uint32_t len;

	if (position % RING_ALIGN || position > limit || limit - position < SLOT_HEADER)
		return false;
	area_read(r, position, first, sizeof(first));
	len = get_le32(first);
	if (len < SLOT_HEADER || len > SLOT_MAX || len % RING_ALIGN || len > limit - position)
		return false;
	area_read(r, position, s->bytes, len);
	s->position = position;
	s->len = len;
	return get_le32(s->bytes) == len &&
	       get_le32(s->bytes + 4) == slot_checksum(position, s->bytes, len);
}

/* The inverse of slot_encode(); false for what it cannot have made. */
static bool slot_decode(const struct slot *s, struct record *rec)
{
	const uint8_t *p = s->bytes;
	size_t identity = get_le16(p + 40), name = get_le16(p + 42);

	memset(rec, 0, sizeof(*rec));
	if (p[28] < RECORD_SEEN || p[28] > RECORD_GONE || p[31] > SLOT_MULTI || get_le32(p + 44) ||
	    SLOT_HEADER + identity + name > s->len ||
	    s->len - SLOT_HEADER - identity - name >= RING_ALIGN)
		return false;
	rec->kind = (enum record_kind)p[28];
	if (!type_fits(rec->kind, p[29]) || p[30] > MINT_TWEAK_MAX)
		return false;
	rec->rowid = slot_rowid(s);
	rec->generation.v = get_le32(p + 24);
	rec->row.type = p[29];
	rec->row.tweak = p[30];
	rec->row.multi = p[31] & SLOT_MULTI;
	rec->row.ino = get_le64(p + 32);
	rec->row.name.parent = ROWID_NONE;
	if (identity_decode(p + SLOT_HEADER, identity, &rec->row.identity) != (ssize_t)identity)
		return false;
	return !name ||
	       name_decode(p + SLOT_HEADER + identity, name, &rec->row.name) == (ssize_t)name;
}

/*
 * The first sound record at or after *position; false when there is none before the tail. What lies
 * between was damaged: its length is not believed, each possible place is tried.
 */
static bool slot_seek(const struct ring *r, uint64_t *position, uint64_t tail, struct slot *s)
{
	*position += -*position % RING_ALIGN;
	for (; *position < tail; *position += RING_ALIGN)
		if (slot_read(r, *position, tail, s))
			return true;
	*position = tail;
	return false;
}

/* --- the lock ----------------------------------------------------------------------------------- */

void ring_reindex(struct ring *r)
{
	uint64_t tail = shared_load(&r->header->tail);
	uint64_t position = shared_load(&r->header->drained);
	struct slot s;

	for (size_t i = 0; i < (size_t)1 << r->bucket_bits; i++)
		shared_store(&r->buckets[i], 0);
	if (!ring_positions_sane(r, tail, position))
		return; /* every user of the positions refuses them */
	shared_store(&r->header->floor, position);
	while (slot_seek(r, &position, tail, &s)) {
		shared_store(bucket_of(r, slot_rowid(&s)), position + 1);
		position += s.len;
	}
}

/* 0, EOWNERDEAD, ETIMEDOUT. */
static int lock_wait(pthread_mutex_t *lock, uint64_t ns)
{
#ifdef __SANITIZE_THREAD__
	/* libtsan of gcc 12 does not know pthread_mutex_clocklock(3), and would see an unlock without a lock. */
	const clockid_t clock = CLOCK_REALTIME;
#else
	const clockid_t clock = CLOCK_MONOTONIC;
#endif
	struct timespec until;

	(void)clock_gettime(clock, &until);
	ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(ns / 1000000000);
	until.tv_nsec = (long)(ns % 1000000000);
#ifdef __SANITIZE_THREAD__
	return pthread_mutex_timedlock(lock, &until);
#else
	return pthread_mutex_clocklock(lock, clock, &until);
#endif
}

static int ring_lock(struct ring *r)
{
	pthread_mutex_t *lock = &r->header->lock;
	const bool stuck = atomic_load_explicit(&r->stuck, memory_order_relaxed);
	int err = pthread_mutex_trylock(lock);

	if (err == EBUSY)
		err = lock_wait(lock, stuck ? LOCK_STUCK_NS : LOCK_TIMEOUT_NS);
	if (stuck != (err == ETIMEDOUT))
		atomic_store_explicit(&r->stuck, !stuck, memory_order_relaxed);
	if (err == EOWNERDEAD) {
		/* If we die in here the next one begins again: consistent comes last. */
		ring_reindex(r);
		err = pthread_mutex_consistent(lock);
		if (err)
			(void)pthread_mutex_unlock(lock);
	}
	if (err == ETIMEDOUT)
		return -ETIMEDOUT;
	return err ? -EIO : 0;
}

static void ring_unlock(struct ring *r)
{
	int err = pthread_mutex_unlock(&r->header->lock);

	assert(!err);
	(void)err;
}

/* With the lock: the range in which chains may be followed. -EBADMSG, -EAGAIN if it lacks `since`. */
static int range_get(const struct ring *r, uint64_t since, struct range *range)
{
	uint64_t floor = shared_load(&r->header->floor);

	range->tail = shared_load(&r->header->tail);
	if (!ring_positions_sane(r, range->tail, shared_load(&r->header->drained)))
		return -EBADMSG;
	range->low = range->tail > r->capacity ? range->tail - r->capacity : 0;
	if (floor > range->low)
		range->low = floor;
	return since < range->low || since > range->tail ? -EAGAIN : 0;
}

/* --- chains ------------------------------------------------------------------------------------- */

/*
 * Goes to the next older record of `rowid` at or after `since`. `link` (position + 1, 0: none) is what
 * the newer one, or at first the bucket, says. A link that leads out of the range, up, or to what is
 * no record ends the chain.
 */
static bool chain_next(const struct ring *r, const struct range *range, uint64_t since,
		       rowid_t rowid, uint64_t *link, struct slot *s)
{
	uint64_t below = range->tail;

	while (*link && *link - 1 < below && *link - 1 >= since && *link - 1 >= range->low) {
		below = *link - 1;
		if (!slot_read(r, below, range->tail, s))
			break;
		*link = slot_prev(s);
		if (*link > below)
			*link = 0;
		if (rowid_equal(slot_rowid(s), rowid))
			return true;
	}
	return false;
}

/* The rules of ring_append() for one SEEN record: 0 append, 1 leave out, -EEXIST, -EAGAIN. */
static int seen_judge(const struct ring *r, const struct range *range, uint64_t since,
		      const struct record *rec)
{
	uint64_t link = shared_load(bucket_of(r, rec->rowid));
	bool superseded = false;
	struct record old;
	struct slot s;

	while (chain_next(r, range, since, rec->rowid, &link, &s)) {
		if (!slot_decode(&s, &old))
			continue;
		if (old.kind != RECORD_SEEN)
			return -EAGAIN;
		if (!identity_equal(&old.row.identity, &rec->row.identity))
			return -EEXIST;
		/* It is there, unless a newer record has put another name in its place. */
		if (name_equal(&old.row.name, &rec->row.name) && !superseded)
			return 1;
		if (!old.row.multi)
			superseded = true;
	}
	return 0;
}

/* Does a record before the i-th of the same append speak of the same object? */
static bool told_before(const struct record *recs, unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (rowid_equal(recs[j].rowid, recs[i].rowid))
			return true;
	return false;
}

/* --- appending ---------------------------------------------------------------------------------- */

/* Chains, sums and writes the slots behind the tail, then shows them. With the lock. */
static void slots_publish(struct ring *r, struct slot *slots, unsigned n, uint64_t tail)
{
	uint64_t *buckets[APPEND_MAX];

	for (unsigned i = 0; i < n; i++) {
		struct slot *s = &slots[i];
		uint64_t prev;

		buckets[i] = bucket_of(r, slot_rowid(s));
		prev = shared_load(buckets[i]);
		for (unsigned j = 0; j < i; j++)
			if (buckets[j] == buckets[i])
				prev = slots[j].position + 1;
		s->position = tail;
		put_le64(s->bytes + 8, prev);
		put_le32(s->bytes + 4, slot_checksum(tail, s->bytes, s->len));
		area_write(r, tail, s->bytes, s->len);
		tail += s->len;
	}
	shared_store(&r->header->tail, tail);
	for (unsigned i = 0; i < n; i++)
		shared_store(buckets[i], slots[i].position + 1);
}

static int append_locked(struct ring *r, const struct record *recs, struct slot *slots, unsigned n,
			 uint64_t since, uint64_t *end)
{
	struct range range;
	unsigned kept = 0;
	uint64_t need = 0;
	int err = range_get(r, since, &range);

	if (err && err != -EAGAIN)
		return err;
	for (unsigned i = 0; i < n; i++) {
		int verdict = 0;

		/* Only what was seen can be out of date; what was unlinked stays unlinked. */
		if (recs[i].kind == RECORD_SEEN)
			verdict = err ? err : seen_judge(r, &range, since, &recs[i]);
		if (verdict < 0)
			return verdict;
		if (verdict > 0 && !told_before(recs, i))
			continue;
		if (kept != i)
			slots[kept] = slots[i];
		need += slots[kept++].len;
	}
	*end = range.tail + need; /* a record that was left out lies before it */
	if (*end - shared_load(&r->header->drained) > r->capacity)
		return -ENOSPC;
	if (kept)
		slots_publish(r, slots, kept, range.tail);
	return 0;
}

int ring_append(struct ring *r, const struct record *recs, unsigned n, uint64_t since,
		uint64_t *end)
{
	struct slot slots[APPEND_MAX];
	uint64_t behind = 0;
	int err;

	assert(n >= 1 && n <= APPEND_MAX);
	for (unsigned i = 0; i < n; i++)
		slot_encode(&slots[i], &recs[i]);
	err = ring_lock(r);
	if (err)
		return err;
	err = append_locked(r, recs, slots, n, since, &behind);
	ring_unlock(r);
	if (err)
		return err;
	ring_notify_work(r);
	if (end)
		*end = behind;
	return 0;
}

/* --- reading ------------------------------------------------------------------------------------ */

int ring_find(struct ring *r, rowid_t rowid, uint64_t since, ring_each_fn *each, void *arg)
{
	struct range range;
	struct record rec;
	struct slot s;
	uint64_t link;
	int shown = 0;
	int err;

	/* Nothing was appended since: no need of the lock. A writer shows itself by the tail. */
	if (since == shared_load(&r->header->tail))
		return 0;
	err = ring_lock(r);
	if (err)
		return err;
	err = range_get(r, since, &range);
	if (err)
		goto out;
	link = shared_load(bucket_of(r, rowid));
	while (chain_next(r, &range, since, rowid, &link, &s)) {
		if (!slot_decode(&s, &rec))
			continue;
		shown++;
		if (!each(arg, s.position, &rec))
			break;
	}
out:
	ring_unlock(r);
	return err ? err : shown;
}

int ring_next(struct ring *r, uint64_t *position, struct record *out)
{
	uint64_t drained = shared_load(&r->header->drained);
	uint64_t tail = shared_load(&r->header->tail);
	uint64_t start = *position;
	struct slot s;

	if (!ring_positions_sane(r, tail, drained)) {
		*position = tail;
		return -EBADMSG;
	}
	if (start == tail)
		return 0;
	/* Not between drained and tail: nothing that could be vouched for. */
	if (start > tail || start < drained) {
		*position = start > tail ? tail : drained;
		return -EBADMSG;
	}
	if (slot_read(r, start, tail, &s)) {
		*position = start + s.len;
		return slot_decode(&s, out) ? 1 : -EBADMSG;
	}
	(void)slot_seek(r, position, tail, &s);
	return -EBADMSG;
}

uint64_t ring_tail(const struct ring *r)
{
	return shared_load(&r->header->tail);
}

uint64_t ring_drained(const struct ring *r)
{
	return shared_load(&r->header->drained);
}

uint64_t ring_capacity(const struct ring *r)
{
	return r->capacity;
}
