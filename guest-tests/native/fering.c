/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fering.c - a driver's half of a split virtqueue.
 *
 * Free descriptors are a list through their `next` fields, as in Linux; a prepared chain keeps its own. Calls are asked for
 * only while somebody sleeps for them, so that a device which honours that sends none to a driver that looks.
 */
#include "fering.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/util.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little-endian");

#define RING_ALIGN 4096
#define LOOKS 64 /* at the ring between two at the clock */

static size_t avail_at(unsigned size)
{
	return size * sizeof(struct vring_desc);
}

static size_t used_at(unsigned size)
{
	return (avail_at(size) + (3 + (size_t)size) * sizeof(uint16_t) + 3) & ~(size_t)3;
}

static size_t ring_bytes(unsigned size)
{
	return used_at(size) + 3 * sizeof(uint16_t) + size * sizeof(struct vring_used_elem);
}

void fering_reset(struct fering *r)
{
	memset(r->desc, 0, ring_bytes(r->size));
	memset(r->slots, 0, r->size * sizeof(*r->slots));
	for (unsigned i = 0; i < r->size; i++)
		r->desc[i].next = (uint16_t)(i + 1);
	r->free_head = 0;
	r->free_count = r->size;
	r->in_flight = 0;
	r->next_avail = 0;
	r->kicked = 0;
	r->next_used = 0;
	r->avail->flags = r->event_idx ? 0 : VRING_AVAIL_F_NO_INTERRUPT;
	/* An index that has passed: no call is wanted. */
	*r->used_event = UINT16_MAX;
}

int fering_new(struct fering *r, struct femem *mem, uint64_t region, unsigned size, bool event_idx,
	       bool indirect)
{
	const size_t tables = (size_t)size * FERING_TABLE_MAX * sizeof(struct vring_desc);
	uint8_t *base;

	*r = (struct fering){ .size = size,
			      .event_idx = event_idx,
			      .indirect = indirect,
			      .mem = mem,
			      .kick = -1,
			      .call = -1 };
	r->at = femem_alloc(mem, region, ring_bytes(size), RING_ALIGN);
	if (r->at && indirect)
		r->tables = femem_alloc(mem, region, tables, RING_ALIGN);
	if (!r->at || (indirect && !r->tables))
		return -ENOSPC;
	base = femem_at(mem, r->at, ring_bytes(size));
	r->desc = (void *)base;
	r->avail = (void *)(base + avail_at(size));
	r->used = (void *)(base + used_at(size));
	r->used_event = (uint16_t *)(void *)(base + avail_at(size)) + 2 + size;
	r->avail_event = (void *)(base + used_at(size) + 4 + size * sizeof(struct vring_used_elem));
	r->table = indirect ? femem_at(mem, r->tables, tables) : NULL;
	r->slots = calloc(size, sizeof(*r->slots));
	r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!r->slots || r->kick < 0 || r->call < 0) {
		fering_free(r);
		return -ENOMEM;
	}
	fering_reset(r);
	return 0;
}

void fering_free(struct fering *r)
{
	free(r->slots);
	r->slots = NULL;
	r->kick = fd_close(r->kick);
	r->call = fd_close(r->call);
}

uint16_t fering_base(const struct fering *r)
{
	return __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE);
}

/* --- chains ------------------------------------------------------------------------------------------------ */

static void write_piece(struct vring_desc *d, const struct fering_piece *piece, bool writable,
			bool last)
{
	d->addr = piece->addr;
	d->len = piece->len;
	d->flags = (uint16_t)((writable ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT));
}

/* In the head's own table. */
static void write_table(struct fering *r, uint16_t head, const struct fering_piece *pieces,
			unsigned readable, unsigned n)
{
	struct vring_desc *table = r->table + (size_t)head * FERING_TABLE_MAX;

	for (unsigned i = 0; i < n; i++) {
		write_piece(&table[i], &pieces[i], i >= readable, i + 1 == n);
		table[i].next = (uint16_t)(i + 1);
	}
	r->desc[head].addr =
		r->tables + (uint64_t)head * FERING_TABLE_MAX * sizeof(struct vring_desc);
	r->desc[head].len = (uint32_t)(n * sizeof(struct vring_desc));
	r->desc[head].flags = VRING_DESC_F_INDIRECT;
}

int fering_prepare(struct fering *r, const struct fering_piece *pieces, unsigned readable,
		   unsigned writable, bool kept, void *token)
{
	const unsigned n = readable + writable;
	const bool indirect = r->indirect && n > 1 && n <= FERING_TABLE_MAX;
	const unsigned need = indirect ? 1 : n;
	const uint16_t head = r->free_head;
	uint16_t at = head;

	if (!n)
		return -EINVAL;
	if (r->free_count < need)
		return -ENOSPC;
	if (indirect) {
		write_table(r, head, pieces, readable, n);
		at = r->desc[head].next;
	}
	for (unsigned i = 0; i < n && !indirect; i++) {
		write_piece(&r->desc[at], &pieces[i], i >= readable, i + 1 == n);
		at = r->desc[at].next;
	}
	r->free_head = at;
	r->free_count -= need;
	r->slots[head] = (struct fering_slot){
		.token = token, .count = (uint16_t)need, .used = true, .kept = kept
	};
	return head;
}

