/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * glance.h - is an object that was looked at once the one that is there now, by its attributes alone?
 *
 * Who has its inode number now, in the same mount of the same device, with the birth and the last change (ctime) that a whole
 * look had found to be steady, is it. For an inode that was used again since, or whose generation was changed, has had a change
 * after that look, and so shows another time. Pure functions.
 */
#ifndef HOLDFAST_EXPORT_GLANCE_H
#define HOLDFAST_EXPORT_GLANCE_H

#include "export/hostfs.h"

/*
 * For looked.steady_ns of an object whose handle is asked for after this call: its ctime, or 0 if that is not older than the
 * coarseness of time stamps by far, or not known.
 */
uint64_t glance_steady_ns(const struct statx *stx);

/* What a whole look found, as far as a glance can compare it. */
struct object_was {
	uint64_t ino, dev, mount;
	int64_t btime_ns;
	uint64_t steady_ns; /* looked.steady_ns */
};

/* Of `now` hostfs_glance() has filled what it fills. */
bool glance_unchanged(const struct looked *now, const struct object_was *was);

/* A time stamp in nanoseconds since 1970. */
int64_t glance_time_ns(const struct statx_timestamp *t);

#endif
