/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fusedev.c - serves the requests of this machine's kernel from /dev/fuse, with a pool of threads.
 *
 * Each thread has a descriptor of its own (FUSE_DEV_IOC_CLONE: replies go back by the one that the
 * request came by), reads into a buffer of its own and blocks there: the kernel wakes one reader
 * for each request. fusedev_serve(), on the caller's thread, waits for the end:
 *   - the kernel says ENODEV to every reader: unmounted, or the connection was aborted
 *   - fusedev_stop(): unmounts while the threads still serve, so that the kernel can write back; a
 *     mount that is busy goes on without us, so its threads are woken by a signal that does nothing
 *   - the kernel was refused at INIT
 */
#include "transport/fusedev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "transport/fusekeeper.h"
#include "transport/fusemount.h"

#define BUFFER_ALIGN 4096
#define GRACE_NS                                                                                   \
	((uint64_t)1000 * 1000 * 1000)	     /* for threads to end by themselves after unmounting */
#define WAKE_NS ((uint64_t)20 * 1000 * 1000) /* between attempts to wake those that did not */

struct fusedev_thread {
	struct fusedev *dev;
	pthread_t thread;
	bool started;
	int fd;
	struct fuse_thread *fuse;
	uint8_t *buffer;
	_Atomic bool reading; /* blocked in read(2), or about to be: may be woken by a signal */
	_Atomic bool done;
};

struct fusedev {
	struct fusemount mount; /* with a keeper the descriptor alone */
	struct fusekeeper *keeper;
	struct fuse_server *server;
	unsigned count;
	struct fusedev_thread threads[FUSEDEV_THREADS_MAX];
	int stop_event;	     /* readable: fusedev_stop() was called */
	int end_event;	     /* readable: a thread has ended */
	_Atomic bool ending; /* no thread reads another request */
	_Atomic int error;   /* why, or 0 */
};

/* --- one thread ------------------------------------------------------------------------------- */

/*
 * The transport's reply: one write. ENOENT: the request was interrupted and nobody waits any more.
 */
static int send_reply(void *token, const struct iovec *iov, int count, size_t placed)
{
	const struct fusedev_thread *t = token;

	(void)placed; /* there is no room but ours */
	return writev(t->fd, iov, count) < 0 ? -errno : 0;
}

static const struct fuse_transport_ops fusedev_ops = { .reply = send_reply };

/* Reads one request: its length, 0 to try again, or -errno at the end (-ENODEV is the good one). */
static ssize_t read_request(struct fusedev_thread *t)
{
	ssize_t got;

	t->reading = true;
	got = t->dev->ending ? -1 : read(t->fd, t->buffer, FUSE_REQUEST_MAX);
	t->reading = false;
	if (t->dev->ending)
		return got > 0 ? got : -ENODEV; /* one that was handed out is answered */
	if (got >= 0)
		return got;
	switch (errno) {
	case EINTR:
	case EAGAIN:
	case ENOENT: /* interrupted before it was read */
		return 0;
	case ECONNABORTED:
		return -ENODEV;
	default:
		return -errno;
	}
}

static void *serve(void *arg)
{
	struct fusedev_thread *t = arg;
	struct fusedev *dev = t->dev;
	struct fuse_message message = { .bytes = t->buffer, .may_block = true, .token = t };
	ssize_t len;

	while ((len = read_request(t)) >= 0) {
		if (len == 0)
			continue;
		message.len = (size_t)len;
		if (fuse_thread_request(t->fuse, &message) < 0)
			log_limited(LOG_LEVEL_WARN, "fuse: a request of %zd bytes has no header",
				    len);
		if (fuse_server_refused(dev->server)) {
			len = -EOPNOTSUPP;
			break;
		}
	}
	if (len != -ENODEV) {
		dev->error = (int)len;
		if (len != -EOPNOTSUPP)
			log_error("fuse: reading /dev/fuse: %s", strerror((int)-len));
	}
	t->done = true;
	if (eventfd_write(dev->end_event, 1) < 0)
		log_error("fuse: cannot wake the main thread: %s", strerror(errno));
	return NULL;
}

