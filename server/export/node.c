/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * node.c - nodes as the operations use them: get, put, descriptors, the sealed handle.
 * Runs in each worker's thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "export/core.h"

#define OPEN_TRIES 3

int node_get(struct worker *w, nodeid_t id, struct node **out)
{
	return resolve(w, id, out, NULL, NULL);
}

struct node *node_ref(struct worker *w, struct node *n)
{
	cache_ref(w->x->cache, n);
	return n;
}

void node_put(struct worker *w, struct node *n)
{
	cache_put(w->x->cache, n);
}

nodeid_t node_nodeid(const struct node *n)
{
	return cache_nodeid(n);
}

generation_t node_generation(const struct node *n)
{
	return cache_told_generation(n);
}

mode_t node_type(const struct node *n)
{
	return (mode_t)DTTOIF(cache_type(n));
}

bool node_persistent(const struct node *n)
{
	return cache_persistent(n);
}

/* Opens the node under its name in a parent whose descriptor is open, and sees that it is the node. */
static int open_below(struct worker *w, struct node *parent, int parent_fd, struct node *n,
		      const char *name)
{
	struct identity id;
	struct vantage at;
	struct looked looked;
	int fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), ret;

	if (fd < 0)
		return errno_neg();
	cache_vantage(parent, parent_fd, &id, &at);
	ret = hostfs_look_fd(w->x->hostfs, w->mint, &at, name, fd, &looked);
	if (!ret && !cache_is(n, &looked))
		ret = -ESTALE;
	if (ret < 0) {
		fd_close(fd);
		return ret;
	}
	cache_set_checked(w->x->cache, n, cache_stamp(parent), &looked);
	return cache_give_fd(w->x->cache, n, fd);
}

/* A node on the way from one that is open down to the one wanted. */
struct rung {
	struct node *node;
	char *name;
};

/*
 * Opens `n` from its nearest ancestor that is open: up through the cache, and down again. -ESTALE: names
 * have changed; the resolver must find the way anew.
 */
static int open_by_ladder(struct worker *w, struct node *n)
{
	struct cache *c = w->x->cache;
	struct rung *rungs = NULL;
	size_t count = 0, room = 0;
	struct node *at = NULL;
	int fd = -ESTALE;

	for (struct node *next = n; next;) {
		char name[HOLDFAST_NAME_MAX + 1];
		nodeid_t parent;

		if (count == room) {
			struct rung *grown = count < DEPTH_MAX
						     ? realloc(rungs, (room + 16) * sizeof(*grown))
						     : NULL;

			if (!grown) {
				if (next != n)
					cache_put(c, next);
				fd = -ENOMEM;
				goto down;
			}
			rungs = grown;
			room += 16;
		}
		rungs[count].node = next;
		rungs[count].name = NULL;
		count++;
		if (!cache_name(c, next, &parent, name) || !(rungs[count - 1].name = strdup(name)))
			break;
		next = NULL;
		if (resolve(w, parent, &next, NULL, NULL) < 0)
			break;
		fd = cache_fd(next);
		if (fd >= 0)
			at = next;
		if (at)
			break;
	}
	if (!at)
		fd = -ESTALE;
down:
	for (size_t i = count; i > 0; i--) {
		if (at && fd >= 0) {
			fd = open_below(w, at, fd, rungs[i - 1].node, rungs[i - 1].name);
			if (at != n)
				cache_put(c, at);
			at = rungs[i - 1].node;
		} else if (rungs[i - 1].node != n) {
			cache_put(c, rungs[i - 1].node);
		}
		free(rungs[i - 1].name);
	}
	if (at && at != n)
		cache_put(c, at);
	free(rungs);
	return fd;
}

int node_fd(struct worker *w, struct node *n)
{
	int fd = cache_fd(n);

	for (int i = 0; fd < 0 && i < OPEN_TRIES; i++) {
		struct node *again;
		int ret;

		fd = open_by_ladder(w, n);
		if (fd >= 0 || (fd != -ESTALE && fd != -ENOENT && fd != -ENOTDIR))
			break;
		/* It was renamed or removed since it was found: find it again. */
		cache_clear_checked(w->x->cache, n);
		ret = resolve(w, cache_nodeid(n), &again, NULL, NULL);
		if (ret)
			return ret;
		cache_put(w->x->cache, again);
		fd = cache_fd(n);
	}
	if (fd == -1 || fd == -ESTALE || fd == -ENOENT || fd == -ENOTDIR)
		return -ENOMEM; /* it is there, and was not where it was: too much is moving */
	return fd == -EMFILE ? -ENFILE : fd;
}

int node_open(struct worker *w, struct node *n, int flags)
{
	char name[16];
	int fd;

	switch (cache_type(n)) {
	case DT_REG:
	case DT_DIR:
		break;
	case DT_LNK:
		return -ELOOP;
	default:
		return -ENXIO; /* nothing of the host's is ever opened for the guest but files and directories */
	}
	fd = node_fd(w, n);
	if (fd < 0)
		return fd;
	flags &= ~(O_NOFOLLOW | O_CREAT | O_EXCL | O_PATH | O_TMPFILE);
	if (cache_type(n) == DT_DIR)
		flags |= O_DIRECTORY;
	snprintf(name, sizeof(name), "%d", fd);
	flags |= O_CLOEXEC | O_NOCTTY;
	fd = openat(w->x->proc, name, flags | O_NONBLOCK);
	if (fd >= 0 || errno != EAGAIN)
		return fd < 0 ? errno_neg() : fd;
	/* Somebody on the host has a lease on the file: it has been asked for it, and is waited for, as without us. */
	if (!w->may_wait) {
		w->would_wait = true;
		return -EAGAIN;
	}
	fd = openat(w->x->proc, name, flags);
	return fd < 0 ? errno_neg() : fd;
}

ssize_t node_sealed_handle(struct worker *w, struct node *n, uint8_t *out, size_t cap)
{
	struct identity id;
	uint8_t sealed[IDENTITY_MAX + ENVELOPE_OVERHEAD];
	ssize_t len;

	if (!cache_persistent(n) || cache_wildcard(n))
		return -ENODATA;
	if (w->unfit)
		return -ENOMEM;
	cache_identity(n, &id);
	len = envelope_seal_handle(w->envelope, &id, sealed, sizeof(sealed));
	if (len < 0 || cap == 0)
		return len;
	if ((size_t)len > cap)
		return -ERANGE;
	memcpy(out, sealed, (size_t)len);
	return len;
}

int export_sync(struct worker *w, struct node *n)
{
	CLEANUP_FD int fd = -1;

	if (cache_type(n) == DT_REG || cache_type(n) == DT_DIR) {
		fd = node_open(w, n, O_RDONLY);
	} else {
		fd = openat(w->x->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd = fd < 0 ? errno_neg() : fd;
	}
	if (fd < 0)
		return fd;
	if (syncfs(fd) < 0)
		return errno_neg();
	if (w->x->ring && w->x->config.strict) {
		ring_wake(w->x->ring);
		return ring_wait_drained(w->x->ring, ring_tail(w->x->ring), 10000);
	}
	return 0;
}
