/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * generation.h - the root generation of an export whose key lies where nobody writes: a file beside the map.
 */
#ifndef HOLDFAST_EXPORT_GENERATION_H
#define HOLDFAST_EXPORT_GENERATION_H

#include "export/keyring.h"

#define GENERATION_FILE "root-generation"

/*
 * Raises the root generation of `k` to that of the file in `statedir`. 0, also when there is no file; -EUCLEAN:
 * not authentic, or of another key; or -errno.
 */
int generation_apply(int statedir, struct keyring *k);

/* Writes the file: the root generation of `k`. Atomic and synced. 0 or -errno. */
int generation_store(int statedir, const struct keyring *k);

#endif
