/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * idmap.h - translation of user or group ids between guest and host (--translate-uid, --translate-gid).
 *
 * Rules as virtiofsd documents them; the separator may be any character but letters, digits, "-", "_":
 *   guest:<guest base>:<host base>:<count>         guest to host, one to one
 *   host:<host base>:<guest base>:<count>          host to guest, one to one
 *   squash-guest:<guest base>:<host id>:<count>    guest to host, all to one
 *   squash-host:<host base>:<guest id>:<count>     host to guest, all to one
 *   forbid-guest:<guest base>:<count>              guest ids that may not be used
 *   map:<guest base>:<host base>:<count>           both directions
 * Source ranges of one direction must not overlap. What no rule names passes unchanged.
 */
#ifndef HOLDFAST_FUSE_IDMAP_H
#define HOLDFAST_FUSE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap;

/*
 * Adds a rule to *map, which is made if it is NULL. 0, -ENOMEM or -EINVAL: then `error` says in one line
 * what is wrong, and *map is as before.
 */
int idmap_add(struct idmap **map, const char *rule, char *error, size_t cap);
void idmap_free(struct idmap *map); /* takes NULL */

/*
 * A guest's id for the host: 0, or -EPERM (forbidden, or the id 2^32 - 1, which means "none" to
 * every system call). map NULL: unchanged.
 */
int idmap_to_host(const struct idmap *map, uint32_t guest, uint32_t *host);
/* A host's id for the guest. map NULL: unchanged. */
uint32_t idmap_to_guest(const struct idmap *map, uint32_t host);

#endif
