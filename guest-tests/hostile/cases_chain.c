/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cases_chain.c - descriptors and tables that break the rules of virtio 1.x, 2.7: the connection ends.
 *
 * The request of all of them is a LOOKUP of the known file at the beginning of the second region, its reply's room lies
 * 4 KiB behind it, an indirect table 64 KiB.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "hostile.h"

#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE
#define I VRING_DESC_F_INDIRECT

#define REQ EXTRA_BASE
#define REQ_LEN ((uint32_t)(sizeof(struct fuse_in_header) + sizeof(KNOWN)))
#define REP (EXTRA_BASE + 4096)
#define TABLE (EXTRA_BASE + 65536)
#define END (EXTRA_BASE + EXTRA_SIZE)
#define D(i) ((uint16_t)(RAW_DESC + (i)))
#define ENTRY ((uint32_t)sizeof(struct vring_desc))
#define RIGHT_LEN ((uint64_t)(sizeof(struct fuse_out_header) + sizeof(struct fuse_entry_out)))

struct chain {
	struct raw_desc d[4], table[4];
	uint64_t table_at; /* 0: TABLE */
};

static void write_request(struct hostile *h)
{
	struct fuse_in_header head = { .len = REQ_LEN,
				       .opcode = FUSE_LOOKUP,
				       .nodeid = FUSE_ROOT_ID,
				       .unique = h->f.unique += 2 };

	(void)femem_write(&h->dev.mem, REQ, &head, sizeof(head));
	(void)femem_write(&h->dev.mem, REQ + sizeof(head), KNOWN, sizeof(KNOWN));
}

static void write_chain(struct hostile *h, const struct chain *chain)
{
	const uint64_t at = chain->table_at ? chain->table_at : TABLE;

	write_request(h);
	for (unsigned i = 0; i < ARRAY_LEN(chain->d); i++)
		raw_desc(h, RAW_DESC + i, chain->d[i]);
	for (unsigned i = 0; i < ARRAY_LEN(chain->table); i++) {
		const struct raw_desc *d = &chain->table[i];
		struct vring_desc to = {
			.addr = d->addr, .len = d->len, .flags = d->flags, .next = d->next
		};

		(void)femem_write(&h->dev.mem, at + i * sizeof(to), &to, sizeof(to));
	}
}

/* The connection must end: the runner waits for that. */
static int broken(struct hostile *h, const struct hostile_case *c)
{
	write_chain(h, c->data);
	raw_submit(h, RAW_DESC);
	return 0;
}

/* It is legal: the used length must be c->arg. */
static int legal(struct hostile *h, const struct hostile_case *c)
{
	int n;

	write_chain(h, c->data);
	raw_submit(h, RAW_DESC);
	n = raw_wait(h, CASE_TIMEOUT_MS);
	if (n != (int)c->arg)
		return wrong(h, "used length %d instead of %d", n, (int)c->arg);
	say(h, "used length %d", n);
	return 0;
}

/* A table of c->arg entries, all alike but for the last. */
static int long_table(struct hostile *h, const struct hostile_case *c)
{
	const unsigned count = (unsigned)c->arg;
	uint64_t at = raw_alloc(h, count * sizeof(struct vring_desc));
	struct vring_desc *table = raw_at(h, at, count * sizeof(struct vring_desc));

	write_request(h);
	for (unsigned i = 0; i < count; i++)
		table[i] = (struct vring_desc){
			.addr = REQ, .len = 1, .flags = N, .next = (uint16_t)(i + 1)
		};
	table[count - 1].flags = 0;
	raw_desc(h, RAW_DESC, (struct raw_desc){ at, count * ENTRY, I, 0 });
	raw_submit(h, RAW_DESC);
	return 0;
}

/* More bytes than 32 bits count, all of them in memory. */
static int too_many_bytes(struct hostile *h, const struct hostile_case *c)
{
	const uint16_t write = c->arg ? W : 0;

	for (unsigned i = 0; i < 25; i++)
		raw_desc(h, RAW_DESC + i,
			 (struct raw_desc){ FEDEVICE_BASE, (uint32_t)FEDEVICE_MEMORY,
					    (uint16_t)(write | (i < 24 ? N : 0)), D(i + 1) });
	raw_submit(h, RAW_DESC);
	return 0;
}

