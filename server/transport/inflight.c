/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.c - the record of requests in flight, in a front-end's memory.
 *
 * For each queue, 64-byte aligned (vhost-user specification, "Inflight I/O tracking", split
 * virtqueue):
 *
 *     u64 features (0)   u16 version (1)   u16 desc_num   u16 last_batch_head   u16 used_idx
 *     desc_num times:    u8 inflight   u8 padding[5]   u16 next (not used)   u64 counter
 *
 * Each queue's part is written by whoever takes from and gives to that ring (under the ring's used
 * lock for giving), so no two threads write one entry at a time.
 *
 * Behind the last queue's part, where the file is so long (64 bytes):
 *
 *     u64 check (FNV-1a of what follows; 0: no note)   u32 version (1)   u32 length   u8 note[48]
 *
 * The check keeps notes apart that are not whole; it is no proof of where they are from.
 */
#include "transport/inflight.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "transport/guestmem.h"
#include "transport/vring.h"

#define VERSION 1
#define PART_ALIGN 64
#define QUEUES_MAX 1024

struct entry {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};

struct part {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
	struct entry desc[];
};

#define NOTE_VERSION 1

struct note {
	uint64_t check;
	uint32_t version, len;
	uint8_t bytes[48];
};
static_assert(sizeof(struct note) == PART_ALIGN &&
		      sizeof(((struct note *)0)->bytes) >= INFLIGHT_NOTE_MAX,
	      "a note is a part");

struct vring_inflight {
	struct guestmem_mapping memory; /* first: a test looks for it there */
	unsigned queues, queue_size;
	size_t stride;
	struct note *note;   /* in the memory, or NULL: no room for it */
	uint64_t counters[]; /* by queue: of the last head taken */
};

