/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fusekeeper.c - the rights that mounting takes, in a process of their own.
 *
 * mount(2) and umount2(2) take CAP_SYS_ADMIN, and fusermount3(1) an execve(2) that gains privileges. The daemon needs neither
 * while it serves, so a child is forked before anything is opened that matters. It knows two orders, each one packet on a
 * socket: mount what the options said, and unmount that. It reads nothing else from the daemon but the UUID that the mount is to
 * be known by (blockid.h), has no descriptor but the socket, the log and for such a mount the directory of its image, and ends when the socket is closed - also by the daemon's death, which leaves the
 * mount to the administrator or to the next daemon, as before.
 *
 * The daemon's side is called by the main thread only.
 */
#include "transport/fusekeeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/blockid.h"
#include "transport/fusemount.h"

struct fusekeeper {
	pid_t pid;
	int sock;
};

enum order { ORDER_MOUNT = 'm', ORDER_UNMOUNT = 'u' };

#define BLOCKID_FILE "mount.uuid"

struct request {
	char order;
	bool has_uuid;
	uint8_t uuid[BLOCKID_UUID_LEN];
};

union control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/* --- the keeper ------------------------------------------------------------------------------- */

/* The result, with a descriptor if it is not negative. */
static bool send_result(int sock, int result, int fd)
{
	union control control = { .room = { 0 } };
	struct iovec iov = { .iov_base = &result, .iov_len = sizeof(result) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = &control.align;

	if (fd >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)sizeof(result);
}

static int carry_out_mount(struct fusedev_config *config, const struct request *r,
			   struct fusemount *m, struct blockid **b)
{
	int error = 0;

	if (r->has_uuid && !*b)
		error = blockid_open(config->uuid_dir, BLOCKID_FILE, config->uuid_dirpath, r->uuid,
				     b);
	if (error)
		return error;
	config->blkdev = *b ? blockid_device(*b) : NULL;
	return fusemount_mount(config, m);
}

static void keep(struct fusedev_config *config, int sock)
{
	struct fusemount m = { .id = -1, .fd = -1 };
	struct blockid *b = NULL;
	struct request r;
	ssize_t got;

	while ((got = recv(sock, &r, sizeof(r), 0)) == (ssize_t)sizeof(r) ||
	       (got < 0 && errno == EINTR)) {
		int error = -EINVAL;

		if (got < 0)
			continue;
		if (r.order == ORDER_MOUNT && !m.path)
			error = carry_out_mount(config, &r, &m, &b);
		else if (r.order == ORDER_UNMOUNT && m.path)
			error = fusemount_unmount(&m);
		if (!send_result(sock, error, m.fd))
			break;
		/* The connection is the daemon's alone: it ends with it. */
		m.fd = fd_close(m.fd);
	}
	blockid_free(b);
	fusemount_clear(&m);
}

/* All that was open in the daemon but these two: its locks above all would outlive it. */
static void close_others(int one, int other)
{
	int low = one < other ? one : other;
	int high = one < other ? other : one;

	closelog();
	if (low > STDERR_FILENO + 1)
		(void)close_range(STDERR_FILENO + 1, (unsigned)low - 1, 0);
	if (low > STDERR_FILENO && high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, UINT_MAX, 0);
}

/* --- the daemon's side ------------------------------------------------------------------------ */

int fusekeeper_start(const struct fusedev_config *config, struct fusekeeper **out)
{
	struct fusekeeper *k = calloc(1, sizeof(*k));
	int pair[2] = { -1, -1 };
	int error = 0;

	*out = NULL;
	if (!k || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		error = k ? errno_neg() : -ENOMEM;
	if (!error) {
		k->pid = fork();
		error = k->pid < 0 ? errno_neg() : 0;
	}
	if (!error && k->pid == 0) {
		struct fusedev_config own = *config;

		(void)prctl(PR_SET_NAME, "holdfast-mount", 0, 0, 0);
		close_others(pair[1], own.uuid_dir > STDERR_FILENO ? own.uuid_dir : pair[1]);
		keep(&own, pair[1]);
		_exit(EXIT_SUCCESS);
	}
	fd_close(pair[1]);
	if (error) {
		log_error("mount: cannot start the process that mounts: %s", strerror(-error));
		fd_close(pair[0]);
		free(k);
		return error;
	}
	k->sock = pair[0];
	*out = k;
	return 0;
}

/* One order; what came of it, and *fd if a descriptor came along. */
static int ask(struct fusekeeper *k, enum order order, const uint8_t *uuid, int *fd)
{
	union control control = { .room = { 0 } };
	struct request r = { .order = (char)order, .has_uuid = uuid != NULL };
	int result = 0;
	struct iovec iov = { .iov_base = &result, .iov_len = sizeof(result) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.room,
			      .msg_controllen = sizeof(control.room) };
	struct cmsghdr *c;
	ssize_t got;

	*fd = -1;
	if (uuid)
		memcpy(r.uuid, uuid, sizeof(r.uuid));
	if (send(k->sock, &r, sizeof(r), MSG_NOSIGNAL) != (ssize_t)sizeof(r))
		return errno_neg();
	do {
		got = recvmsg(k->sock, &msg, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(result))
		return got < 0 ? errno_neg() : -EPIPE;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return result;
}

/* What the keeper cannot say itself: that it is not there. */
static void say_if_gone(int error)
{
	if (error == -EPIPE || error == -ECONNRESET)
		log_error("mount: the process that mounts and unmounts has ended");
}

int fusekeeper_mount(struct fusekeeper *k, const uint8_t *uuid, int *fd)
{
	int error = ask(k, ORDER_MOUNT, uuid, fd);

	say_if_gone(error);
	if (!error && *fd < 0)
		return -EIO;
	return error;
}

int fusekeeper_unmount(struct fusekeeper *k)
{
	int none;
	int error = ask(k, ORDER_UNMOUNT, NULL, &none);

	fd_close(none);
	say_if_gone(error);
	return error;
}

void fusekeeper_end(struct fusekeeper *k)
{
	if (!k)
		return;
	fd_close(k->sock);
	while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(k);
}
