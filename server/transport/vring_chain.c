/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring_chain.c - reads a chain of descriptors, direct or indirect, into pieces of our address
 * space.
 *
 * Each descriptor is read once and judged by that copy; an indirect table is copied as a whole.
 * Nothing here looks at what the pieces hold. Called by the queue's thread.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "transport/vring_private.h"

/* Regions that an indirect table may lie across. */
#define TABLE_PIECES 8

/* A descriptor in our byte order. */
struct desc {
	guest_addr_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static struct desc read_desc(const struct vring_desc *at)
{
	return (struct desc){
		.addr.v = le64toh(__atomic_load_n(&at->addr, __ATOMIC_RELAXED)),
		.len = le32toh(__atomic_load_n(&at->len, __ATOMIC_RELAXED)),
		.flags = le16toh(__atomic_load_n(&at->flags, __ATOMIC_RELAXED)),
		.next = le16toh(__atomic_load_n(&at->next, __ATOMIC_RELAXED)),
	};
}

static int add_piece(const struct vring *r, struct vring_chain *chain, const struct desc *d)
{
	unsigned used = chain->readable + chain->writable;
	bool write = d->flags & VRING_DESC_F_WRITE;
	int n;

	if (!write && chain->writable)
		return -EPROTO;
	if (chain->readable_len + chain->writable_len + d->len > UINT32_MAX)
		return -EPROTO;
	n = guestmem_translate(r->memory, d->addr, d->len, &chain->iov[used],
			       VRING_CHAIN_MAX - used);
	if (n < 0)
		return -EPROTO;
	if (write) {
		chain->writable += (unsigned)n;
		chain->writable_len += d->len;
	} else {
		chain->readable += (unsigned)n;
		chain->readable_len += d->len;
	}
	return 0;
}

/* Copies an indirect table; its number of entries, or -EPROTO. */
static int copy_table(struct vring *r, const struct desc *d)
{
	struct iovec pieces[TABLE_PIECES];
	uint8_t *to = (uint8_t *)r->table;
	int n;

	if (!r->setup.indirect || d->flags & VRING_DESC_F_NEXT || d->len == 0 ||
	    d->len % sizeof(struct vring_desc) || d->len > sizeof(r->table))
		return -EPROTO;
	n = guestmem_translate(r->memory, d->addr, d->len, pieces, TABLE_PIECES);
	if (n < 0)
		return -EPROTO;
	for (int i = 0; i < n; i++) {
		memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
		to += pieces[i].iov_len;
	}
	return (int)(d->len / sizeof(struct vring_desc));
}

/* The descriptors of a table, in their order; no table within a table. */
static int read_table(struct vring *r, struct vring_chain *chain, unsigned count)
{
	unsigned at = 0;

	for (unsigned seen = 0; seen < count; seen++) {
		struct desc d = read_desc(&r->table[at]);
		int ret;

		if (d.flags & VRING_DESC_F_INDIRECT)
			return -EPROTO;
		ret = add_piece(r, chain, &d);
		if (ret || !(d.flags & VRING_DESC_F_NEXT))
			return ret;
		if (d.next >= count)
			return -EPROTO;
		at = d.next;
	}
	return -EPROTO; /* more descriptors than there are: a loop */
}

int vring_read_chain(struct vring *r, struct vring_chain *chain)
{
	unsigned at = chain->head;

	chain->readable = 0;
	chain->writable = 0;
	chain->readable_len = 0;
	chain->writable_len = 0;
	for (unsigned seen = 0; seen < r->setup.size; seen++) {
		struct desc d = read_desc(&r->parts.desc[at]);
		int ret;

		if (d.flags & VRING_DESC_F_INDIRECT) {
			ret = copy_table(r, &d);
			return ret < 0 ? ret : read_table(r, chain, (unsigned)ret);
		}
		ret = add_piece(r, chain, &d);
		if (ret || !(d.flags & VRING_DESC_F_NEXT))
			return ret;
		if (d.next >= r->setup.size)
			return -EPROTO;
		at = d.next;
	}
	return -EPROTO;
}
