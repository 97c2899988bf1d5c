/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map_files.h - lets SQLite reach its files by a descriptor of their directory.
 *
 * SQLite knows files by path, and in a sandbox there is no path to them. So "/holdfast-fd/N/NAME" is NAME in the
 * directory that is open as descriptor N, for SQLite and for map_files_open(); any other path means what it says.
 */
#ifndef HOLDFAST_EXPORT_MAP_FILES_H
#define HOLDFAST_EXPORT_MAP_FILES_H

#include <stdbool.h>
#include <sys/types.h>

#define MAP_FILES_PATH_MAX 64

/* Once for each process, before the first database is opened; again does no harm. 0 or -errno. */
int map_files_init(void);

/* The path of `name` (short, without '/') in `dir`, which must stay open as long as the path is in use. */
void map_files_path(int dir, const char *name, char path[MAP_FILES_PATH_MAX]);
bool map_files_is(const char *path);

/* open(2) with such a path, or with any other. */
int map_files_open(const char *path, int flags, mode_t mode);

#endif
