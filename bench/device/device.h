/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.h - the parts of the bench of the device.
 */
#ifndef HOLDFAST_BENCH_DEVICE_H
#define HOLDFAST_BENCH_DEVICE_H

#include "side.h"

/* A number from the environment. */
unsigned bench_number(const char *name, unsigned otherwise);

/* Operations of two daemons on one share, in turn. `dir` is empty. */
int bench_operations(const char *dir, const char *source, struct side sides[2]);
/* Files looked up and never forgotten, until it ends or fails: what that takes. */
int bench_memory(const char *dir, unsigned files, struct side sides[2]);
/* LOOKUP "." of forgotten nodeids; DIR/state has the map of DIR/share and other rows besides. */
int bench_decode(const char *dir, unsigned handles, struct side *side);

#endif
