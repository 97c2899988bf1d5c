/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fefuse.c - requests into chains, replies out of them.
 */
#include "fefuse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define HEAD_IN ((uint32_t)sizeof(struct fuse_in_header))
#define HEAD_OUT ((uint32_t)sizeof(struct fuse_out_header))

int fefuse_open(struct fefuse *f, struct fedevice *dev, uint64_t region, unsigned slots)
{
	*f = (struct fefuse){
		.dev = dev, .queue = 1, .pid = 1, .timeout_ms = FEFUSE_TIMEOUT_MS, .spin_us = 20
	};
	if (!region)
		region = dev->mem.regions[0].guest;
	if (slots > FEFUSE_SLOTS_MAX)
		return -EINVAL;
	for (; f->slot_count < slots; f->slot_count++) {
		struct fefuse_slot *slot = &f->slots[f->slot_count];

		slot->in = femem_alloc(&dev->mem, region, FEFUSE_SLOT_BYTES, 4096);
		if (!slot->in)
			return -ENOSPC;
		slot->out = slot->in + FEFUSE_SLOT_IN;
	}
	return 0;
}

/* --- pieces ------------------------------------------------------------------------------------------------- */

struct pieces {
	struct fering_piece at[FEFUSE_PIECES_MAX];
	unsigned count;
};

/* Adds [addr, addr + len), cut into pieces of `cut` bytes unless it is 0. */
static int add_pieces(struct pieces *p, uint64_t addr, size_t len, uint32_t cut)
{
	while (len > 0) {
		const uint32_t n = cut && cut < len ? cut : (uint32_t)len;

		if (p->count == FEFUSE_PIECES_MAX)
			return -E2BIG;
		p->at[p->count++] = (struct fering_piece){ .addr = addr, .len = n };
		addr += n;
		len -= n;
	}
	return 0;
}

/* Writes header and parts into the slot, and their pieces. */
static int lay_out_request(struct fefuse *f, const struct fefuse_slot *slot,
			   const struct fefuse_request *r, const struct fuse_in_header *h,
			   struct pieces *p)
{
	const size_t total = h->len;
	uint64_t at = slot->in + HEAD_IN;
	int ret = femem_write(&f->dev->mem, slot->in, h, HEAD_IN);

	if (!ret && !f->piece_in)
		ret = add_pieces(p, slot->in, HEAD_IN, 0);
	for (unsigned i = 0; i < r->parts && !ret; i++) {
		ret = femem_write(&f->dev->mem, at, r->in[i].iov_base, r->in[i].iov_len);
		if (!ret && !f->piece_in)
			ret = add_pieces(p, at, r->in[i].iov_len, 0);
		at += r->in[i].iov_len;
	}
	if (!ret && f->piece_in)
		ret = add_pieces(p, slot->in, r->header ? at - slot->in : total, f->piece_in);
	return ret;
}

static int lay_out_room(struct fefuse *f, const struct fefuse_slot *slot, size_t room,
			struct pieces *p)
{
	int ret;

	if (f->piece_out)
		return add_pieces(p, slot->out, HEAD_OUT + room, f->piece_out);
	ret = add_pieces(p, slot->out, HEAD_OUT, 0);
	return ret ? ret : add_pieces(p, slot->out + HEAD_OUT, room, 0);
}

/* --- requests ------------------------------------------------------------------------------------------------ */

static int free_slot(struct fefuse *f)
{
	for (unsigned i = 0; i < f->slot_count; i++)
		if (!f->slots[i].busy)
			return (int)i;
	return -EBUSY;
}

static int put(struct fefuse *f, int i, unsigned queue, const struct pieces *p, unsigned readable)
{
	struct fefuse_slot *slot = &f->slots[i];
	struct fering *ring = &f->dev->rings[queue];
	int ret = fering_add(ring, p->at, readable, p->count - readable, slot);

	if (ret)
		return ret;
	slot->busy = true;
	slot->done = false;
	slot->broken = 0;
	slot->queue = queue;
	(void)fering_kick(ring, false);
	return i;
}

