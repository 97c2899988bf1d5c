/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostsocket.c - makes, takes over and removes the front-end's socket. Main thread, at start and end.
 *
 * Whether anybody listens at an existing socket is asked by a datagram socket: the kernel refuses it with
 * EPROTOTYPE where a stream socket is bound, and with ECONNREFUSED where none is; the other daemon sees nothing of
 * it, which a connection would end for good.
 *
 * Who looks at a socket and unlinks it holds an flock on its directory until its own is there: two daemons that start at
 * once would take each other's for one that was left behind.
 */
#include "transport/vhostsocket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"

#define BACKLOG 1
#define PAUSES 20 /* before a socket is said to be in use */
#define PAUSE_NS 25000000
/* Before it is done without the lock: others hold it for as long as they look whether a socket is in use. */
#define LOCK_PAUSES 120
#define LOCK_PAUSES_END 8 /* nobody waits long for our end */
#define MODE_OWNER 0600
#define MODE_GROUP 0660

static int failed(const char *path, int error, const char *hint)
{
	log_error("socket: cannot listen at %s: %s%s", path, strerror(-error), hint);
	return error;
}

static int find_group(const char *group, gid_t *gid)
{
	const struct group *g;
	char *end = NULL;
	unsigned long n;

	errno = 0;
	g = getgrnam(group);
	if (g) {
		*gid = g->gr_gid;
		return 0;
	}
	n = strtoul(group, &end, 10);
	if (group[0] < '0' || group[0] > '9' || *end || n >= (gid_t)-1) {
		log_error("socket: --socket-group=%s: there is no such group", group);
		return -EINVAL;
	}
	*gid = (gid_t)n;
	return 0;
}

/* The directory of the socket, and its name in there. */
static int split_path(const char *path, struct vhostsocket *s)
{
	CLEANUP_FREE char *copy = strdup(path);
	CLEANUP_FREE char *other = strdup(path);
	const char *name;

	if (!copy || !other)
		return -ENOMEM;
	name = basename(copy);
	if (strcmp(name, "/") == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EISDIR;
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->dir = open(dirname(other), O_PATH | O_DIRECTORY | O_CLOEXEC);
	return s->dir < 0 ? errno_neg() : 0;
}

/*
 * The lock on the directory, to be closed; -1: done without it. Whoever may read the directory may hold the lock, and
 * must not stop us for good; where we may not read it there is none.
 */
static int lock_way(const struct vhostsocket *s, int pauses)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int dir = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; dir >= 0 && i < pauses; i++) {
		if (flock(dir, LOCK_EX | LOCK_NB) == 0)
			return dir;
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		(void)nanosleep(&pause, NULL);
	}
	log_debug("socket: the directory of %s cannot be locked", s->name);
	return fd_close(dir);
}

/* Is a stream socket bound there? A daemon that was killed a moment ago may still be on its way out. */
static bool is_listened_at(int probe, const struct sockaddr_un *addr)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	for (int i = 0; i < PAUSES; i++) {
		if (connect(probe, (const struct sockaddr *)addr, sizeof(*addr)) &&
		    errno != EPROTOTYPE)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return true;
}

/* 0: nothing is in the way (any more). */
static int clear_way(const char *path, const struct sockaddr_un *addr, const struct vhostsocket *s)
{
	CLEANUP_FD int probe = -1;
	struct stat st;

	if (fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : failed(path, errno_neg(), "");
	if (!S_ISSOCK(st.st_mode))
		return failed(path, -EEXIST, ", and it is no socket; remove it, or give another");
	probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return failed(path, errno_neg(), "");
	if (is_listened_at(probe, addr))
		return failed(path, -EADDRINUSE, ": another process listens there");
	if (errno != ECONNREFUSED && errno != ENOENT)
		return failed(path, errno_neg(), "");
	if (unlinkat(s->dir, s->name, 0) && errno != ENOENT)
		return failed(path, errno_neg(), "");
	log_debug("socket: %s was left behind by a process that is gone", path);
	return 0;
}

/* The group's rights, and who the file is: all of the very file that was made. */
static int settle_file(struct vhostsocket *s, bool has_group, gid_t gid)
{
	CLEANUP_FD int file = openat(s->dir, s->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char link[64];
	struct stat st;

	if (file < 0 || fstat(file, &st))
		return errno_neg();
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	if (!has_group)
		return 0;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	if (fchownat(file, "", (uid_t)-1, gid, AT_EMPTY_PATH) || chmod(link, MODE_GROUP))
		return errno_neg();
	return 0;
}

/* Under the lock on the directory. */
static int take_place(const char *path, struct vhostsocket *s, bool has_group, gid_t gid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int err;

	memcpy(addr.sun_path, path, strlen(path));
	err = clear_way(path, &addr, s);
	if (err)
		return err;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The file gets the mode of the socket. */
	if (s->fd < 0 || fchmod(s->fd, MODE_OWNER) ||
	    bind(s->fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return failed(path, errno_neg(), "");
	err = listen(s->fd, BACKLOG) ? errno_neg() : settle_file(s, has_group, gid);
	if (err)
		(void)unlinkat(s->dir, s->name, 0);
	return err ? failed(path, err, has_group ? " (--socket-group)" : "") : 0;
}

static int listen_at(const char *path, struct vhostsocket *s, bool has_group, gid_t gid)
{
	int err = split_path(path, s);
	int lock;

	if (err)
		return failed(path, err, "");
	lock = lock_way(s, LOCK_PAUSES);
	err = take_place(path, s, has_group, gid);
	fd_close(lock);
	return err;
}

int vhostsocket_listen(const char *path, const char *group, struct vhostsocket *out)
{
	gid_t gid = 0;
	int err = group ? find_group(group, &gid) : 0;

	*out = VHOSTSOCKET_NONE;
	out->listening = true;
	if (err)
		return err;
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		log_error("socket: --socket-path=%s: a socket's path has %zu bytes at most", path,
			  sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	err = listen_at(path, out, group != NULL, gid);
	if (err)
		vhostsocket_close(out);
	return err;
}

/* A connected socket has a peer, also one that has hung up already. */
static bool is_connected(int fd)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

int vhostsocket_adopt(int fd, struct vhostsocket *out)
{
	int domain = 0, type = 0, accepts = 0;
	socklen_t len = sizeof(int);
	int flags = fcntl(fd, F_GETFD);

	*out = VHOSTSOCKET_NONE;
	if (flags < 0) {
		log_error("socket: --fd=%d is no open descriptor", fd);
		return -EBADF;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) || domain != AF_UNIX ||
	    type != SOCK_STREAM || (!accepts && !is_connected(fd))) {
		log_error("socket: --fd=%d is no UNIX stream socket that listens or is connected",
			  fd);
		return -ENOTSOCK;
	}
	if (fcntl(fd, F_SETFD, flags | FD_CLOEXEC))
		return errno_neg();
	out->fd = fd;
	out->listening = accepts != 0;
	return 0;
}

void vhostsocket_remove(struct vhostsocket *s)
{
	struct stat st;
	int lock;

	if (s->dir < 0)
		return;
	/* While we listen nobody takes its place; outside of a sandbox we do not, and another may be about to. */
	lock = s->fd < 0 ? lock_way(s, LOCK_PAUSES_END) : -1;
	if (fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == s->dev &&
	    st.st_ino == s->ino)
		(void)unlinkat(s->dir, s->name, 0);
	fd_close(lock);
}

void vhostsocket_close(struct vhostsocket *s)
{
	s->fd = fd_close(s->fd);
	s->dir = fd_close(s->dir);
}
