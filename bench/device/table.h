/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.h - what was measured, as a person reads it: a line for each measurement, and at the end those that fall short.
 */
#ifndef HOLDFAST_BENCH_TABLE_H
#define HOLDFAST_BENCH_TABLE_H

#include "load.h"

#define TABLE_ROUNDS_MAX 101

/* The rounds of one measurement: [0] is ours, [1] the other daemon's. */
struct rounds {
	unsigned count;
	struct load_result side[2][TABLE_ROUNDS_MAX];
};

void table_head(const char *ours, const char *theirs);
/* `wanted`: the ratio of rates that is to be reached; `why`: what a profile says if it is not, or NULL. */
void table_line(const char *name, unsigned depth, const char *unit, double wanted, const char *why,
		const struct rounds *r);
/* Lines that fell short; how many. */
unsigned table_summary(void);

/* min, median, max of `n` numbers, which are sorted. */
struct spread {
	double min, median, max;
};
struct spread spread_of(double *values, unsigned n);

#endif
