/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xattrmap.h - translation of names of extended attributes (--xattrmap), virtiofsd's language.
 *
 * A map is a series of rules, white space around each; the first character of a rule is its separator:
 *   :type:scope:key:prepend:      type prefix, ok, bad, unsupported; scope client, server, all
 *   :map:key:prepend:             shorthand, the last rule
 * `key` is compared with the beginning of names from the guest (scope client, all), `prepend` with that
 * of names that the host lists (server, all). The first match counts: prefix puts `prepend` in front
 * (client) or takes it off (server), ok leaves the name, bad is EPERM or hides, unsupported is EOPNOTSUPP or
 * hides. Each direction needs a rule that matches every name.
 */
#ifndef HOLDFAST_FUSE_XATTRMAP_H
#define HOLDFAST_FUSE_XATTRMAP_H

#include <linux/limits.h>
#include <stddef.h>

struct xattrmap;

/* 0, -ENOMEM, or -EINVAL: then `error` says in one line what is wrong, and at which character. */
int xattrmap_parse(const char *rules, struct xattrmap **out, char *error, size_t cap);
void xattrmap_free(struct xattrmap *map); /* takes NULL */

/*
 * The host's name of the guest's `name`. 0, -EPERM, -EOPNOTSUPP, -ERANGE (longer than XATTR_NAME_MAX).
 * map NULL: unchanged.
 */
int xattrmap_to_host(const struct xattrmap *map, const char *name, char out[XATTR_NAME_MAX + 1]);

/* The guest's name of what the host lists: a part of `name`, or NULL for what is hidden. */
const char *xattrmap_to_guest(const struct xattrmap *map, const char *name);

#endif
