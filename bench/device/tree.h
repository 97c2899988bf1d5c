/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tree.h - the share that both daemons serve, and what a side knows of it.
 *
 *   hot/dN/fN      8 directories of 250 files of 4 KiB
 *   cold/dN/fN     as many directories of 1000 empty files as the cold lookups take
 *   data/N         8 files of 1 MiB for READ and WRITE
 *   new/           for CREATE and UNLINK
 *   source/N       copies of a source tree
 */
#ifndef HOLDFAST_BENCH_TREE_H
#define HOLDFAST_BENCH_TREE_H

#include "side.h"

#define TREE_DIRS 8
#define TREE_FILES 250
#define TREE_COLD_FILES 1000
#define TREE_DATA 8
#define TREE_DATA_BYTES (1U << 20)
#define TREE_COPIES 4

/* Makes all of it in `share`; the source tree is copied from `source`, if that is not NULL. 0 or -errno, with a line on stderr. */
int tree_make(const char *share, const char *source, unsigned cold_dirs);
/* `dirs` directories of TREE_COLD_FILES empty files. */
int tree_make_files(const char *share, unsigned dirs);

/* Has the host look at files number `at` to `last` of cold/, so that its caches are warm whoever comes first. */
void tree_warm(const char *share, unsigned at, unsigned last);

/* What a side has looked up, and open files. */
struct known {
	uint64_t dirs[TREE_DIRS], files[TREE_DIRS][TREE_FILES];
	uint64_t data[TREE_DATA], data_fh[TREE_DATA];
	uint64_t fresh, source, cold;
};
int known_learn(struct side *s, struct known *k);

#endif
