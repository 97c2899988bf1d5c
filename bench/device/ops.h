/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops.h - the operations that are measured. Their l->context is a struct ops_context, but the walk's: a struct walk.
 */
#ifndef HOLDFAST_BENCH_OPS_H
#define HOLDFAST_BENCH_OPS_H

#include "load.h"
#include "tree.h"

struct ops_context {
	struct known *known;
	unsigned cursor; /* goes round what there is */
	unsigned serial; /* of names that are created */
	/* First lookups: files number `at` to `last` of all directories, which have TREE_COLD_FILES each. */
	const uint64_t *cold; /* nodeids of the directories */
	uint64_t own;	      /* for `cold` to point at, where there is one at a time */
	unsigned at, last;
	uint64_t *found; /* NULL, or gets the nodeids */
	unsigned found_count;
	int tolerated; /* an error that is counted in `failed` and ends the lookups, e.g. -EMFILE */
	unsigned failed;
	/* LOOKUP ".": of these, in turn. */
	const uint64_t *handles;
	unsigned handle_count;
};

extern const struct op op_lookup_hot, op_lookup_cold, op_lookup_miss, op_getattr, op_open,
	op_readdirplus, op_read_4k, op_read_128k, op_write_4k, op_write_128k, op_create, op_decode;

struct walk;
extern const struct op op_walk;
/* Walks over the tree below `root`, again at each load_run(). */
struct walk *walk_new(uint64_t root);
void walk_free(struct walk *w);
/* Before each load_run(). */
void walk_begin(struct walk *w);

#endif
