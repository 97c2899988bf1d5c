/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_ring.c - indices and heads that are none, requests of odd shapes, memory that goes away, eventfds.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/util.h"
#include "hostile.h"

#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE

static struct fering *ring_of(struct hostile *h)
{
	return &h->dev.rings[h->f.queue];
}

/* --- indices and heads ------------------------------------------------------------------------------------------ */

static int jump(struct hostile *h, const struct hostile_case *c)
{
	struct fering *r = ring_of(h);

	__atomic_store_n(&r->avail->idx, (uint16_t)(r->next_avail + c->arg), __ATOMIC_RELEASE);
	(void)eventfd_write(r->kick, 1);
	return 0;
}

static int bad_head(struct hostile *h, const struct hostile_case *c)
{
	raw_submit(h, (uint16_t)c->arg);
	return 0;
}

/* A lookup with this reply room in descriptors RAW_DESC and RAW_DESC + 1. */
static void lookup_chain(struct hostile *h, unsigned head, uint32_t len, uint32_t room)
{
	uint32_t whole;
	const uint64_t at = raw_lookup(h, &whole);

	raw_desc(h, head,
		 (struct raw_desc){ at, len ? len : whole, room ? N : 0, (uint16_t)(head + 1) });
	raw_desc(h, head + 1, (struct raw_desc){ at + 2048, room, W, 0 });
}

/* Heads that are given twice, and both before the device may look. */
static int same_head_twice(struct hostile *h, const struct hostile_case *c)
{
	struct fering *r = ring_of(h);
	const struct fecall_lock first = { h->known, 0, 1, 0, 100, F_WRLCK, false };
	struct fecall_lock held = first;
	struct fecall_lock waits = first;
	uint64_t unique;
	uint64_t fh;
	uint16_t head;
	int slot;

	(void)c;
	if (fecall_open(&h->f, h->known, O_RDWR, &fh))
		return wrong(h, "open failed");
	held.fh = waits.fh = fh;
	waits.owner = 2;
	if (fecall_setlk(&h->f, &held))
		return wrong(h, "the first lock failed");
	slot = fecall_setlkw_send(&h->f, 1, &waits, &unique);
	if (slot < 0)
		return wrong(h, "SETLKW was not sent");
	if (fefuse_receive(&h->f, slot, 200) != -ETIMEDOUT)
		return wrong(h, "SETLKW does not wait");
	head = r->avail->ring[(r->next_avail - 1) & (r->size - 1)];
	raw_submit(h, head);
	return 0;
}

/* Two chains that share their descriptors but for the head. */
static int shared_tail(struct hostile *h, const struct hostile_case *c)
{
	struct fering_done done[2];
	struct fering *r = ring_of(h);

	(void)c;
	lookup_chain(h, RAW_DESC, 0, 512);
	raw_desc(h, RAW_DESC + 4,
		 (struct raw_desc){ r->desc[RAW_DESC].addr, r->desc[RAW_DESC].len, N,
				    RAW_DESC + 1 });
	fering_submit(r, RAW_DESC);
	fering_submit(r, RAW_DESC + 4);
	(void)fering_kick(r, true);
	if (fering_wait(r, 2, 0, CASE_TIMEOUT_MS) || fering_reap(r, done, 2) != 2)
		return wrong(h, "they did not come back");
	say(h, "both came back");
	return 0;
}

/* A whole ring of heads that were never written: zero bytes everywhere. */
static int empty_heads(struct hostile *h, const struct hostile_case *c)
{
	struct fering_done done[32];
	struct fering *r = ring_of(h);

	(void)c;
	for (uint16_t i = 0; i < 32; i++) {
		raw_desc(h, RAW_DESC + i, (struct raw_desc){ 0, 0, 0, 0 });
		fering_submit(r, (uint16_t)(RAW_DESC + i));
	}
	(void)fering_kick(r, true);
	if (fering_wait(r, 32, 0, CASE_TIMEOUT_MS) || fering_reap(r, done, 32) != 32)
		return wrong(h, "they did not come back");
	for (unsigned i = 0; i < 32; i++)
		if (done[i].len)
			return wrong(h, "used length %u", done[i].len);
	say(h, "32 bare completions");
	return 0;
}

/* --- shapes -------------------------------------------------------------------------------------------------------- */

