/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostfs.c - asks the host what an object is.
 *
 * A look is statx(2) and name_to_handle_at(2) on the same name. Both must speak of one object: the inode
 * number in the handle (where the layout is known) and the mount id are compared, and if they differ the
 * object is opened with O_PATH and both are asked by the descriptor. A mixture that slips through names no
 * object at all, because every later open compares the whole identity.
 *
 * Called from all workers and the scan. Which file systems and mounts were met is hostfs_tables.c's.
 */
#include "export/hostfs_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/places.h"
#include "base/util.h"
#include "export/glance.h"
#include "export/hostfs_ids.h"

#ifndef AT_HANDLE_MNT_ID_UNIQUE
#define AT_HANDLE_MNT_ID_UNIQUE 0x001 /* Linux 6.12 */
#endif
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U /* Linux 6.8 */
#endif

/* Bits of a handle type by which the kernel is told to check the subtree and to give directories only. */
#define HANDLE_SUBTREE_DIR 0x30000

#define LOOK_TRIES 8
#define SUBMOUNTS_NS 5000000 /* whether there are mounts below is asked so often at most */

struct raw_handle {
	struct file_handle head;
	uint8_t bytes[IDENTITY_HANDLE_MAX];
};

static uint64_t statx_mount(const struct statx *stx)
{
	return stx->stx_mnt_id;
}

int hostfs_new(bool handles, const uint8_t run_id[HOLDFAST_UUID_LEN], const struct places *places,
	       struct hostfs **out)
{
	struct hostfs *h = calloc(1, sizeof(*h));
	struct raw_handle raw = { .head.handle_bytes = IDENTITY_HANDLE_MAX };
	uint64_t mount = 0;

	if (!h)
		return -ENOMEM;
	h->handles = handles;
	memcpy(h->run_id, run_id, sizeof(h->run_id));
	h->mountinfo = places ? fcntl(places->mountinfo, F_DUPFD_CLOEXEC, 0)
			      : open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	h->proc = places ? fcntl(places->proc, F_DUPFD_CLOEXEC, 0)
			 : open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (h->mountinfo < 0)
		log_debug("cannot open /proc/self/mountinfo: %s", strerror(errno));
	pthread_rwlock_init(&h->lock, NULL);
	pthread_mutex_init(&h->mountinfo_lock, NULL);

	/* EINVAL is the old kernel's answer to the flag; anything else comes from behind that check. */
	h->unique_ids = name_to_handle_at(AT_FDCWD, "/", &raw.head, (int *)(void *)&mount,
					  AT_HANDLE_MNT_ID_UNIQUE) == 0 ||
			errno != EINVAL;
	*out = h;
	return 0;
}

void hostfs_free(struct hostfs *h)
{
	if (!h)
		return;
	fd_close(h->mountinfo);
	fd_close(h->proc);
	pthread_mutex_destroy(&h->mountinfo_lock);
	pthread_rwlock_destroy(&h->lock);
	free(h->fs);
	free(h->mounts);
	free(h);
}

/* --- the look ----------------------------------------------------------------------------------------- */

/* The inode number inside a handle, where the layout is known; false where it is not. */
static bool handle_ino(enum hostfs_kind kind, const struct raw_handle *raw, uint64_t *ino,
		       uint32_t *generation)
{
	const uint8_t *b = raw->bytes;
	unsigned len = raw->head.handle_bytes;

	switch (kind) {
	case HOSTFS_EXT4:
	case HOSTFS_F2FS:
		if (raw->head.handle_type != 1 || len != 8)
			return false;
		*ino = get_le32(b);
		*generation = get_le32(b + 4);
		return true;
	case HOSTFS_XFS:
		if (raw->head.handle_type != 0x81 || len != 12)
			return false;
		*ino = get_le64(b);
		*generation = get_le32(b + 8);
		return true;
	case HOSTFS_BTRFS:
		if (len != 20)
			return false;
		*ino = get_le64(b);
		*generation = get_le32(b + 16);
		return true;
	case HOSTFS_TMPFS:
		if (len != 12)
			return false;
		*ino = get_le32(b + 4) | (uint64_t)get_le32(b + 8) << 32;
		*generation = get_le32(b);
		return true;
	default:
		return false;
	}
}

static int ask_statx(struct hostfs *h, int dirfd, const char *name, int flags, struct statx *stx)
{
	unsigned mask = STATX_BASIC_STATS | STATX_BTIME |
			(h->unique_ids ? STATX_MNT_ID_UNIQUE : STATX_MNT_ID);

	if (statx(dirfd, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, mask, stx) < 0)
		return errno_neg();
	return 0;
}

static int ask_handle(struct hostfs *h, int dirfd, const char *name, int flags,
		      struct raw_handle *raw, uint64_t *mount)
{
	union {
		uint64_t unique;
		int plain;
	} id = { .unique = 0 };

