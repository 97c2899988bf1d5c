/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dirs.h - directories opened with care: made where missing, not through links of others, compared by
 * what they are and not by how they are spelled.
 */
#ifndef HOLDFAST_ADMIN_DIRS_H
#define HOLDFAST_ADMIN_DIRS_H

#include <stdbool.h>

/*
 * Opens the directory `path` for reading, component by component. A symbolic link on the way is only
 * followed if it belongs to root or to us. Of the last components up to `make` are made (mode 0700) where
 * they are missing, but never inside the directory `outside` (-1: no such rule).
 * 0 with *out, -EXDEV (would be made inside `outside`), -ELOOP (too many links), -EACCES, -EKEYREJECTED
 * (a symbolic link of another user), -ENOENT, -ENOTDIR, -EROFS, -ENOSPC and others of open and mkdir.
 */
int dirs_open(const char *path, unsigned make, int outside, int *out);

/* Is `fd` a directory that belongs to us (or root), which nobody else may write to? 0 or -EKEYREJECTED. */
int dirs_check_private(int fd);

/*
 * 1 if `inner` is `outer` or lies below it, 0 if not, or -errno. Symbolic links and names play no part, nor does by which mount either
 * was opened: a directory that is bound elsewhere lies where it lies in its file system, and where it is bound. That much is seen
 * of mounts that /proc/self/mountinfo lists, and not of NFS.
 */
int dirs_inside(int inner, int outer);

/* The path of an open directory, without symbolic links; NULL with errno. The caller frees it. */
char *dirs_path(int fd);

/* What went wrong, in words, for the errors of dirs_open and strerror for the rest. */
const char *dirs_error(int err);

#endif