/* arg: bytes of the request; arg2: room. What the reply is follows from the room. */
static int odd_shape(struct hostile *h, const struct hostile_case *c)
{
	const uint32_t len = (uint32_t)c->arg;
	const uint32_t room = (uint32_t)c->arg2;
	const unsigned want =
		room < sizeof(struct fuse_out_header) ? 0 : sizeof(struct fuse_out_header);
	struct fuse_out_header out;
	int n;

	lookup_chain(h, RAW_DESC, len, room);
	if (len == UINT32_MAX) /* nothing readable at all */
		raw_desc(h, RAW_DESC,
			 (struct raw_desc){ ring_of(h)->desc[RAW_DESC + 1].addr, room, W, 0 });
	raw_submit(h, RAW_DESC);
	n = raw_wait(h, CASE_TIMEOUT_MS);
	if (n != (int)want)
		return wrong(h, "used length %d instead of %u", n, want);
	if (!n) {
		say(h, "a bare completion");
		return 0;
	}
	(void)femem_read(&h->dev.mem,
			 ring_of(h)->desc[len == UINT32_MAX ? RAW_DESC : RAW_DESC + 1].addr, &out,
			 sizeof(out));
	return expect(h, "the reply", out.error, -EIO);
}

/* A request in pieces of one byte, and a reply too. */
static int one_byte_pieces(struct hostile *h, const struct hostile_case *c)
{
	struct fuse_entry_out entry;

	(void)c;
	h->f.piece_in = 1;
	if (expect(h, "READ would be cut too", fecall_lookup(&h->f, FUSE_ROOT_ID, KNOWN, &entry),
		   0))
		return -1;
	h->f.piece_in = 0;
	h->f.piece_out = 3;
	return expect(h, "a LOOKUP in pieces of one byte",
		      fecall_lookup(&h->f, FUSE_ROOT_ID, KNOWN, &entry), 0);
}

/* A request whose reply goes over itself, or over the ring: the guest's own affair. */
static int reply_over(struct hostile *h, const struct hostile_case *c)
{
	struct fering *r = ring_of(h);
	uint32_t len;
	const uint64_t at = raw_lookup(h, &len);
	const uint64_t to = c->arg == 0 ? at
			    : c->arg == 1
				    ? r->at
				    : r->at + (uint64_t)((uint8_t *)r->used - (uint8_t *)r->desc);

	raw_desc(h, RAW_DESC, (struct raw_desc){ at, len, N, RAW_DESC + 1 });
	raw_desc(h, RAW_DESC + 1, (struct raw_desc){ to, 256, W, 0 });
	raw_submit(h, RAW_DESC);
	(void)raw_wait(h, 1000);
	say(h, "done");
	return 0;
}

/* Kicks are forced and calls not waited for: neither can be relied on now. */
static int indices_overwritten(struct hostile *h, const struct hostile_case *c)
{
	struct fering *r = ring_of(h);

	(void)c;
	lookup_chain(h, RAW_DESC, 0, 512);
	for (unsigned i = 0; i < 20; i++) {
		r->used->flags = (uint16_t)(i * 7);
		r->avail->flags = (uint16_t)i;
		*r->used_event = (uint16_t)(i * 31);
		*r->avail_event = (uint16_t)(i * 17);
		raw_submit(h, RAW_DESC);
		if (raw_wait(h, CASE_TIMEOUT_MS) !=
		    (int)(sizeof(struct fuse_out_header) + sizeof(struct fuse_entry_out)))
			return wrong(h, "a request was not answered");
	}
	r->avail->flags = 0;
	say(h, "20 requests meanwhile");
	return 0;
}

static int on_the_other_queue(struct hostile *h, const struct hostile_case *c)
{
	int ret;

	(void)c;
	h->f.queue = 0;
	ret = session_innocent(h);
	h->f.queue = 1;
	if (!ret)
		say(h, "lookup, open, read and release were answered");
	return ret;
}

/* --- kicks and calls ----------------------------------------------------------------------------------------------- */

static int kick_storm(struct hostile *h, const struct hostile_case *c)
{
	(void)c;
	for (unsigned i = 0; i < 100000; i++)
		(void)eventfd_write(ring_of(h)->kick, 1);
	say(h, "100000 kicks");
	return 0;
}

static int kick_is_full(struct hostile *h, const struct hostile_case *c)
{
	(void)c;
	for (unsigned i = 0; i < 100; i++) {
		(void)eventfd_write(ring_of(h)->kick, UINT64_MAX - 1);
		(void)eventfd_write(ring_of(h)->call, UINT64_MAX - 1);
	}
	say(h, "both are full");
	return 0;
}

/* --- memory that goes away ------------------------------------------------------------------------------------------- */