static size_t stride_of(unsigned queue_size)
{
	size_t len = sizeof(struct part) + (size_t)queue_size * sizeof(struct entry);

	return (len + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
}

static bool numbers_valid(unsigned queues, unsigned queue_size)
{
	return queues && queues <= QUEUES_MAX && queue_size && queue_size <= VRING_SIZE_MAX;
}

int inflight_create(unsigned queues, unsigned queue_size, int *fd, uint64_t *size)
{
	int made;
	int ret;

	if (!numbers_valid(queues, queue_size))
		return -EINVAL;
	*size = (uint64_t)queues * stride_of(queue_size) + sizeof(struct note);
	made = memfd_create("holdfast-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (made < 0)
		return errno_neg();
	if (ftruncate(made, (off_t)*size) < 0 ||
	    fcntl(made, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
		ret = errno_neg();
		fd_close(made);
		return ret;
	}
	*fd = made;
	return 0;
}

int inflight_map(int fd, uint64_t offset, uint64_t size, unsigned queues, unsigned queue_size,
		 struct vring_inflight **out)
{
	struct vring_inflight *f;
	int ret;

	if (!numbers_valid(queues, queue_size) || offset % PART_ALIGN ||
	    size < (uint64_t)queues * stride_of(queue_size))
		return -EINVAL;
	f = calloc(1, sizeof(*f) + queues * sizeof(f->counters[0]));
	if (!f)
		return -ENOMEM;
	ret = guestmem_map(fd, offset, size, &f->memory);
	if (ret) {
		free(f);
		return ret;
	}
	f->queues = queues;
	f->queue_size = queue_size;
	f->stride = stride_of(queue_size);
	/* A record of another back-end's has none. */
	if (size - queues * f->stride >= sizeof(struct note))
		f->note = (struct note *)(void *)(f->memory.at + queues * f->stride);
	*out = f;
	return 0;
}

void inflight_unmap(struct vring_inflight *f)
{
	if (!f)
		return;
	guestmem_unmap(&f->memory);
	free(f);
}

bool inflight_lost(const struct vring_inflight *f)
{
	return guestmem_mapping_lost(&f->memory);
}

/* --- the note --- */

static uint64_t check_of(const struct note *note)
{
	const uint8_t *from = (const uint8_t *)&note->version;
	uint64_t hash = 0xcbf29ce484222325U;

	for (size_t i = 0; i < sizeof(*note) - sizeof(note->check); i++)
		hash = (hash ^ from[i]) * 0x100000001b3U;
	return hash ? hash : 1;
}

void inflight_note(struct vring_inflight *f, const void *bytes, size_t len)
{
	struct note note = { .version = NOTE_VERSION, .len = (uint32_t)len };

	assert(len <= INFLIGHT_NOTE_MAX);
	if (!f->note)
		return;
	__atomic_store_n(&f->note->check, 0, __ATOMIC_SEQ_CST);
	if (!len)
		return;
	memcpy(note.bytes, bytes, len);
	memcpy(&f->note->version, &note.version, sizeof(note) - sizeof(note.check));
	__atomic_store_n(&f->note->check, check_of(&note), __ATOMIC_SEQ_CST);
}

bool inflight_noted(const struct vring_inflight *f, void *bytes, size_t len)
{
	struct note note;

	if (!f->note)
		return false;
	memcpy(&note, f->note, sizeof(note));
	if (note.check != check_of(&note) || note.version != NOTE_VERSION || note.len != len)
		return false;
	memcpy(bytes, note.bytes, len);
	return true;
}

static struct part *part_of(const struct vring_inflight *f, unsigned queue)
{
	return (struct part *)(void *)(f->memory.at + queue * f->stride);
}

/* --- beginning --- */

struct left {
	uint64_t counter;
	uint16_t head;
};

static int by_counter(const void *a, const void *b)
{
	uint64_t x = ((const struct left *)a)->counter;
	uint64_t y = ((const struct left *)b)->counter;

	return x < y ? -1 : x > y;
}

/* The heads in flight, by age: their number or -ENOMEM. */
static int find_left(struct vring_inflight *f, unsigned queue, unsigned count, uint16_t *heads)
{
	struct part *p = part_of(f, queue);
	CLEANUP_FREE struct left *left = calloc(count, sizeof(*left));
	unsigned n = 0;

	if (!left)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		if (!__atomic_load_n(&p->desc[i].inflight, __ATOMIC_RELAXED))
			continue;
		left[n].counter = __atomic_load_n(&p->desc[i].counter, __ATOMIC_RELAXED);
		left[n++].head = (uint16_t)i;
	}
	qsort(left, n, sizeof(*left), by_counter);
	for (unsigned i = 0; i < n; i++)
		heads[i] = left[i].head;
	f->counters[queue] = n ? left[n - 1].counter : 0;
	return (int)n;
}

int inflight_begin(struct vring_inflight *f, unsigned queue, unsigned ring_size, uint16_t used_idx,
		   uint16_t *heads, unsigned max)
{
	struct part *p;
	uint16_t version;
	uint16_t last;

	if (queue >= f->queues || ring_size > f->queue_size || max < ring_size)
		return -EPROTO;
	p = part_of(f, queue);
	version = __atomic_load_n(&p->version, __ATOMIC_RELAXED);
	if (version == 0) {
		/* One that was cleared still has its entries. */
		for (unsigned i = 0; i < f->queue_size; i++)
			__atomic_store_n(&p->desc[i].inflight, 0, __ATOMIC_RELAXED);
		f->counters[queue] = 0;
		p->features = 0;
		p->desc_num = (uint16_t)f->queue_size;
		p->used_idx = used_idx;
		__atomic_store_n(&p->version, VERSION, __ATOMIC_RELEASE);
		return 0;
	}
	if (version != VERSION || __atomic_load_n(&p->desc_num, __ATOMIC_RELAXED) != f->queue_size)
		return -EPROTO;
	/* It died between the used index and the record: that head was given back. */
	if (__atomic_load_n(&p->used_idx, __ATOMIC_RELAXED) != used_idx) {
		last = __atomic_load_n(&p->last_batch_head, __ATOMIC_RELAXED);
		if (last >= ring_size)
			return -EPROTO;
		__atomic_store_n(&p->desc[last].inflight, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&p->used_idx, used_idx, __ATOMIC_RELEASE);
	}
	return find_left(f, queue, ring_size, heads);
}

void inflight_clear_queue(struct vring_inflight *f, unsigned queue)
{
	if (queue < f->queues)
		__atomic_store_n(&part_of(f, queue)->version, 0, __ATOMIC_RELEASE);
}

void inflight_clear(struct vring_inflight *f)
{
	for (unsigned i = 0; i < f->queues; i++)
		inflight_clear_queue(f, i);
}

/* --- while it runs --- */

void inflight_take(struct vring_inflight *f, unsigned queue, uint16_t head)
{
	struct entry *e = &part_of(f, queue)->desc[head];

	__atomic_store_n(&e->counter, ++f->counters[queue], __ATOMIC_RELAXED);
	__atomic_store_n(&e->inflight, 1, __ATOMIC_RELEASE);
}

void inflight_giving(struct vring_inflight *f, unsigned queue, uint16_t head)
{
	__atomic_store_n(&part_of(f, queue)->last_batch_head, head, __ATOMIC_RELEASE);
}

void inflight_given(struct vring_inflight *f, unsigned queue, uint16_t head, uint16_t used_idx)
{
	struct part *p = part_of(f, queue);

	__atomic_store_n(&p->desc[head].inflight, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&p->used_idx, used_idx, __ATOMIC_RELEASE);
}
