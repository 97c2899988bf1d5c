/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * faultvfs.h - a SQLite VFS over the default one whose n-th call fails.
 *
 * Counted are all calls that can fail: open, read, write, sync, truncate, file size, lock, delete,
 * access, and mapping of the WAL index. For tests only; one at a time in a process.
 */
#ifndef HOLDFAST_EXPORT_TESTS_FAULTVFS_H
#define HOLDFAST_EXPORT_TESTS_FAULTVFS_H

#include <stdbool.h>

#define FAULTVFS_NAME "fault"

/* What fails: writes and what else takes room fail with FULL; anything with IOERR and NOMEM. */
enum fault { FAULT_IOERR, FAULT_FULL, FAULT_NOMEM, FAULT_KINDS };

/* Registers the VFS; 0 or a SQLite code. May be called again. */
int faultvfs_register(void);

/* From now on the n-th call (1 is the next) fails; with `lasting`, all after it do too. */
void faultvfs_arm(enum fault kind, unsigned n, bool lasting);

/* No more faults. Did any happen since it was armed? */
bool faultvfs_disarm(void);

#endif
