// SPDX-License-Identifier: BSD-3-Clause
/*
 * memory.c - what a guest that looks at very many files makes a daemon hold; and LOOKUP "." of nodeids that it forgot.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "../shuffle.h"
#include "device.h"
#include "ops.h"
#include "table.h"

#define PATH_ROOM 4096
#define DEPTH 16
#define WANTED_FDS 1000
#define WANTED_MIB 64.0

/* --- memory -------------------------------------------------------------------------------------------------- */

/* Looks up all files of a directory after the other, until an error. */
static int look_at_all(struct side *s, struct load *l, struct ops_context *c, uint64_t parent,
		       unsigned dirs, unsigned *seen)
{
	struct load_result result;
	char name[16];
	int ret = 0;

	for (unsigned d = 0; d < dirs && !ret && !c->failed; d++) {
		struct fuse_entry_out entry;

		snprintf(name, sizeof(name), "d%u", d);
		ret = fecall_lookup(&s->fuse, parent, name, &entry);
		if (ret && ret == c->tolerated)
			return 0;
		c->own = entry.nodeid;
		c->cold = &c->own;
		c->at = 0;
		c->last = TREE_COLD_FILES;
		if (!ret)
			ret = load_run(l, &op_lookup_cold, DEPTH, 0, 0, &result);
		*seen += (unsigned)l->count;
	}
	return ret;
}

static int measure_memory(struct side *s, const char *share, unsigned dirs)
{
	static struct load load;
	struct ops_context c = { .tolerated = -EMFILE };
	struct fuse_entry_out cold;
	struct side_memory m;
	unsigned seen = 0;
	int ret = side_start(s, share, "state");

	if (!ret)
		ret = load_open(&load, s);
	load.context = &c;
	if (!ret)
		ret = fecall_lookup(&s->fuse, 1, "cold", &cold);
	if (!ret)
		ret = look_at_all(s, &load, &c, cold.nodeid, dirs, &seen);
	if (!ret)
		ret = side_memory(s, &m);
	if (!ret)
		printf("%-10s %8u files%s: %6u descriptors, resident %6.1f MiB (own %.1f, files "
		       "%.1f, "
		       "shared %.1f)%s\n",
		       s->name, seen, seen < dirs * TREE_COLD_FILES ? ", then EMFILE" : "", m.fds,
		       (double)m.rss_kb / 1024, (double)m.anon_kb / 1024, (double)m.file_kb / 1024,
		       (double)m.shmem_kb / 1024,
		       s->holdfast && (m.fds > WANTED_FDS || (double)m.rss_kb / 1024 > WANTED_MIB)
			       ? "  !"
			       : "");
	load_close(&load);
	side_stop(s);
	return ret;
}

int bench_memory(const char *dir, unsigned files, struct side sides[2])
{
	const unsigned dirs = (files + TREE_COLD_FILES - 1) / TREE_COLD_FILES;
	char share[PATH_ROOM];
	int ret;

	snprintf(share, sizeof(share), "%s/share", dir);
	(void)mkdir(share, 0755);
	ret = tree_make_files(share, dirs);
	for (unsigned i = 0; i < 2 && !ret; i++)
		ret = measure_memory(&sides[i], share, dirs);
	(void)fflush(stdout);
	return ret;
}

/* --- LOOKUP "." ---------------------------------------------------------------------------------------------- */

static const unsigned depths[] = { 1, 16, 64 };
#define ROUNDS 9
#define ROUND_MS 60
#define WANTED_DECODE 0.6
#define WANTED_P99 10.0

/* The nodeids of the first `n` files below cold/, which are forgotten then. */
static int take_handles(struct load *l, struct ops_context *c, unsigned n)
{
	struct load_result result;
	struct fuse_entry_out dir;
	int ret = 0;
	char name[16];

	for (unsigned d = 0; d * TREE_COLD_FILES < n && !ret; d++) {
		snprintf(name, sizeof(name), "d%u", d);
		ret = fecall_lookup(&l->side->fuse, c->known->cold, name, &dir);
		c->own = dir.nodeid;
		c->cold = &c->own;
		c->at = 0;
		c->last = TREE_COLD_FILES;
		if (!ret)
			ret = load_run(l, &op_lookup_cold, DEPTH, 0, 0, &result);
	}
	for (unsigned i = 0; i < c->found_count && !ret; i++)
		ret = load_forget(l, c->found[i], i + 1 == c->found_count);
	return ret;
}

/* Hot lookups by name and LOOKUP "." in turn. */
static int measure_decode(struct load *l, const char *name, unsigned depth)
{
	static struct rounds r;
	const unsigned ms = bench_number("MS", ROUND_MS);
	double tail;
	int ret = 0;

	r.count = bench_number("ROUNDS", ROUNDS);
	if (r.count > TABLE_ROUNDS_MAX)
		r.count = TABLE_ROUNDS_MAX;
	for (unsigned k = 0; k < r.count && !ret; k++) {
		ret = load_run(l, &op_decode, depth, ms, 0, &r.side[0][k]);
		if (!ret)
			ret = load_run(l, &op_lookup_hot, depth, ms, 0, &r.side[1][k]);
	}
	if (ret)
		return ret;
	table_line(name, depth, op_decode.unit, WANTED_DECODE, NULL, &r);
	tail = r.side[0][r.count / 2].p99 / r.side[0][r.count / 2].median;
	if (depth == 1)
		printf("# p99 is %.1f times the median (wanted: at most %.0f)\n", tail, WANTED_P99);
	return 0;
}

static int measure_decodes(struct load *l, struct ops_context *c, const char *name)
{
	int ret = 0;

	l->context = c;
	for (unsigned d = 0; d < ARRAY_LEN(depths) && !ret; d++)
		ret = measure_decode(l, name, depths[d]);
	return ret;
}

static int start(struct side *s, struct load *l, struct ops_context *c, const char *share)
{
	int ret = side_start(s, share, "state");

	tree_warm(share, 0, c->handle_count);
	if (!ret)
		ret = load_open(l, s);
	if (!ret)
		ret = known_learn(s, c->known);
	l->context = c;
	return ret;
}

int bench_decode(const char *dir, unsigned handles, struct side *s)
{
	static struct load load;
	static struct known known;
	struct ops_context c = { .known = &known, .handle_count = handles };
	char share[PATH_ROOM];
	int ret;

	handles = c.handle_count =
		(handles + TREE_COLD_FILES - 1) / TREE_COLD_FILES * TREE_COLD_FILES;
	snprintf(share, sizeof(share), "%s/share", dir);
	ret = tree_make(share, NULL, handles / TREE_COLD_FILES);
	c.found = calloc(handles, sizeof(*c.found));
	c.handles = c.found;
	if (!ret && !c.found)
		ret = -ENOMEM;
	if (!ret)
		ret = start(s, &load, &c, share);
	if (!ret)
		ret = take_handles(&load, &c, handles);
	if (!ret) {
		shuffle(c.found, handles, sizeof(*c.found));
		table_head("LOOKUP \".\" of forgotten nodeids", "hot lookups by name");
		ret = measure_decodes(&load, &c, "lookup \".\", same daemon");
	}
	load_close(&load);
	side_stop(s);
	if (!ret)
		ret = start(s, &load, &c, share);
	if (!ret)
		ret = measure_decodes(&load, &c, "lookup \".\", new daemon");
	load_close(&load);
	if (!ret)
		(void)table_summary();
	free(c.found);
	return ret;
}
