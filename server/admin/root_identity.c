/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * root_identity.c - the identity of a shared directory, before there is an export.
 *
 * The core has identities of its own for all objects; this one only has to find the state directory, and
 * its bytes are stored in the `export` file, so the layout (see the header) stays as it is. Main thread.
 */
#include "admin/root_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/ioctl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/util.h"

#define UUID_LEN 16
#define HANDLE_MAX 128

/* Linux 6.9, <linux/fs.h>: any file system that has a UUID. */
struct fs_uuid {
	uint8_t len;
	uint8_t uuid[UUID_LEN];
};
#define FS_UUID_GET _IOR(0x15, 0, struct fs_uuid)

/* Older kernels, ext4: EXT4_IOC_GETFSUUID, _IOR('f', 44, struct fsuuid) with a flexible array. */
struct ext4_uuid {
	uint32_t len;
	uint32_t flags;
	uint8_t uuid[UUID_LEN];
};
#define EXT4_UUID_GET _IOC(_IOC_READ, 'f', 44, 2 * sizeof(uint32_t))

/* Older kernels, xfs: XFS_IOC_FSGEOMETRY_V1; the UUID stands behind 8 words of 32 and 4 of 64 bits. */
struct xfs_geometry {
	uint8_t before[64];
	uint8_t uuid[UUID_LEN];
	uint8_t behind[32];
};
#define XFS_GEOMETRY_GET _IOR('X', 100, struct xfs_geometry)

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

/* The UUID of the file system; false if it has none that can be had. */
static bool fs_uuid(int fd, uint8_t out[UUID_LEN])
{
	struct fs_uuid any = { 0 };
	struct ext4_uuid ext4 = { .len = UUID_LEN };
	struct xfs_geometry xfs = { 0 };
	struct btrfs_ioctl_fs_info_args btrfs = { 0 };
	const uint8_t *found = NULL;

	/* ext4 says zeros here when the UUID was set after the mount, and the right one by its own ioctl. */
	if (ioctl(fd, FS_UUID_GET, &any) == 0 && any.len == UUID_LEN &&
	    !all_zero(any.uuid, UUID_LEN))
		found = any.uuid;
	else if (ioctl(fd, EXT4_UUID_GET, &ext4) == 0)
		found = ext4.uuid;
	else if (ioctl(fd, BTRFS_IOC_FS_INFO, &btrfs) == 0)
		found = btrfs.fsid;
	else if (ioctl(fd, XFS_GEOMETRY_GET, &xfs) == 0)
		found = xfs.uuid;
	if (!found || all_zero(found, UUID_LEN))
		return false;
	memcpy(out, found, UUID_LEN);
	return true;
}

int state_root_identity(int fd, char out[ROOT_IDENTITY_HEX])
{
	uint8_t bytes[ROOT_IDENTITY_HEX / 2] = { 0 };
	uint8_t *subvol = bytes + UUID_LEN, *btime = subvol + UUID_LEN, *type = btime + 8,
		*len = type + 4, *handle = len + 1;
	struct btrfs_ioctl_get_subvol_info_args info;
	union {
		struct file_handle h;
		uint8_t room[sizeof(struct file_handle) + HANDLE_MAX];
	} fh;
	struct statx stx;
	int mount_id;

	out[0] = '\0';
	if (!fs_uuid(fd, bytes))
		return 0;
	memset(&info, 0, sizeof(info));
	if (ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) == 0)
		memcpy(subvol, info.uuid, UUID_LEN);

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx))
		return -errno;
	if (stx.stx_mask & STATX_BTIME)
		put_le64(btime,
			 (uint64_t)stx.stx_btime.tv_sec * 1000000000U + stx.stx_btime.tv_nsec);

	memset(&fh, 0, sizeof(fh));
	fh.h.handle_bytes = HANDLE_MAX;
	if (name_to_handle_at(fd, "", &fh.h, &mount_id, AT_EMPTY_PATH))
		return errno == EOPNOTSUPP || errno == EOVERFLOW ? 0 : -errno;
	put_le32(type, (uint32_t)fh.h.handle_type);
	*len = (uint8_t)fh.h.handle_bytes;
	memcpy(handle, fh.h.f_handle, fh.h.handle_bytes);
	hex_encode(bytes, (size_t)(handle - bytes) + fh.h.handle_bytes, out);
	return 0;
}
