// SPDX-License-Identifier: BSD-3-Clause
/*
 * table.c - ratios of paired rounds, and their spread. The machine's speed changes from one second to the next; that of two
 * rounds side by side hardly does.
 */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>

#define LINES_MAX 128

static struct {
	char text[96];
	double median, wanted;
	const char *why;
} shorts[LINES_MAX];
static unsigned short_count, line_count;

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a;
	const double y = *(const double *)b;

	return x < y ? -1 : x > y;
}

struct spread spread_of(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), by_value);
	return (struct spread){ values[0], values[n / 2], values[n - 1] };
}

enum field { RATE, CPU, MEDIAN, P99 };

static double field_of(const struct load_result *r, enum field f)
{
	switch (f) {
	case RATE:
		return r->rate;
	case CPU:
		return r->cpu_ns;
	case MEDIAN:
		return r->median;
	default:
		return r->p99;
	}
}

static double median_of(const struct rounds *r, unsigned side, enum field f)
{
	double values[TABLE_ROUNDS_MAX];

	for (unsigned i = 0; i < r->count; i++)
		values[i] = field_of(&r->side[side][i], f);
	return spread_of(values, r->count).median;
}

static struct spread ratios(const struct rounds *r, enum field f)
{
	double values[TABLE_ROUNDS_MAX];

	for (unsigned i = 0; i < r->count; i++)
		values[i] = field_of(&r->side[0][i], f) / field_of(&r->side[1][i], f);
	return spread_of(values, r->count);
}

void table_head(const char *ours, const char *theirs)
{
	printf("# 1: %s\n# 2: %s\n"
	       "# rate: thousand a second; ratio: 1 to 2, of paired rounds; cpu: of the daemon, us "
	       "for "
	       "each, polling too;\n# latency: us, of a request at depth 1\n",
	       ours, theirs);
	printf("%-30s %5s | %7s %7s | %5s %6s %5s %6s | %6s %6s %5s | %s\n", "measurement", "depth",
	       "rate 1", "rate 2", "min", "median", "max", "wanted", "cpu 1", "cpu 2", "ratio",
	       "latency median 1, 2; p99 1, 2");
	(void)fflush(stdout);
}

void table_line(const char *name, unsigned depth, const char *unit, double wanted, const char *why,
		const struct rounds *r)
{
	const struct spread ratio = ratios(r, RATE);
	const struct spread cpu = ratios(r, CPU);
	const bool falls_short = ratio.median < wanted;
	char text[96];

	(void)snprintf(text, sizeof(text), "%s (%s)", name, unit);
	printf("%-30s %5u | %7.1f %7.1f | %5.2f %6.2f %5.2f %6.1f%s | %6.2f %6.2f %5.2f |",
	       unit[0] == 'r' ? name : text, depth, median_of(r, 0, RATE) / 1e3,
	       median_of(r, 1, RATE) / 1e3, ratio.min, ratio.median, ratio.max, wanted,
	       falls_short ? "!" : " ", median_of(r, 0, CPU) / 1e3, median_of(r, 1, CPU) / 1e3,
	       cpu.median);
	if (depth == 1)
		printf(" %.1f, %.1f; %.1f, %.1f", median_of(r, 0, MEDIAN), median_of(r, 1, MEDIAN),
		       median_of(r, 0, P99), median_of(r, 1, P99));
	printf("\n");
	(void)fflush(stdout);
	line_count++;
	if (!falls_short || short_count == LINES_MAX)
		return;
	(void)snprintf(shorts[short_count].text, sizeof(shorts[0].text), "%s, depth %u", name,
		       depth);
	shorts[short_count].median = ratio.median;
	shorts[short_count].wanted = wanted;
	shorts[short_count++].why = why;
}

unsigned table_summary(void)
{
	printf("# %u of %u lines fall short\n", short_count, line_count);
	for (unsigned i = 0; i < short_count; i++)
		printf("#   %-40s %5.2f, wanted %.1f%s%s\n", shorts[i].text, shorts[i].median,
		       shorts[i].wanted, shorts[i].why ? ": " : "",
		       shorts[i].why ? shorts[i].why : "");
	return short_count;
}
