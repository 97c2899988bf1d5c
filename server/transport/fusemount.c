/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fusemount.c - mounting and unmounting /dev/fuse, as root and as an ordinary user.
 *
 * Root mounts by mount(2). Who may not is helped by fusermount3 (setuid root, from the package
 * fuse3), which hands the descriptor back over a socket, as mount.fuse3(8) describes. libfuse's own
 * code for this writes several lines to stderr where the administrator needs one that says what to
 * do.
 *
 * Called from the main thread, but fusemount_unmount(), which may be called while threads serve.
 */
#include "transport/fusemount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mountinfo.h"
#include "base/util.h"

#define DEV_FUSE "/dev/fuse"
#define FUSE_CONF "/etc/fuse.conf"
#define FUSERMOUNT "fusermount3"
#define OPTIONS_MAX 512

/* --- what is mounted -------------------------------------------------------------------------- */

struct seen {
	const char *path;
	int id;
	bool ours;
};

static bool see_mount(void *arg, const struct mountinfo *m)
{
	struct seen *s = arg;

	if (strcmp(m->point, s->path) == 0) {
		s->id = m->id;
		s->ours = strcmp(m->type, "fuse." FUSEMOUNT_SUBTYPE) == 0 ||
			  strcmp(m->type, "fuseblk." FUSEMOUNT_SUBTYPE) == 0;
	}
	return true;
}

/*
 * The number of what is mounted on `path` and seen there (the last one), and whether it is of ours;
 * -1 if nothing is. Asks no file system anything: ours may not be served yet, or not any more.
 */
static int mounted_on(const char *path, bool *ours)
{
	struct seen s = { .path = path, .id = -1 };

	(void)mountinfo_each(-1, see_mount, &s);
	*ours = s.ours;
	return s.id;
}

bool fusemount_present(const struct fusemount *m)
{
	bool ours;

	return m->path && m->id >= 0 && mounted_on(m->path, &ours) == m->id;
}

/* --- checks before ---------------------------------------------------------------------------- */

/*
 * A mount of ours whose daemon was killed is in the way of the next one: it is taken away. One that
 * answers is not. What is not of ours is left alone, and may be mounted over.
 */
static int clear_dead_mounts(struct fusemount *m)
{
	struct statx stx;
	bool ours;

	while ((m->id = mounted_on(m->path, &ours)) >= 0 && ours) {
		int error;

		if (statx(AT_FDCWD, m->path, AT_STATX_FORCE_SYNC, STATX_TYPE, &stx) == 0 ||
		    errno != ENOTCONN) {
			log_error("mount: %s is a holdfast mount already; unmount it first",
				  m->path);
			return -EBUSY;
		}
		log_info("mount: %s: a mount whose daemon is gone is replaced", m->path);
		error = fusemount_unmount(m);
		if (error)
			return error;
	}
	m->id = -1;
	return 0;
}

/* Resolves the mount point; a line for each way in which it cannot be one. */
static int check_mountpoint(const struct fusedev_config *config, struct fusemount *m)
{
	const char *dead = "; a mount without its daemon: take it away with 'fusermount3 -uz'";
	struct stat st;
	int error;

	m->path = realpath(config->mountpoint, NULL);
	if (!m->path) {
		error = -errno;
		log_error("mount: %s: %s%s", config->mountpoint, strerror(-error),
			  error == -ENOTCONN ? dead : "; give an existing directory");
		return error;
	}
	error = clear_dead_mounts(m);
	if (error)
		return error;
	if (stat(m->path, &st) < 0) {
		error = -errno;
		log_error("mount: %s: %s%s", m->path, strerror(-error),
			  error == -ENOTCONN ? dead : "");
		return error;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_error("mount: %s is not a directory; give an existing directory", m->path);
		return -ENOTDIR;
	}
	return 0;
}

/* fusermount3 says this too, but as the last of several lines. Unreadable: let it decide. */
static bool conf_allows_other(void)
{
	FILE *f = fopen(FUSE_CONF, "re");
	CLEANUP_FREE char *line = NULL;
	size_t cap = 0;
	bool allowed = false;

	if (!f)
		return errno != ENOENT;
	while (!allowed && getline(&line, &cap, f) > 0) {
		char *word = line + strspn(line, " \t");

		word[strcspn(word, " \t\r\n#")] = '\0';
		allowed = strcmp(word, "user_allow_other") == 0;
	}
	(void)fclose(f);
	return allowed;
}

