/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring.c - the ring: order, room, the rules against late inserts, dying writers, tampering.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/util.h"
#include "export/ring_private.h"
#include "holder.h"
#include "export/tests/fixture.h"

#define SMALL ((size_t)16 << 10)
#define RING "ring"

static const uint8_t uuid[HOLDFAST_UUID_LEN] = "an export's uuid";
static const uint8_t other_uuid[HOLDFAST_UUID_LEN] = "another's uuid..";

static struct ring *open_ring(const struct fixture *f, size_t size)
{
	struct ring *r = NULL;

	assert_int_equal(ring_open(f->dirfd, RING, uuid, size, &r, NULL), 0);
	return r;
}

static int append(struct ring *r, enum record_kind kind, uint64_t rowid, uint64_t n,
		  const char *name, uint64_t since)
{
	struct record rec = fixture_record(kind, rowid, n, name, false);

	return ring_append(r, &rec, 1, since, NULL);
}

static void nap_ms(long ms)
{
	const struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	(void)nanosleep(&ts, NULL);
}

static void assert_same_record(const struct record *a, const struct record *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->rowid.v, b->rowid.v);
	assert_int_equal(a->generation.v, b->generation.v);
	assert_true(identity_equal(&a->row.identity, &b->row.identity));
	assert_int_equal(a->row.ino, b->row.ino);
	assert_int_equal(a->row.type, b->row.type);
	assert_int_equal(a->row.tweak, b->row.tweak);
	assert_int_equal(a->row.multi, b->row.multi);
	assert_true(name_equal(&a->row.name, &b->row.name));
}

/* --- order and room ----------------------------------------------------------------------------- */

