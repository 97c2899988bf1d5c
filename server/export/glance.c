/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * glance.c - what attributes alone can tell. Called from every worker and the scan.
 */
#include "export/glance.h"

#include <time.h>

/* Time stamps are as coarse as the clock's ticks, 10 ms at most. */
#define STEADY_NS 1000000000LL

int64_t glance_time_ns(const struct statx_timestamp *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

uint64_t glance_steady_ns(const struct statx *stx)
{
	const int64_t ctime = glance_time_ns(&stx->stx_ctime);
	struct timespec t;
	int64_t now;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	return stx->stx_mask & STATX_BTIME && ctime > 0 && ctime < now - STEADY_NS ? (uint64_t)ctime
										   : 0;
}

bool glance_unchanged(const struct looked *now, const struct object_was *was)
{
	return was->steady_ns && (now->stx.stx_mask & STATX_BTIME) &&
	       was->ino == now->stx.stx_ino && was->dev == now->dev && was->mount == now->mount &&
	       was->btime_ns == glance_time_ns(&now->stx.stx_btime) &&
	       was->steady_ns == (uint64_t)glance_time_ns(&now->stx.stx_ctime);
}