#define CHAIN(...)                                                                                 \
	&(const struct chain)                                                                      \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define BREAKS(text, ...)                                                                          \
	{                                                                                          \
		.name = (text), .run = broken, .want = ENDED, .data = CHAIN(__VA_ARGS__)           \
	}
#define LEGAL(text, len, ...)                                                                      \
	{                                                                                          \
		.name = (text), .run = legal, .arg = (len), .data = CHAIN(__VA_ARGS__)             \
	}
#define RIGHT_REQ(next_at)                                                                         \
	{                                                                                          \
		REQ, REQ_LEN, N, D(next_at)                                                        \
	}
#define RIGHT_REP                                                                                  \
	{                                                                                          \
		REP, 512, W, 0                                                                     \
	}
/* The whole of a table that is right. */
#define RIGHT_TABLE                                                                                \
	{                                                                                          \
		{ REQ, REQ_LEN, N, 1 },                                                            \
		{                                                                                  \
			REP, 512, W, 0                                                             \
		}                                                                                  \
	}

static const struct fedevice_options no_indirect = { .no_indirect = true };

static const struct hostile_case cases[] = {
	LEGAL("a chain of two descriptors is served", RIGHT_LEN, .d = { RIGHT_REQ(1), RIGHT_REP }),
	LEGAL("an indirect table is served", RIGHT_LEN, .d = { { TABLE, 2 * ENTRY, I, 0 } },
	      .table = RIGHT_TABLE),
	LEGAL("an indirect table that says it is writable is served", RIGHT_LEN,
	      .d = { { TABLE, 2 * ENTRY, I | W, 0 } }, .table = RIGHT_TABLE),
	LEGAL("empty descriptors between the others are passed over", RIGHT_LEN,
	      .d = { { REQ, 0, N, D(1) }, RIGHT_REQ(2), { REP, 0, N | W, D(3) }, RIGHT_REP }),
	BREAKS("a descriptor is its own next", .d = { { REQ, REQ_LEN, N, D(0) } }),
	BREAKS("two descriptors follow each other for ever",
	       .d = { { REQ, REQ_LEN, N, D(1) }, { REQ, 1, N, D(0) } }),
	BREAKS("writable descriptors form a cycle",
	       .d = { RIGHT_REQ(1), { REP, 64, N | W, D(2) }, { REP, 64, N | W, D(1) } }),
	BREAKS("empty descriptors form a cycle", .d = { { REQ, 0, N, D(1) }, { REQ, 0, N, D(0) } }),
	BREAKS("a next is the ring's size", .d = { { REQ, REQ_LEN, N, 128 } }),
	BREAKS("a next is far past the ring", .d = { { REQ, REQ_LEN, N, 65535 } }),
	BREAKS("a readable address is 0", .d = { { 0, REQ_LEN, N, D(1) }, RIGHT_REP }),
	BREAKS("a readable address is all bits", .d = { { UINT64_MAX, 1, N, D(1) }, RIGHT_REP }),
	BREAKS("a readable descriptor lies outside of memory",
	       .d = { { 0x900000000, REQ_LEN, N, D(1) }, RIGHT_REP }),
	BREAKS("a readable descriptor lies before a region",
	       .d = { { EXTRA_BASE - 8, REQ_LEN, N, D(1) }, RIGHT_REP }),
	BREAKS("a readable descriptor wraps around 2^64",
	       .d = { { UINT64_MAX - 7, REQ_LEN, N, D(1) }, RIGHT_REP }),
	BREAKS("a readable descriptor goes past a region's end",
	       .d = { { END - 8, REQ_LEN, N, D(1) }, RIGHT_REP }),
	BREAKS("a readable descriptor has 2^32-1 bytes",
	       .d = { { REQ, UINT32_MAX, N, D(1) }, RIGHT_REP }),
	BREAKS("a writable address is 0", .d = { RIGHT_REQ(1), { 0, 512, W, 0 } }),
	BREAKS("a writable address is all bits", .d = { RIGHT_REQ(1), { UINT64_MAX, 1, W, 0 } }),
	BREAKS("a writable descriptor lies outside of memory",
	       .d = { RIGHT_REQ(1), { 0x900000000, 512, W, 0 } }),
	BREAKS("a writable descriptor wraps around 2^64",
	       .d = { RIGHT_REQ(1), { UINT64_MAX - 7, 512, W, 0 } }),
	BREAKS("a writable descriptor goes past a region's end",
	       .d = { RIGHT_REQ(1), { END - 8, 512, W, 0 } }),
	BREAKS("a writable descriptor has 2^32-1 bytes",
	       .d = { RIGHT_REQ(1), { REP, UINT32_MAX, W, 0 } }),
	BREAKS("a writable descriptor comes before a readable one",
	       .d = { { REP, 512, N | W, D(1) }, { REQ, REQ_LEN, 0, 0 } }),
	BREAKS("a readable descriptor comes between writable ones",
	       .d = { RIGHT_REQ(1), { REP, 64, N | W, D(2) }, { REQ, 8, N, D(3) }, RIGHT_REP }),
	{ .name = "readable descriptors have more than 2^32 bytes in all",
	  .run = too_many_bytes,
	  .want = ENDED },
	{ .name = "writable descriptors have more than 2^32 bytes in all",
	  .run = too_many_bytes,
	  .want = ENDED,
	  .arg = 1 },
	BREAKS("an indirect table has 8 bytes", .d = { { TABLE, 8, I, 0 } }, .table = RIGHT_TABLE),
	BREAKS("an indirect table has 33 bytes", .d = { { TABLE, 2 * ENTRY + 1, I, 0 } },
	       .table = RIGHT_TABLE),
	BREAKS("an indirect table is empty", .d = { { TABLE, 0, I, 0 } }),
	BREAKS("an indirect table has 2^32-16 bytes", .d = { { TABLE, UINT32_MAX - 15, I, 0 } },
	       .table = RIGHT_TABLE),
	{ .name = "an indirect table has 1027 entries",
	  .run = long_table,
	  .want = ENDED,
	  .arg = 1027 },
	{ .name = "an indirect table has 60000 entries",
	  .run = long_table,
	  .want = ENDED,
	  .arg = 60000 },
	BREAKS("an indirect table lies in an indirect table", .d = { { TABLE, ENTRY, I, 0 } },
	       .table = { { TABLE + 1024, 2 * ENTRY, I, 0 } }),
	BREAKS("an indirect table leads to itself", .d = { { TABLE, ENTRY, I, 0 } },
	       .table = { { TABLE, ENTRY, I, 0 } }),
	BREAKS("an indirect table has a loop", .d = { { TABLE, 2 * ENTRY, I, 0 } },
	       .table = { { REQ, REQ_LEN, N, 1 }, { REQ, 1, N, 0 } }),
	BREAKS("a next in an indirect table is past its end", .d = { { TABLE, 2 * ENTRY, I, 0 } },
	       .table = { { REQ, REQ_LEN, N, 2 }, { REP, 512, W, 0 }, { REP, 512, W, 0 } }),
	BREAKS("a next in an indirect table is 65535", .d = { { TABLE, 2 * ENTRY, I, 0 } },
	       .table = { { REQ, REQ_LEN, N, 65535 } }),
	BREAKS("a descriptor has INDIRECT and NEXT",
	       .d = { { TABLE, 2 * ENTRY, I | N, D(1) }, RIGHT_REP }, .table = RIGHT_TABLE),
	BREAKS("an indirect table lies outside of memory",
	       .d = { { 0x900000000, 2 * ENTRY, I, 0 } }),
	BREAKS("an indirect table goes past a region's end",
	       .d = { { END - ENTRY, 2 * ENTRY, I, 0 } }, .table = { { REQ, REQ_LEN, N, 1 } },
	       .table_at = END - 4 * ENTRY),
	BREAKS("an indirect table wraps around 2^64",
	       .d = { { UINT64_MAX - 15, 2 * ENTRY, I, 0 } }),
	BREAKS("an indirect table holds an address outside of memory",
	       .d = { { TABLE, 2 * ENTRY, I, 0 } },
	       .table = { { REQ, REQ_LEN, N, 1 }, { 0x900000000, 512, W, 0 } }),
	BREAKS("an indirect table has a writable entry before a readable one",
	       .d = { { TABLE, 2 * ENTRY, I, 0 } },
	       .table = { { REP, 512, N | W, 1 }, { REQ, REQ_LEN, 0, 0 } }),
	{ .name = "an indirect table where none was agreed on",
	  .run = broken,
	  .want = ENDED,
	  .options = &no_indirect,
	  .data = CHAIN(.d = { { TABLE, 2 * ENTRY, I, 0 } }, .table = RIGHT_TABLE) },
};

const struct hostile_area area_chain = { "chain", cases, ARRAY_LEN(cases) };