static void test_a_new_ring_is_empty_and_private(void **state)
{
	struct fixture *f = *state;
	struct ring *r = NULL, *again = NULL;
	struct record rec;
	struct stat st;
	uint64_t position = 0;
	bool created = false;

	assert_int_equal(ring_open(f->dirfd, RING, uuid, RING_SIZE_DEFAULT, &r, &created), 0);
	assert_true(created);
	assert_int_equal(fstatat(f->dirfd, RING, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true((uint64_t)st.st_blocks * 512 >= RING_SIZE_DEFAULT); /* no holes */
	assert_int_equal(ring_tail(r), 0);
	assert_int_equal(ring_next(r, &position, &rec), 0);
	assert_int_equal(ring_open(f->dirfd, RING, uuid, RING_SIZE_DEFAULT, &again, &created), 0);
	assert_false(created);
	ring_close(again);
	ring_close(r);
	ring_close(NULL);
}

static void test_records_come_back_in_order_and_whole_after_any_number_of_wraps(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t seed = 1, position = 0, sent = 0, taken = 0;
	char name[HOLDFAST_NAME_MAX + 1];

	while (taken < 5000) {
		struct record rec, want;

		memset(name, 'n', sizeof(name));
		name[1 + sent * 37 % HOLDFAST_NAME_MAX] = '\0';
		name[HOLDFAST_NAME_MAX] = '\0';
		rec = fixture_record(RECORD_SEEN, sent + 2, sent, name, sent & 1);
		if (fixture_random(&seed) % 3 && !ring_append(r, &rec, 1, ring_tail(r), NULL)) {
			sent++;
			continue;
		}
		if (taken == sent)
			continue;
		memset(name, 'n', sizeof(name));
		name[1 + taken * 37 % HOLDFAST_NAME_MAX] = '\0';
		name[HOLDFAST_NAME_MAX] = '\0';
		want = fixture_record(RECORD_SEEN, taken + 2, taken, name, taken & 1);
		assert_int_equal(ring_next(r, &position, &rec), 1);
		assert_same_record(&rec, &want);
		ring_set_drained(r, position);
		taken++;
	}
	assert_true(ring_tail(r) > 10 * SMALL);
	ring_close(r);
}

static void test_undrained_records_are_never_overwritten(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t position = 0, n = 0;
	struct record rec;
	int err;

	while (!(err = append(r, RECORD_SEEN, n + 2, n, "name", ring_tail(r))))
		n++;
	assert_int_equal(err, -ENOSPC);
	assert_true(n > 100);
	for (uint64_t i = 0; i < n; i++) {
		assert_int_equal(ring_next(r, &position, &rec), 1);
		assert_int_equal(rec.rowid.v, i + 2);
	}
	assert_int_equal(ring_next(r, &position, &rec), 0);
	assert_int_equal(append(r, RECORD_SEEN, 1, n, "name", ring_tail(r)), -ENOSPC);
	ring_set_drained(r, position);
	assert_int_equal(append(r, RECORD_SEEN, 1, n, "name", ring_tail(r)), 0);
	ring_close(r);
}

static void test_an_append_of_several_is_all_or_none(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	struct record recs[4], rec;
	uint64_t position, tail, n = 0;

	for (unsigned i = 0; i < 4; i++)
		recs[i] = fixture_record(RECORD_SEEN, 2, i, "x", true);
	while (!append(r, RECORD_SEEN, n + 10, n, "name", ring_tail(r)))
		n++;
	position = ring_drained(r);
	assert_int_equal(ring_next(r, &position, &rec), 1);
	ring_set_drained(r, position); /* room for one, not for four */
	tail = ring_tail(r);
	assert_int_equal(ring_append(r, recs, 4, tail, NULL), -ENOSPC);
	assert_int_equal(ring_tail(r), tail);
	ring_set_drained(r, tail);
	for (unsigned i = 1; i < 4; i++)
		recs[i].row.identity = recs[0].row.identity;
	assert_int_equal(ring_append(r, recs, 4, tail, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(ring_next(r, &tail, &rec), 1);
	assert_int_equal(ring_tail(r), tail);
	ring_close(r);
}

/* --- late inserts ------------------------------------------------------------------------------- */

static void test_a_late_insert_never_undoes_a_rename_or_an_unlink(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t since = ring_tail(r);
	struct record rename[2];

	/* Somebody looks "old" up, and before its record is appended the object is renamed. */
	rename[0] = fixture_record(RECORD_UNNAMED, 5, 1, "old", false);
	rename[1] = fixture_record(RECORD_SEEN, 5, 1, "new", false);
	assert_int_equal(ring_append(r, rename, 2, since, NULL), 0);
	assert_int_equal(append(r, RECORD_SEEN, 5, 1, "old", since), -EAGAIN);
	/* The new name is there already; who looked afterwards may say what it saw. */
	since = ring_tail(r);
	assert_int_equal(append(r, RECORD_SEEN, 5, 1, "old", since), 0);

	since = ring_tail(r);
	assert_int_equal(append(r, RECORD_GONE, 5, 1, "old", since), 0);
	assert_int_equal(append(r, RECORD_SEEN, 5, 1, "old", since), -EAGAIN);
	/* Other objects do not mind. */
	assert_int_equal(append(r, RECORD_SEEN, 6, 2, "old", since), 0);
	/* The record of an unlink is never refused, however old its sight. */
	assert_int_equal(append(r, RECORD_UNNAMED, 6, 2, "old", 0), 0);
	ring_close(r);
}

static void test_what_is_there_is_left_out_and_a_clash_is_told(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t since = ring_tail(r), tail, end = 0;
	struct record rec = fixture_record(RECORD_SEEN, 5, 1, "a", false);

	assert_int_equal(ring_append(r, &rec, 1, since, &end), 0);
	tail = ring_tail(r);
	assert_int_equal(end, tail);
	end = 0;
	assert_int_equal(ring_append(r, &rec, 1, since, &end), 0);
	assert_int_equal(ring_tail(r), tail); /* nothing was added, */
	assert_int_equal(end, tail);	      /* and this is what to wait for */
	assert_int_equal(append(r, RECORD_SEEN, 5, 2, "a", since), -EEXIST);
	/* Another name came since: the first is not what the object is known by any more. */
	assert_int_equal(append(r, RECORD_SEEN, 5, 1, "b", since), 0);
	tail = ring_tail(r);
	assert_int_equal(append(r, RECORD_SEEN, 5, 1, "a", since), 0);
	assert_true(ring_tail(r) > tail);
	ring_close(r);
}

static void test_a_name_taken_away_and_given_back_in_one_append_is_not_left_out(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t since = ring_tail(r), position;
	struct record recs[2], rec;

	assert_int_equal(append(r, RECORD_SEEN, 5, 1, "a", since), 0);
	position = ring_tail(r);
	recs[0] = fixture_record(RECORD_UNNAMED, 5, 1, "a", false);
	recs[1] = fixture_record(RECORD_SEEN, 5, 1, "a", false);
	assert_int_equal(ring_append(r, recs, 2, since, NULL), 0);
	assert_int_equal(ring_next(r, &position, &rec), 1);
	assert_int_equal(rec.kind, RECORD_UNNAMED);
	assert_int_equal(ring_next(r, &position, &rec), 1);
	assert_int_equal(rec.kind, RECORD_SEEN);
	ring_close(r);
}

static void test_a_sight_older_than_the_ring_remembers_is_refused(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t n = 0;

	while (ring_tail(r) <= SMALL) {
		assert_int_equal(append(r, RECORD_SEEN, n + 2, n, "name", ring_tail(r)), 0);
		ring_set_drained(r, ring_tail(r));
		n++;
	}
	assert_int_equal(append(r, RECORD_SEEN, 1, n, "late", 0), -EAGAIN);
	assert_int_equal(append(r, RECORD_SEEN, 1, n, "late", ring_tail(r) + 8), -EAGAIN);
	assert_int_equal(append(r, RECORD_SEEN, 1, n, "late", ring_tail(r)), 0);
	ring_close(r);
}

/* --- finding ------------------------------------------------------------------------------------ */

struct found {
	unsigned count, max;
	uint64_t positions[64];
	struct record recs[64];
};

static bool collect(void *arg, uint64_t position, const struct record *rec)
{
	struct found *found = arg;

	found->positions[found->count] = position;
	found->recs[found->count++] = *rec;
	return found->count < found->max;
}

static void test_records_of_a_rowid_are_found_newest_first(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	struct found found = { .max = 64 };
	uint64_t middle = 0;

	for (uint64_t i = 0; i < 60; i++) {
		char name[8];

		if (i == 30)
			middle = ring_tail(r);
		(void)snprintf(name, sizeof(name), "n%u", (unsigned)i);
		assert_int_equal(append(r, RECORD_SEEN, 2 + i % 3, i % 3, name, ring_tail(r)), 0);
	}
	ring_set_drained(r, ring_tail(r)); /* drained records are found as well */
	assert_int_equal(ring_find(r, (rowid_t){ 2 }, 0, collect, &found), 20);
	for (unsigned i = 1; i < 20; i++)
		assert_true(found.positions[i] < found.positions[i - 1]);
	assert_string_equal(found.recs[0].row.name.text, "n57");
	assert_string_equal(found.recs[19].row.name.text, "n0");

	found = (struct found){ .max = 64 };
	assert_int_equal(ring_find(r, (rowid_t){ 2 }, middle, collect, &found), 10);
	found = (struct found){ .max = 1 };
	assert_int_equal(ring_find(r, (rowid_t){ 3 }, 0, collect, &found), 1);
	assert_int_equal(ring_find(r, (rowid_t){ 99 }, 0, collect, &found), 0);
	assert_int_equal(ring_find(r, (rowid_t){ 2 }, ring_tail(r), collect, &found), 0);
	ring_close(r);
}

/* --- files that are not right ------------------------------------------------------------------- */

static void test_a_ring_of_another_export_or_shape_is_refused(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL), *bad = NULL;
	int fd;

	assert_int_equal(ring_open(f->dirfd, RING, other_uuid, SMALL, &bad, NULL), -EBADMSG);
	assert_int_equal(ring_open(f->dirfd, "x", uuid, SMALL + 8, &bad, NULL), -EINVAL);
	ring_close(r);
	fd = openat(f->dirfd, RING, O_RDWR);
	assert_int_equal(ftruncate(fd, (off_t)SMALL), 0);
	assert_int_equal(ring_open(f->dirfd, RING, uuid, SMALL, &bad, NULL), -EBADMSG);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(ring_open(f->dirfd, RING, uuid, SMALL, &bad, NULL), -EBADMSG);
	/* A file whose making was cut short is made again. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, 12288), 0);
	assert_int_equal(ring_open(f->dirfd, RING, uuid, SMALL, &bad, NULL), 0);
	ring_close(bad);
	assert_int_equal(fchmod(fd, 0660), 0);
	assert_int_equal(ring_open(f->dirfd, RING, uuid, SMALL, &bad, NULL), -EPERM);
	(void)close(fd);
	assert_int_equal(symlinkat(RING, f->dirfd, "link"), 0);
	assert_int_equal(ring_open(f->dirfd, "link", uuid, SMALL, &bad, NULL), -ELOOP);
}

static void test_positions_that_cannot_be_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct {
		uint64_t tail, drained;
	} cases[] = {
		{ 0, 8 }, { 3, 0 }, { 8, 4 }, { SMALL + 8, 0 }, { UINT64_MAX - 7, UINT64_MAX - 7 }
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ring *r = open_ring(f, SMALL), *again = NULL;
		struct record rec = fixture_record(RECORD_SEEN, 2, 1, "a", false);
		uint64_t position = 0;

		r->header->tail = cases[i].tail;
		r->header->drained = cases[i].drained;
		assert_int_equal(ring_open(f->dirfd, RING, uuid, SMALL, &again, NULL), -EBADMSG);
		assert_int_equal(ring_append(r, &rec, 1, 0, NULL), -EBADMSG);
		assert_int_equal(ring_next(r, &position, &rec), -EBADMSG);
		ring_close(r);
		assert_int_equal(unlinkat(f->dirfd, RING, 0), 0);
	}
}

static void test_a_full_disk_is_told_when_the_ring_is_made(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct ring *r;
		struct stat st;
		int fd;

		if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("none", f->dir, "tmpfs", 0, "size=1m"))
			_exit(77);
		fd = open(f->dir, O_RDONLY | O_DIRECTORY);
		if (ring_open(fd, RING, uuid, RING_SIZE_DEFAULT, &r, NULL) != -ENOSPC)
			_exit(1);
		if (fstatat(fd, RING, &st, 0) || st.st_blocks)
			_exit(2); /* what could not be finished takes no room */
		_exit(ring_open(fd, RING, uuid, SMALL, &r, NULL) ? 3 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_a_damaged_record_is_passed_over_and_the_next_is_found(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t starts[5], position = 0;
	struct found found = { .max = 64 };
	struct record rec;

	for (unsigned i = 0; i < 5; i++) {
		starts[i] = ring_tail(r);
		assert_int_equal(append(r, RECORD_SEEN, 2, i + 10, "name", ring_tail(r)), 0);
	}
	r->data[starts[1] + 60] ^= 1;	      /* identity */
	memset(r->data + starts[3], 0xff, 4); /* length */
	assert_int_equal(ring_next(r, &position, &rec), 1);
	assert_int_equal(ring_next(r, &position, &rec), -EBADMSG);
	assert_int_equal(position, starts[2]);
	assert_int_equal(ring_next(r, &position, &rec), 1);
	assert_int_equal(ring_next(r, &position, &rec), -EBADMSG);
	assert_int_equal(position, starts[4]);
	assert_int_equal(ring_next(r, &position, &rec), 1);
	assert_int_equal(ring_next(r, &position, &rec), 0);
	assert_int_equal(ring_find(r, (rowid_t){ 2 }, 0, collect, &found), 1);
	ring_close(r);
}

static void test_a_record_moved_to_another_place_is_none(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t position = 0, second;
	struct record rec;

	assert_int_equal(append(r, RECORD_SEEN, 2, 1, "name", 0), 0);
	second = ring_tail(r);
	assert_int_equal(append(r, RECORD_SEEN, 3, 2, "name", 0), 0);
	memcpy(r->data, r->data + second, second);
	assert_int_equal(ring_next(r, &position, &rec), -EBADMSG);
	assert_int_equal(position, second);
	ring_close(r);
}

static bool count_one(void *arg, uint64_t position, const struct record *rec)
{
	(void)position;
	(void)rec;
	++*(unsigned *)arg;
	return true;
}

/* Everything but the mutex is overwritten at random; nothing crashes, reads outside, or never ends. */
static void test_a_tampered_ring_does_no_harm(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 42;

	for (unsigned round = 0; round < 60; round++) {
		struct ring *r = open_ring(f, SMALL);
		size_t area = r->mapped - RING_PAGE;

		for (unsigned i = 0; i < 150; i++) {
			uint64_t position = ring_drained(r), what = fixture_random(&seed);
			struct record rec;
			unsigned shown = 0;

			for (unsigned j = 0; j < 4; j++) {
				size_t at = (size_t)(fixture_random(&seed) % area);

				((uint8_t *)r->buckets)[at] = (uint8_t)fixture_random(&seed);
			}
			/* links that lead to real records, up and down */
			r->buckets[fixture_random(&seed) % 64] =
				fixture_random(&seed) % (ring_tail(r) + 9);
			if (round % 4 == 3 && what % 16 == 0)
				r->header->floor = fixture_random(&seed) % (2 * SMALL);
			if (round % 8 == 7 && what % 64 == 0)
				r->header->tail = fixture_random(&seed) % (2 * SMALL);
			(void)append(r, RECORD_SEEN, 2 + what % 8, what % 5, "name",
				     ring_tail(r) / 2);
			(void)append(r, RECORD_SEEN, 2 + what % 8, what % 5, "name", ring_tail(r));
			(void)ring_find(r, (rowid_t){ 2 + what % 8 }, position, count_one, &shown);
			for (unsigned j = 0; j < 5; j++)
				if (ring_next(r, &position, &rec) == 0)
					break;
			if (what % 3 == 0)
				ring_set_drained(r, position);
		}
		ring_close(r);
		(void)unlinkat(f->dirfd, RING, 0);
	}
}

/* Checksums that fit do not make a lie true: a record is decoded strictly. */
static void test_a_chain_that_loops_ends(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	unsigned shown = 0;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(append(r, RECORD_SEEN, 2, 1, i & 1 ? "a" : "b", ring_tail(r)), 0);
	for (size_t i = 0; i < (size_t)1 << r->bucket_bits; i++)
		r->buckets[i] = r->header->tail + 1; /* every bucket points behind the end */
	assert_int_equal(ring_find(r, (rowid_t){ 2 }, 0, count_one, &shown), 0);
	for (size_t i = 0; i < (size_t)1 << r->bucket_bits; i++)
		r->buckets[i] = UINT64_MAX;
	assert_int_equal(ring_find(r, (rowid_t){ 2 }, 0, count_one, &shown), 0);
	ring_close(r);
}

/* --- processes ---------------------------------------------------------------------------------- */

static void reap(pid_t pid, int sig)
{
	int status;

	if (sig)
		(void)kill(pid, sig);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!sig) {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static void test_daemons_that_start_at_once_share_one_ring(void **state)
{
	struct fixture *f = *state;
	enum { DAEMONS = 6, RECORDS = 20 };
	pid_t pids[DAEMONS];
	struct record rec;
	struct ring *r;
	uint64_t position = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < DAEMONS; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			if (ring_open(f->dirfd, RING, uuid, 4 * SMALL, &r, NULL))
				_exit(1);
			for (unsigned j = 0; j < RECORDS; j++)
				if (append(r, RECORD_SEEN, 2 + i * RECORDS + j, i, "n",
					   ring_tail(r)))
					_exit(2);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < DAEMONS; i++)
		reap(pids[i], 0);
	r = open_ring(f, 4 * SMALL);
	while (ring_next(r, &position, &rec) == 1)
		n++;
	assert_int_equal(n, DAEMONS * RECORDS);
	ring_close(r);
}

/* How far a writer came before it died with the lock in its hand. */
enum death { DEAD_BEFORE_TAIL, DEAD_BEFORE_BUCKETS };

static void die_in_append(const struct fixture *f, enum death how)
{
	struct ring *r;

	if (ring_open(f->dirfd, RING, uuid, SMALL, &r, NULL) ||
	    pthread_mutex_lock(&r->header->lock))
		_exit(1);
	if (how == DEAD_BEFORE_TAIL) {
		/* half a record, over what was drained and still readable */
		memset(r->data + (ring_tail(r) & (SMALL - 1)), 0xee, 40);
	} else {
		/* as after the tail moved: forget the bucket's newest entry */
		for (size_t i = 0; i < (size_t)1 << r->bucket_bits; i++)
			r->buckets[i] = 0;
	}
	_exit(0);
}

static void test_a_writer_that_dies_with_the_lock_harms_nobody(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);

	for (unsigned how = DEAD_BEFORE_TAIL; how <= DEAD_BEFORE_BUCKETS; how++) {
		struct found found = { .max = 64 };
		uint64_t since = ring_tail(r);
		pid_t pid;

		ring_set_drained(r, since);
		assert_int_equal(append(r, RECORD_SEEN, 50 + how, 1, "a", since), 0);
		pid = fork();
		if (!pid)
			die_in_append(f, (enum death)how);
		reap(pid, 0);
		assert_int_equal(ring_find(r, (rowid_t){ 50 + how }, since, collect, &found), 1);
		/* The heir cannot vouch for what was drained before. */
		assert_int_equal(ring_find(r, (rowid_t){ 2 }, since - (how ? 8 : 0), collect,
					   &found),
				 how ? -EAGAIN : 0);
		assert_int_equal(append(r, RECORD_SEEN, 50 + how, 2, "a", since), -EEXIST);
		assert_int_equal(append(r, RECORD_SEEN, 60 + how, 2, "a", ring_tail(r)), 0);
	}
	ring_close(r);
}

static void test_a_stopped_holder_of_the_lock_costs_a_second(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t begun;
	pid_t pid;

	pid = holder_start(r);
	begun = clock_ns();
	assert_int_equal(append(r, RECORD_SEEN, 2, 1, "a", ring_tail(r)), -ETIMEDOUT);
	assert_true(clock_ns() - begun < 3000000000u);
	/* Those that come after need not each wait as long. */
	begun = clock_ns();
	for (int i = 0; i < 20; i++)
		assert_int_equal(append(r, RECORD_SEEN, 2, 1, "a", ring_tail(r)), -ETIMEDOUT);
	assert_true(clock_ns() - begun < 5000000000u);
	holder_end(pid);
	assert_int_equal(append(r, RECORD_SEEN, 2, 1, "a", ring_tail(r)), 0);
	ring_close(r);
}

static void test_a_mutex_left_unusable_is_made_anew_by_the_next_first_daemon(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	struct found found = { .max = 64 };

	assert_int_equal(append(r, RECORD_SEEN, 2, 1, "a", 0), 0);
	memset(&r->header->lock, 0xa5, sizeof(r->header->lock));
	ring_close(r);
	r = open_ring(f, SMALL);
	assert_int_equal(append(r, RECORD_SEEN, 3, 1, "a", ring_tail(r)), 0);
	assert_int_equal(ring_find(r, (rowid_t){ 2 }, 0, collect, &found), 1);
	ring_close(r);
}

struct report {
	uint64_t rowid, end;
};

/* Appends for ever; tells each append that returned. */
static void write_until_killed(struct ring *r, unsigned who, int pipe_fd)
{
	for (uint64_t n = 0;; n++) {
		struct report report = { .rowid = (uint64_t)(who + 1) << 40 | n };
		struct record recs[2];

		recs[0] = fixture_record(RECORD_SEEN, report.rowid, n, "first", true);
		recs[1] = fixture_record(RECORD_SEEN, report.rowid, n, "second", true);
		if (ring_append(r, recs, 2, ring_tail(r), &report.end))
			continue;
		if (write(pipe_fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
			_exit(1);
	}
}

static void test_what_was_appended_before_a_kill_is_there(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = (uint64_t)getpid();
	unsigned told = 0;

	for (unsigned round = 0; round < 15; round++) {
		struct ring *r = open_ring(f, RING_SIZE_DEFAULT);
		uint64_t position = ring_drained(r), start = position;
		struct report report;
		struct record rec;
		int fds[2];
		pid_t pids[2];

		assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
		(void)fcntl(fds[1], F_SETFL, 0);
		(void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
		for (unsigned i = 0; i < 2; i++) {
			pids[i] = fork();
			if (!pids[i])
				write_until_killed(r, i, fds[1]);
		}
		nap_ms((long)(2 + fixture_random(&seed) % 10));
		reap(pids[0], SIGKILL);
		nap_ms((long)(fixture_random(&seed) % 5));
		reap(pids[1], SIGKILL);

		/* Whole appends, in order, nothing damaged. */
		assert_int_equal(append(r, RECORD_SEEN, 7, 1, "heir", ring_tail(r)), 0);
		while (ring_next(r, &position, &rec) == 1 && rec.rowid.v != 7) {
			rowid_t first = rec.rowid;

			assert_string_equal(rec.row.name.text, "first");
			assert_int_equal(ring_next(r, &position, &rec), 1);
			assert_string_equal(rec.row.name.text, "second");
			assert_int_equal(rec.rowid.v, first.v);
		}
		assert_int_equal(position, ring_tail(r));
		while (read(fds[0], &report, sizeof(report)) == (ssize_t)sizeof(report)) {
			struct found found = { .max = 64 };

			assert_int_equal(ring_find(r, (rowid_t){ report.rowid }, start, collect,
						   &found),
					 2);
			assert_true(found.positions[0] < report.end);
			told++;
		}
		(void)close(fds[0]);
		(void)close(fds[1]);
		ring_close(r);
		(void)unlinkat(f->dirfd, RING, 0);
	}
	assert_true(told > 0);
}

/* --- waiting ------------------------------------------------------------------------------------ */

static void *drain_all(void *arg)
{
	struct ring *r = arg;

	for (unsigned taken = 0; taken < 2000;) {
		uint64_t position = ring_drained(r);
		struct record rec;
		int got;

		while ((got = ring_next(r, &position, &rec)) > 0)
			taken++;
		if (got < 0)
			return r;
		ring_set_drained(r, position);
		ring_wait_work(r, 100);
	}
	return NULL;
}

static void test_appenders_and_a_drainer_wake_each_other(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t begun = clock_ns(), end = 0;
	pthread_t thread;
	void *result;

	assert_int_equal(pthread_create(&thread, NULL, drain_all, r), 0);
	for (uint64_t n = 0; n < 2000; n++) {
		struct record rec = fixture_record(RECORD_SEEN, n + 2, n, "name", false);
		int err;

		while ((err = ring_append(r, &rec, 1, ring_tail(r), &end)) == -ENOSPC)
			(void)ring_wait_drained(r, ring_tail(r), 1000);
		assert_int_equal(err, 0);
		if (n % 100 == 0)
			assert_int_equal(ring_wait_drained(r, end, 5000), 0);
	}
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
	assert_int_equal(ring_drained(r), ring_tail(r));
	assert_true(clock_ns() - begun < 10000000000u); /* nobody slept through */
	ring_close(r);
}

static void test_waiting_ends_by_time_by_work_and_by_wake(void **state)
{
	struct fixture *f = *state;
	struct ring *r = open_ring(f, SMALL);
	uint64_t begun = clock_ns();

	assert_int_equal(ring_wait_drained(r, 8, 20), -ETIMEDOUT);
	ring_wait_work(r, 20);
	assert_true(clock_ns() - begun >= 40000000u);
	begun = clock_ns();
	ring_wake(r); /* before the sleep: not lost */
	ring_wait_work(r, 5000);
	assert_int_equal(append(r, RECORD_SEEN, 2, 1, "a", 0), 0);
	ring_wait_work(r, 5000);
	assert_true(clock_ns() - begun < 2000000000u);
	/* The drained position only goes forward, and never past the tail. */
	ring_set_drained(r, ring_tail(r) + 8);
	assert_int_equal(ring_drained(r), 0);
	ring_set_drained(r, ring_tail(r));
	ring_set_drained(r, 0);
	assert_int_equal(ring_drained(r), ring_tail(r));
	ring_close(r);
}

static void test_shared_numbers_are_seen_by_all_and_outlive_the_process(void **state)
{
	struct fixture *f = *state;
	struct ring *a = open_ring(f, SMALL), *b = open_ring(f, SMALL);

	ring_shared_set(a, RING_ROOT_GENERATION, 7);
	assert_int_equal(ring_shared_get(b, RING_ROOT_GENERATION), 7);
	assert_int_equal(ring_shared_add(b, RING_CLASHES, 2), 2);
	assert_int_equal(ring_shared_add(a, RING_CLASHES, 1), 3);
	ring_close(a);
	ring_close(b);
	a = open_ring(f, SMALL);
	assert_int_equal(ring_shared_get(a, RING_CLASHES), 3);
	ring_close(a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_new_ring_is_empty_and_private),
		T(test_records_come_back_in_order_and_whole_after_any_number_of_wraps),
		T(test_undrained_records_are_never_overwritten),
		T(test_an_append_of_several_is_all_or_none),
		T(test_a_late_insert_never_undoes_a_rename_or_an_unlink),
		T(test_what_is_there_is_left_out_and_a_clash_is_told),
		T(test_a_name_taken_away_and_given_back_in_one_append_is_not_left_out),
		T(test_a_sight_older_than_the_ring_remembers_is_refused),
		T(test_records_of_a_rowid_are_found_newest_first),
		T(test_a_ring_of_another_export_or_shape_is_refused),
		T(test_positions_that_cannot_be_are_refused),
		T(test_a_full_disk_is_told_when_the_ring_is_made),
		T(test_a_damaged_record_is_passed_over_and_the_next_is_found),
		T(test_a_record_moved_to_another_place_is_none),
		T(test_a_tampered_ring_does_no_harm),
		T(test_a_chain_that_loops_ends),
		T(test_daemons_that_start_at_once_share_one_ring),
		T(test_a_writer_that_dies_with_the_lock_harms_nobody),
		T(test_a_stopped_holder_of_the_lock_costs_a_second),
		T(test_a_mutex_left_unusable_is_made_anew_by_the_next_first_daemon),
		T(test_what_was_appended_before_a_kill_is_there),
		T(test_appenders_and_a_drainer_wake_each_other),
		T(test_waiting_ends_by_time_by_work_and_by_wake),
		T(test_shared_numbers_are_seen_by_all_and_outlive_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
