// SPDX-License-Identifier: BSD-3-Clause
/*
 * operations.c - each operation at each depth: a round of one daemon, a round of the other, and again. Which comes first
 * changes from round to round.
 *
 * First lookups come last, when each daemon is started anew: names that no daemon of this state ever saw, and then, after
 * another start, the same names, whose rows are in the map.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "device.h"
#include "ops.h"
#include "table.h"

#define PATH_ROOM 4096
#define ROUNDS 9
#define ROUND_MS 60
#define COLD_SAMPLE 1000U
#define COLD_SETTLE_MS 150

static const unsigned depths[] = { 1, 16, 64 };

struct line {
	const struct op *op;
	double wanted; /* at depths above 1 */
	const char *why;
	bool why_alone; /* holds at depth 1 too */
};

/* What profiles said, for lines that have been seen to fall short. */
#define WHY_OPEN                                                                                   \
	"four fifths of it are open(2) by /proc/self/fd and close(2) in the kernel, for both "     \
	"daemons alike"
#define WHY_COPY "nearly all of it is the kernel's copy"
#define WHY_CREATE                                                                                 \
	"the name is opened once more for as long as the file may outlive it, and numbers, ring "  \
	"and "                                                                                     \
	"map are told of it twice"
#define WHY_FIRST                                                                                  \
	"numbers are minted, and the row is sought and opened, or put into the ring; the other "   \
	"daemon "                                                                                  \
	"keeps a descriptor instead"
#define WHY_ALONE                                                                                  \
	"what polling saves is a wake-up of an idle processor, which a processor that others "     \
	"keep busy "                                                                               \
	"does not need"

static const struct line lines[] = {
	{ &op_lookup_hot, 1.2, NULL, false },	 { &op_lookup_miss, 1.2, NULL, false },
	{ &op_getattr, 1.2, NULL, false },	 { &op_open, 1.2, WHY_OPEN, false },
	{ &op_readdirplus, 1.2, NULL, false },	 { &op_read_4k, 1.2, NULL, false },
	{ &op_read_128k, 1.1, WHY_COPY, true },	 { &op_write_4k, 1.2, NULL, false },
	{ &op_write_128k, 1.1, WHY_COPY, true }, { &op_create, 1.2, WHY_CREATE, true },
	{ &op_walk, 1.2, WHY_OPEN, false },
};
#define WANTED_ALONE 3.0
#define WANTED_FIRST 1.0

/* One daemon's half. */
struct half {
	struct load load;
	struct known known;
	struct ops_context context;
	struct walk *walk;
	uint64_t *cold;	 /* nodeids of the directories */
	uint64_t *found; /* of a sample of cold lookups */
};

struct bench {
	struct side *sides;
	struct half half[2];
	char share[PATH_ROOM];
	unsigned rounds, ms, cold_dirs;
	const char *only;    /* NULL: all lines */
	unsigned only_depth; /* 0: all */
};

static bool is_wanted(const struct bench *b, const char *name)
{
	return !b->only || strstr(name, b->only);
}

/* --- starting ------------------------------------------------------------------------------------------------ */

static int learn_cold(struct side *s, struct half *h, unsigned dirs)
{
	char name[16];
	int ret = 0;

	h->cold = calloc(dirs, sizeof(*h->cold));
	h->found = calloc(COLD_SAMPLE, sizeof(*h->found));
	if (!h->cold || !h->found)
		return -ENOMEM;
	for (unsigned i = 0; i < dirs && !ret; i++) {
		struct fuse_entry_out entry = { 0 };

		snprintf(name, sizeof(name), "d%u", i);
		ret = fecall_lookup(&s->fuse, h->known.cold, name, &entry);
		h->cold[i] = entry.nodeid;
	}
	return ret;
}

static int start(struct bench *b)
{
	int ret = 0;

	for (unsigned i = 0; i < 2 && !ret; i++) {
		struct half *h = &b->half[i];

		ret = side_start(&b->sides[i], b->share, "state");
		if (!ret)
			ret = load_open(&h->load, &b->sides[i]);
		if (!ret)
			ret = known_learn(&b->sides[i], &h->known);
		if (!ret)
			ret = learn_cold(&b->sides[i], h, b->cold_dirs);
		h->context = (struct ops_context){ .known = &h->known,
						   .cold = h->cold,
						   .found = h->found };
		h->walk = walk_new(h->known.source);
		if (!ret && !h->walk)
			ret = -ENOMEM;
	}
	return ret;
}

static void stop(struct bench *b)
{
	for (unsigned i = 0; i < 2; i++) {
		load_close(&b->half[i].load);
		walk_free(b->half[i].walk);
		free(b->half[i].cold);
		free(b->half[i].found);
		memset(&b->half[i], 0, sizeof(b->half[i]));
		side_stop(&b->sides[i]);
	}
}