	raw->head.handle_bytes = IDENTITY_HANDLE_MAX;
	if (h->unique_ids)
		flags |= AT_HANDLE_MNT_ID_UNIQUE;
	if (name_to_handle_at(dirfd, name, &raw->head, &id.plain, flags) < 0)
		return errno_neg();
	if (raw->head.handle_bytes == 0 || raw->head.handle_bytes > IDENTITY_HANDLE_MAX)
		return -EOPNOTSUPP;
	*mount = h->unique_ids ? id.unique : (uint64_t)id.plain;
	return 0;
}

static void looked_identity(const struct hostfs *h, const struct fs_entry *fs,
			    const struct raw_handle *raw, struct looked *out)
{
	struct identity *id = &out->id;

	memset(&id->place, 0, sizeof(id->place));
	id->place.attachment = out->attachment;
	if (fs->persistent) {
		memcpy(id->place.fsid, fs->fsid, sizeof(id->place.fsid));
		memcpy(id->place.subvol, fs->subvol, sizeof(id->place.subvol));
	} else {
		memcpy(id->place.fsid, h->run_id, sizeof(id->place.fsid));
		put_le64(id->place.subvol, fs->dev);
	}
	id->handle_type = raw->head.handle_type;
	id->handle_len = (uint8_t)raw->head.handle_bytes;
	memcpy(id->handle, raw->bytes, raw->head.handle_bytes);

	/* overlayfs shows the birth time of the layer's file, which is another after a copy-up. */
	id->btime_ns = IDENTITY_BTIME_NONE;
	if ((out->stx.stx_mask & STATX_BTIME) && fs->kind != HOSTFS_OVERLAY)
		id->btime_ns = glance_time_ns(&out->stx.stx_btime);
}

static int look_at(struct hostfs *h, int dirfd, const char *path, int flags, struct looked *out)
{
	int ret = ask_statx(h, dirfd, path, flags, &out->stx);

	if (ret)
		return ret;
	out->mount = statx_mount(&out->stx);
	out->dev = hostfs_dev(&out->stx);
	return 0;
}

/* Which attachment is it in? *new_mount: of a mount whose file system was not asked for yet. */
static int look_attachment(struct hostfs *h, struct mint *m, const struct vantage *at,
			   const char *name, struct looked *out, bool *new_mount)
{
	uint64_t noted;
	int ret;

	out->attachment = 0;
	if (at && out->mount == at->mount) {
		out->attachment = at->attachment;
		return 0;
	}
	if (!at || !at->id)
		return hostfs_mount_find(h, out->mount, &out->attachment);
	out->mount_root = true;
	ret = mint_attachment(m, at->id, name, &out->attachment);
	*new_mount = !h->unique_ids || hostfs_mount_find(h, out->mount, &noted) < 0 ||
		     noted != out->attachment;
	return ret;
}

/*
 * What is left of one try, once look_at() was done. `fd` >= 0: by the descriptor; else by (at->fd, name). -EAGAIN: statx and
 * handle spoke of different objects.
 */
static int look_on(struct hostfs *h, struct mint *m, const struct vantage *at, const char *name,
		   int fd, struct looked *out)
{
	int dirfd = at && fd < 0 ? at->fd : fd;
	const char *path = fd >= 0 ? "" : name;
	int flags = fd >= 0 ? AT_EMPTY_PATH : 0;
	struct raw_handle raw;
	struct fs_entry fs = { 0 };
	uint64_t mount = 0, ino;
	uint32_t generation;
	bool new_mount = false;
	int ret;

	assert(at || fd >= 0);
	out->persistent = out->wildcard = out->mount_root = out->anonymous = false;

	out->steady_ns = h->unique_ids ? glance_steady_ns(&out->stx) : 0;

	ret = look_attachment(h, m, at, name, out, &new_mount);
	if (ret)
		return ret;

	/* Which file system? */
	ret = hostfs_fs_of(h, &out->stx, at ? at->fd : -1, name, fd, new_mount, &fs);
	if (!ret && new_mount)
		ret = hostfs_mount_note(h, out->mount,
					out->attachment); /* once its file system is known */
	if (ret < 0 && ret != -ENOTTY)
		return ret;
	if (at && !at->persistent)
		fs.persistent = false;
	out->kind = fs.kind;
	/* Snapshots of btrfs share inode numbers and times. */
	if (fs.kind != HOSTFS_EXT4 && fs.kind != HOSTFS_XFS)
		out->steady_ns = 0;
	out->subvol_root = fs.kind == HOSTFS_BTRFS && S_ISDIR(out->stx.stx_mode) &&
			   out->stx.stx_ino == HOSTFS_SUBVOL_ROOT_INO;

	/* Which object? */
	ret = fs.kind == HOSTFS_OTHER ? -EOPNOTSUPP
				      : ask_handle(h, dirfd, path, flags, &raw, &mount);
	if (ret == -EOPNOTSUPP || ret == -EOVERFLOW) {
		out->anonymous = true;
		return 0;
	}
	if (ret)
		return ret;
	if (mount != out->mount)
		return -EAGAIN;
	if (handle_ino(fs.kind, &raw, &ino, &generation)) {
		if (ino != out->stx.stx_ino)
			return -EAGAIN;
		out->wildcard = fs.kind == HOSTFS_EXT4 && generation == 0;
	} else if (fd < 0) {
		return -EAGAIN; /* the layout is unknown: only a descriptor is sure */
	}
	looked_identity(h, &fs, &raw, out);
	out->persistent = fs.persistent;
	return 0;
}