int fefuse_send(struct fefuse *f, unsigned queue, const struct fefuse_request *r)
{
	struct fuse_in_header h = { .len = HEAD_IN,
				    .opcode = r->opcode,
				    .unique = f->unique + 2,
				    .nodeid = r->nodeid,
				    .uid = f->uid,
				    .gid = f->gid,
				    .pid = f->pid };
	const int i = free_slot(f);
	struct pieces p;
	unsigned readable;
	int ret;

	if (i < 0)
		return i;
	p.count = 0;
	for (unsigned k = 0; k < r->parts; k++)
		h.len += (uint32_t)r->in[k].iov_len;
	if (h.len > FEFUSE_SLOT_IN || HEAD_OUT + r->room > FEFUSE_SLOT_OUT)
		return -E2BIG;
	/* Linux counts by two: odd numbers are for INTERRUPT. */
	f->unique += 2;
	if (r->header)
		h = *r->header;
	ret = lay_out_request(f, &f->slots[i], r, &h, &p);
	readable = p.count;
	if (!ret && !r->no_reply)
		ret = lay_out_room(f, &f->slots[i], r->room, &p);
	if (ret)
		return ret;
	f->slots[i].unique = h.unique;
	f->slots[i].no_reply = r->no_reply;
	f->slots[i].raw = false;
	f->slots[i].to = r->out;
	f->slots[i].room = r->room;
	return put(f, i, queue, &p, readable);
}

/* Marks what came back on a ring. */
static int reap(struct fefuse *f, unsigned queue)
{
	struct fering_done done[FEFUSE_SLOTS_MAX];
	int n = fering_reap(&f->dev->rings[queue], done, FEFUSE_SLOTS_MAX);

	for (int i = 0; i < n; i++) {
		struct fefuse_slot *slot = done[i].token;

		slot->done = true;
		slot->used_len = done[i].len;
	}
	return n;
}

bool fefuse_done(struct fefuse *f, int slot)
{
	struct fefuse_slot *s = &f->slots[slot];

	if (!s->done)
		s->broken = reap(f, s->queue) < 0 ? -EPROTO : 0;
	return s->done || s->broken;
}

/* What a slot that came back holds. */
static int read_reply(struct fefuse *f, const struct fefuse_slot *s)
{
	struct fuse_out_header h;

	f->used_len = s->used_len;
	f->reply_len = 0;
	if (s->no_reply)
		return s->used_len ? -EBADMSG : 0;
	if (s->used_len < HEAD_OUT || femem_read(&f->dev->mem, s->out, &h, sizeof(h)))
		return -EBADMSG;
	if (h.len != s->used_len || h.unique != s->unique || h.error > 0 || h.error < -4095)
		return -EBADMSG;
	if (h.error)
		return h.len == HEAD_OUT ? h.error : -EBADMSG;
	f->reply_len = h.len - HEAD_OUT;
	if (f->reply_len > s->room)
		return -EBADMSG;
	return s->to ? femem_read(&f->dev->mem, s->out + HEAD_OUT, s->to, f->reply_len) : 0;
}

int fefuse_receive(struct fefuse *f, int slot, int timeout_ms)
{
	struct fefuse_slot *s = &f->slots[slot];
	const uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000U;

	while (!fefuse_done(f, slot)) {
		const uint64_t now = clock_ns();

		if (now >= end)
			return -ETIMEDOUT;
		(void)fering_wait(&f->dev->rings[s->queue], 1, f->spin_us,
				  (int)((end - now) / 1000000U + 1));
	}
	s->busy = false;
	if (s->broken)
		return s->broken;
	if (s->raw) {
		const size_t n = s->used_len < s->room ? s->used_len : s->room;

		f->used_len = s->used_len;
		return femem_read(&f->dev->mem, s->out, s->to, n);
	}
	return read_reply(f, s);
}