struct vring_desc *fering_piece(struct fering *r, uint16_t head, unsigned i)
{
	struct vring_desc *d = &r->desc[head];

	if (d->flags & VRING_DESC_F_INDIRECT)
		return r->table + (size_t)head * FERING_TABLE_MAX + i;
	for (; i > 0; i--)
		d = &r->desc[d->next];
	return d;
}

void fering_release(struct fering *r, uint16_t head)
{
	struct fering_slot *slot = &r->slots[head];
	uint16_t last = head;

	assert(slot->used && !slot->in_flight);
	for (unsigned i = 1; i < slot->count; i++)
		last = r->desc[last].next;
	r->desc[last].next = r->free_head;
	r->free_head = head;
	r->free_count += slot->count;
	slot->used = false;
}

void fering_submit(struct fering *r, uint16_t head)
{
	r->avail->ring[r->next_avail & (r->size - 1)] = head;
	r->next_avail++;
	/* A head that is none is the caller's own affair: it may want to see what the device says. */
	if (head < r->size && !r->slots[head].in_flight) {
		r->slots[head].in_flight = true;
		r->in_flight++;
	}
}

int fering_add(struct fering *r, const struct fering_piece *pieces, unsigned readable,
	       unsigned writable, void *token)
{
	int head = fering_prepare(r, pieces, readable, writable, false, token);

	if (head < 0)
		return head;
	fering_submit(r, (uint16_t)head);
	return 0;
}

bool fering_kick(struct fering *r, bool force)
{
	const uint16_t old = r->kicked;
	bool want;

	__atomic_store_n(&r->avail->idx, r->next_avail, __ATOMIC_RELEASE);
	r->kicked = r->next_avail;
	/* The device shows its wish before it looks at our index, and we the other way round. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (r->event_idx)
		want = vring_need_event(__atomic_load_n(r->avail_event, __ATOMIC_RELAXED),
					r->next_avail, old);
	else
		want = !(__atomic_load_n(&r->used->flags, __ATOMIC_RELAXED) &
			 VRING_USED_F_NO_NOTIFY);
	if (!want && !force)
		return false;
	r->kicks++;
	(void)eventfd_write(r->kick, 1);
	return true;
}

/* --- what comes back ------------------------------------------------------------------------------------------ */

unsigned fering_ready(const struct fering *r)
{
	return (uint16_t)(__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) - r->next_used);
}

int fering_reap(struct fering *r, struct fering_done *out, unsigned max)
{
	unsigned n = fering_ready(r);

	if (n > max)
		n = max;
	for (unsigned i = 0; i < n; i++) {
		const struct vring_used_elem *e = &r->used->ring[r->next_used & (r->size - 1)];
		const uint32_t id = e->id;

		if (id >= r->size || !r->slots[id].in_flight)
			return -EPROTO;
		out[i] = (struct fering_done){ .token = r->slots[id].token,
					       .head = (uint16_t)id,
					       .len = e->len };
		r->next_used++;
		r->slots[id].in_flight = false;
		r->in_flight--;
		if (r->slots[id].used && !r->slots[id].kept)
			fering_release(r, (uint16_t)id);
	}
	return (int)n;
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static bool spin(const struct fering *r, unsigned n, unsigned spin_us)
{
	const uint64_t end = clock_ns() + spin_us * 1000ULL;

	do {
		for (unsigned i = 0; i < LOOKS; i++) {
			if (fering_ready(r) >= n)
				return true;
			relax();
		}
	} while (clock_ns() < end);
	return false;
}

static void ask_for_call(struct fering *r, unsigned n)
{
	if (r->event_idx)
		__atomic_store_n(r->used_event, (uint16_t)(r->next_used + n - 1), __ATOMIC_RELAXED);
	else
		__atomic_store_n(&r->avail->flags, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void ask_for_none(struct fering *r)
{
	if (!r->event_idx)
		__atomic_store_n(&r->avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}

int fering_wait(struct fering *r, unsigned n, unsigned spin_us, int timeout_ms)
{
	const uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000U;
	struct pollfd p = { .fd = r->call, .events = POLLIN };
	eventfd_t value;
	int ret = 0;

	if (fering_ready(r) >= n || (spin_us && spin(r, n, spin_us)))
		return 0;
	ask_for_call(r, n);
	while (fering_ready(r) < n) {
		const uint64_t now = clock_ns();

		if (now >= end) {
			ret = -ETIMEDOUT;
			break;
		}
		r->sleeps++;
		/* Without a call there is nothing but to look now and then. */
		(void)poll(&p, 1, r->call < 0 ? 1 : (int)((end - now) / 1000000U + 1));
		if (p.revents)
			(void)eventfd_read(r->call, &value);
	}
	ask_for_none(r);
	return ret;
}