static int open_device(void)
{
	int fd = open(DEV_FUSE, O_RDWR | O_CLOEXEC);
	int error = -errno;

	if (fd >= 0)
		return fd;
	if (error == -ENOENT || error == -ENODEV || error == -ENXIO)
		log_error("mount: " DEV_FUSE " is missing; load the module with 'modprobe fuse'");
	else
		log_error("mount: cannot open " DEV_FUSE ": %s", strerror(-error));
	return error;
}

/* --- by mount(2) ------------------------------------------------------------------------------ */

static int mount_directly(const struct fusedev_config *config, struct fusemount *m)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | (config->readonly ? MS_RDONLY : 0);
	const char *type =
		config->blkdev ? "fuseblk." FUSEMOUNT_SUBTYPE : "fuse." FUSEMOUNT_SUBTYPE;
	const char *source = config->blkdev ? config->blkdev : config->fsname;
	char options[OPTIONS_MAX];

	(void)snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s%s",
		       m->fd, getuid(), getgid(), config->allow_other ? ",allow_other" : "",
		       config->default_permissions ? ",default_permissions" : "");
	return mount(source, m->path, type, flags, options) < 0 ? -errno : 0;
}

/* --- by fusermount3 --------------------------------------------------------------------------- */

/* Appends `s` with commas and backslashes escaped, as fusermount3 wants values. */
static size_t append_escaped(char *out, size_t at, size_t cap, const char *s)
{
	for (; *s && at + 2 < cap; s++) {
		if (*s == ',' || *s == '\\')
			out[at++] = '\\';
		out[at++] = *s;
	}
	out[at] = '\0';
	return at;
}

/* Receives the descriptor: 0, or -EIO when fusermount3 went without sending one. */
static int receive_fd(int sock, int *fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.room,
			      .msg_controllen = sizeof(control.room) };
	struct cmsghdr *cmsg;
	ssize_t got;

	do {
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got < 0 ? -errno : -EIO;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS ||
	    cmsg->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EIO;
	memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
	return 0;
}

/*
 * Starts fusermount3 with its stderr going to `err` (-1: nowhere), and `sock` kept open for it if
 * >= 0.
 */
static int spawn_fusermount(const char *const argv[], int sock, int err, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int error = -posix_spawn_file_actions_init(&actions);

	if (error)
		return error;
	/* A descriptor duplicated to itself loses its close-on-exec there (posix_spawn(3)). */
	if (sock >= 0)
		error = -posix_spawn_file_actions_adddup2(&actions, sock, sock);
	if (!error && err >= 0)
		error = -posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
	if (!error)
		error = -posix_spawnp(pid, FUSERMOUNT, &actions, NULL, (char **)(uintptr_t)argv,
				      environ);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* Waits for it: 0, or -EIO if it did not end well. */
static int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* Reads what fusermount3 complained of: the first line, without its own name in front. */
static void read_complaint(int fd, char *out, size_t cap)
{
	const char *own = FUSERMOUNT ": ";
	size_t len = 0;
	ssize_t got;

	while (len + 1 < cap && (got = read(fd, out + len, cap - 1 - len)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		len += (size_t)got;
	}
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (strncmp(out, own, strlen(own)) == 0)
		memmove(out, out + strlen(own), strlen(out + strlen(own)) + 1);
}

static void fusermount_options(const struct fusedev_config *config, char *out, size_t cap)
{
	size_t at = (size_t)snprintf(out, cap, "subtype=" FUSEMOUNT_SUBTYPE "%s%s%s,fsname=",
				     config->readonly ? ",ro" : "",
				     config->allow_other ? ",allow_other" : "",
				     config->default_permissions ? ",default_permissions" : "");

	(void)append_escaped(out, at, cap, config->fsname);
}

static int mount_by_helper(const struct fusedev_config *config, struct fusemount *m)
{
	char options[OPTIONS_MAX];
	const char *argv[] = { FUSERMOUNT, "-o", options, "--", m->path, NULL };
	char complaint[256] = "";
	char number[16];
	int sock[2];
	int err[2];
	pid_t pid;
	int error;

	fusermount_options(config, options, sizeof(options));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) < 0)
		return -errno;
	if (pipe2(err, O_CLOEXEC) < 0) {
		error = -errno;
		goto out_sock;
	}
	(void)snprintf(number, sizeof(number), "%d", sock[1]);
	error = setenv("_FUSE_COMMFD", number, 1) < 0 ? -errno : 0;
	if (!error)
		error = spawn_fusermount(argv, sock[1], err[1], &pid);
	(void)unsetenv("_FUSE_COMMFD");
	sock[1] = fd_close(sock[1]);
	err[1] = fd_close(err[1]);
	if (error == -ENOENT)
		log_error("mount: " FUSERMOUNT
			  " is missing; install the package fuse3, or mount as root");
	else if (error)
		log_error("mount: cannot start " FUSERMOUNT ": %s", strerror(-error));
	if (error)
		goto out_pipe;

	error = receive_fd(sock[0], &m->fd);
	read_complaint(err[0], complaint, sizeof(complaint));
	(void)reap(pid);
	if (error)
		log_error("mount: %s: %s", m->path, complaint[0] ? complaint : strerror(-error));
out_pipe:
	(void)fd_close(err[0]);
	(void)fd_close(err[1]);
out_sock:
	(void)fd_close(sock[0]);
	(void)fd_close(sock[1]);
	return error;
}

