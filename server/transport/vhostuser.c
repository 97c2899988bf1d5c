/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostuser.c - the life of a virtio-fs device: waits for a front-end, serves its connection, and the next one.
 *
 * The thread in vhostuser_serve() reads messages; two eventfds end its waiting: `stop`, and env.broken, by which a queue
 * says that it met something that the guest must not send. A connection ends with everything of it: queues and
 * their threads, what is in the pool, the guest's session with its open files and locks, memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/vhostuser_private.h"

#define ACCEPT_PAUSE_MS 100

/* --- the device ---------------------------------------------------------------------------------------- */

static int watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? errno_neg() : 0;
}

static int make_events(struct vhostuser *dev)
{
	int ret;

	dev->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	dev->env.broken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	dev->poke = epoll_create1(EPOLL_CLOEXEC);
	if (dev->stop < 0 || dev->env.broken < 0 || dev->poke < 0)
		return errno_neg();
	ret = watch(dev->poke, dev->stop);
	return ret ? ret : watch(dev->poke, dev->env.broken);
}

int vhostuser_new(const struct vhostuser_config *config, struct fuse_server *server,
		  struct vhostuser **out)
{
	size_t tag_len = config->tag ? strlen(config->tag) : 0;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct vhostuser *dev;
	int ret;

	if (tag_len > VHOSTUSER_TAG_MAX)
		return -EINVAL;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->config = *config;
	if (tag_len)
		memcpy(dev->tag, config->tag, tag_len);
	dev->server = server;
	dev->sock = -1;
	dev->stop = -1;
	dev->poke = -1;
	dev->env = (struct vhostqueue_env){ .server = server,
					    .poll_us = config->poll_us,
					    .pollers_max = cpus > 2 ? (unsigned)cpus - 1 : 1,
					    .broken = -1 };
	for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX; i++)
		vhostline_init(&dev->lines[i]);
	ret = make_events(dev);
	if (!ret)
		ret = guestmem_init();
	if (ret) {
		vhostuser_free(dev);
		return ret;
	}
	*out = dev;
	return 0;
}

void vhostuser_free(struct vhostuser *dev)
{
	if (!dev)
		return;
	(void)fd_close(dev->poke);
	(void)fd_close(dev->env.broken);
	(void)fd_close(dev->stop);
	free(dev);
}

void vhostuser_stop(struct vhostuser *dev)
{
	const uint64_t one = 1;
	int saved = errno;

	/* It can only fail when it is readable already. */
	if (write(dev->stop, &one, sizeof(one)) < 0)
		errno = saved;
	errno = saved;
}

void vhostuser_stats(struct vhostuser *dev, struct vhostuser_stats *out)
{
	struct fuse_server_stats fuse;

	fuse_server_stats(dev->server, &fuse);
	*out = (struct vhostuser_stats){
		.connected = atomic_load(&dev->connected),
		.connections = atomic_load(&dev->connections),
		.refused = atomic_load(&dev->refused),
		.queues = atomic_load(&dev->queues),
		.requests = fuse.requests,
		.kicks = atomic_load(&dev->env.kicks),
		.notifications = atomic_load(&dev->env.notifications),
	};
}

/* --- a connection ---------------------------------------------------------------------------------------- */

static bool stopped(const struct vhostuser *dev)
{
	struct pollfd p = { .fd = dev->stop, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Has a queue stopped by itself? Then why, in dev->why. */
static int broken(struct vhostuser *dev)
{
	for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX; i++) {
		const struct vhostqueue *q = dev->lines[i].queue;
		int error = q ? vhostqueue_error(q) : 0;

		if (!error)
			continue;
		(void)snprintf(
			dev->why, sizeof(dev->why), "queue %u: %s", i,
			error == -EFAULT
				? "guest memory, or the record of requests in flight, has gone "
				  "away (its file was truncated)"
				: "the ring holds what a driver must not put there");
		return -EPROTO;
	}
	return 0;
}

static int begin(struct vhostuser *dev)
{
	eventfd_t value;
	int ret = guestmem_new(&dev->memory);

	(void)eventfd_read(dev->env.broken, &value);
	if (!ret && dev->config.pool)
		ret = vhostpool_new(dev->server, dev->config.pool, &dev->env.pool);
	dev->features = 0;
	dev->protocol = 0;
	atomic_fetch_add(&dev->connections, 1);
	atomic_store(&dev->connected, true);
	return ret;
}

/* All of the connection goes, in the order in which nobody needs what is gone. */
static void end(struct vhostuser *dev)
{
	atomic_store(&dev->connected, false);
	for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX; i++)
		vhostline_clear(dev, i);
	/* A guest that lives on comes back with its session, to us or to the next daemon: the note of it stays. */
	fuse_server_keep(dev->server, NULL, NULL);
	/* Answers what waits for locks; the rings take no answer any more. */
	fuse_server_reset(dev->server);
	vhostpool_free(dev->env.pool);
	dev->env.pool = NULL;
	for (unsigned i = 0; i < VHOSTUSER_QUEUES_MAX; i++) {
		vhostqueue_free(dev->lines[i].queue);
		dev->lines[i].queue = NULL;
	}
	inflight_unmap(dev->inflight);
	dev->inflight = NULL;
	guestmem_unref(dev->memory);
	dev->memory = NULL;
	dev->sock = fd_close(dev->sock);
}

