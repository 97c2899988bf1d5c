/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostsocket.h - the UNIX socket that a front-end connects to: made at a path, or handed over by who started us.
 */
#ifndef HOLDFAST_TRANSPORT_VHOSTSOCKET_H
#define HOLDFAST_TRANSPORT_VHOSTSOCKET_H

#include <stdbool.h>
#include <sys/types.h>

struct vhostsocket {
	int fd;		/* stream socket, close-on-exec; -1: none */
	bool listening; /* else connected */
	int dir;	/* O_PATH, where `name` is; -1: the socket file is not ours */
	char name[108];
	dev_t dev; /* of the socket file */
	ino_t ino;
};
#define VHOSTSOCKET_NONE ((struct vhostsocket){ .fd = -1, .dir = -1 })

/*
 * Listens at `path`, with mode 0600; with `group` (a name or number), mode 0660 and that group. A socket that
 * nobody listens at is replaced. 0, or -errno after one line in the log: -ENAMETOOLONG, -EADDRINUSE (another listens
 * there, and is not disturbed), -EEXIST (something else is there), -EINVAL (no such group), or what the system says.
 */
int vhostsocket_listen(const char *path, const char *group, struct vhostsocket *out);

/* Takes a descriptor over. -EBADF, or -ENOTSOCK (no UNIX stream socket that listens or is connected), with a line. */
int vhostsocket_adopt(int fd, struct vhostsocket *out);

/* Removes the socket file, if it is still the one that was made. Any user of the directory may try; needs no path. */
void vhostsocket_remove(struct vhostsocket *s);

/* Closes; the file stays. May be called twice. */
void vhostsocket_close(struct vhostsocket *s);

#endif
