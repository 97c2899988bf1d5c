/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fusekeeper.c - the rights that mounting takes, in a process of their own.
 *
 * mount(2) and umount2(2) take CAP_SYS_ADMIN, and fusermount3(1) an execve(2) that gains privileges. The daemon needs neither
 * while it serves, so a child is forked before anything is opened that matters. It knows two orders, each one byte on a
 * socket: mount what the options said, and unmount that. It reads nothing else from the daemon, has no descriptor but
 * the socket and the log, and ends when the socket is closed - also by the daemon's death, which leaves the
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
#include "transport/fusemount.h"

struct fusekeeper {
	pid_t pid;
	int sock;
};

enum order { ORDER_MOUNT = 'm', ORDER_UNMOUNT = 'u' };

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

static void keep(const struct fusedev_config *config, int sock)
{
	struct fusemount m = { .id = -1, .fd = -1 };
	ssize_t got;
	char order;

	while ((got = recv(sock, &order, 1, 0)) == 1 || (got < 0 && errno == EINTR)) {
		int error = -EINVAL;

		if (got < 0)
			continue;
		if (order == ORDER_MOUNT && !m.path)
			error = fusemount_mount(config, &m);
		else if (order == ORDER_UNMOUNT && m.path)
			error = fusemount_unmount(&m);
		if (!send_result(sock, error, m.fd))
			break;
		/* The connection is the daemon's alone: it ends with it. */
		m.fd = fd_close(m.fd);
	}
	fusemount_clear(&m);
}

/* All that was open in the daemon: its locks above all would outlive it. */
static void close_others(int sock)
{
	closelog();
	if (sock > STDERR_FILENO + 1)
		(void)close_range(STDERR_FILENO + 1, (unsigned)sock - 1, 0);
	(void)close_range((unsigned)sock + 1, UINT_MAX, 0);
}

/* --- the daemon's side ------------------------------------------------------------------------ */

int fusekeeper_start(const struct fusedev_config *config, struct fusekeeper **out)
{
	struct fusekeeper *k = calloc(1, sizeof(*k));
	int pair[2] = { -1, -1 };
	int error = 0;

	*out = NULL;
	if (!k || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		error = k ? errno_neg() : -ENOMEM;
	if (!error) {
		k->pid = fork();
		error = k->pid < 0 ? errno_neg() : 0;
	}
	if (!error && k->pid == 0) {
		(void)prctl(PR_SET_NAME, "holdfast-mount", 0, 0, 0);
		close_others(pair[1]);
		keep(config, pair[1]);
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
static int ask(struct fusekeeper *k, enum order order, int *fd)
{
	union control control = { .room = { 0 } };
	char byte = (char)order;
	int result = 0;
	struct iovec iov = { .iov_base = &result, .iov_len = sizeof(result) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.room,
			      .msg_controllen = sizeof(control.room) };
	struct cmsghdr *c;
	ssize_t got;

	*fd = -1;
	if (send(k->sock, &byte, 1, MSG_NOSIGNAL) != 1)
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

int fusekeeper_mount(struct fusekeeper *k, int *fd)
{
	int error = ask(k, ORDER_MOUNT, fd);

	say_if_gone(error);
	if (!error && *fd < 0)
		return -EIO;
	return error;
}

int fusekeeper_unmount(struct fusekeeper *k)
{
	int none;
	int error = ask(k, ORDER_UNMOUNT, &none);

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
