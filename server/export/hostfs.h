/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hostfs.h - asks the host what an object is: its identity, its attributes, where it lies.
 *
 * The only file that calls name_to_handle_at(2) and open_by_handle_at(2). Keeps a table of the file
 * systems met so far (by st_dev) and of the mounts inside the share; shared by all threads.
 */
#ifndef HOLDFAST_EXPORT_HOSTFS_H
#define HOLDFAST_EXPORT_HOSTFS_H

#include <sys/stat.h>

#include "export/identity.h"
#include "export/nodeid.h"

struct hostfs;
struct places;

enum hostfs_kind {
	HOSTFS_OTHER, /* handles are not known to persist */
	HOSTFS_EXT4,
	HOSTFS_XFS,
	HOSTFS_BTRFS,
	HOSTFS_TMPFS,
	HOSTFS_OVERLAY,
	HOSTFS_F2FS,
	HOSTFS_BCACHEFS,
};

/* An object as the host shows it at one moment. */
struct looked {
	struct statx stx; /* stx_ino is the host's own */
	uint64_t mount;	  /* mount id, unique over time where the kernel has such (Linux >= 6.12) */
	uint64_t dev;	  /* st_dev as one number */
	/*
	 * If not 0: the time of its last change (ctime, ns), which lies so far back that whatever was made or changed since
	 * this look shows another (glance.h).
	 */
	uint64_t steady_ns;
	struct identity
		id; /* meaningful unless `anonymous`; of this run alone unless `persistent` */
	uint64_t attachment; /* of the mount that the object is in */
	enum hostfs_kind kind;
	bool persistent; /* `id` is for ever */
	bool anonymous;	 /* no handle, or none that is good even for one run */
	bool wildcard; /* ext4 generation 0: never to be opened by handle, nor sealed for the guest */
	bool mount_root;  /* in another mount than the directory it was looked up in */
	bool subvol_root; /* root directory of a btrfs subvolume */
};

/* The directory that a name is looked up in, as far as the look needs it. */
struct vantage {
	int fd; /* O_PATH will do */
	uint64_t mount;
	uint64_t attachment;
	const struct identity *id; /* for the attachment of a mount on the name */
	bool persistent; /* what lies below an object that does not persist does not either */
	dev_t dev;
};

/*
 * `handles` false: no object is persistent. `run_id`: takes the place of the file system's id in the identities of
 * what does not persist, so that they are of this run alone.
 */
int hostfs_new(bool handles, const uint8_t run_id[HOLDFAST_UUID_LEN], const struct places *places,
	       struct hostfs **out);
void hostfs_free(struct hostfs *h);

/*
 * Looks at `name` in `at`, without following symlinks or automounts, opening nothing in the usual case. 0, or
 * -errno of statx (-ENOENT, ...); -EAGAIN if the name kept changing hands.
 */
int hostfs_look(struct hostfs *h, struct mint *m, const struct vantage *at, const char *name,
		struct looked *out);

/*
 * The first half of hostfs_look(): attributes, mount and device, which are enough to tell a known object (glance.h).
 * hostfs_look_on() does what is left of a look that began so.
 */
int hostfs_glance(struct hostfs *h, const struct vantage *at, const char *name, struct looked *out);
int hostfs_look_on(struct hostfs *h, struct mint *m, const struct vantage *at, const char *name,
		   struct looked *out);

/*
 * Looks at an open descriptor. `at` is the directory it was opened in, for the attachment of a mount
 * root; NULL: the mount must be known already (-EXDEV otherwise). `name` as above, may be NULL with `at`
 * NULL.
 */
int hostfs_look_fd(struct hostfs *h, struct mint *m, const struct vantage *at, const char *name,
		   int fd, struct looked *out);

/* The share's root: its mount becomes attachment 0. */
int hostfs_look_root(struct hostfs *h, struct mint *m, int fd, struct looked *out);

/*
 * Opens a directory by its handle with the kernel's check that it lies below `root` (no O_PATH; Linux >= 6.13,
 * CAP_DAC_READ_SEARCH). O_PATH descriptor or -errno.
 */
int hostfs_open_dir(int root, const struct identity *id);

/* Is that way open? Tries it on the root itself. */
bool hostfs_can_open_dir(struct hostfs *h, int root);

/* For --moved-out=allow only: an O_PATH descriptor by the plain handle, contained or not. */
int hostfs_open_plain(int root, const struct identity *id);

/* Are there mounts below the share's root? Looked up anew when the mount table has changed. */
bool hostfs_has_submounts(struct hostfs *h, int root);

/* "ext4", "xfs", ... */
const char *hostfs_kind_name(enum hostfs_kind kind);

#endif
