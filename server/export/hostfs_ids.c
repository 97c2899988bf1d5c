/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostfs_ids.c - who a file system is. st_dev changes from mount to mount, so its UUID is asked for.
 * Stateless; called by hostfs.c when a device is met for the first time.
 */
#include "export/hostfs_ids.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include "base/mountinfo.h"
#include "base/util.h"

#define MAGIC_BCACHEFS 0xca451a4e

static const struct {
	unsigned magic;
	enum hostfs_kind kind;
} kinds[] = {
	{ EXT4_SUPER_MAGIC, HOSTFS_EXT4 },	   { XFS_SUPER_MAGIC, HOSTFS_XFS },
	{ BTRFS_SUPER_MAGIC, HOSTFS_BTRFS },	   { TMPFS_MAGIC, HOSTFS_TMPFS },
	{ OVERLAYFS_SUPER_MAGIC, HOSTFS_OVERLAY }, { F2FS_SUPER_MAGIC, HOSTFS_F2FS },
	{ MAGIC_BCACHEFS, HOSTFS_BCACHEFS },
};

static const char *const kind_names[] = {
	[HOSTFS_OTHER] = "other", [HOSTFS_EXT4] = "ext4",	  [HOSTFS_XFS] = "xfs",
	[HOSTFS_BTRFS] = "btrfs", [HOSTFS_TMPFS] = "tmpfs",	  [HOSTFS_OVERLAY] = "overlay",
	[HOSTFS_F2FS] = "f2fs",	  [HOSTFS_BCACHEFS] = "bcachefs",
};

const char *hostfs_kind_name(enum hostfs_kind kind)
{
	return kind_names[kind];
}

enum hostfs_kind hostfs_kind_of(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return HOSTFS_OTHER;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if ((unsigned)st.f_type == kinds[i].magic)
			return kinds[i].kind;
	return HOSTFS_OTHER;
}

/* <linux/fs.h> of Linux 6.9 */
struct fsuuid2 {
	uint8_t len;
	uint8_t uuid[HOLDFAST_UUID_LEN];
};
#define IOC_GETFSUUID _IOR(0x15, 0, struct fsuuid2)

/* ext4's own, Linux 5.18 */
struct ext4_fsuuid {
	uint32_t len;
	uint32_t flags;
	uint8_t uuid[HOLDFAST_UUID_LEN];
};
#define IOC_EXT4_GETFSUUID _IOR('f', 44, uint64_t)

/* xfs's own: the first version of its geometry, of which the UUID is wanted */
struct xfs_geometry_v1 {
	uint32_t sizes[8];
	uint64_t blocks[4];
	uint8_t uuid[HOLDFAST_UUID_LEN];
	uint32_t rest[7];
};
#define IOC_XFS_GEOMETRY_V1 _IOR('X', 100, struct xfs_geometry_v1)

int hostfs_fsid(int fd, enum hostfs_kind kind, uint8_t out[HOLDFAST_UUID_LEN])
{
	struct fsuuid2 generic = { 0 };
	struct ext4_fsuuid ext4 = { .len = HOLDFAST_UUID_LEN };
	struct xfs_geometry_v1 xfs = { 0 };
	struct btrfs_ioctl_fs_info_args btrfs = { 0 };
	static const uint8_t none[HOLDFAST_UUID_LEN];

	/* Some kernels give zeros here where the file system's own ioctl knows better. */
	if (ioctl(fd, IOC_GETFSUUID, &generic) == 0 && generic.len > 0 &&
	    generic.len <= HOLDFAST_UUID_LEN && memcmp(generic.uuid, none, generic.len) != 0) {
		memset(out, 0, HOLDFAST_UUID_LEN);
		memcpy(out, generic.uuid, generic.len);
		return 0;
	}
	if (kind == HOSTFS_EXT4 && ioctl(fd, IOC_EXT4_GETFSUUID, &ext4) == 0)
		memcpy(out, ext4.uuid, HOLDFAST_UUID_LEN);
	else if (kind == HOSTFS_XFS && ioctl(fd, IOC_XFS_GEOMETRY_V1, &xfs) == 0)
		memcpy(out, xfs.uuid, HOLDFAST_UUID_LEN);
	else if (kind == HOSTFS_BTRFS && ioctl(fd, BTRFS_IOC_FS_INFO, &btrfs) == 0)
		memcpy(out, btrfs.fsid, HOLDFAST_UUID_LEN);
	else
		return -ENOTTY;
	return memcmp(out, none, HOLDFAST_UUID_LEN) ? 0 : -ENOTTY;
}

int hostfs_subvol(int fd, uint8_t out[HOLDFAST_UUID_LEN])
{
	struct btrfs_ioctl_get_subvol_info_args info;

	memset(&info, 0, sizeof(info));
	if (ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0)
		return errno_neg();
	memcpy(out, info.uuid, HOLDFAST_UUID_LEN);
	return 0;
}

/* --- the mount table ------------------------------------------------------------------------------------ */

struct wanted {
	dev_t dev;
	const char *below; /* NULL: the device counts */
	bool found;
};

static bool is_wanted(void *arg, const struct mountinfo *m)
{
	struct wanted *w = arg;
	size_t len = w->below ? strlen(w->below) : 0;

	if (!w->below)
		w->found = m->dev == w->dev;
	else if (strcmp(w->below, "/") == 0)
		w->found = m->point[0] == '/' && m->point[1] != '\0';
	else
		w->found = strncmp(m->point, w->below, len) == 0 && m->point[len] == '/';
	return !w->found;
}

bool hostfs_dev_mounted(int mountinfo, uint64_t dev)
{
	struct wanted w = { .dev = dev };

	return mountinfo_each(mountinfo, is_wanted, &w) < 0 || w.found;
}

bool hostfs_mounts_below(int mountinfo, int proc, int root)
{
	char name[16], path[PATH_MAX];
	struct wanted w = { .below = path };
	ssize_t n;

	snprintf(name, sizeof(name), "%d", root);
	n = readlinkat(proc, name, path, sizeof(path) - 1);
	if (n < 0)
		return true;
	path[n] = '\0';
	return mountinfo_each(mountinfo, is_wanted, &w) < 0 || w.found;
}
