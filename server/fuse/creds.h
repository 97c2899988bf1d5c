/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * creds.h - acting as the guest's caller, and without the privilege that keeps setuid bits.
 *
 * All of it is of the calling thread alone (raw system calls; glibc's wrappers change every thread) and
 * lasts for the one system call between _enter and _leave.
 */
#ifndef HOLDFAST_FUSE_CREDS_H
#define HOLDFAST_FUSE_CREDS_H

#include <linux/capability.h>

#include "fuse/fuse.h"

/*
 * From here on the thread's working directory is /proc/self/fd, and its own: for system calls that take an O_PATH object
 * only by a path (ops.h, proc_name()). 0 or -errno.
 */
int creds_enter_proc(struct fuse_thread *t);

struct creds {
	bool uid_switched, gid_switched, group_added;
	mode_t umask; /* of before */
};

/*
 * Takes on ids of the caller of the request in hand, the supplementary group that the request names and no
 * other, and `mask` as umask (already translated: see creds_umask()). A daemon that is not root keeps its
 * ids. -EPERM: an id that the map forbids or that means none; other errors as setresuid(2). On failure
 * nothing is changed.
 */
int creds_enter(struct fuse_thread *t, mode_t mask, struct creds *saved);
void creds_leave(const struct creds *saved);

/* The umask to create with: the guest's with FUSE_DONT_MASK, else 0, as the mode has been masked. */
mode_t creds_umask(const struct fuse_thread *t, mode_t guest);

/* May the caller open the object of an O_PATH descriptor with these flags? 0, -EACCES and kin. */
int creds_may_open(struct fuse_thread *t, int fd, int flags);

/* CAP_FSETID put aside, if `wanted`: the host then drops setuid and setgid bits as for ordinary users. */
struct killpriv {
	bool dropped;
	struct __user_cap_data_struct caps[2];
};
int killpriv_enter(bool wanted, struct killpriv *saved);
void killpriv_leave(const struct killpriv *saved);

/* As killpriv_enter(), with the caller's group: chmod by an ACL then drops setgid (FUSE_SETXATTR_ACL_KILL_SGID). */
int creds_enter_group(struct fuse_thread *t, struct creds *saved);

#endif
