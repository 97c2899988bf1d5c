/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mounts.c - the share is all that is left of the host's files.
 *
 * With --sandbox=namespace the root is an empty file system, read-only, with the share as a mount in it. The share is not
 * the root itself, because the paths that the kernel tells of descriptors would not show then whether an object
 * is inside or was moved out: those inside begin with the mount's name, which is a random number.
 * With --sandbox=chroot the share is the root; resolver_search.c knows.
 *
 * The share is taken by descriptor, not by path: the host may rename things meanwhile. Mounts that the host
 * makes in the share later come in, where its mounts are shared; none of ours go out.
 *
 * A descriptor of any other directory would lead from there to all of the host by "..": they are taken along as mounts of
 * their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/util.h"
#include "sandbox/sandbox_private.h"

#define SELF "/proc/self"
#define SELF_FDS "/proc/self/fd"

/*
 * /proc/self/fd as a mount that is nowhere and has no way up: by it an O_PATH descriptor is opened, and no other part of
 * proc. Without the right to make mounts, as the directory that it is. *self is for mounts_settle().
 */
int mounts_take_descriptors(struct sandbox *s, int *self)
{
	s->places.proc = open_tree(AT_FDCWD, SELF_FDS, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (s->places.proc < 0)
		s->places.proc = open(SELF_FDS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*self = open(SELF, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->places.proc < 0 || *self < 0)
		return sandbox_failed("open " SELF_FDS, errno_neg(), "; mount /proc");
	return 0;
}

/* The path of an open directory, as the process sees it now. */
static int path_of(int fd, char path[PATH_MAX])
{
	char name[32];
	ssize_t len;

	(void)snprintf(name, sizeof(name), SELF_FDS "/%d", fd);
	len = readlink(name, path, PATH_MAX - 1);
	if (len < 0)
		return errno_neg();
	path[len] = '\0';
	return 0;
}

/* A directory as a mount of its own. Where mounts lie below that cannot be left out, they come along. */
static int clone_mount(const char *path)
{
	int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0 && errno == EINVAL)
		tree = open_tree(AT_FDCWD, path,
				 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return tree;
}

/*
 * Puts in the place of a descriptor one of the same directory as a mount of its own that is nowhere: it is the root there,
 * and has no way up. One that is O_PATH stays so: the directory may be closed to reading. Without the right to make mounts
 * it stays what it is.
 */
static int take_directory(int fd)
{
	char path[PATH_MAX];
	struct stat want, have;
	CLEANUP_FD int tree = -1;
	CLEANUP_FD int dir = -1;
	int flags = fcntl(fd, F_GETFL);
	int ret = path_of(fd, path);

	if (ret || flags < 0)
		return ret ? ret : -EBADF;
	tree = clone_mount(path);
	if (tree < 0)
		return errno == EPERM ? 0 : errno_neg();
	if (tree_forbid_devices(tree))
		return errno_neg();
	dir = openat(tree, ".", (flags & O_PATH ? O_PATH : O_RDONLY) | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(fd, &want) || fstat(dir, &have))
		return errno_neg();
	if (want.st_dev != have.st_dev || want.st_ino != have.st_ino)
		return -ESTALE; /* moved at this moment */
	return dup3(dir, fd, O_CLOEXEC) < 0 ? errno_neg() : 0;
}

int mounts_take_directories(const struct sandbox_config *config)
{
	for (unsigned i = 0; i < config->dir_count; i++) {
		int ret = config->dirs[i] < 0 ? 0 : take_directory(config->dirs[i]);

		if (ret)
			return sandbox_failed(
				"take a directory of the state, the socket or the key along", ret,
				"");
	}
	return 0;
}

/* An empty file system that is mounted nowhere: a descriptor or -errno. */
static int make_empty(void)
{
	CLEANUP_FD int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "mode", "0555", 0) ||
	    fsconfig(context, FSCONFIG_SET_STRING, "nr_inodes", "4", 0) ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return errno_neg();
	fd = fsmount(context, FSMOUNT_CLOEXEC,
		     MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? errno_neg() : fd;
}

/* The share, taken along as `tree`, below the new root, which is the working directory then. */
static int mount_share(int tree, const char *name)
{
	const struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
	CLEANUP_FD int empty = make_empty();

	if (empty < 0)
		return sandbox_failed("make an empty root", empty, "");
	if (move_mount(empty, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) || fchdir(empty) ||
	    mkdir(name, 0700) || move_mount(tree, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH) ||
	    mount_setattr(empty, "", AT_EMPTY_PATH, (struct mount_attr *)(uintptr_t)&readonly,
			  sizeof(readonly)))
		return sandbox_failed("mount the share in an empty root", errno_neg(), "");
	return 0;
}

/* With the share as working directory. */
int mounts_pivot(struct sandbox *s)
{
	CLEANUP_FD int tree = -1;
	uint8_t random[ROOT_NAME_BYTES];
	int err;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return sandbox_failed("get random numbers", errno_neg(), "");
	s->root[0] = '/';
	hex_encode(random, sizeof(random), s->root + 1);
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL))
		return sandbox_failed("keep our mounts to ourselves", errno_neg(), "");
	tree = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0 || tree_forbid_devices(tree))
		return sandbox_failed("take the share along", errno_neg(), "");
	err = mount_share(tree, s->root + 1);
	if (err)
		return err;
	/* The old root comes to lie on the new one, and is taken off. */
	if (syscall(SYS_pivot_root, ".", ".") != 0)
		return sandbox_failed("change the root", errno_neg(), "");
	if (umount2(".", MNT_DETACH))
		return sandbox_failed("take the old root away", errno_neg(), "");
	return 0;
}

int mounts_settle(struct sandbox *s, int share, int self)
{
	struct stat want, have;

	if (chdir("/") || fstat(share, &want) || stat(s->root, &have))
		return sandbox_failed("enter the new root", errno_neg(), "");
	if (want.st_dev != have.st_dev || want.st_ino != have.st_ino)
		return sandbox_failed("find the share below the new root", -ESTALE, "");
	s->places.mountinfo = openat(self, "mountinfo", O_RDONLY | O_CLOEXEC);
	if (s->places.mountinfo < 0)
		return sandbox_failed("open the table of mounts", errno_neg(), "");
	s->places.root = s->root;
	return 0;
}