int hostfs_look_fd(struct hostfs *h, struct mint *m, const struct vantage *at, const char *name,
		   int fd, struct looked *out)
{
	int ret = look_at(h, fd, "", AT_EMPTY_PATH, out);

	return ret ? ret : look_on(h, m, at, name, fd, out);
}

int hostfs_glance(struct hostfs *h, const struct vantage *at, const char *name, struct looked *out)
{
	return look_at(h, at->fd, name, 0, out);
}

int hostfs_look(struct hostfs *h, struct mint *m, const struct vantage *at, const char *name,
		struct looked *out)
{
	int ret = hostfs_glance(h, at, name, out);

	return ret ? ret : hostfs_look_on(h, m, at, name, out);
}

int hostfs_look_on(struct hostfs *h, struct mint *m, const struct vantage *at, const char *name,
		   struct looked *out)
{
	int ret = look_on(h, m, at, name, -1, out);

	for (int i = 0; ret == -EAGAIN && i < LOOK_TRIES; i++) {
		CLEANUP_FD int fd = openat(at->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return errno_neg();
		ret = hostfs_look_fd(h, m, at, name, fd, out);
	}
	return ret;
}

int hostfs_look_root(struct hostfs *h, struct mint *m, int fd, struct looked *out)
{
	struct statx stx;
	int ret = ask_statx(h, fd, "", AT_EMPTY_PATH, &stx);

	if (!ret)
		ret = hostfs_mount_note(h, statx_mount(&stx), 0);
	if (!ret)
		ret = hostfs_look_fd(h, m, NULL, NULL, fd, out);
	return ret;
}

/* --- opening by handle ----------------------------------------------------------------------------------- */

static int open_handle(int root, const struct identity *id, int type_bits, int flags)
{
	struct raw_handle raw;
	int fd;

	raw.head.handle_bytes = id->handle_len;
	raw.head.handle_type = id->handle_type | type_bits;
	memcpy(raw.bytes, id->handle, id->handle_len);
	fd = open_by_handle_at(root, &raw.head, flags | O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? errno_neg() : fd;
}

int hostfs_open_dir(int root, const struct identity *id)
{
	return open_handle(root, id, HANDLE_SUBTREE_DIR, O_DIRECTORY);
}

int hostfs_open_plain(int root, const struct identity *id)
{
	return open_handle(root, id, 0, 0);
}

bool hostfs_can_open_dir(struct hostfs *h, int root)
{
	struct raw_handle raw;
	struct identity id = { .btime_ns = IDENTITY_BTIME_NONE };
	uint64_t mount;

	if (!h->handles || root < 0 || ask_handle(h, root, "", AT_EMPTY_PATH, &raw, &mount) < 0)
		return false;
	id.handle_type = raw.head.handle_type;
	id.handle_len = (uint8_t)raw.head.handle_bytes;
	memcpy(id.handle, raw.bytes, id.handle_len);

	CLEANUP_FD int fd = hostfs_open_dir(root, &id);

	return fd >= 0;
}

/* --- mounts below the share -------------------------------------------------------------------------------- */

bool hostfs_has_submounts(struct hostfs *h, int root)
{
	struct pollfd p = { .fd = h->mountinfo, .events = POLLPRI };
	uint64_t seen = atomic_load_explicit(&h->submounts_seen, memory_order_relaxed),
		 now = clock_ns();
	bool has;

	if (seen && now - (seen >> 1) < SUBMOUNTS_NS)
		return seen & 1;
	pthread_mutex_lock(&h->mountinfo_lock);
	if (h->mountinfo < 0) {
		has = true; /* cannot be told: assume the costlier case */
	} else {
		if (!h->submounts_known ||
		    (poll(&p, 1, 0) > 0 && (p.revents & (POLLPRI | POLLERR)))) {
			h->has_submounts = hostfs_mounts_below(h->mountinfo, h->proc, root);
			h->submounts_known = true;
		}
		has = h->has_submounts;
	}
	atomic_store_explicit(&h->submounts_seen, now << 1 | has, memory_order_relaxed);
	pthread_mutex_unlock(&h->mountinfo_lock);
	return has;
}
