/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * replace.h - small files that are never changed in place.
 */
#ifndef HOLDFAST_BASE_REPLACE_H
#define HOLDFAST_BASE_REPLACE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes `len` bytes to the file `name` in the directory `dirfd` (O_PATH will do), mode 0600: beside it first,
 * synced, then renamed over, and the directory synced. With `exclusive`, -EEXIST if there is one. 0 or -errno;
 * then what was there is there still, but where it was the directory that could not be synced: nobody knows which is.
 * Whole or part files that killed processes left behind on their way to this name are removed first.
 */
int file_replace(int dirfd, const char *name, const void *bytes, size_t len, bool exclusive);

#endif
