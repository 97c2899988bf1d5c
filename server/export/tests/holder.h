/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holder.h - a process that holds a ring's lock, as a daemon that is stopped does.
 */
#ifndef HOLDFAST_EXPORT_TESTS_HOLDER_H
#define HOLDFAST_EXPORT_TESTS_HOLDER_H

#include <sys/types.h>

#include "export/ring.h"

/* It has the lock when this returns, until holder_end(), at the latest until the test program ends. */
pid_t holder_start(struct ring *r);
void holder_end(pid_t pid);

#endif