/* A descriptor of its own on the connection; where that cannot be had, the common one. */
static int clone_fd(int connection)
{
	uint32_t source = (uint32_t)connection;
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, FUSE_DEV_IOC_CLONE, &source) == 0)
		return fd;
	(void)fd_close(fd);
	fd = fcntl(connection, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* Opens what a thread needs. */
static int prepare_thread(struct fusedev *dev, struct fusedev_thread *t)
{
	t->dev = dev;
	t->fd = clone_fd(dev->mount.fd);
	if (t->fd < 0)
		return t->fd;
	t->buffer = aligned_alloc(BUFFER_ALIGN, FUSE_REQUEST_MAX);
	if (!t->buffer)
		return -ENOMEM;
	return fuse_thread_new(dev->server, &fusedev_ops, &t->fuse);
}

/* Threads leave signals to the main thread, but for the one that wakes them, and those of faults. */
static int start_thread(struct fusedev_thread *t)
{
	sigset_t all;
	sigset_t before;
	int error;

	sigfillset(&all);
	sigdelset(&all, SIGRTMIN);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(&t->thread, NULL, serve, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	t->started = error == 0;
	return error;
}

static void end_thread(struct fusedev_thread *t)
{
	fuse_thread_free(t->fuse);
	free(t->buffer);
	t->fd = fd_close(t->fd);
	t->fuse = NULL;
	t->buffer = NULL;
}

/* --- all of them ------------------------------------------------------------------------------ */

static void wake_nobody(int sig)
{
	(void)sig;
}

static struct timespec monotonic_in(uint64_t ns)
{
	const uint64_t second = 1000000000;
	uint64_t at = clock_ns() + ns;

	return (struct timespec){ .tv_sec = (time_t)(at / second), .tv_nsec = (long)(at % second) };
}

/*
 * Joins the threads: first they get time to end by themselves, then those still reading are woken.
 * A thread that is in the middle of a request is waited for: its answer is due.
 */
static void join_threads(struct fusedev *dev)
{
	uint64_t begun = clock_ns();

	for (unsigned i = 0; i < dev->count; i++) {
		struct fusedev_thread *t = &dev->threads[i];

		while (t->started) {
			struct timespec until = monotonic_in(WAKE_NS);

			if (pthread_clockjoin_np(t->thread, NULL, CLOCK_MONOTONIC, &until) == 0) {
				t->started = false;
				break;
			}
			if (clock_ns() - begun > GRACE_NS)
				dev->ending = true;
			if (dev->ending && t->reading)
				(void)pthread_kill(t->thread, SIGRTMIN);
		}
	}
}

static int unmount(struct fusedev *dev)
{
	return dev->keeper ? fusekeeper_unmount(dev->keeper) : fusemount_unmount(&dev->mount);
}

/* Waits until somebody wants an end of it. */
static void wait_for_end(struct fusedev *dev)
{
	struct pollfd fds[2] = { { .fd = dev->stop_event, .events = POLLIN },
				 { .fd = dev->end_event, .events = POLLIN } };

	while (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno == EINTR)
		;
	if (fds[0].revents)
		(void)unmount(dev);
	if (fds[1].revents)
		dev->ending = dev->error != 0;
}

int fusedev_serve(struct fusedev *dev)
{
	struct sigaction wake = { .sa_handler =
					  wake_nobody }; /* no SA_RESTART: read(2) is to end */
	struct sigaction before;
	int error = 0;

	if (sigaction(SIGRTMIN, &wake, &before) < 0)
		return -errno;
	for (unsigned i = 0; i < dev->count && !error; i++)
		error = start_thread(&dev->threads[i]);
	if (error) {
		log_error("mount: cannot start the threads that serve it: %s", strerror(-error));
		dev->ending = true;
	} else {
		wait_for_end(dev);
	}
	join_threads(dev);
	/* With the last descriptor the connection ends. */
	for (unsigned i = 0; i < dev->count; i++)
		end_thread(&dev->threads[i]);
	(void)sigaction(SIGRTMIN, &before, NULL);
	return error ? error : dev->error;
}

void fusedev_stop(struct fusedev *dev)
{
	const uint64_t one = 1;
	int saved = errno;

	/* It can only fail when it is readable already. */
	if (write(dev->stop_event, &one, sizeof(one)) < 0)
		errno = saved;
	errno = saved;
}

static unsigned thread_count(unsigned wanted)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (!wanted && cpus > 0)
		wanted = 2 * (unsigned)cpus;
	if (wanted > FUSEDEV_THREADS_MAX)
		wanted = FUSEDEV_THREADS_MAX;
	return wanted;
}

int fusedev_mount(const struct fusedev_config *config, struct fuse_server *server,
		  struct fusedev **out)
{
	struct fusedev *dev = calloc(1, sizeof(*dev));
	int error;

	if (!dev)
		return -ENOMEM;
	dev->server = server;
	dev->keeper = config->keeper;
	dev->mount.id = -1;
	dev->mount.fd = -1;
	dev->end_event = -1;
	dev->count = thread_count(config->threads);
	if (!config->threads && dev->count < FUSEDEV_THREADS_MIN)
		dev->count = FUSEDEV_THREADS_MIN;
	for (unsigned i = 0; i < dev->count; i++)
		dev->threads[i].fd = -1;
	dev->stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dev->stop_event >= 0)
		dev->end_event = eventfd(0, EFD_CLOEXEC);
	if (dev->stop_event < 0 || dev->end_event < 0) {
		error = -errno;
		goto err;
	}
	error = dev->keeper ? fusekeeper_mount(dev->keeper, config->uuid, &dev->mount.fd)
			    : fusemount_mount(config, &dev->mount);
	if (error)
		goto err;
	for (unsigned i = 0; i < dev->count && !error; i++)
		error = prepare_thread(dev, &dev->threads[i]);
	if (error) {
		log_error("mount: cannot prepare the threads that serve it: %s", strerror(-error));
		(void)unmount(dev);
		goto err;
	}
	*out = dev;
	return 0;

err:
	fusedev_free(dev);
	return error;
}

int fusedev_unmount(struct fusedev *dev)
{
	/*
	 * Nobody serves any more: with its last descriptor the connection ends, and nothing waits
	 * for it.
	 */
	dev->mount.fd = fd_close(dev->mount.fd);
	return unmount(dev);
}

void fusedev_free(struct fusedev *dev)
{
	if (!dev)
		return;
	for (unsigned i = 0; i < dev->count; i++)
		end_thread(&dev->threads[i]);
	fusemount_clear(&dev->mount);
	(void)fd_close(dev->stop_event);
	(void)fd_close(dev->end_event);
	free(dev);
}
