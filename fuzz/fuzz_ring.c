/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_ring.c - a ring file that another process writes to: records of ours, then bytes of the enemy's anywhere behind
 * the lock. Reading ends, gives only what can be a record, and appending goes on or says that it cannot.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "export/ring_private.h"
#include "fuzz.h"

#define SIZE ((size_t)64 << 10)

static const uint8_t uuid[HOLDFAST_UUID_LEN] = { 7 };
static int directory = -1;
static struct ring *ring;
static struct ring *fresh; /* what it was when it was made */

static void prepare(void)
{
	bool created;

	if (!ring) {
		log_init(LOG_LEVEL_OFF, false);
		directory = open(fuzz_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		MUST(directory >= 0);
		MUST(ring_open(directory, "ring", uuid, SIZE, &ring, &created) == 0 && created);
		MUST(ring_open(directory, "fresh", uuid, SIZE, &fresh, &created) == 0);
		MUST(ring->mapped == fresh->mapped);
	}
	memcpy(ring->header, fresh->header, ring->mapped);
}

static struct record record_of(unsigned n)
{
	struct record rec = { .kind = RECORD_SEEN };
	const char name[2] = { (char)('a' + n % 26), 0 };

	rec.rowid.v = 100 + n % 5;
	rec.generation.v = n;
	memset(rec.row.identity.place.fsid, 0x5a, sizeof(rec.row.identity.place.fsid));
	rec.row.identity.handle_type = 1;
	rec.row.identity.handle_len = 8;
	put_le64(rec.row.identity.handle, rec.rowid.v);
	rec.row.ino = 12 + n;
	rec.row.type = DT_REG;
	rec.row.multi = n % 2;
	MUST(name_set(&rec.row.name, ROWID_ROOT, name) == 0);
	return rec;
}

static bool each(void *arg, uint64_t position, const struct record *rec)
{
	unsigned *count = arg;

	(void)position;
	MUST(rec->kind >= RECORD_SEEN && rec->kind <= RECORD_GONE);
	return ++*count < 100000;
}

/* Bytes over the file, anywhere behind the magic but in the mutex, which is the machine's own format. */
static void overwrite(struct fuzz_input *in)
{
	uint8_t *base = (uint8_t *)ring->header;
	const size_t after = offsetof(struct ring_header, tail);

	while (in->left > 3) {
		uint8_t len = fuzz_take8(in);
		uint16_t where = fuzz_take16(in);
		size_t at = where & 0x8000 ? after + (where & 0x7fffU) % 512
					   : after + ((size_t)where * 16) % (ring->mapped - after);

		for (unsigned i = 0; i < len % 64U && at + i < ring->mapped && in->left; i++)
			base[at + i] = fuzz_take8(in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { .at = data, .left = size };
	unsigned count = 0;
	uint64_t position, end, last;
	struct record rec;
	int ret;

	prepare();
	for (unsigned n = fuzz_take8(&in) % 64; n > 0; n--) {
		rec = record_of(n);
		MUST(ring_append(ring, &rec, 1, ring_tail(ring), &end) == 0);
	}
	overwrite(&in);

	for (uint64_t id = 100; id < 105; id++)
		(void)ring_find(ring, (rowid_t){ id }, ring_drained(ring), each, &count);
	position = ring_drained(ring);
	do {
		last = position;
		ret = ring_next(ring, &position, &rec);
		MUST(ret <= 1);
	} while (ret == 1 && position > last && ++count < 1000000);
	rec = record_of(3);
	(void)ring_append(ring, &rec, 1, ring_tail(ring), &end);
	ring_reindex(ring);
	(void)ring_find(ring, rec.rowid, 0, each, &count);
	return 0;
}
