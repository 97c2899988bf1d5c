/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * secret.h - memory for keys: locked, left out of core dumps and of children, wiped when freed.
 */
#ifndef HOLDFAST_BASE_SECRET_H
#define HOLDFAST_BASE_SECRET_H

#include <stddef.h>

/*
 * Zeroed memory of `size` bytes on pages of its own: mlock (a failure is logged at debug level and
 * tolerated: RLIMIT_MEMLOCK), MADV_DONTDUMP, MADV_WIPEONFORK: a child after fork() finds zeros there.
 * NULL with errno on failure.
 */
void *secret_alloc(size_t size);

/* Wipes and unmaps; takes NULL. `size` as given to secret_alloc. */
void secret_free(void *p, size_t size);

/*
 * No core of this process from now on, into a file or for a program. That it is not dumpable is not enough: a thread that acts
 * as a caller makes it what fs.suid_dumpable says (2 where systemd-coredump is). 0 or -errno.
 */
int secret_forbid_cores(void);

/* Wipes memory in a way that the compiler keeps. */
void secret_wipe(void *p, size_t size);

#endif
