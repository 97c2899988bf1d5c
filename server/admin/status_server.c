/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * status_server.c - the control socket of a daemon: a thread of its own answers one asker at a time.
 *
 * The socket gets its final name only when it listens, so one that refuses was left behind by a daemon
 * that was killed; the next daemon removes it. Whoever connects has two seconds and 16 bytes to say what
 * it wants. Sockets are addressed through /proc/self/fd, for run directories whose path is too long for
 * a socket address.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "admin/status.h"
#include "base/log.h"
#include "base/util.h"
#include "holdfast/status.h"

#define BACKLOG 8
#define PATIENCE_SECONDS 2

struct status_server {
	struct status_source source;
	int rundir;
	int listener;
	int stop; /* eventfd */
	pthread_t thread;
	bool started;
	char name[64];
};

static int set_address(struct sockaddr_un *addr, int rundir, const char *name)
{
	int n;

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	n = snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d/%s", rundir, name);
	return n < 0 || (size_t)n >= sizeof(addr->sun_path) ? -ENAMETOOLONG : 0;
}

static int set_patience(int fd)
{
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		return -errno;
	return 0;
}

int status_connect(int rundir, const char *name)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	int err = set_address(&addr, rundir, name);

	if (fd < 0)
		return -errno;
	if (!err)
		err = set_patience(fd);
	if (!err && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		err = -errno;
	return err ? err : fd_take(&fd);
}

/* Removes the sockets that killed daemons left in the run directory. */
static void remove_stale(int rundir)
{
	int dirfd = openat(rundir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = dirfd >= 0 ? fdopendir(dirfd) : NULL;
	const struct dirent *d;

	if (!dir) {
		fd_close(dirfd);
		return;
	}
	while ((d = readdir(dir))) {
		size_t len = strlen(d->d_name), suffix = strlen(HOLDFAST_STATUS_SOCKET_SUFFIX);
		int fd;

		if (strncmp(d->d_name, HOLDFAST_STATUS_SOCKET_PREFIX,
			    strlen(HOLDFAST_STATUS_SOCKET_PREFIX)) != 0 ||
		    len < suffix ||
		    strcmp(d->d_name + len - suffix, HOLDFAST_STATUS_SOCKET_SUFFIX) != 0)
			continue;
		fd = status_connect(rundir, d->d_name);
		if (fd == -ECONNREFUSED)
			(void)unlinkat(rundir, d->d_name, 0);
		fd_close(fd);
	}
	(void)closedir(dir);
}

static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* Reads the asker's line, writes the answer; whatever goes wrong is the asker's loss. */
static void answer(struct status_server *s, int fd)
{
	CLEANUP_FREE char *text = NULL;
	char line[16] = "";
	size_t size = 0, got = 0, sent = 0;
	FILE *f;

	if (!is_trusted(fd) || set_patience(fd))
		return;
	while (got < sizeof(line) - 1 && !strchr(line, '\n')) {
		ssize_t n = recv(fd, line + got, sizeof(line) - 1 - got, 0);

		if (n <= 0)
			return;
		got += (size_t)n;
	}
	f = open_memstream(&text, &size);
	if (!f)
		return;
	status_write(f, &s->source, strcmp(line, "json\n") == 0);
	if (fclose(f))
		return;
	while (sent < size) {
		ssize_t n = send(fd, text + sent, size - sent, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		sent += (size_t)n;
	}
}

static void *run(void *arg)
{
	struct status_server *s = arg;
	struct pollfd fds[2] = { { .fd = s->listener, .events = POLLIN },
				 { .fd = s->stop, .events = POLLIN } };

	(void)pthread_setname_np(pthread_self(), "holdfast-status");
	for (;;) {
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			answer(s, fd);
		else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			(void)poll(&fds[1], 1, 100); /* out of descriptors: not in a tight loop */
		fd_close(fd);
	}
}

/* A listening socket under its final name. */
static int open_socket(struct status_server *s, long pid)
{
	char before[64];
	struct sockaddr_un addr;
	int err;

	(void)snprintf(before, sizeof(before), "%s%ld.new", HOLDFAST_STATUS_SOCKET_PREFIX, pid);
	(void)snprintf(s->name, sizeof(s->name), "%s%ld%s", HOLDFAST_STATUS_SOCKET_PREFIX, pid,
		       HOLDFAST_STATUS_SOCKET_SUFFIX);
	err = set_address(&addr, s->rundir, before);
	if (err)
		return err;
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The file gets the mode of the socket. */
	if (s->listener < 0 || fchmod(s->listener, 0600))
		return -errno;
	(void)unlinkat(s->rundir, before, 0);
	if (bind(s->listener, (const struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	if (listen(s->listener, BACKLOG) || renameat(s->rundir, before, s->rundir, s->name)) {
		err = -errno;
		(void)unlinkat(s->rundir, before, 0);
		return err;
	}
	return 0;
}

int status_server_new(int rundir, long pid, struct status_server **out)
{
	struct status_server *s = calloc(1, sizeof(*s));
	int err;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->rundir = rundir;
	s->listener = -1;
	s->stop = eventfd(0, EFD_CLOEXEC);
	err = s->stop < 0 ? errno_neg() : 0;
	if (!err) {
		remove_stale(rundir);
		err = open_socket(s, pid);
	}
	if (err)
		status_server_abandon(s);
	else
		*out = s;
	return err;
}

int status_server_start(struct status_server *s, const struct status_source *source)
{
	int err;

	s->source = *source;
	err = -pthread_create(&s->thread, NULL, run, s);
	s->started = err == 0;
	return err;
}

void status_server_abandon(struct status_server *s)
{
	if (!s)
		return;
	fd_close(s->listener);
	fd_close(s->stop);
	free(s);
}

void status_server_stop(struct status_server *s)
{
	if (!s)
		return;
	if (s->started && eventfd_write(s->stop, 1) == 0)
		(void)pthread_join(s->thread, NULL);
	(void)unlinkat(s->rundir, s->name, 0);
	status_server_abandon(s);
}
