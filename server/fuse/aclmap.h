/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * aclmap.h - the ids in POSIX ACLs, translated as owners and groups are.
 */
#ifndef HOLDFAST_FUSE_ACLMAP_H
#define HOLDFAST_FUSE_ACLMAP_H

#include <stddef.h>

struct idmap;

/*
 * Translates the users and groups that an ACL names (the value of system.posix_acl_*) in place. What is no ACL of the
 * version that Linux has is left as it is: the host refuses it. Either map may be NULL.
 */
/* 0; -EPERM: a forbidden id, as idmap_to_host(). `value` may be changed in part then. */
int aclmap_to_host(const struct idmap *uids, const struct idmap *gids, void *value, size_t len);
void aclmap_to_guest(const struct idmap *uids, const struct idmap *gids, void *value, size_t len);

#endif
