/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sandbox_private.h - between the parts of the sandbox. Functions give 0, or -errno after one line in the log.
 */
#ifndef HOLDFAST_SANDBOX_SANDBOX_PRIVATE_H
#define HOLDFAST_SANDBOX_SANDBOX_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

#define SANDBOX_CAPS_TEXT_MAX 512
#define ROOT_NAME_BYTES 16

struct sandbox {
	enum sandbox_mode mode;
	struct places places;
	int leash;			    /* a socket to the process on the other side; -1 */
	pid_t child;			    /* outside */
	char root[2 * ROOT_NAME_BYTES + 2]; /* where the share is */
	char caps[SANDBOX_CAPS_TEXT_MAX];
};

/* The one line of a stage that failed. Gives `error` back. */
int sandbox_failed(const char *what, int error, const char *hint);

/* users.c: a user namespace for this process, with the ranges. */
int users_enter(const struct sandbox_config *config);
/* Takes on id 0 of it, if there is one, and drops the supplementary groups if that is allowed. */
int users_become_root(const struct sandbox_config *config);

/* leash.c: a child in a new PID namespace goes on (0), this process stays outside (1). */
int leash_fork(struct sandbox *s);
/* Inside: the end of the process outside is ours. After the last change of ids, which would undo it. */
int leash_hold(const struct sandbox *s);

/* mounts.c */
/* /proc/self/fd, and /proc/self for mounts_settle(). */
int mounts_take_descriptors(struct sandbox *s, int *self);
/* The directories of the configuration. */
int mounts_take_directories(const struct sandbox_config *config);
/* A new root with the share in it, which is the working directory. */
int mounts_pivot(struct sandbox *s);
/* Sees that the share is at s->root, and opens the table of mounts as it is seen from the root. */
int mounts_settle(struct sandbox *s, int share, int self);

/* caps.c */
int caps_apply(struct sandbox *s, uint64_t caps);

#endif
