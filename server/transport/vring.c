/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring.c - a split virtqueue: its indices, its used ring, and who is in flight. Chains are read by
 * vring_chain.c.
 *
 * The queue's thread owns the available side (next_avail, the heads to be served again). The used
 * side is guarded by used_lock, since late answers come from other threads. Neither ever waits for
 * the guest.
 */
#include "transport/vring_private.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "base/util.h"
#include "transport/inflight.h"

static uint16_t load_relaxed(const uint16_t *at)
{
	return le16toh(__atomic_load_n(at, __ATOMIC_RELAXED));
}

static void store_relaxed(uint16_t *at, uint16_t v)
{
	__atomic_store_n(at, htole16(v), __ATOMIC_RELAXED);
}

/* --- setting up --- */

/* The three parts in a memory: virtio 1.x, 2.7, with the event fields behind the rings. */
static int find_parts(const struct vring_setup *setup, const struct guestmem *memory,
		      struct vring_parts *out)
{
	uint64_t n = setup->size;
	struct vring_parts parts = {
		.desc = guestmem_ring(memory, setup->desc, n * sizeof(struct vring_desc), 16),
		.avail = guestmem_ring(memory, setup->avail, (3 + n) * sizeof(uint16_t), 2),
		.used = guestmem_ring(memory, setup->used,
				      3 * sizeof(uint16_t) + n * sizeof(struct vring_used_elem), 4),
	};

	if (!parts.desc || !parts.avail || !parts.used)
		return -EFAULT;
	parts.used_event = &parts.avail->ring[n];
	parts.avail_event = (uint16_t *)(void *)&parts.used->ring[n];
	*out = parts;
	return 0;
}

/* What an earlier back-end had in flight comes first, and the available ring goes on behind it. */
static int find_left_over(struct vring *r)
{
	int n;

	if (!r->setup.inflight)
		return 0;
	r->left = calloc(r->setup.size, sizeof(r->left[0]));
	if (!r->left)
		return -ENOMEM;
	n = inflight_begin(r->setup.inflight, r->setup.inflight_queue, r->setup.size, r->used_idx,
			   r->left, r->setup.size);
	if (n < 0)
		return n;
	r->left_count = (unsigned)n;
	r->next_avail = (uint16_t)(r->used_idx + n);
	return 0;
}

int vring_new(const struct vring_setup *setup, struct guestmem *memory, struct vring **out)
{
	struct vring *r;
	int ret;

	if (!setup->size || setup->size > VRING_SIZE_MAX || setup->size & (setup->size - 1))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->setup = *setup;
	r->next_avail = setup->base;
	pthread_mutex_init(&r->used_lock, NULL);
	ret = find_parts(setup, memory, &r->parts);
	if (ret)
		goto err;
	ret = -ENOMEM;
	r->busy = calloc(setup->size, sizeof(r->busy[0]));
	if (!r->busy)
		goto err;
	r->memory = guestmem_ref(memory);
	r->used_idx = load_relaxed(&r->parts.used->idx);
	ret = find_left_over(r);
	if (ret)
		goto err;
	*out = r;
	return 0;

err:
	vring_free(r);
	return ret;
}

void vring_free(struct vring *r)
{
	if (!r)
		return;
	guestmem_unref(r->memory);
	pthread_mutex_destroy(&r->used_lock);
	free(r->left);
	free(r->busy);
	free(r);
}

int vring_set_memory(struct vring *r, struct guestmem *memory)
{
	struct vring_parts parts;
	int ret = find_parts(&r->setup, memory, &parts);

	if (ret)
		return ret;
	pthread_mutex_lock(&r->used_lock);
	guestmem_ref(memory); /* first: it may be the same */
	guestmem_unref(r->memory);
	r->memory = memory;
	r->parts = parts;
	pthread_mutex_unlock(&r->used_lock);
	return 0;
}

struct guestmem *vring_memory(const struct vring *r)
{
	return r->memory;
}

/* --- the available side --- */

bool vring_has_work(const struct vring *r)
{
	return r->left_at < r->left_count ||
	       le16toh(__atomic_load_n(&r->parts.avail->idx, __ATOMIC_ACQUIRE)) != r->next_avail;
}

/* The next head: 1, 0, or -EPROTO. */
static int next_head(struct vring *r, uint16_t *head)
{
	uint16_t idx;
	uint16_t waiting;

	if (r->left_at < r->left_count) {
		*head = r->left[r->left_at++];
		return 1;
	}
	idx = le16toh(__atomic_load_n(&r->parts.avail->idx, __ATOMIC_ACQUIRE));
	waiting = (uint16_t)(idx - r->next_avail);
	if (!waiting)
		return 0;
	if (waiting > r->setup.size)
		return -EPROTO;
	*head = load_relaxed(&r->parts.avail->ring[r->next_avail & (r->setup.size - 1)]);
	r->next_avail++;
	return 1;
}