/* --- rounds ----------------------------------------------------------------------------------------------------- */

/* A round of one side. A walk and first lookups end by themselves. */
static int round_of(struct bench *b, unsigned i, const struct op *op, unsigned depth,
		    struct load_result *out)
{
	struct half *h = &b->half[i];
	struct ops_context *c = &h->context;
	int ret;

	if (op == &op_walk) {
		h->load.context = h->walk;
		walk_begin(h->walk);
		return load_run(&h->load, op, depth, 0, 0, out);
	}
	h->load.context = c;
	if (op != &op_lookup_cold)
		return load_run(&h->load, op, depth, b->ms, 0, out);
	c->last += COLD_SAMPLE;
	c->found_count = 0;
	tree_warm(b->share, c->at, c->last);
	ret = load_run(&h->load, op, depth, 0, COLD_SETTLE_MS, out);
	/* Or the daemon that keeps a descriptor for each would soon have none left. */
	for (unsigned k = 0; k < c->found_count && !ret; k++)
		ret = load_forget(&h->load, c->found[k], k + 1 == c->found_count);
	return ret;
}

static int measure(struct bench *b, const char *name, const struct op *op, unsigned depth,
		   double wanted, const char *why)
{
	static struct rounds r;
	int ret = 0;

	if (b->only_depth && b->only_depth != depth)
		return 0;
	r.count = b->rounds;
	/* One for nothing, in which caches fill; first lookups have none to spare. */
	for (unsigned i = 0; i < 2 && !ret && op != &op_lookup_cold; i++)
		ret = round_of(b, i, op, depth, &r.side[i][0]);
	for (unsigned k = 0; k < r.count && !ret; k++) {
		const unsigned first = k % 2;

		ret = round_of(b, first, op, depth, &r.side[first][k]);
		if (!ret)
			ret = round_of(b, !first, op, depth, &r.side[!first][k]);
	}
	if (!ret)
		table_line(name, depth, op->unit, wanted, why, &r);
	return ret;
}

static int measure_line(struct bench *b, const struct line *line, unsigned depth)
{
	const bool alone = depth == 1;

	return measure(b, line->op->name, line->op, depth, alone ? WANTED_ALONE : line->wanted,
		       alone && !line->why_alone ? WHY_ALONE : line->why);
}

static int print_memory(struct bench *b)
{
	int ret = 0;

	for (unsigned i = 0; i < 2 && !ret; i++) {
		struct side_memory m;

		ret = side_memory(&b->sides[i], &m);
		printf("# %u: resident %.1f MiB (own %.1f, files %.1f, shared %.1f), %u "
		       "descriptors\n",
		       i + 1, (double)m.rss_kb / 1024, (double)m.anon_kb / 1024,
		       (double)m.file_kb / 1024, (double)m.shmem_kb / 1024, m.fds);
	}
	return ret;
}

static int measure_cold(struct bench *b, const char *name)
{
	int ret = is_wanted(b, name) ? start(b) : 0;

	if (!is_wanted(b, name))
		return 0;
	for (unsigned d = 0; d < ARRAY_LEN(depths) && !ret; d++)
		ret = measure(b, name, &op_lookup_cold, depths[d], WANTED_FIRST, WHY_FIRST);
	stop(b);
	return ret;
}

int bench_operations(const char *dir, const char *source, struct side sides[2])
{
	static struct bench b;
	int ret;

	b.sides = sides;
	b.only = getenv("LINES");
	b.only_depth = bench_number("DEPTH", 0);
	b.rounds = bench_number("ROUNDS", ROUNDS);
	if (b.rounds > TABLE_ROUNDS_MAX)
		b.rounds = TABLE_ROUNDS_MAX;
	b.ms = bench_number("MS", ROUND_MS);
	b.cold_dirs = (unsigned)(ARRAY_LEN(depths) * b.rounds * COLD_SAMPLE / TREE_COLD_FILES + 1);
	snprintf(b.share, sizeof(b.share), "%s/share", dir);
	(void)mkdir(b.share, 0755);
	ret = tree_make(b.share, source, b.cold_dirs);
	if (!ret)
		ret = start(&b);
	table_head(sides[0].program, sides[1].program);
	for (unsigned i = 0; i < ARRAY_LEN(lines) && !ret; i++)
		for (unsigned d = 0; d < ARRAY_LEN(depths) && !ret; d++)
			if (is_wanted(&b, lines[i].op->name))
				ret = measure_line(&b, &lines[i], depths[d]);
	if (!ret)
		ret = print_memory(&b);
	stop(&b);
	if (!ret)
		ret = measure_cold(&b, "lookup, first");
	if (!ret)
		ret = measure_cold(&b, "lookup, first, row in the map");
	if (!ret)
		(void)table_summary();
	return ret;
}