static int cut(struct hostile *h, uint64_t region, uint64_t size)
{
	const struct femem_region *r = femem_region(&h->dev.mem, region);

	return r && ftruncate(r->fd, (off_t)size) == 0 ? 0 : wrong(h, "ftruncate failed");
}

static int cut_ring(struct hostile *h, const struct hostile_case *c)
{
	(void)c;
	if (cut(h, FEDEVICE_BASE, 0))
		return -1;
	(void)eventfd_write(ring_of(h)->kick, 1);
	return 0;
}

/* The chain lies in memory that is there, what it points to does not any more. arg: the request's; else the reply's. */
static int cut_data(struct hostile *h, const struct hostile_case *c)
{
	uint32_t len;
	const uint64_t at = raw_lookup(h, &len);

	if (cut(h, EXTRA_BASE, 0))
		return -1;
	raw_desc(h, RAW_DESC, (struct raw_desc){ c->arg ? EXTRA_BASE : at, len, N, RAW_DESC + 1 });
	raw_desc(h, RAW_DESC + 1, (struct raw_desc){ c->arg ? at + 2048 : EXTRA_BASE, 512, W, 0 });
	raw_submit(h, RAW_DESC);
	return 0;
}

static int cut_table(struct hostile *h, const struct hostile_case *c)
{
	(void)c;
	raw_desc(h, RAW_DESC, (struct raw_desc){ EXTRA_BASE, 64, VRING_DESC_F_INDIRECT, 0 });
	if (cut(h, EXTRA_BASE, 0))
		return -1;
	raw_submit(h, RAW_DESC);
	return 0;
}

/* READ and WRITE of file data in memory that is not there: the system call says so. */
static int cut_file_data(struct hostile *h, const struct hostile_case *c)
{
	const bool is_read = c->arg;
	struct fuse_in_header head = { .opcode = is_read ? FUSE_READ : FUSE_WRITE,
				       .nodeid = h->other_file };
	struct fuse_write_in in = { .size = 4096 };
	const uint64_t at = raw_alloc(h, 4096);
	struct fuse_out_header out = { 0 };
	uint64_t fh;
	int n;

	if (fecall_open(&h->f, h->other_file, O_RDWR, &fh))
		return wrong(h, "open failed");
	in.fh = fh;
	head.unique = h->f.unique += 2;
	head.len = (uint32_t)(sizeof(head) + sizeof(in) + (is_read ? 0 : in.size));
	(void)femem_write(&h->dev.mem, at, &head, sizeof(head));
	(void)femem_write(&h->dev.mem, at + sizeof(head), &in, sizeof(in));
	if (cut(h, EXTRA_BASE, 0))
		return -1;
	raw_desc(h, RAW_DESC, (struct raw_desc){ at, sizeof(head) + sizeof(in), N, RAW_DESC + 1 });
	if (is_read) {
		raw_desc(h, RAW_DESC + 1,
			 (struct raw_desc){ at + 2048, sizeof(out), N | W, RAW_DESC + 2 });
		raw_desc(h, RAW_DESC + 2, (struct raw_desc){ EXTRA_BASE, 4096, W, 0 });
	} else {
		raw_desc(h, RAW_DESC + 1, (struct raw_desc){ EXTRA_BASE, 4096, N, RAW_DESC + 2 });
		raw_desc(h, RAW_DESC + 2, (struct raw_desc){ at + 2048, 64, W, 0 });
	}
	raw_submit(h, RAW_DESC);
	n = raw_wait(h, CASE_TIMEOUT_MS);
	if (n != (int)sizeof(out))
		return wrong(h, "used length %d", n);
	(void)femem_read(&h->dev.mem, at + 2048, &out, sizeof(out));
	return expect(h, "the reply", out.error, -EFAULT);
}

/* A lock's request by hand, at descriptors from `desc` on, answered at `reply`. */
static void submit_lock(struct hostile *h, uint16_t desc, uint32_t opcode, uint64_t fh,
			const struct fuse_lk_in *lock, uint64_t reply)
{
	struct fuse_in_header head = { .len = sizeof(head) + sizeof(*lock),
				       .opcode = opcode,
				       .nodeid = h->known,
				       .unique = h->f.unique += 2 };
	struct fuse_lk_in in = *lock;
	const uint64_t at = raw_alloc(h, 4096);

	in.fh = fh;
	(void)femem_write(&h->dev.mem, at, &head, sizeof(head));
	(void)femem_write(&h->dev.mem, at + sizeof(head), &in, sizeof(in));
	raw_desc(h, desc, (struct raw_desc){ at, head.len, N, desc + 1 });
	raw_desc(h, desc + 1U, (struct raw_desc){ reply ? reply : at + 2048, 64, W, 0 });
	raw_submit(h, desc);
}

