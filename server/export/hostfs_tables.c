/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostfs_tables.c - the file systems and mounts of the host that were met so far.
 *
 * `lock` guards the two tables. A st_dev may be used anew, by another file system on the same device or by another subvolume: so the
 * file system is asked again at the root of each mount that is new, and whenever the root of a btrfs subvolume is looked at.
 */
#include "export/hostfs_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/util.h"
#include "export/hostfs_ids.h"

/* --- the table of file systems ---------------------------------------------------------------------- */

static struct fs_entry *fs_find(struct hostfs *h, uint64_t dev)
{
	for (size_t i = 0; i < h->fs_count; i++)
		if (h->fs[i].dev == dev)
			return &h->fs[i];
	return NULL;
}

/*
 * A second mounted file system with the id of another has identical handles for different files. Of the
 * two the one that came first keeps its handles.
 */
static void fs_settle_clone(struct hostfs *h, struct fs_entry *e)
{
	for (size_t i = 0; i < h->fs_count; i++) {
		struct fs_entry *other = &h->fs[i];

		if (!other->persistent || other->dev == e->dev || other->kind != e->kind ||
		    e->kind == HOSTFS_BTRFS || memcmp(other->fsid, e->fsid, sizeof(e->fsid)) != 0)
			continue;
		if (!hostfs_dev_mounted(h->mountinfo, other->dev)) {
			other->persistent = false;
			continue;
		}
		e->persistent = false;
		log_warn("share: file systems %u:%u and %u:%u have the same id (one is a copy of "
			 "the other): the second gets no persistent handles",
			 major(other->dev), minor(other->dev), major(e->dev), minor(e->dev));
	}
}

static int fs_insert(struct hostfs *h, const struct fs_entry *e)
{
	struct fs_entry *known = fs_find(h, e->dev);

	if (!known) {
		struct fs_entry *grown = realloc(h->fs, (h->fs_count + 1) * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		h->fs = grown;
		known = &h->fs[h->fs_count++];
	}
	*known = *e;
	fs_settle_clone(h, known);
	return 0;
}

/* What `fd` (O_PATH) holds, opened so that ioctl(2) accepts it, or -errno. Its type cannot change any more. */
static int fs_open(const struct hostfs *h, int fd, mode_t mode)
{
	char name[16];
	int opened = -1;

	errno = ENOTTY;
	if (S_ISDIR(mode)) {
		opened = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else if (S_ISREG(mode)) {
		snprintf(name, sizeof(name), "%d", fd);
		opened = openat(h->proc, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	}
	return opened < 0 ? errno_neg() : opened;
}

/*
 * Asks the file system who it is, by an O_PATH descriptor of an object that must be of the device that
 * `stx` tells. It is opened only where there is something to ask: never on autofs, say.
 */
static int fs_ask(struct hostfs *h, const struct statx *stx, int fd, struct fs_entry *e)
{
	CLEANUP_FD int probe = -1;
	struct statx check;

	memset(e, 0, sizeof(*e));
	e->dev = hostfs_dev(stx);
	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE, &check) < 0)
		return errno_neg();
	if (hostfs_dev(&check) != e->dev)
		return -EAGAIN;
	e->kind = hostfs_kind_of(fd);
	if (!h->handles || e->kind == HOSTFS_OTHER)
		return 0;
	probe = fs_open(h, fd, check.stx_mode);
	if (probe < 0)
		return probe;
	e->persistent = hostfs_fsid(probe, e->kind, e->fsid) == 0;
	if (e->persistent && e->kind == HOSTFS_BTRFS && hostfs_subvol(probe, e->subvol) < 0)
		e->persistent = false;
	return 0;
}

/* The same by the object that is looked at, or else by the directory that it lies in. */
static int fs_ask_at(struct hostfs *h, const struct statx *stx, int dirfd, const char *name, int fd,
		     struct fs_entry *e)
{
	CLEANUP_FD int opened = -1;
	int ret;

	if (fd < 0)
		opened = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		fd = opened;
	ret = fd < 0 ? errno_neg() : fs_ask(h, stx, fd, e);
	if (ret < 0 && dirfd >= 0 && ret != -EMFILE && ret != -ENFILE)
		ret = fs_ask(h, stx, dirfd, e);
	return ret;
}

int hostfs_fs_of(struct hostfs *h, const struct statx *stx, int dirfd, const char *name, int fd,
		 bool anew, struct fs_entry *out)
{
	bool maybe_subvol = S_ISDIR(stx->stx_mode) && stx->stx_ino == HOSTFS_SUBVOL_ROOT_INO;
	struct fs_entry *e;
	int ret;

	pthread_rwlock_rdlock(&h->lock);
	e = fs_find(h, hostfs_dev(stx));
	if (e)
		*out = *e;
	pthread_rwlock_unlock(&h->lock);
	if (e && !anew && !(maybe_subvol && out->kind == HOSTFS_BTRFS))
		return 0;

	ret = fs_ask_at(h, stx, dirfd, name, fd, out);
	if (ret == -EMFILE || ret == -ENFILE || ret == -ENOMEM)
		return ret;
	if (ret < 0) {
		/* Honest about not persisting, and asked again next time. */
		memset(out, 0, sizeof(*out));
		out->dev = hostfs_dev(stx);
		return -ENOTTY;
	}

	pthread_rwlock_wrlock(&h->lock);
	ret = fs_insert(h, out);
	e = fs_find(h, out->dev);
	if (e)
		*out = *e;
	pthread_rwlock_unlock(&h->lock);
	return ret;
}

/* --- the table of mounts ----------------------------------------------------------------------------- */

/* The mount, or else one that was at the same place: so the table has one entry for each place. */
static size_t mount_index(const struct hostfs *h, uint64_t mount, uint64_t attachment)
{
	size_t place = h->mounts_count;

	for (size_t i = 0; i < h->mounts_count; i++) {
		if (h->mounts[i].mount == mount)
			return i;
		if (attachment && h->mounts[i].attachment == attachment)
			place = i;
	}
	return place;
}

int hostfs_mount_note(struct hostfs *h, uint64_t mount, uint64_t attachment)
{
	int ret = 0;
	size_t i;

	pthread_rwlock_wrlock(&h->lock);
	i = mount_index(h, mount, attachment);
	if (i == h->mounts_count) {
		struct mount_entry *grown = realloc(h->mounts, (i + 1) * sizeof(*grown));

		if (grown) {
			h->mounts = grown;
			h->mounts_count++;
		} else {
			ret = -ENOMEM;
		}
	}
	if (!ret)
		h->mounts[i] = (struct mount_entry){ .mount = mount, .attachment = attachment };
	pthread_rwlock_unlock(&h->lock);
	return ret;
}

int hostfs_mount_find(struct hostfs *h, uint64_t mount, uint64_t *attachment)
{
	int ret = -EXDEV;

	pthread_rwlock_rdlock(&h->lock);
	for (size_t i = 0; i < h->mounts_count; i++)
		if (h->mounts[i].mount == mount) {
			*attachment = h->mounts[i].attachment;
			ret = 0;
			break;
		}
	pthread_rwlock_unlock(&h->lock);
	return ret;
}