/* --- both ------------------------------------------------------------------------------------- */

static int try_ways(const struct fusedev_config *config, struct fusemount *m)
{
	int error;

	if (geteuid() == 0) {
		m->fd = open_device();
		if (m->fd < 0)
			return m->fd;
		error = mount_directly(config, m);
		if (!error)
			return 0;
		m->fd = fd_close(m->fd);
		if (error != -EPERM || config->blkdev) {
			log_error("mount: cannot mount on %s: %s", m->path, strerror(-error));
			return error;
		}
	}
	if (config->blkdev) {
		log_error("mount: a mount with a block device takes root");
		return -EPERM;
	}
	if (access(DEV_FUSE, F_OK) < 0) {
		log_error("mount: " DEV_FUSE " is missing; load the module with 'modprobe fuse'");
		return -ENODEV;
	}
	if (config->allow_other && geteuid() != 0 && !conf_allows_other()) {
		log_error("mount: allow_other is not for ordinary users here; "
			  "put 'user_allow_other' into " FUSE_CONF);
		return -EPERM;
	}
	return mount_by_helper(config, m);
}

int fusemount_mount(const struct fusedev_config *config, struct fusemount *out)
{
	bool ours;
	int error;

	*out = (struct fusemount){ .id = -1, .fd = -1 };
	error = check_mountpoint(config, out);
	if (!error)
		error = try_ways(config, out);
	if (error) {
		fusemount_clear(out);
		return error;
	}
	out->id = mounted_on(out->path, &ours);
	return 0;
}

/* What the kernel has yet to write would be lost with us when a busy mount is only detached. */
static void write_back(const struct fusemount *m)
{
	int fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) < 0)
		log_debug("mount: %s: cannot sync: %s", m->path, strerror(errno));
	(void)fd_close(fd);
}

int fusemount_unmount(struct fusemount *m)
{
	const char *argv[] = { FUSERMOUNT, "-u", "-z", "--", m->path, NULL };
	pid_t pid;
	int error = 0;

	if (!fusemount_present(m))
		return 0;
	if (umount2(m->path, UMOUNT_NOFOLLOW) < 0)
		error = -errno;
	if (error == -EBUSY) {
		write_back(m);
		error = umount2(m->path, UMOUNT_NOFOLLOW | MNT_DETACH) < 0 ? -errno : 0;
	}
	if (error == -EPERM) {
		error = spawn_fusermount(argv, -1, -1, &pid);
		if (!error)
			error = reap(pid);
	}
	if (error && fusemount_present(m)) {
		log_error("mount: cannot unmount %s: %s", m->path, strerror(-error));
		return error;
	}
	m->id = -1;
	return 0;
}

void fusemount_clear(struct fusemount *m)
{
	m->fd = fd_close(m->fd);
	free(m->path);
	m->path = NULL;
	m->id = -1;
}