void fefuse_forget_slots(struct fefuse *f)
{
	for (unsigned i = 0; i < f->slot_count; i++)
		f->slots[i].busy = false;
}

int fefuse_call(struct fefuse *f, const struct fefuse_request *r)
{
	int slot = fefuse_send(f, f->queue, r);

	return slot < 0 ? slot : fefuse_receive(f, slot, f->timeout_ms);
}

int fefuse_raw(struct fefuse *f, unsigned queue, const void *bytes, size_t len, void *reply,
	       size_t room)
{
	const int i = free_slot(f);
	struct fefuse_slot *slot;
	struct pieces p;
	unsigned readable;
	int ret;

	if (i < 0)
		return i;
	p.count = 0;
	slot = &f->slots[i];
	if (len > FEFUSE_SLOT_IN || room > FEFUSE_SLOT_OUT)
		return -E2BIG;
	ret = femem_write(&f->dev->mem, slot->in, bytes, len);
	if (!ret)
		ret = add_pieces(&p, slot->in, len, f->piece_in);
	readable = p.count;
	if (!ret)
		ret = add_pieces(&p, slot->out, room, f->piece_out);
	if (ret)
		return ret;
	slot->raw = true;
	slot->to = reply;
	slot->room = room;
	ret = put(f, i, queue, &p, readable);
	if (ret >= 0)
		ret = fefuse_receive(f, i, f->timeout_ms);
	return ret ? ret : (int)f->used_len;
}

/* --- prepared requests ----------------------------------------------------------------------------------------- */

int fefuse_prepare(struct fefuse *f, struct fering *ring, uint64_t region, uint32_t opcode,
		   uint64_t nodeid, size_t args_len, size_t data_len, size_t room,
		   struct fefuse_template *out)
{
	const size_t in_len = HEAD_IN + args_len + data_len;
	const uint64_t in = femem_alloc(&f->dev->mem, region, in_len, 64);
	const uint64_t to = femem_alloc(&f->dev->mem, region, HEAD_OUT + room, 64);
	struct fering_piece pieces[5];
	unsigned n = 0;
	unsigned readable;
	int head;

	if (!in || !to)
		return -ENOSPC;
	/* As Linux does it: the header, arguments, data; the reply's header, what is behind it. */
	pieces[n++] = (struct fering_piece){ in, HEAD_IN };
	if (args_len)
		pieces[n++] = (struct fering_piece){ in + HEAD_IN, (uint32_t)args_len };
	if (data_len)
		pieces[n++] = (struct fering_piece){ in + HEAD_IN + args_len, (uint32_t)data_len };
	readable = n;
	pieces[n++] = (struct fering_piece){ to, HEAD_OUT };
	if (room)
		pieces[n++] = (struct fering_piece){ to + HEAD_OUT, (uint32_t)room };
	head = fering_prepare(ring, pieces, readable, n - readable, true, out);
	if (head < 0)
		return head;
	out->ring = ring;
	out->head = (uint16_t)head;
	out->in = femem_at(&f->dev->mem, in, in_len);
	out->args = (uint8_t *)(out->in + 1);
	out->out = femem_at(&f->dev->mem, to, HEAD_OUT + room);
	out->reply = (uint8_t *)(out->out + 1);
	f->unique += 2;
	*out->in = (struct fuse_in_header){ .len = (uint32_t)in_len,
					    .opcode = opcode,
					    .unique = f->unique,
					    .nodeid = nodeid,
					    .uid = f->uid,
					    .gid = f->gid,
					    .pid = f->pid };
	return 0;
}

void fefuse_args_len(struct fefuse_template *t, size_t args_len)
{
	fering_piece(t->ring, t->head, 1)->len = (uint32_t)args_len;
	t->in->len = HEAD_IN + (uint32_t)args_len;
}
