/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * aclmap.c - the ids in POSIX ACLs, translated as owners and groups are.
 *
 * An ACL travels as the bytes of its attribute: a version, then entries of tag, permissions and id, all
 * little-endian and of fixed length, so that the length does not change. Without this an entry for user 1000 of
 * the guest would give user 1000 of the host the right.
 *
 * Pure; called by ops_xattr.c in the thread of the request.
 */
#include "fuse/aclmap.h"

#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "fuse/idmap.h"

static bool is_acl_value(const void *value, size_t len)
{
	struct posix_acl_xattr_header head;

	if (len < sizeof(head) || (len - sizeof(head)) % sizeof(struct posix_acl_xattr_entry))
		return false;
	memcpy(&head, value, sizeof(head));
	return le32toh(head.a_version) == POSIX_ACL_XATTR_VERSION;
}

/* The map for an entry's id; NULL where it has none, or none that changes. */
static const struct idmap *map_of(const struct posix_acl_xattr_entry *entry,
				  const struct idmap *uids, const struct idmap *gids)
{
	switch (le16toh(entry->e_tag)) {
	case ACL_USER:
		return uids;
	case ACL_GROUP:
		return gids;
	default:
		return NULL;
	}
}

static int translate(const struct idmap *uids, const struct idmap *gids, void *value, size_t len,
		     bool to_host)
{
	uint8_t *end = (uint8_t *)value + len;

	if (!is_acl_value(value, len))
		return 0;
	for (uint8_t *at = (uint8_t *)value + sizeof(struct posix_acl_xattr_header); at < end;
	     at += sizeof(struct posix_acl_xattr_entry)) {
		struct posix_acl_xattr_entry entry;
		const struct idmap *map;
		uint32_t id;

		memcpy(&entry, at, sizeof(entry));
		map = map_of(&entry, uids, gids);
		if (!map)
			continue;
		id = le32toh(entry.e_id);
		if (to_host) {
			int error = idmap_to_host(map, id, &id);

			if (error)
				return error;
		} else {
			id = idmap_to_guest(map, id);
		}
		entry.e_id = htole32(id);
		memcpy(at, &entry, sizeof(entry));
	}
	return 0;
}

int aclmap_to_host(const struct idmap *uids, const struct idmap *gids, void *value, size_t len)
{
	return translate(uids, gids, value, len, true);
}

void aclmap_to_guest(const struct idmap *uids, const struct idmap *gids, void *value, size_t len)
{
	(void)translate(uids, gids, value, len, false);
}