/* It is answered by a thread of its own, long after its chain was taken. What that finds is seen at the next kick. */
static int cut_reply_of_lock(struct hostile *h, const struct hostile_case *c)
{
	const struct fuse_lk_in held = { .owner = 1, .lk = { .end = 100, .type = F_WRLCK } };
	const struct fuse_lk_in waits = { .owner = 2, .lk = { .end = 100, .type = F_WRLCK } };
	const struct fuse_lk_in gone = { .owner = 1, .lk = { .end = 100, .type = F_UNLCK } };
	uint64_t fh;

	(void)c;
	if (fecall_open(&h->f, h->known, O_RDWR, &fh))
		return wrong(h, "open failed");
	submit_lock(h, RAW_DESC, FUSE_SETLK, fh, &held, 0);
	submit_lock(h, RAW_DESC + 2, FUSE_SETLKW, fh, &waits, EXTRA_BASE);
	usleep(300000);
	if (cut(h, EXTRA_BASE, 0))
		return -1;
	submit_lock(h, RAW_DESC + 4, FUSE_SETLK, fh, &gone, 0);
	for (unsigned i = 0; i < 500 && !session_ended(h, 10); i++)
		(void)eventfd_write(ring_of(h)->kick, 1);
	return 0;
}

#define SHAPE(text, len, room)                                                                     \
	{                                                                                          \
		.name = (text), .run = odd_shape, .arg = (len), .arg2 = (room)                     \
	}

static const struct hostile_case cases[] = {
	{ .name = "the available index jumps by a ring and one",
	  .run = jump,
	  .want = ENDED,
	  .arg = 129 },
	{ .name = "the available index jumps by half of its range",
	  .run = jump,
	  .want = ENDED,
	  .arg = 32768 },
	{ .name = "the available index goes back by one",
	  .run = jump,
	  .want = ENDED,
	  .arg = 65535 },
	{ .name = "a head is the ring's size", .run = bad_head, .want = ENDED, .arg = 128 },
	{ .name = "a head is 65535", .run = bad_head, .want = ENDED, .arg = 65535 },
	{ .name = "the same head is made available twice while it is in flight",
	  .run = same_head_twice,
	  .want = ENDED,
	  .need = NEED_LOCKS },
	{ .name = "two chains share their descriptors", .run = shared_tail },
	{ .name = "heads are made available that were never written", .run = empty_heads },
	SHAPE("a request of 10 bytes", 10, 512),
	SHAPE("a request of 39 bytes", 39, 512),
	SHAPE("a request of 10 bytes and no room", 10, 0),
	SHAPE("a request without readable bytes", UINT32_MAX, 512),
	SHAPE("a request without room", 0, 0),
	SHAPE("room of 8 bytes", 0, 8),
	SHAPE("room of 15 bytes", 0, 15),
	SHAPE("room of 16 bytes", 0, 16),
	SHAPE("room of 56 bytes", 0, 56),
	SHAPE("room of a byte less than the reply", 0, 143),
	{ .name = "a request in pieces of one byte", .run = one_byte_pieces },
	{ .name = "a reply goes over its own request", .run = reply_over, .want = EITHER },
	{ .name = "a reply goes over the descriptors of its ring",
	  .run = reply_over,
	  .want = EITHER,
	  .arg = 1 },
	{ .name = "a reply goes over the used ring", .run = reply_over, .want = EITHER, .arg = 2 },
	{ .name = "flags and events of the ring are overwritten", .run = indices_overwritten },
	{ .name = "requests come by the high-priority queue", .run = on_the_other_queue },
	{ .name = "kicks without work, a hundred thousand", .run = kick_storm },
	{ .name = "kick and call are full", .run = kick_is_full },
	{ .name = "the memory of the ring goes away", .run = cut_ring, .want = ENDED },
	{ .name = "the memory of a request goes away", .run = cut_data, .want = ENDED, .arg = 1 },
	{ .name = "the memory of a reply goes away", .run = cut_data, .want = ENDED },
	{ .name = "the memory of an indirect table goes away", .run = cut_table, .want = ENDED },
	{ .name = "the memory of the reply of a lock that waits goes away",
	  .run = cut_reply_of_lock,
	  .want = ENDED },
	{ .name = "READ into memory that is not there", .run = cut_file_data, .arg = 1 },
	{ .name = "WRITE from memory that is not there", .run = cut_file_data },
};

const struct hostile_area area_ring = { "ring", cases, ARRAY_LEN(cases) };