/* Messages until the end: 0 (hang-up, or stopped), -EPROTO, -errno. */
static int converse(struct vhostuser *dev)
{
	struct vhost_msg msg;
	int ret;

	for (;;) {
		ret = vhostmsg_read(dev->sock, dev->poke, &msg, dev->why);
		if (ret == -ECANCELED)
			return broken(dev);
		if (ret != 1)
			return ret;
		ret = vhostdevice_message(dev, &msg);
		vhostmsg_clear(&msg);
		/* It hung up without waiting for its answer. */
		if (ret == -EPIPE || ret == -ECONNRESET)
			return 0;
		if (ret)
			return ret;
	}
}

/* Serves the connection on dev->sock. */
static int serve_connection(struct vhostuser *dev)
{
	int ret = begin(dev);

	log_debug("vhost-user: a front-end is here");
	if (!ret)
		ret = converse(dev);
	end(dev);
	if (ret == -EPROTO) {
		atomic_fetch_add(&dev->refused, 1);
		log_limited(LOG_LEVEL_ERROR, "vhost-user: the connection is ended: %s", dev->why);
	} else if (ret) {
		log_limited(LOG_LEVEL_ERROR, "vhost-user: the connection is ended: %s",
			    strerror(-ret));
	} else {
		log_debug("vhost-user: the front-end has hung up");
	}
	return ret;
}

/* After an accept(2) that failed: 0, go on; or -errno. What lacks now may be there in a moment, and the front-end waits. */
static int pardon(const struct vhostuser *dev, int error)
{
	struct pollfd p = { .fd = dev->stop, .events = POLLIN };

	switch (error) {
	case -EINTR:
	case -EAGAIN:
	case -ECONNABORTED:
		return 0;
	case -EMFILE:
	case -ENFILE:
	case -ENOBUFS:
	case -ENOMEM:
		log_limited(LOG_LEVEL_WARN,
			    "socket: a front-end cannot be let in: %s; trying again",
			    strerror(-error));
		(void)poll(&p, 1, ACCEPT_PAUSE_MS);
		return 0;
	default:
		return error;
	}
}

/* Waits for a front-end: 0 with dev->sock, -ECANCELED, or -errno. */
static int wait_for_frontend(struct vhostuser *dev)
{
	int ret;

	for (;;) {
		struct pollfd fds[2] = { { .fd = dev->config.socket, .events = POLLIN },
					 { .fd = dev->stop, .events = POLLIN } };

		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return errno_neg();
		if (fds[1].revents)
			return -ECANCELED;
		if (!fds[0].revents)
			continue;
		dev->sock = accept4(dev->config.socket, NULL, NULL, SOCK_CLOEXEC);
		if (dev->sock >= 0)
			return 0;
		ret = pardon(dev, errno_neg());
		if (ret)
			return ret;
	}
}

int vhostuser_serve(struct vhostuser *dev)
{
	int ret;

	if (!dev->config.listening) {
		dev->sock = fcntl(dev->config.socket, F_DUPFD_CLOEXEC, 0);
		return dev->sock < 0 ? errno_neg() : serve_connection(dev);
	}
	do {
		ret = wait_for_frontend(dev);
		if (ret)
			return ret == -ECANCELED ? 0 : ret;
		ret = serve_connection(dev);
	} while (dev->config.persist && !stopped(dev));
	return stopped(dev) ? 0 : ret;
}
