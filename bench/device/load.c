// SPDX-License-Identifier: BSD-3-Clause
/*
 * load.c - keeps a ring at a depth, and measures.
 *
 * Each slot has its requests laid out in guest memory once, and changes what is in them. What comes back is answered by
 * the slots' next requests, all of which one kick shows, as a guest with many processes does it.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define QUEUE 1
#define TIMEOUT_MS 60000
#define PIECE_ARGS 1
#define PIECE_DATA 2

int load_open(struct load *l, struct side *s)
{
	int ret = 0;

	memset(l, 0, sizeof(*l));
	l->side = s;
	l->latencies = malloc(LOAD_LATENCIES * sizeof(*l->latencies));
	if (!l->latencies)
		return -ENOMEM;
	for (unsigned i = 0; i < LOAD_DEPTH_MAX && !ret; i++) {
		struct load_slot *slot = &l->slots[i];
		struct fering *ring = &s->dev.rings[QUEUE];
		const uint64_t region = s->dev.mem.regions[0].guest;

		slot->index = i;
		ret = fefuse_prepare(&s->fuse, ring, region, FUSE_LOOKUP, 1, LOAD_ARGS, 0, LOAD_IO,
				     &slot->plain);
		if (!ret)
			ret = fefuse_prepare(&s->fuse, ring, region, FUSE_WRITE, 1,
					     sizeof(struct fuse_write_in), LOAD_IO,
					     sizeof(struct fuse_write_out), &slot->data);
	}
	return ret;
}

void load_close(struct load *l)
{
	free(l->latencies);
	l->latencies = NULL;
}

/* --- requests ---------------------------------------------------------------------------------------------- */

uint8_t *load_request(struct load_slot *s, uint32_t opcode, uint64_t nodeid, size_t args_len,
		      size_t data_len, size_t room)
{
	struct fefuse_template *t = data_len ? &s->data : &s->plain;
	const unsigned room_piece = data_len ? PIECE_DATA + 2 : PIECE_ARGS + 2;

	t->in->opcode = opcode;
	t->in->nodeid = nodeid;
	t->in->len = (uint32_t)(sizeof(*t->in) + args_len + data_len);
	fering_piece(t->ring, t->head, PIECE_ARGS)->len = (uint32_t)args_len;
	if (data_len)
		fering_piece(t->ring, t->head, PIECE_DATA)->len = (uint32_t)data_len;
	else if (room)
		fering_piece(t->ring, t->head, room_piece)->len = (uint32_t)room;
	/* Without room for more than its header the answer's chain ends there. */
	if (!data_len) {
		struct vring_desc *head = fering_piece(t->ring, t->head, PIECE_ARGS + 1);

		head->flags = (uint16_t)(VRING_DESC_F_WRITE | (room ? VRING_DESC_F_NEXT : 0));
	}
	s->sent = t;
	return t->args;
}

const uint8_t *load_reply(const struct load_slot *s)
{
	return s->sent->reply;
}

int load_forget(struct load *l, uint64_t nodeid, bool flush)
{
	int ret = 0;

	if (nodeid)
		l->forgets[l->forget_count++] =
			(struct fuse_forget_one){ .nodeid = nodeid, .nlookup = 1 };
	if (l->forget_count == LOAD_DEPTH_MAX || (flush && l->forget_count)) {
		ret = fecall_batch_forget(&l->side->fuse, l->forgets, l->forget_count);
		l->forget_count = 0;
	}
	return ret;
}

/* --- the loop ---------------------------------------------------------------------------------------------- */

/* Puts what a slot wants to ask next. */
static void ask(struct load *l, struct load_slot *s)
{
	if (!l->op->next(l, s)) {
		s->sent = NULL;
		return;
	}
	fering_submit(s->sent->ring, s->sent->head);
	l->in_flight++;
	if (l->depth == 1)
		s->begun = clock_ns();
}

static int answered(struct load *l, struct load_slot *s, uint32_t used_len)
{
	const struct fuse_out_header *out = s->sent->out;

	l->in_flight--;
	l->requests++;
	if (l->depth == 1 && l->latency_count < LOAD_LATENCIES)
		l->latencies[l->latency_count++] = (uint32_t)(clock_ns() - s->begun);
	if (used_len < sizeof(*out) || out->len != used_len || out->unique != s->sent->in->unique)
		return -EBADMSG;
	return l->op->done(l, s, out->error, used_len - sizeof(*out));
}

static struct load_slot *slot_of(struct load *l, const void *token)
{
	return &l->slots[(size_t)((const char *)token - (const char *)l->slots) /
			 sizeof(l->slots[0])];
}

static int loop(struct load *l, uint64_t end)
{
	struct fering *ring = &l->side->dev.rings[QUEUE];
	struct fering_done done[LOAD_DEPTH_MAX];
	int ret;

	for (unsigned i = 0; i < l->depth; i++)
		ask(l, &l->slots[i]);
	(void)fering_kick(ring, false);
	while (l->in_flight) {
		unsigned idle = 0;
		int n;

		ret = fering_wait(ring, 1, LOAD_SPIN_US, TIMEOUT_MS);
		n = ret ? ret : fering_reap(ring, done, LOAD_DEPTH_MAX);
		if (n < 0)
			return n;
		l->ending = end && clock_ns() >= end;
		for (int i = 0; i < n; i++) {
			struct load_slot *s = slot_of(l, done[i].token);

			ret = answered(l, s, done[i].len);
			if (ret)
				return ret;
			ask(l, s);
		}
		/* One slot's answer may be what another waited for. */
		idle = l->depth - l->in_flight;
		for (unsigned i = 0; idle && i < l->depth; i++)
			if (!l->slots[i].sent) {
				idle--;
				ask(l, &l->slots[i]);
			}
		(void)fering_kick(ring, false);
	}
	return 0;
}

static int by_size(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void latencies(struct load *l, struct load_result *out)
{
	const unsigned n = l->latency_count;

	out->median = out->p99 = 0;
	if (!n)
		return;
	qsort(l->latencies, n, sizeof(*l->latencies), by_size);
	out->median = l->latencies[n / 2] / 1e3;
	out->p99 = l->latencies[(size_t)n * 99 / 100] / 1e3;
}

int load_run(struct load *l, const struct op *op, unsigned depth, unsigned ms, unsigned settle_ms,
	     struct load_result *out)
{
	uint64_t begun, took, cpu;
	int ret;

	l->op = op;
	l->depth = depth;
	l->count = l->requests = 0;
	l->latency_count = 0;
	l->ending = false;
	for (unsigned i = 0; i < LOAD_DEPTH_MAX; i++)
		l->slots[i].step = 0;
	cpu = side_cpu_ns(l->side);
	begun = clock_ns();
	ret = loop(l, ms ? begun + ms * 1000000ULL : 0);
	took = clock_ns() - begun;
	if (!ret)
		ret = load_forget(l, 0, true);
	if (settle_ms)
		(void)usleep(settle_ms * 1000);
	cpu = side_cpu_ns(l->side) - cpu;
	if (ret || !l->count) {
		fprintf(stderr, "device: %s: %s: %s\n", l->side->name, op->name,
			ret ? strerror(-ret) : "nothing was done");
		return ret ? ret : -EIO;
	}
	out->rate = (double)l->count * 1e9 / (double)took;
	out->cpu_ns = (double)cpu / (double)l->count;
	latencies(l, out);
	return 0;
}