/* Marks a head as in flight; false: it is already. */
static bool take_head(struct vring *r, uint16_t head)
{
	if (atomic_load_explicit(&r->busy[head], memory_order_acquire)) {
		bool busy;

		/* The guest sees the used index a moment before vring_push() is at its end. */
		pthread_mutex_lock(&r->used_lock);
		busy = atomic_load_explicit(&r->busy[head], memory_order_relaxed);
		pthread_mutex_unlock(&r->used_lock);
		if (busy)
			return false;
	}
	/* Nobody else takes heads: a load and a store will do. */
	atomic_store_explicit(&r->busy[head], true, memory_order_relaxed);
	return true;
}

int vring_pop(struct vring *r, struct vring_chain *chain)
{
	bool recorded = r->left_at < r->left_count;
	uint16_t head;
	int ret = next_head(r, &head);

	if (ret != 1)
		return ret;
	if (head >= r->setup.size || !take_head(r, head))
		return -EPROTO;
	chain->head = head;
	ret = vring_read_chain(r, chain);
	if (ret) {
		atomic_store_explicit(&r->busy[head], false, memory_order_release);
		return ret;
	}
	atomic_store_explicit(&r->popped,
			      atomic_load_explicit(&r->popped, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	/* What was left keeps its age in the record, should we die as well. */
	if (r->setup.inflight && !recorded)
		inflight_take(r->setup.inflight, r->setup.inflight_queue, head);
	return 1;
}

void vring_disable_kicks(struct vring *r)
{
	/* With EVENT_IDX the event stays behind, at an index that has passed. */
	if (!r->setup.event_idx)
		store_relaxed(&r->parts.used->flags, VRING_USED_F_NO_NOTIFY);
}

bool vring_enable_kicks(struct vring *r)
{
	if (r->setup.event_idx)
		store_relaxed(r->parts.avail_event, r->next_avail);
	else
		store_relaxed(&r->parts.used->flags, 0);
	/* Who adds a chain now sees that we want a kick, or we see the chain. */
	atomic_thread_fence(memory_order_seq_cst);
	return vring_has_work(r);
}

uint16_t vring_base(const struct vring *r)
{
	return r->next_avail;
}

unsigned vring_in_flight(const struct vring *r)
{
	const unsigned pushed = atomic_load(&r->pushed);

	return atomic_load(&r->popped) - pushed;
}

bool vring_lost(const struct vring *r)
{
	return guestmem_lost(r->memory) || (r->setup.inflight && inflight_lost(r->setup.inflight));
}

bool vring_same(const struct vring *r, const struct vring_setup *setup)
{
	const struct vring_setup *is = &r->setup;

	return is->size == setup->size && is->desc.v == setup->desc.v &&
	       is->avail.v == setup->avail.v && is->used.v == setup->used.v &&
	       is->event_idx == setup->event_idx && is->indirect == setup->indirect;
}

int vring_used_index(const struct vring_setup *setup, const struct guestmem *memory, uint16_t *out)
{
	struct vring_parts parts;
	int ret = find_parts(setup, memory, &parts);

	if (!ret)
		*out = load_relaxed(&parts.used->idx);
	return ret;
}

/* Did the index pass `event` on its way from `old` to `now`? (virtio 1.x, 2.7.7.2) */
static bool passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* --- the used side --- */

void vring_push(struct vring *r, uint16_t head, uint32_t len)
{
	struct vring_inflight *inflight = r->setup.inflight;
	unsigned queue = r->setup.inflight_queue;
	struct vring_used_elem *e;

	pthread_mutex_lock(&r->used_lock);
	if (!atomic_load_explicit(&r->busy[head], memory_order_relaxed))
		goto out;
	e = &r->parts.used->ring[r->used_idx & (r->setup.size - 1)];
	__atomic_store_n(&e->id, htole32(head), __ATOMIC_RELAXED);
	__atomic_store_n(&e->len, htole32(len), __ATOMIC_RELAXED);
	if (inflight)
		inflight_giving(inflight, queue, head);
	r->used_idx++;
	/* While it is in flight still: who has seen `pushed` rise has seen the index rise. */
	__atomic_store_n(&r->parts.used->idx, htole16(r->used_idx), __ATOMIC_RELEASE);
	if (inflight)
		inflight_given(inflight, queue, head, r->used_idx);
	atomic_store_explicit(&r->pushed,
			      atomic_load_explicit(&r->pushed, memory_order_relaxed) + 1,
			      memory_order_release);
	/* Last: the head may be available again, and until now its record is ours (take_head). */
	atomic_store_explicit(&r->busy[head], false, memory_order_release);
out:
	pthread_mutex_unlock(&r->used_lock);
}

bool vring_should_notify(struct vring *r)
{
	uint16_t old;
	uint16_t event;
	bool want;

	pthread_mutex_lock(&r->used_lock);
	/* The index before the guest's wish: it writes its wish before it looks at the index. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!r->setup.event_idx) {
		want = !(load_relaxed(&r->parts.avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	} else {
		old = r->notified;
		event = load_relaxed(r->parts.used_event);
		want = !r->notified_valid || passed(event, r->used_idx, old);
		r->notified = r->used_idx;
		r->notified_valid = true;
	}
	pthread_mutex_unlock(&r->used_lock);
	return want;
}
