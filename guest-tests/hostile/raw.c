/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * raw.c - descriptors of a ring, written by hand.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "hostile.h"

static struct fering *ring_of(struct hostile *h)
{
	return &h->dev.rings[h->f.queue];
}

uint64_t raw_alloc(struct hostile *h, size_t len)
{
	uint64_t at = femem_alloc(&h->dev.mem, FEDEVICE_BASE, len, 16);

	if (!at) {
		(void)fprintf(stderr, "hostile: a case needs more memory than there is\n");
		exit(2);
	}
	return at;
}

void *raw_at(struct hostile *h, uint64_t guest, size_t len)
{
	return femem_at(&h->dev.mem, guest, len);
}

void raw_desc(struct hostile *h, unsigned index, struct raw_desc d)
{
	struct vring_desc *to = &ring_of(h)->desc[index];

	to->addr = d.addr;
	to->len = d.len;
	to->flags = d.flags;
	to->next = d.next;
}

uint64_t raw_lookup(struct hostile *h, uint32_t *len)
{
	struct fuse_in_header head = { .opcode = FUSE_LOOKUP, .nodeid = FUSE_ROOT_ID, .pid = 1 };
	uint64_t at;

	*len = (uint32_t)(sizeof(head) + sizeof(KNOWN));
	head.len = *len;
	h->f.unique += 2;
	head.unique = h->f.unique;
	at = raw_alloc(h, 4096);
	(void)femem_write(&h->dev.mem, at, &head, sizeof(head));
	(void)femem_write(&h->dev.mem, at + sizeof(head), KNOWN, sizeof(KNOWN));
	return at;
}

void raw_submit(struct hostile *h, uint16_t head)
{
	fering_submit(ring_of(h), head);
	(void)fering_kick(ring_of(h), true);
}

int raw_wait(struct hostile *h, int timeout_ms)
{
	const uint64_t end = clock_ns() + (uint64_t)timeout_ms * 1000000U;
	struct fering_done done;
	int n;

	do {
		(void)fering_wait(ring_of(h), 1, 0, 100);
		n = fering_reap(ring_of(h), &done, 1);
		if (n == 1)
			return (int)done.len;
		if (n < 0)
			return n;
		if (session_ended(h, 0))
			return -EPIPE;
	} while (clock_ns() < end);
	return -ETIMEDOUT;
}
